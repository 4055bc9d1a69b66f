// Pool of pg: clients lent one at a time, in the order they are asked for.
'use strict';

const { EventEmitter } = require('node:events');
const { AcquireTimeoutError, ClosedError } = require('../error-classes.js');
const { bound } = require('./bound.js');
const { ASK, Client, SETTLE, query } = require('./client.js');
const { hide } = require('./connection-parameters.js');
const { Holders } = require('./holders.js');
const { acquiring } = require('../tracing/connecting.js');

/** @typedef {(error: Error | undefined, client?: any, release?: (error?: any) => void) => void} Acquired */
/** Someone who waits for a client. @typedef {{ callback: Acquired, isOver: boolean }} Waiter */
/** @typedef {{ client: any, timer: NodeJS.Timeout | undefined, onError: (error: any) => void }} Idle */

const DEFAULT_IDLE_MS = 10_000;

const nothing = () => {};

class Pool extends EventEmitter {
  /** All clients: being opened, lent, idle. @type {Set<any>} */
  #clients = new Set();
  /** @type {Idle[]} */
  #idle = [];
  /** @type {Waiter[]} */
  #waiting = [];
  /** Clients past their lifetime. @type {Set<any>} */
  #expired = new Set();
  /** Checkouts of each client. @type {WeakMap<object, number>} */
  #uses = new WeakMap();
  #holders;
  #Promise;
  #log;
  /** @type {() => void} */
  #ended = nothing;

  /** @param {any} [options] @param {any} [Maker] class of the clients */
  constructor(options, Maker) {
    super();
    const given = typeof options === 'string' ? { connectionString: options } : options;
    /** @type {any} */
    this.options = { ...given };
    if (given && 'password' in given) hide(this.options, 'password', given.password);
    if (given?.ssl?.key) hide(this.options.ssl, 'key', given.ssl.key);
    const { options: own } = this;
    own.max = own.max || own.poolSize || 10;
    own.min = own.min || 0;
    own.maxUses = own.maxUses || Number.POSITIVE_INFINITY;
    own.allowExitOnIdle = own.allowExitOnIdle || false;
    own.maxLifetimeSeconds = own.maxLifetimeSeconds || 0;
    own.idleTimeoutMillis ??= DEFAULT_IDLE_MS;
    this.#log = own.log || nothing;
    this.#Promise = own.Promise || Promise;
    this.#holders = new Holders(Boolean(own.trackHolders));
    this.Client = own.Client || Maker || Client;
    this.ending = false;
    this.ended = false;
  }

  get totalCount() {
    return this.#clients.size;
  }

  get idleCount() {
    return this.#idle.length;
  }

  get waitingCount() {
    return this.#waiting.length;
  }

  get expiredCount() {
    let count = 0;
    for (const client of this.#clients) if (this.#expired.has(client)) count++;
    return count;
  }

  get #isFull() {
    return this.#clients.size >= this.options.max;
  }

  /** @param {Acquired} [callback] */
  connect(callback) {
    if (callback) {
      this.#acquire(bound(callback));
      return undefined;
    }
    return this.#promised((done) => this.#acquire(done));
  }

  /**
   * A promise in the caller's chain, so that the stack of a failure is his.
   * @param {(done: (error: any, value?: any) => void) => void} start
   */
  #promised(start) {
    const promise = settled(start);
    if (this.#Promise === Promise) return promise;
    return new this.#Promise((/** @type {any} */ resolve, /** @type {any} */ reject) => {
      promise.then(resolve, reject);
    });
  }

  /** @param {Acquired} callback */
  #acquire(callback) {
    if (this.ending) {
      process.nextTick(callback, new Error('Cannot use a pool after calling end on the pool'));
      return;
    }
    const since = performance.now();
    const taken = this.#holders.here(this.#acquire);
    const { database, user } = this.options;
    const told = acquiring({ face: 'pg', database, user });
    /** @type {NodeJS.Timeout | undefined} */
    let late;
    /** @type {Waiter} */
    const waiter = {
      isOver: false,
      callback: (error, client, release) => {
        clearTimeout(late);
        if (client !== undefined) this.#holders.take(client, taken);
        told?.(error, client?.host && `${client.host}:${client.port}`);
        callback(error, client, release);
      },
    };
    const { connectionTimeoutMillis } = this.options;
    if (!this.#isFull && this.#idle.length === 0) {
      this.#open(waiter);
      return;
    }
    this.#waiting.push(waiter);
    if (this.#idle.length > 0) process.nextTick(() => this.#pulse());
    if (!connectionTimeoutMillis) return;
    late = setTimeout(() => {
      this.#forget(waiter);
      waiter.isOver = true;
      const error = this.#timeout(performance.now() - since);
      told?.(error);
      callback(error);
    }, connectionTimeoutMillis);
    late.unref();
  }

  /** Whoever waits for a client will get none: `pg` never tells them. */
  #turnAway() {
    for (const waiter of this.#waiting.splice(0)) {
      waiter.isOver = true;
      const message = 'Cannot use a pool after calling end on the pool';
      const error = new ClosedError(message, { code: 'ERR_CLOSED' });
      process.nextTick(waiter.callback, error, undefined, nothing);
    }
  }

  /** @param {Waiter} waiter */
  #forget(waiter) {
    const place = this.#waiting.indexOf(waiter);
    if (place >= 0) this.#waiting.splice(place, 1);
  }

  /** @param {number} waited */
  #timeout(waited) {
    const counts = {
      max: this.options.max,
      size: this.totalCount,
      available: this.idleCount,
      opening: 0,
      waiting: this.waitingCount,
    };
    const holders = this.#holders.list();
    const details = {
      code: 'ERR_ACQUIRE_TIMEOUT',
      waitedMs: Math.round(waited),
      counts,
      transient: true,
    };
    const message = `timeout exceeded when trying to connect${this.#holders.describe()}`;
    return Object.assign(new AcquireTimeoutError(message, details), { holders });
  }

  /** Serves who waits, one at a time; ends the pool when that was asked for. */
  #pulse() {
    this.#log('pulse queue');
    if (this.ended) return;
    if (this.ending) {
      for (const { client } of [...this.#idle]) this.#remove(client);
      if (this.#clients.size > 0) return;
      this.ended = true;
      this.#ended();
      return;
    }
    if (this.#waiting.length === 0) return;
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      clearTimeout(idle.timer);
      const { client } = idle;
      if (isDead(client)) {
        this.#remove(client, () => this.#pulse());
        this.#pulse();
        return;
      }
      client.ref?.();
      this.#lend(client, /** @type {Waiter} */ (this.#waiting.shift()), idle.onError, false);
    } else if (!this.#isFull) {
      this.#open(/** @type {Waiter} */ (this.#waiting.shift()));
    }
  }

  /** @param {any} client @param {() => void} [done] */
  #remove(client, done) {
    const place = this.#idle.findIndex((idle) => idle.client === client);
    if (place >= 0) clearTimeout(this.#idle.splice(place, 1)[0]?.timer);
    this.#clients.delete(client);
    this.#expired.delete(client);
    client.end(() => {
      this.emit('remove', client);
      done?.();
    });
  }

  /** @param {any} client */
  #idleListener(client) {
    /** @param {any} error */
    const onError = (error) => {
      error.client = client;
      client.removeListener('error', onError);
      client.on('error', () =>
        this.#log('additional client error after disconnection due to error'),
      );
      this.#remove(client, () => this.#pulse());
      // A lost idle connection is replaced when one is needed; without a listener that is all.
      if (this.listenerCount('error') > 0) this.emit('error', error, client);
    };
    return onError;
  }

  /** @param {Waiter} waiter */
  #open(waiter) {
    const client = new this.Client(this.options);
    this.#clients.add(client);
    const onError = this.#idleListener(client);
    const { connectionTimeoutMillis, onConnect } = this.options;
    let isLate = false;
    const late = connectionTimeoutMillis
      ? setTimeout(() => {
          if (client.connection) {
            isLate = true;
            client.connection.stream.destroy();
          } else if (!client.isConnected()) {
            isLate = true;
            client.end();
          }
        }, connectionTimeoutMillis)
      : undefined;
    /** @param {any} error */
    const fail = (error) => {
      this.#clients.delete(client);
      this.#pulse();
      if (!waiter.isOver) waiter.callback(error, undefined, nothing);
    };
    this.#log('connecting new client');
    client.connect((/** @type {any} */ error) => {
      clearTimeout(late);
      client.on('error', onError);
      if (error) {
        this.#log('client failed to connect');
        fail(isLate || isTimeout(error) ? connectTimeout(error) : error);
      } else if (onConnect) {
        // In ticks of their own: what listeners throw is not a rejection.
        settled((done) => done(undefined, onConnect(client))).then(
          () => process.nextTick(() => this.#welcome(client, waiter, onError)),
          (reason) => process.nextTick(() => client.end(() => fail(reason))),
        );
      } else {
        this.#welcome(client, waiter, onError);
      }
    });
  }

  /** @param {any} client @param {Waiter} waiter @param {(error: any) => void} onError */
  #welcome(client, waiter, onError) {
    const { maxLifetimeSeconds } = this.options;
    if (maxLifetimeSeconds !== 0) {
      const due = setTimeout(() => {
        this.#log('ending client due to expired lifetime');
        this.#expired.add(client);
        if (this.#idle.some((idle) => idle.client === client)) {
          this.#remove(client, () => this.#pulse());
        }
      }, maxLifetimeSeconds * 1000);
      due.unref();
      client.once('end', () => clearTimeout(due));
    }
    this.#lend(client, waiter, onError, true);
  }

  /** @param {any} client @param {Waiter} waiter @param {(error: any) => void} onError @param {boolean} isNew */
  #lend(client, waiter, onError, isNew) {
    if (isNew) this.emit('connect', client);
    this.emit('acquire', client);
    const release = this.#releaseOnce(client, onError);
    client.release = release;
    client.removeListener('error', onError);
    const { verify } = this.options;
    const hand = (/** @type {any} */ error = undefined) => {
      if (error) {
        release(error);
        if (!waiter.isOver) waiter.callback(error, undefined, nothing);
      } else if (waiter.isOver) {
        release();
      } else {
        waiter.callback(undefined, client, release);
      }
    };
    if (isNew && verify) verify(client, hand);
    else hand(undefined);
  }

  /** @param {any} client @param {(error: any) => void} onError */
  #releaseOnce(client, onError) {
    let isReleased = false;
    return (/** @type {any} */ error = undefined) => {
      if (isReleased) {
        throw new Error('Release called on client which has already been released to the pool.');
      }
      isReleased = true;
      this.#release(client, onError, error);
    };
  }

  /** @param {any} client @param {(error: any) => void} onError @param {any} error */
  #release(client, onError, error) {
    client.on('error', onError);
    const uses = (this.#uses.get(client) ?? 0) + 1;
    this.#uses.set(client, uses);
    this.#holders.give(client);
    this.emit('release', error, client);
    const isExpended = uses >= this.options.maxUses;
    if (isExpended) this.#log('remove expended client');
    if (error || this.ending || isExpended || isDead(client) || this.#expired.has(client)) {
      this.#remove(client, () => this.#pulse());
      return;
    }
    if (typeof client[SETTLE] !== 'function') {
      this.#rest(client, onError);
      return;
    }
    // What runs comes to its end, and a transaction that was left open is rolled back, before anybody else is served.
    client[SETTLE]((/** @type {any} */ failure) => {
      if (!this.#clients.has(client)) return;
      if (failure || this.ending || isDead(client)) this.#remove(client, () => this.#pulse());
      else this.#rest(client, onError);
    });
  }

  /** @param {any} client @param {(error: any) => void} onError */
  #rest(client, onError) {
    const { idleTimeoutMillis, min, allowExitOnIdle } = this.options;
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    if (idleTimeoutMillis && this.#clients.size > min) {
      timer = setTimeout(() => {
        if (this.#clients.size <= min) return;
        this.#log('remove idle client');
        this.#remove(client, () => this.#pulse());
      }, idleTimeoutMillis);
      if (allowExitOnIdle) timer.unref();
    }
    if (allowExitOnIdle) client.unref();
    this.#idle.push({ client, timer, onError });
    this.#pulse();
  }

  /** @param {any} text @param {any} [values] @param {any} [callback] @returns {any} */
  query(text, values, callback) {
    if (typeof text === 'function') {
      const message = 'Passing a function as the first parameter to pool.query is not supported';
      return this.#give(text, (done) => setImmediate(done, new Error(message)));
    }
    const isShort = typeof values === 'function';
    const given = isShort ? undefined : values;
    return this.#give(isShort ? values : callback, (done) => this.#run(text, given, done));
  }

  /** @param {any} callback @param {(done: (error: any, value?: any) => void) => void} start */
  #give(callback, start) {
    if (!callback) return this.#promised(start);
    start(bound(callback));
    return undefined;
  }

  /** @param {any} text @param {any} values @param {(error: any, result?: any) => void} done */
  #run(text, values, done) {
    this.#acquire((error, client) => {
      if (error) {
        done(error);
        return;
      }
      let isOver = false;
      const onError = (/** @type {any} */ lost) => {
        if (isOver) return;
        isOver = true;
        client.release(lost);
        done(lost);
      };
      client.once('error', onError);
      this.#log('dispatching query');
      const answered = (/** @type {any} */ failure, /** @type {any} */ result) => {
        client.removeListener('error', onError);
        if (isOver) return;
        isOver = true;
        // What the server answered with leaves the connection as good as it was.
        client.release(isServerError(failure) ? undefined : failure);
        done(failure || undefined, result);
      };
      try {
        if (client.query === query && isPlain(text)) client[ASK](text, values, answered);
        else client.query(text, values, answered);
      } catch (thrown) {
        client.removeListener('error', onError);
        isOver = true;
        client.release();
        done(thrown);
      }
    });
  }

  /** @param {(error?: Error) => void} [callback] */
  end(callback) {
    if (this.ending) {
      const error = new Error('Called end on pool more than once');
      if (!callback) return this.#Promise.reject(error);
      process.nextTick(callback, error);
      return undefined;
    }
    this.ending = true;
    this.#turnAway();
    return this.#give(callback, (done) => {
      this.#ended = () => process.nextTick(done, undefined);
      this.#pulse();
    });
  }
}

/** @param {(done: (error: any, value?: any) => void) => void} start */
async function settled(start) {
  try {
    return await new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(error) : resolve(value)));
    });
  } catch (error) {
    // Leads to whoever awaits, in place of the turn of the event loop in which the answer came.
    if (error instanceof Error) Error.captureStackTrace(error, settled);
    throw error;
  }
}

/** A client of somebody else's may have neither member. @param {any} client */
function isDead(client) {
  return client._queryable === false || client._ending === true;
}

/** Text or a config without a callback of its own; not a submittable. @param {any} text */
function isPlain(text) {
  return typeof text === 'string' || (text && !text.submit && !text.callback);
}

/** @param {any} error */
function isServerError(error) {
  return (
    error?.name === 'error' && typeof error.severity === 'string' && error.severity === 'ERROR'
  );
}

/** @param {any} error */
function isTimeout(error) {
  return error?.code === 'ERR_TIMEOUT';
}

/** @param {Error} cause */
function connectTimeout(cause) {
  return new Error('Connection terminated due to connection timeout', { cause });
}

module.exports = { Pool };
