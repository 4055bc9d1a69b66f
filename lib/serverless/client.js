// ServerlessClient: one connection that is opened when it is needed, signed with a lease, and opened again after a loss.
'use strict';

const { inspect } = require('node:util');
const errors = require('../errors.js');
const { forgotten } = require('../handles.js');
const { askPassword, readConnection } = require('./config.js');
const { Connection } = require('./connection.js');
const { Hooks, metaOf } = require('./hooks.js');
const { isOpenAfter, isRollback, mayCommit } = require('./keywords.js');
const { LeaseManager, isWeak, newInstanceId } = require('./lease.js');
const { readServerlessOptions } = require('./options.js');
const query = require('./query.js');

/** @import { Loss, Request } from './connection.js' */
/** @import { NativeError } from '../../types/native-error.js' */
/** @import { Query } from './query.js' */
/** @import { ServerlessClient as Contract, ServerlessConfig } from '../../types/serverless.js' */
/** @typedef {InstanceType<typeof Connection>} OpenConnection */

/** An attempt to connect, shared by all who wait for it. @typedef {{ opened: Promise<OpenConnection>, abandon: (reason: Error) => void }} Attempt */

/** @implements {Contract} */
class ServerlessClient {
  #options;
  #settings;
  #reading;
  #hooks;
  #lease;
  /** Counts attempts, losses and disposals: what belongs to an older number must not touch a newer connection. */
  #generation = 0;
  /** @type {OpenConnection | undefined} */
  #connection;
  /** @type {Attempt | undefined} */
  #attempt;
  /** @type {Promise<void> | undefined} */
  #closing;
  /** The loss that ended a transaction the caller has not ended yet. @type {Loss | undefined} */
  #lostTransaction;
  /** Texts of named statements; `isKnown` once the server has taken them. @type {Map<string, { text: string, isKnown: boolean }>} */
  #named = new Map();

  /** @param {ServerlessConfig} [config] */
  constructor(config) {
    const options = readServerlessOptions(config);
    this.#options = options;
    this.#settings = readConnection(options.connection);
    this.#reading = new query.Reading(options.connection.types);
    this.#hooks = new Hooks(options.hooks, options.debug);
    const { secret } = options;
    if (secret === undefined) return;
    this.#lease = new LeaseManager(options.serviceName, newInstanceId(), secret);
    if (isWeak(secret)) {
      process.emitWarning(
        'option "secret" has so few different bytes that it can be guessed; use 32 random bytes',
        { code: 'PG_WEAK_SECRET' },
      );
    }
  }

  async connect() {
    await this.#open();
  }

  /**
   * Not async: it waits for the shared attempt exactly as long as everybody else, so that statements keep their order.
   * @returns {Promise<OpenConnection>}
   */
  #open() {
    if (this.#connection !== undefined) return Promise.resolve(this.#connection);
    if (this.#attempt === undefined) {
      const generation = ++this.#generation;
      /** @type {Attempt['abandon']} */
      let abandon = () => {};
      /** @type {Attempt['opened']} */
      const opened = new Promise((resolve, reject) => {
        abandon = reject;
        this.#establish(generation).then(resolve, reject);
      });
      this.#attempt = { opened, abandon };
    }
    return this.#attempt.opened;
  }

  /** @param {number} generation @returns {Promise<OpenConnection>} */
  async #establish(generation) {
    try {
      const connection = await Connection.open(await this.#startUp(), this.#watch());
      if (generation !== this.#generation) {
        connection.close();
        throw closed();
      }
      this.#connection = connection;
      forgotten.register(this, Connection.targetOf(connection), connection);
    } finally {
      if (generation === this.#generation) this.#attempt = undefined;
    }
    this.#hooks.log(() => `connected, generation ${generation}`);
    this.#hooks.call('onConnect', { gen: generation });
    // A hook may have closed it again.
    if (this.#connection === undefined) throw closed();
    return this.#connection;
  }

  /** What the engine connects with. The lease is in the startup packet, so it is visible from the first moment. */
  async #startUp() {
    const { engine, applicationName: named } = this.#settings;
    const lease = this.#lease;
    const applicationName =
      lease === undefined
        ? (named ?? this.#options.applicationName)
        : lease.generateAppName(Date.now() + this.#options.leaseTtlMs);
    if (lease !== undefined && named !== undefined) {
      this.#hooks.log(() => 'application_name of the connectionString ignored: the lease is there');
    }
    const password = await askPassword(this.#settings);
    return { ...engine, applicationName, password };
  }

  /** Hears of a loss without keeping a forgotten client alive. */
  #watch() {
    const self = new WeakRef(this);
    /** @param {OpenConnection} connection @param {Loss} loss */
    return (connection, loss) => {
      const client = self.deref();
      if (client !== undefined) client.#lost(connection, loss);
    };
  }

  /** @param {OpenConnection} connection @param {Loss} loss */
  #lost(connection, loss) {
    forgotten.unregister(connection);
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#generation++;
    if (loss.isOpen) this.#lostTransaction = loss;
    const { error: err } = loss;
    this.#hooks.log(() => `connection lost: ${err?.message ?? 'without an error'}`);
    this.#hooks.call(
      'onClientDead',
      err === undefined ? { source: 'end' } : { source: 'error', err, meta: metaOf(err) },
    );
  }

  /** @param {any[]} args @returns {Promise<any>} */
  query(...args) {
    query.refuseCallbacks(args);
    return this.#run(args);
  }

  /** @param {any[]} args */
  async #run(args) {
    const started = performance.now();
    const duration = () => Math.round(performance.now() - started);
    this.#hooks.call('onQueryStart', { args, startedAt: Date.now() });
    try {
      const res = await this.#perform(query.readQuery(args));
      this.#hooks.call('onQueryEnd', { args, res, duration: duration() });
      return res;
    } catch (err) {
      this.#hooks.call('onQueryError', { args, err, duration: duration() });
      throw err;
    }
  }

  /** @param {Query} asked */
  async #perform(asked) {
    const request = { text: this.#textOf(asked), isWithin: false };
    if (this.#lostTransaction !== undefined) return this.#endLost(request.text);
    const decoders = this.#reading.decodersOf(asked);
    const timeoutMs = asked.timeoutMs ?? this.#settings.queryTimeoutMs;
    const connection = this.#connection ?? (await this.#open());
    try {
      const manner = { ...query.mannerOf(asked), timeoutMs };
      const answer = await connection.run(request, asked.values, decoders, manner);
      this.#remember(asked, true);
      return query.toResult(answer);
    } catch (cause) {
      this.#remember(asked, false);
      const error = verdict(/** @type {NativeError | Error} */ (cause), request);
      const isUnsent = /** @type {Partial<NativeError>} */ (cause).outcome === 'not-sent';
      // Its BEGIN never reached the server, and the caller hears of it right now.
      if (isUnsent && this.#opener() === request) this.#lostTransaction = undefined;
      if (isUnsent && request.isWithin && isRollback(request.text)) return query.rolledBack();
      throw error;
    }
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

  /** @param {Query} asked @returns {string} */
  #textOf({ name, text }) {
    if (name === undefined) return /** @type {string} */ (text);
    const known = this.#named.get(name);
    if (known === undefined) {
      if (text === undefined) throw new TypeError(`the statement "${name}" needs a text`);
      this.#named.set(name, { text, isKnown: false });
      return text;
    }
    if (text === undefined || text === known.text) return known.text;
    throw new Error(
      `Prepared statements must be unique - '${name}' was used for a different statement`,
    );
  }

  /** A name whose first text failed is free again. @param {Query} asked @param {boolean} isAnswered */
  #remember({ name }, isAnswered) {
    const known = name === undefined ? undefined : this.#named.get(name);
    if (known === undefined || name === undefined) return;
    if (isAnswered) known.isKnown = true;
    else if (!known.isKnown) this.#named.delete(name);
  }

  getClient() {
    return this.#connection ?? null;
  }

  async clean() {
    this.#lostTransaction = undefined;
    const [connection, attempt] = [this.#connection, this.#attempt];
    this.#connection = undefined;
    this.#attempt = undefined;
    if (connection !== undefined || attempt !== undefined) this.#generation++;
    attempt?.abandon(closed());
    if (connection !== undefined) {
      forgotten.unregister(connection);
      this.#hooks.log(() => 'closing');
      this.#closing = connection.close();
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

function closed() {
  return new errors.ClosedError('the client was closed while it was connecting', {
    code: 'ERR_CLIENT_CLOSED',
  });
}

/** @param {Error | undefined} error what ended the connection */
function transactionLost(error) {
  const why = error === undefined ? '' : ` (${error.message})`;
  return new errors.TransactionLostError(
    `the connection of this transaction was lost${why} and nothing of it was committed; end it with ROLLBACK`,
    { code: '08006', cause: error },
  );
}

/**
 * What a failed statement rejects with.
 * @param {NativeError | Error} cause @param {Request} request
 * @returns {Error}
 */
function verdict(cause, request) {
  if (!('kind' in cause) || cause instanceof Error) return /** @type {Error} */ (cause);
  const error = errors.fromNative(cause, 'pg');
  const { kind, outcome, phase } = cause;
  if (kind === 'timeout' && phase === 'statement') {
    return Object.assign(error, { code: 'ERR_QUERY_TIMEOUT' });
  }
  if (kind !== 'lost' || outcome === 'failed') return error;
  if (request.isWithin && (outcome === 'not-sent' || !mayCommit(request.text))) {
    return transactionLost(/** @type {Error | undefined} */ (error.cause));
  }
  return outcome === 'unknown' && mayCommit(request.text)
    ? Object.assign(error, { phase: 'commit' })
    : error;
}

module.exports = { ServerlessClient };
