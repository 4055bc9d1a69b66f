// ServerlessClient: one connection that is opened when it is needed, kept by a lease, and opened again after a loss.
'use strict';

const { inspect } = require('node:util');
const errors = require('../errors.js');
const { forgotten } = require('../handles.js');
const { warnOfWeak } = require('../weak-secret.js');
const { standsAlone } = require('./alone.js');
const { Attempt } = require('./attempt.js');
const { readConnection } = require('./config.js');
const { Connection } = require('./connection.js');
const { EngineSeam } = require('./engine.js');
const { Hooks, metaOf } = require('./hooks.js');
const { isOpenAfter, isRollback } = require('../sql-effects.js');
const { LeaseManager, newInstanceId } = require('./lease.js');
const { isOpenBehind } = require('./loss.js');
const { readServerlessOptions } = require('./options.js');
const outcome = require('./outcome.js');
const { again, closed, final, findOut, stillWithin, transactionLost, verdict } = outcome;
const query = require('./query.js');
const { Budget, decide, hasWritten } = require('./retry.js');
const { StatementNames } = require('./statement-names.js');
const { Told } = require('./told.js');
const { repeat, runTransaction } = require('./transaction.js');
const { Turns } = require('./turns.js');
const { watcherOf } = require('./watcher.js');

/** @import { AnyConnection, News } from './connection.js' */
/** @import { Loss, Request } from './loss.js' */
/** @import { NativeError } from '../../types/native-error.js' */
/** @import { Query } from './query.js' */
/** @import { ServerlessClient as Contract, ServerlessConfig, ServerlessTransaction } from '../../types/serverless.js' */
/** @import { Runner, Scope } from './transaction.js' */
/** @typedef {InstanceType<typeof Attempt>} SharedAttempt */
/** @typedef {InstanceType<typeof Budget>} CallBudget */

/** @implements {Contract} */
class ServerlessClient {
  #options;
  #settings;
  #reading;
  #hooks;
  #lease;
  /** Of the engine, or of the library that takes its place. */
  #seam;
  /** Was the last connection lost or given up? */
  #isDead = false;
  /** Counts attempts, losses and disposals: what belongs to an older number must not touch a newer connection. */
  #generation = 0;
  #connected = 0;
  /** @type {AnyConnection | undefined} */
  #connection;
  /** @type {SharedAttempt | undefined} */
  #attempt;
  /** @type {Promise<void> | undefined} */
  #closing;
  /** Calls that are under way when the client is closed are tried no more. */
  #closings = new AbortController();
  /** The loss that ended a transaction the caller has not ended yet. @type {Loss | undefined} */
  #lostTransaction;
  /** A failure in the background that the next call outside a transaction throws. @type {Error | undefined} */
  #owed;
  /** Settled when the statement is over that must not share its transaction. @type {Promise<void> | undefined} */
  #alone;
  /** Statements of callers that wait for a connection, in their order. @type {Set<Request>} */
  #waiting = new Set();
  #told = new Told(() => this.#settings.engine);
  /** What transactions do with this client. @type {Runner} */
  #runner = {
    turns: new Turns(),
    run: (args, part, scope) =>
      this.#alone === undefined ? this.#run(args, part, scope) : this.#perform(args, part, scope),
    trace: (text) => this.#told.begin(text),
    closing: () => this.#closings.signal,
    drop: ({ connection }) => connection && this.#drop(/** @type {AnyConnection} */ (connection)),
    isConnected: () => this.#connection !== undefined,
    resolve: (trace, budget) => findOut((own) => this.#open(own), trace, budget),
  };
  #names = new StatementNames();

  /** @param {ServerlessConfig} [config] */
  constructor(config) {
    const options = readServerlessOptions(config);
    this.#options = options;
    this.#settings = readConnection(options.connection);
    this.#reading = new query.Reading(options.connection.types, options.json);
    this.#hooks = new Hooks(options.hooks, options.debug);
    const { lease, library, secret, serviceName } = options;
    const log = (/** @type {() => string} */ message) => this.#hooks.log(message);
    const instanceId = newInstanceId();
    // What stands in the connectionString wins over what stands beside it; over that a lease does, where there is one.
    const applicationName = this.#settings.applicationName ?? options.applicationName;
    this.#lease = lease && { ...lease, instanceId, plainName: applicationName };
    const own = { ...options, applicationName, lease: this.#lease };
    this._leaseManager =
      secret === undefined ? null : new LeaseManager(serviceName, instanceId, secret);
    Object.defineProperty(this, '_leaseManager', { enumerable: false });
    this.#seam =
      library === undefined
        ? new EngineSeam(this.#settings, this.#lease, own, this._leaseManager, log)
        : new (require('./library.js').LibrarySeam)(library, own, this._leaseManager, log);
    if (secret !== undefined) warnOfWeak('secret', secret);
  }

  async connect() {
    this.#throwOwed();
    const { retry } = this.#options;
    await this.#open(new Budget(retry, retry.maxConnectRetryTimeMs, this.#closings.signal));
  }

  /**
   * Not async: it waits for the shared attempt exactly as long as everybody else, so that statements keep their order.
   * @param {CallBudget} budget of the call
   * @returns {Promise<AnyConnection>}
   */
  #open(budget) {
    if (this.#connection !== undefined) return Promise.resolve(this.#connection);
    this.#attempt ??= new Attempt((attempt) => this.#establish(attempt));
    return this.#attempt.join(budget);
  }

  /** @param {SharedAttempt} attempt @returns {Promise<AnyConnection>} */
  async #establish(attempt) {
    const makeRoom = (/** @type {number} */ limitMs) => this.#makeRoom(limitMs);
    try {
      for (;;) {
        if (this.#attempt !== attempt) throw closed();
        const gen = ++this.#generation;
        try {
          return await this.#try(gen, attempt);
        } catch (err) {
          if (this.#attempt !== attempt) throw err;
          const error = /** @type {any} */ (err);
          const isAgain = await attempt.again(error, makeRoom, (delay, retries) => {
            this.#hooks.log(() => `connecting failed (${error.code}), again in ${delay} ms`);
            this.#hooks.call('onReconnect', { gen, retries, delay, err: error });
          });
          if (!isAgain) throw error;
        }
      }
    } finally {
      if (this.#attempt === attempt) this.#attempt = undefined;
    }
  }

  // Apart from any one client, which its functions would hold.
  /** @param {ServerlessClient} client */
  static #watching(client) {
    return watcherOf(
      client,
      (owner, connection, loss) => owner.#lost(connection, loss),
      (owner, connection, news) => owner.#heard(connection, news),
    );
  }

  /** @param {number} generation @param {SharedAttempt} attempt */
  async #try(generation, attempt) {
    const limitMs = attempt.step(attempt.leftMs);
    const connection = await this.#seam.open(ServerlessClient.#watching(this), limitMs);
    if (this.#attempt !== attempt) {
      connection.close();
      throw closed();
    }
    this.#attempt = undefined;
    this.#connection = connection;
    this.#isDead = false;
    if (connection instanceof Connection) {
      forgotten.register(this, Connection.targetOf(connection), connection);
    } else connection.begin();
    const reconnected = this.#connected++ > 0;
    this.#hooks.log(() => `connected, generation ${generation}`);
    this.#hooks.call(
      'onConnect',
      reconnected ? { gen: generation, reconnected } : { gen: generation },
    );
    // A hook may have closed it again.
    if (this.#connection === undefined) throw closed();
    return connection;
  }

  /** A full server: one pass of the reaper over the connection kept for that (rule SC-18). @param {number} limitMs */
  async #makeRoom(limitMs) {
    const { reaperConnection } = this.#options;
    if (reaperConnection === undefined) return false;
    try {
      const pass = await this.#seam.reapOnce(reaperConnection, limitMs);
      if (pass !== undefined) this.#reaped(pass);
      return pass !== undefined && pass.killed > 0;
    } catch (error) {
      this.#hooks.log(() => `reaperConnection failed: ${/** @type {Error} */ (error).message}`);
      return false;
    }
  }

  /** @param {AnyConnection} connection @param {Loss} loss */
  #lost(connection, loss) {
    forgotten.unregister(connection);
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#isDead = true;
    this.#generation++;
    if (loss.isOpen) this.#lostTransaction = loss;
    const { error: err } = loss;
    this.#hooks.log(() => `connection lost: ${err?.message ?? 'without an error'}`);
    this.#hooks.call(
      'onClientDead',
      err === undefined ? { source: 'end' } : { source: 'error', err, meta: metaOf(err) },
    );
  }

  /** @param {AnyConnection} connection @param {News} news */
  #heard(connection, news) {
    if (this.#connection !== connection) return;
    const gen = this.#generation;
    switch (news.event) {
      case 'renewed':
        this.#hooks.call('onHeartbeat', { gen });
        break;
      case 'notRenewed': {
        const err = errors.fromNative(/** @type {NativeError} */ (news.error), 'pg');
        const mode = this.#options.lease?.heartbeatErrorMode ?? 'reconnect';
        if (mode === 'reconnect') this.#drop(connection, connection.lossBy(err));
        if (mode === 'throw' && news.refused === 0) this.#owed = err;
        this.#hooks.call('onHeartbeatFail', { gen, err });
        break;
      }
      case 'reaped':
        this.#reaped(news);
        break;
      case 'pooled':
        this.#hooks.log(() => 'a pooler stands in front of the server: no lease, no reaper');
        break;
    }
  }

  /** @param {News} news */
  #reaped({ locked, killed, candidates, denied, hidden, durationMs, error, refused }) {
    const err = error ? errors.fromNative(/** @type {NativeError} */ (error), 'pg') : undefined;
    const isThrown = this.#options.lease?.reaperErrorMode === 'throw' && refused === 0;
    if (err !== undefined && isThrown) this.#owed = err;
    this.#hooks.log(
      () => `reaper: ${killed} of ${candidates} ended, lock ${locked ? 'had' : 'busy'}`,
    );
    const counts = { locked, killed, durationMs, candidates, denied, hidden };
    this.#hooks.call('onReap', { gen: this.#generation, ...counts, ...(err && { err }) });
  }

  /** Lets a connection go that nothing more is sent on. @param {AnyConnection} connection @param {Loss} [loss] of what waits */
  #drop(connection, loss) {
    forgotten.unregister(connection);
    connection.close();
    if (this.#connection !== connection) return;
    if (loss?.isOpen) this.#lostTransaction = loss;
    this.#connection = undefined;
    this.#isDead = true;
    this.#generation++;
  }

  /** Is a transaction of the caller's open behind all that was asked? */
  get #isWithin() {
    return isOpenBehind(this.#waiting, this.#connection?.isInTransaction ?? false);
  }

  #throwOwed() {
    const owed = this.#owed;
    if (owed === undefined || this.#isWithin) return;
    this.#owed = undefined;
    throw owed;
  }

  /** @param {any[]} args @returns {Promise<any>} */
  query(...args) {
    query.refuseCallbacks(args);
    this.#runner.turns.noted();
    return this.#run(args);
  }

  /** @param {readonly any[]} args @param {number} [part] of a transaction: flags @param {Scope} [scope] of that transaction */
  #run(args, part, scope) {
    return this.#hooks.around(args, () => this.#perform(args, part, scope));
  }

  /**
   * @param {readonly any[]} args @param {number | undefined} part @param {Scope} [scope]
   * @returns {Promise<any>}
   */
  async #perform(args, part, scope) {
    const asked = query.readQuery(args);
    const { signal: closing } = this.#closings;
    if (part === undefined) while (this.#alone !== undefined) await this.#alone;
    if (closing.aborted) throw closed();
    this.#throwOwed();
    const text = this.#names.textOf(asked);
    if (this.#lostTransaction !== undefined) return this.#endLost(text);
    if (part === undefined && this.#standsAlone(asked, text)) return this.#once(args, asked, text);
    const { retry } = this.#options;
    const decoders = this.#reading.decodersOf(asked);
    const timeoutMs = asked.timeoutMs ?? this.#settings.queryTimeoutMs;
    const wish = { mode: retry.retryMode, isIdempotent: asked.isIdempotent };
    // Made when it is needed: most statements are never tried again. A transaction has one for all of it.
    let made = scope?.budget;
    const budget = () => {
      made ??= new Budget(retry, retry.maxQueryRetryTimeMs, closing);
      return made;
    };
    /** What is thrown when a repetition finds that it would write. @type {Error | undefined} */
    let doubt;
    /** An earlier try that may have taken effect. @type {Error | undefined} */
    let open;
    for (;;) {
      const request = { text, isWithin: false };
      let connection = scope?.isBegun ? stillWithin(scope, this.#connection) : this.#connection;
      if (connection === undefined) {
        if (part === undefined) this.#waiting.add(request);
        try {
          connection = await again(this.#open(budget()), open);
        } finally {
          this.#waiting.delete(request);
          if (scope !== undefined) scope.isUnreached = connection === undefined;
        }
      }
      if (scope !== undefined) {
        scope.connection = connection;
        this.#told.at(connection);
      }
      try {
        const answer = await (doubt === undefined
          ? connection.ask(request, asked, decoders, part ?? 0, timeoutMs, args)
          : connection.askReadOnly(request, asked, decoders, timeoutMs));
        this.#names.remember(asked, true);
        return connection instanceof Connection ? Connection.toResult(answer) : answer;
      } catch (cause) {
        const error = verdict(/** @type {NativeError | Error} */ (cause), request, closing.aborted);
        if (doubt !== undefined && hasWritten(error)) throw doubt;
        const isUnsent =
          /** @type {Partial<NativeError> | undefined} */ (cause)?.outcome === 'not-sent';
        // Its BEGIN never reached the server, and the caller hears of it right now.
        if (isUnsent && this.#opener() === request) this.#lostTransaction = undefined;
        if (isUnsent && request.isWithin && isRollback(text)) return query.rolledBack();
        const next = decide(/** @type {NativeError} */ (cause), error, request, wish);
        const mayRepeat = next !== 'no' && this.#lostTransaction === undefined;
        if (!(mayRepeat && budget().allowsAnother())) {
          this.#names.remember(asked, false);
          throw doubt ?? final(error, open);
        }
        if (next === 'read-only') doubt = error;
        if (/** @type {any} */ (error).outcomeUnknown) open = error;
        const delay = part === undefined && isOpenAfter(text, false) ? 0 : budget().delay();
        this.#retire(connection, { retries: budget().count('sends'), delay, err: error });
        // While a BEGIN pauses, what is asked behind it would run outside of its transaction.
        if (delay > 0) await budget().pause(delay);
        if (budget().leftMs <= 0) throw doubt ?? final(error, open);
        if (this.#lostTransaction !== undefined) return this.#endLost(text);
      }
    }
  }

  /** @param {AnyConnection} connection that failed @param {object} retry what is told of the next try */
  #retire(connection, retry) {
    this.#hooks.call('onQueryRetry', retry);
    this.#drop(connection);
  }

  /** The statement whose BEGIN was lost with the connection. */
  #opener() {
    return this.#lostTransaction?.opened;
  }

  /**
   * A statement behind the loss of its transaction: nothing of it may reach a new connection.
   * @param {string} text
   */
  #endLost(text) {
    const { error } = /** @type {Loss} */ (this.#lostTransaction);
    if (!isOpenAfter(text, true)) this.#lostTransaction = undefined;
    if (isRollback(text)) return query.rolledBack();
    throw transactionLost(error);
  }

  /** @param {(tx: ServerlessTransaction) => any} fn @param {object} [options] @returns {Promise<any>} */
  transaction(fn, options) {
    return runTransaction(this.#runner, fn, options, this.#options.retry);
  }

  /** @param {Query} asked @param {string} text */
  #standsAlone(asked, text) {
    const { library, retry } = this.#options;
    const client = { byDefault: retry.exactlyOnce, byLibrary: library !== undefined };
    return standsAlone(asked, text, client, () => this.#isWithin);
  }

  /**
   * In a transaction of its own, which nobody else's statement gets into.
   * @param {readonly any[]} args @param {Query} asked @param {string} text
   * @returns {Promise<any>}
   */
  #once(args, asked, text) {
    const { retry } = this.#options;
    const { signal: closing } = this.#closings;
    return this.#runner.turns.take(async () => {
      // Somebody may have begun a transaction meanwhile.
      if (!this.#standsAlone(asked, text)) return this.#perform(args, 0);
      let isOver = () => {};
      this.#alone = new Promise((resolve) => {
        isOver = resolve;
      });
      try {
        const run = (/** @type {ServerlessTransaction} */ tx) =>
          tx.query(.../** @type {[any, any?]} */ (args));
        return await repeat(this.#runner, run, {}, retry, closing);
      } finally {
        this.#alone = undefined;
        isOver();
      }
    }, retry.maxQueryRetryTimeMs);
  }

  /** @returns {any} */
  getClient() {
    return this.#foreign?.client ?? this.#connection ?? null;
  }

  // What programs written for the predecessor, and its own tests, look at.
  get _client() {
    return this.getClient();
  }

  get _isDead() {
    return this.#isDead;
  }

  /** Unix time in milliseconds; the engine keeps the lease of its own connections to itself. */
  get _leaseExp() {
    return this.#foreign?.leaseExp ?? 0;
  }

  set _leaseExp(expiry) {
    if (this.#foreign !== undefined) this.#foreign.leaseExp = expiry;
  }

  /** Renews the lease if that is due; the engine does so by itself. */
  async _heartbeatIfNeeded() {
    await this.#foreign?.heartbeatIfNeeded();
    this.#throwOwed();
  }

  get _logger() {
    return this.#hooks.logger;
  }

  set _logger(logger) {
    this.#hooks.logger = logger;
  }

  /** The connection, if a library carries it. */
  get #foreign() {
    const connection = this.#connection;
    return connection instanceof Connection ? undefined : connection;
  }

  async clean() {
    this.#lostTransaction = undefined;
    this.#owed = undefined;
    const [connection, attempt] = [this.#connection, this.#attempt];
    this.#connection = undefined;
    this.#attempt = undefined;
    if (connection !== undefined || attempt !== undefined) this.#generation++;
    this.#closings.abort();
    this.#closings = new AbortController();
    attempt?.abandon(closed());
    if (connection !== undefined) {
      forgotten.unregister(connection);
      this.#hooks.log(() => 'closing');
      this.#closing = connection.finish();
    }
    await this.#closing;
  }

  end() {
    return this.clean();
  }

  [Symbol.asyncDispose]() {
    return this.clean();
  }

  /** Nothing of the options: they hold a secret and a password. */
  toJSON() {
    const { serviceName } = this.#options;
    const connected = this.#connection !== undefined;
    return { serviceName, leased: this.#lease !== undefined, connected, gen: this.#generation };
  }

  [inspect.custom]() {
    return `ServerlessClient ${inspect(this.toJSON())}`;
  }
}

module.exports = { ServerlessClient };
