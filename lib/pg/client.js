// Client of pg: one connection, its queue, and what it tells of.
'use strict';

const { setImmediate } = require('node:timers');
const { readHooks } = require('../query-hooks.js');
const { bound } = require('./bound.js');
const { ClientFields } = require('./client-fields.js');
const { ConnectionFacade } = require('./connection.js');
const { hide } = require('./connection-parameters.js');
const { tellDrained } = require('./drain.js');
const { AHEAD, GIVEN_UP, RUN, SETTLE, keepReal, realOf } = require('./for-pools.js');
const { describe, lossOf, recaptured, terminated, timedOut, unusable } = require('./failures.js');
const { Link } = require('./link.js');
const { parameterOf, tellNews } = require('./messages.js');
const { promiseOf } = require('./promises.js');
const { Query, isSimple, readQuery } = require('./query.js');
const { Refusals } = require('./refusals.js');
const { toResults } = require('./result.js');
const {
  PasswordSource,
  limitOf,
  milliseconds,
  preparedStatements,
  refuseFunctions,
  toSettings,
} = require('./settings.js');
const { settle } = require('./settling.js');
const { StatementQueue } = require('./statement-queue.js');
const { adopt, callbackOf, objection, refuse } = require('./submittable.js');
const { Reading } = require('./types.js');

/** @import { Asked } from './query.js' */
/** @typedef {InstanceType<typeof import('./pooled-query.js').PooledQuery>} PooledQuery */
/** @typedef {(value: any) => void} Resolve */
/** @typedef {(reason: any) => void} Reject */

/** A blocking call without a time limit of its own ends after this. */
const BLOCKING_MS = 30_000;

class Client extends ClientFields {
  /** @type {'new' | 'connecting' | 'open' | 'over'} */
  #state = 'new';
  #config;
  #hooks;
  #Promise;
  #reading;
  #prepared;
  /** @type {InstanceType<typeof Link> | undefined} */
  #link;
  #queue;
  /** Ends the attempt to connect. @type {Reject} */
  #abandon = () => {};
  /** Whoever ends it meanwhile need not wait for the promise of connect. */
  #forgo = () => {};
  /** @type {Promise<void> | undefined} */
  #ending;
  #refusals = new Refusals();
  #keepsAlive = true;

  /** @param {any} [config] a connection string or an object */
  constructor(config) {
    super(config);
    const given = (typeof config === 'object' && config) || {};
    this.#config = given;
    this.#hooks = readHooks(given);
    this.#Promise = given.Promise || Promise;
    this.#prepared = preparedStatements(given.preparedStatements);
    this.#reading = new Reading(given.types);
    this.#queue = new StatementQueue(this.#reading, this, {
      drained: (hasFailed) => tellDrained(this, this.#queue, hasFailed),
      // No pool may hand this client out before the loss itself is heard of.
      ending: () => {
        this._queryable = false;
      },
      described: (message) => this.connection.emit('rowDescription', message),
    });
    this.connection = new ConnectionFacade(
      (reason, isPolite) => this.#cut(reason, isPolite),
      (isAwaited) => this.#keepAlive(isAwaited),
      this.#queue.parsed,
    );
    hide(this, 'connection', this.connection);
    keepReal(this);
  }

  /** @param {(error: Error | null, client?: this) => void} [callback] */
  connect(callback) {
    if (!(#state in this)) return realOf(this).connect(callback);
    if (callback) {
      this.#open(bound(callback));
      return undefined;
    }
    const opened = promiseOf(this.#Promise, this.#opened());
    this.#forgo = () => opened.then(undefined, () => {});
    return opened;
  }

  /** In the caller's promise chain, so that the stack of a failure is his. */
  async #opened() {
    try {
      await new Promise((resolve, reject) => {
        this.#open((error) => (error ? reject(error) : resolve(undefined)));
      });
    } catch (reason) {
      throw recaptured(describe(reason));
    }
    return this;
  }

  /** @param {(error: any, client?: this) => void} done */
  #open(done) {
    if (this.#state !== 'new') {
      const again = new Error('Client has already been connected. You cannot reuse a client.');
      process.nextTick(done, again);
      return;
    }
    this.#state = 'connecting';
    this._connecting = true;
    this._ending = false;
    const abandoned = new Promise((_, reject) => {
      this.#abandon = reject;
    });
    // In ticks of their own: what callbacks and listeners throw is not a rejection.
    Promise.race([this.#dial(), abandoned]).then(
      () => process.nextTick(() => this.#connected(done)),
      (reason) => process.nextTick(() => this.#failed(describe(reason), done)),
    );
  }

  async #dial() {
    const limit = milliseconds(this.#config.connectionTimeoutMillis);
    const late =
      limit > 0 ? setTimeout(() => this.#abandon(timedOut('connect', limit)), limit) : undefined;
    const source = new PasswordSource(this.password, this.connectionParameters);
    try {
      const settings = toSettings(this, this.#config, source.value);
      const link = new Link(await Link.open(settings, this.#hooks), this.#prepared, (event) =>
        this.#hear(event),
      );
      if (this.#state === 'connecting') this.#link = link;
      else await link.end(false);
    } catch (error) {
      throw source.failureOf(error);
    } finally {
      clearTimeout(late);
    }
  }

  /** @param {(error: null, client: this) => void} done */
  #connected(done) {
    const link = /** @type {InstanceType<typeof Link>} */ (this.#link);
    if (this.#state !== 'connecting') return;
    this.#state = 'open';
    this._connecting = false;
    this._connected = true;
    this.processID = link.processID;
    link.hold(this.#keepsAlive);
    const { connection } = this;
    connection.stream.encrypted = link.encrypted;
    connection.stream.writable = true;
    for (const [name, value] of Object.entries(link.parameters)) {
      connection.emit('parameterStatus', parameterOf(name, value));
    }
    try {
      done(null, this);
    } finally {
      try {
        this.emit('connect');
      } finally {
        if (this.#state === 'open') this.#queue.open(link);
      }
    }
  }

  /** @param {Error} error @param {(error: Error) => void} done */
  #failed(error, done) {
    if (this.#state !== 'connecting') return;
    this.#state = 'over';
    this._queryable = false;
    this.#queue.close(terminated(this._ending));
    setImmediate(() => this.#tellEnd());
    done(error);
  }

  /**
   * Connects while JavaScript is blocked, for scripts and start-up code.
   * @returns {this}
   */
  connectSync() {
    if (this.#state !== 'new') {
      throw new Error('Client has already been connected. You cannot reuse a client.');
    }
    refuseFunctions(this.password, this.ssl);
    const source = new PasswordSource(this.password, this.connectionParameters);
    const settings = toSettings(this, this.#config, source.value);
    const patienceMs = settings.connectTimeoutMs || BLOCKING_MS;
    this.#state = 'connecting';
    this._ending = false;
    try {
      const opened = Link.openSync(settings, this.#hooks, patienceMs);
      this.#link = new Link(opened, this.#prepared, (event) => this.#hear(event));
    } catch (error) {
      this.#failed(/** @type {Error} */ (error), () => {});
      throw error;
    }
    this.#connected(() => {});
    return this;
  }

  /**
   * Runs a statement while JavaScript is blocked.
   * @param {any} config text or config @param {any} [values]
   * @returns {any} as `query` resolves to
   */
  querySync(config, values) {
    if (config === null || config === undefined) {
      throw new TypeError('Client was passed a null or undefined query');
    }
    const asked = readQuery(config, values, undefined);
    if (typeof config.submit === 'function' || asked.callback) {
      throw new TypeError('querySync takes text or a config without a callback');
    }
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    const limit = this.#limitOf(asked) || BLOCKING_MS;
    return this.#resultsOf(asked, this.#queue.runBlocking(asked, limit));
  }

  /**
   * @param {any} config text, config or submittable @param {any} [values] @param {any} [callback]
   * @returns {any}
   */
  query(config, values, callback) {
    if (!(#state in this)) return realOf(this).query(config, values, callback);
    if (config === null || config === undefined) {
      throw new TypeError('Client was passed a null or undefined query');
    }
    if (typeof config.submit === 'function') return this.#submit(config, values, callback);
    const asked = readQuery(config, values, callback);
    if (!asked.callback) return promiseOf(this.#Promise, this.#answered(asked));
    if (typeof asked.callback !== 'function') throw new TypeError('callback is not a function');
    this.#callBack(asked, bound(asked.callback));
    return undefined;
  }

  /** @param {Asked} asked @param {(error: any, results?: any) => void} done */
  #callBack(asked, done) {
    this.#start(
      asked,
      (answer) => process.nextTick(() => done(null, this.#resultsOf(asked, answer))),
      (reason) => process.nextTick(() => done(describe(reason))),
    );
  }

  /** @param {PooledQuery} query */
  [RUN](query) {
    const refusal = this.#refusal();
    if (refusal === undefined) {
      query.format = this.#formatOf(query.asked);
      this.#queue.startPooled(query, this.#limitOf(query.asked));
    } else query.refuse(refusal);
  }

  /** @param {Asked} asked */
  [AHEAD](asked) {
    return this.#answered({ ...asked, isAhead: true });
  }

  /** @param {Pick<Asked, 'timeout'>} asked @returns ms, 0 = for ever */
  #limitOf(asked) {
    return limitOf(asked, this.connectionParameters.query_timeout);
  }

  /** In the caller's promise chain, so that the stack of a failure is his. @param {Asked} asked */
  async #answered(asked) {
    try {
      const answer = await new Promise((resolve, reject) => this.#start(asked, resolve, reject));
      return this.#resultsOf(asked, answer);
    } catch (reason) {
      throw describe(reason);
    }
  }

  /** @param {Asked} asked @param {any} answer */
  #resultsOf(asked, answer) {
    return toResults(answer, asked, this.#formatOf(asked));
  }

  /** @param {Asked} asked */
  #formatOf(asked) {
    return (asked.binary || this.binary) && !isSimple(asked) ? 'binary' : 'text';
  }

  /** Why nothing more can be asked. @returns {Error | undefined} */
  #refusal() {
    const isToldOf = this._connected ? this.connection.isLost : this.#hasEnded;
    if (!this._queryable) return unusable(true, isToldOf);
    return this._ending || this.#state === 'over' ? unusable(false) : undefined;
  }

  /** @param {Asked} asked @param {Resolve} resolve @param {Reject} reject */
  #start(asked, resolve, reject) {
    const refusal = this.#refusal();
    if (refusal !== undefined) this.#refusals.tell(this, () => reject(refusal));
    else this.#queue.start(asked, this.#limitOf(asked), resolve, reject);
  }

  /** @param {any} given @param {any} values @param {any} callback */
  #submit(given, values, callback) {
    const done = callbackOf(typeof values === 'function' ? values : callback);
    if (!given.callback && done) given.callback = done;
    const refusal = this.#refusal() ?? objection(given, this.pipeline);
    if (refusal !== undefined) {
      this.#refusals.tell(this, () => refuse(given, done, refusal));
    } else if (given instanceof Query) {
      const asked = readQuery(given, undefined, undefined);
      this.#queue.startQuery(given, this.#formatOf(asked), this.#limitOf(asked));
    } else {
      this.#queue.occupy(adopt(given), this.#limitOf({ timeout: given.query_timeout }));
    }
    return given;
  }

  /** Something of the connection that nobody asked for. @param {any} event */
  #hear(event) {
    if (event.event === 'end') this.#lost(event.error);
    else tellNews(this, event);
  }

  /** The connection is gone. @param {any} cause fields of the engine, null after an end we asked for */
  #lost(cause) {
    if (this.#state === 'over' && this.#ending === undefined) return;
    const isExpected = this._ending;
    this.#state = 'over';
    if (!isExpected) this._queryable = false;
    this.#queue.close(terminated(isExpected));
    if (isExpected) return;
    this.#tellLoss(lossOf(cause, this.#queue.hasToldWhy));
  }

  /** @param {any} error */
  #tellLoss(error) {
    // Behind the continuations of whoever waits for a statement.
    setImmediate(() => {
      this.#queue.over();
      try {
        this.connection.lost(error);
        // Nobody listens: the loss is known to whoever asks next, and ends no process. Whoever heard of it by a statement and has
        // ended the client since then expects no more, as with pg.
        const isKnown = this._ending && this.#queue.hasToldWhy && !this.#isGivenUp;
        if (!isKnown && this.listenerCount('error') > 0) this.emit('error', error);
      } finally {
        process.nextTick(() => this.#tellEnd());
      }
    });
  }

  #isGivenUp = false;

  [GIVEN_UP]() {
    if (!(#state in this)) realOf(this)[GIVEN_UP]();
    else this.#isGivenUp = true;
  }

  #hasEnded = false;

  #tellEnd() {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this._ended = true;
    this.#refusals.release();
    try {
      this.connection.over();
      this.emit('end');
    } catch (error) {
      // A failure of the listener's own: whoever waits for the end hears of it all the same.
      process.nextTick(() => {
        throw error;
      });
    }
  }

  /** @param {() => void} [callback] */
  end(callback) {
    if (!(#state in this)) return realOf(this).end(callback);
    const ended = this.#end();
    if (callback) {
      const done = bound(callback);
      ended.then(() => process.nextTick(done));
      return undefined;
    }
    return promiseOf(this.#Promise, ended);
  }

  #end() {
    // Without a connection there is nothing to end, and connecting is still possible.
    if (this.#state === 'new') {
      this._ending = true;
      return Promise.resolve();
    }
    this.#ending ??= this.#close(false);
    return this.#ending;
  }

  /** @param {boolean} isCut */
  async #close(isCut) {
    this._ending = true;
    const state = this.#state;
    this.#forgo();
    if (state === 'connecting') this.#abandon(terminated(true));
    const link = this.#link;
    if (link !== undefined && state === 'open') {
      if (this.pipeline && !isCut) await this.#queue.quiet();
      const isBusy = this.#queue.isRunning;
      this.#queue.close(terminated(true));
      await link.end(!isBusy && !isCut);
      await this.#queue.quiet();
      this.#state = 'over';
    }
    // Failures that are on their way are told first.
    await new Promise((resolve) => setImmediate(resolve));
    this.#tellEnd();
  }

  /** The program takes away the socket it thinks there is. @param {any} reason @param {boolean} isPolite */
  #cut(reason = terminated(false), isPolite = false) {
    if (this.#state === 'connecting') {
      this.#abandon(reason);
    } else if (this.#state === 'open') {
      this._queryable = false;
      this.#state = 'over';
      this.#queue.close(reason);
      const ended = this.#link?.end(isPolite).then(() => this.#queue.quiet());
      ended?.then(() => {
        if (!this._ending) this.#tellLoss(reason);
      });
    }
  }

  /** @param {boolean} isAwaited */
  #keepAlive(isAwaited) {
    this.#keepsAlive = isAwaited;
    this.#link?.hold(isAwaited && this.#state === 'open');
  }

  /** The status with the server's last answer; null before login. */
  getTransactionStatus() {
    return this.#link?.status ?? null;
  }

  isConnected() {
    return this.#state === 'open';
  }

  /** @param {number} oid @param {any} format may be left out: text @param {any} [parser] */
  setTypeParser(oid, format, parser) {
    return this.#reading.overrides.setTypeParser(oid, format, parser);
  }

  /** @param {number} oid @param {'text' | 'binary'} [format] */
  getTypeParser(oid, format) {
    return this.#reading.overrides.getTypeParser(oid, format);
  }

  /** The statement asked last, for programs that hang listeners on it (AWS X-Ray). */
  get activeQuery() {
    return this.#queue.mirror;
  }

  /** @param {(error?: Error) => void} done @param {{ resetQuery?: string, rollbackOnRelease?: boolean }} options of the pool */
  [SETTLE](done, options) {
    settle(this.#queue, () => (this.#state === 'open' ? this.#link : undefined), options, done);
  }
}

/** Where pg has it too. */
Client.Query = Query;

/** What programs may put something else in the place of. */
const { query } = Client.prototype;

module.exports = { Client, query };
