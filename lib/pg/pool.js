// Pool of pg: clients lent one at a time, in the order they are asked for.
'use strict';

const { setImmediate } = require('node:timers');
const { bound } = require('./bound.js');
const { hasOwnQuery, isPlain, runByPool, settled } = require('./by-client.js');
const { ask, note, tell } = require('./callbacks.js');
const { describe } = require('./failures.js');
const { ACQUIRE, GIVEN_UP, SETTLE, realOf } = require('./for-pools.js');
const { heldValues } = require('./held-values.js');
const { Holders } = require('./holders.js');
const { openClient } = require('./opening.js');
const { Place } = require('./place.js');
const { acquireTimeout, isDead, turnedAway } = require('./pool-failures.js');
const { endingWithin } = require('./pool-end.js');
const { PoolFields, acquiringOf } = require('./pool-fields.js');
const { promiseOf } = require('./promises.js');
const { PooledQuery, rejection } = require('./pooled-query.js');
const { readQuery } = require('./query.js');
const { settlesClients } = require('./settling.js');
const { SharedClients } = require('./shared-clients.js');
const { Waiter, forgoing, reasonOf } = require('./waiter.js');

/** @typedef {InstanceType<typeof Place>} Kept */
/** @typedef {InstanceType<typeof PooledQuery>} Pooled */
/** @typedef {import('./waiter.js').Acquired} Acquired */
/** @typedef {InstanceType<typeof Waiter> | Pooled} Waiting */

const nothing = () => {};

class Pool extends PoolFields {
  /** All clients: being opened, lent, idle. @type {Map<any, Kept>} */
  #clients = new Map();
  /** @type {Kept[]} */
  #idle = [];
  /** @type {Waiting[]} */
  #waiting = [];
  #holders;
  #shared;
  /** @type {import('./place.js').Heard} */
  #heard = {
    lost: (place, error) => this.#lost(place, error),
    rested: (place) => this.#rested(place),
    given: (place, error, uses, isClean) => this.#release(place, error, uses, isClean),
  };
  /** @type {() => void} */
  #ended = nothing;

  /** @param {any} [options] @param {any} [Maker] class of the clients */
  constructor(options, Maker) {
    super(options, Maker);
    this.ending = false;
    this.ended = false;
    const { options: own } = this;
    this.#holders = new Holders(Boolean(own.trackHolders), this.#clients);
    this.#shared = new SharedClients(own, {
      joined: (client) => tell(this, 'acquire', client),
      left: (client, failure) => tell(this, 'release', failure, client),
      serve: () => this.#serveJoining(),
      again: (asked) => this.#again(asked),
      running: () => note(this, 'dispatching query'),
      answered: () => note(this, 'query dispatched'),
      usesOf: (client) => this.#clients.get(client)?.uses ?? 0,
    });
  }

  get totalCount() {
    if (!(#clients in this)) return realOf(this).totalCount;
    return this.#clients.size;
  }

  get idleCount() {
    if (!(#clients in this)) return realOf(this).idleCount;
    return this.#idle.length;
  }

  get waitingCount() {
    if (!(#clients in this)) return realOf(this).waitingCount;
    return this.#waiting.length;
  }

  get expiredCount() {
    return [...this.#clients.values()].filter(({ isExpired }) => isExpired).length;
  }

  /** For programs that count what pg-pool keeps there. */
  get _clients() {
    return [...this.#clients.keys()];
  }

  get _idle() {
    return [...this.#idle];
  }

  get _pendingQueue() {
    return [...this.#waiting];
  }

  get #isFull() {
    return this.#clients.size >= this.options.max;
  }

  /** @param {Acquired} [callback] */
  connect(callback) {
    if (!(#clients in this)) return realOf(this).connect(callback);
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
    return promiseOf(this.Promise, settled(start));
  }

  /** @param {Acquired} callback @param {AbortSignal} [signal] has not fired yet */
  #acquire(callback, signal) {
    const waiter = new Waiter(callback, this.#holders.here(this.#acquire), acquiringOf(this));
    if (signal !== undefined) waiter.heed(signal, () => this.#forget(waiter));
    this.#seek(waiter);
  }

  /** As `connect`, for what a signal gives up. @param {Acquired} acquired @param {AbortSignal | undefined} signal */
  [ACQUIRE](acquired, signal) {
    if (signal === undefined) this.connect(acquired);
    else if (signal.aborted) process.nextTick(bound(acquired), reasonOf(signal));
    else if (this.connect !== connect) this.connect(forgoing(acquired, signal));
    else if (#clients in this) this.#acquire(bound(acquired), signal);
    else realOf(this)[ACQUIRE](acquired, signal);
  }

  /** Serves a waiter as soon as its turn has come. @param {Waiting} waiter */
  #seek(waiter) {
    if (this.ending) {
      const refused = new Error('Cannot use a pool after calling end on the pool');
      process.nextTick(() => {
        if (!waiter.isOver) waiter.callback(refused);
      });
      return;
    }
    if (!this.#isFull && this.#idle.length === 0) {
      this.#open(waiter);
      return;
    }
    this.#waiting.push(waiter);
    if (this.#idle.length === 0) this.#limit(waiter);
    else
      process.nextTick(() => {
        try {
          this.#pulse();
        } finally {
          // Most have been served now, and need no timer.
          if (this.#waiting.includes(waiter)) this.#limit(waiter);
        }
      });
  }

  /** Nobody waits longer than the pool lets them. @param {Waiting} waiter */
  #limit(waiter) {
    const { connectionTimeoutMillis } = this.options;
    if (!connectionTimeoutMillis) return;
    const since = performance.now();
    waiter.late = setTimeout(() => {
      this.#forget(waiter);
      waiter.isOver = true;
      waiter.callback(acquireTimeout(performance.now() - since, this, this.#holders));
    }, connectionTimeoutMillis);
    waiter.late.unref();
  }

  /** Whoever waits for a client will get none: `pg` never tells them. */
  #turnAway() {
    for (const waiter of this.#waiting.splice(0)) {
      waiter.isOver = true;
      process.nextTick(() => waiter.callback(turnedAway(), undefined, nothing));
    }
  }

  /** @param {Waiting} waiter */
  #forget(waiter) {
    const place = this.#waiting.indexOf(waiter);
    if (place >= 0) this.#waiting.splice(place, 1);
  }

  /** Serves who waits, one at a time; ends the pool when that was asked for. */
  #pulse() {
    note(this, 'pulse queue');
    if (this.ended) {
      note(this, 'pulse queue ended');
      return;
    }
    if (this.ending) {
      note(this, 'pulse queue on ending');
      for (const { client } of [...this.#idle]) this.#remove(client);
      if (this.#clients.size > 0) return;
      this.ended = true;
      this.#ended();
      return;
    }
    if (this.#waiting.length === 0) {
      note(this, 'no queued requests');
      return;
    }
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      const { client } = idle;
      idle.isIdle = false;
      if (isDead(client)) {
        this.#remove(client, () => this.#pulse());
        this.#pulse();
        return;
      }
      client.ref?.();
      this.#lend(idle, /** @type {Waiting} */ (this.#waiting.shift()), false);
      // Who waits beside idle clients gets one of those, with a pulse of their own.
      if (this.#idle.length === 0) this.#serveJoining();
    } else if (!this.#isFull) {
      this.#open(/** @type {Waiting} */ (this.#waiting.shift()));
    }
  }

  /** Sends queries that wait behind those of others, as long as they are next. */
  #serveJoining() {
    for (let next = this.#waiting[0]; next instanceof PooledQuery; next = this.#waiting[0]) {
      if (!this.#shared.join(next)) return;
      this.#waiting.shift();
    }
  }

  /** Runs a query of which nothing was sent once more, in front of all others. @param {Pooled} query */
  #again(query) {
    if (this.ending) return false;
    query.hasMoved = true;
    query.hasFailed = false;
    query.reason = undefined;
    this.#waiting.unshift(query);
    return true;
  }

  /** Ending a client cancels what runs on it. */
  #cutOff() {
    for (const client of [...this.#clients.keys()]) this.#remove(client, () => this.#pulse());
  }

  /** @param {any} client @param {() => void} [done] */
  #remove(client, done) {
    const place = this.#clients.get(client);
    // One that was given back dead says so only then.
    if (place === undefined) return;
    this.#clients.delete(client);
    place.stir();
    if (place.isIdle) this.#idle.splice(this.#idle.indexOf(place), 1);
    place.isIdle = false;
    client[GIVEN_UP]?.();
    client.end(() => {
      tell(this, 'remove', client);
      done?.();
    });
  }

  /** @param {Kept} place @param {any} error */
  #lost(place, error) {
    const { client, onError } = place;
    error.client = client;
    client.removeListener('error', onError);
    client.on('error', () =>
      note(this, 'additional client error after disconnection due to error', error),
    );
    this.#remove(client, () => this.#pulse());
    // A lost idle connection is replaced when one is needed; without a listener that is all.
    if (this.listenerCount('error') > 0) tell(this, 'error', error, client);
  }

  /** @param {Kept} place */
  #rested({ client }) {
    if (this.#clients.size <= this.options.min) return;
    note(this, 'remove idle client');
    this.#remove(client, () => this.#pulse());
  }

  /** @param {Waiting} waiter */
  #open(waiter) {
    /** @type {Kept | undefined} */
    let place;
    const made = (/** @type {any} */ client) => {
      place = new Place(client, this.#heard);
      this.#clients.set(client, place);
    };
    openClient(this, made, (error) => {
      if (place !== undefined) this.#opened(place, error, waiter);
      else this.#unopened(waiter, error);
    });
  }

  /** @param {Kept} place @param {any} error @param {Waiting} waiter */
  #opened(place, error, waiter) {
    const { client } = place;
    const { onConnect } = this.options;
    const fail = (/** @type {any} */ reason) => {
      this.#clients.delete(client);
      this.#unopened(waiter, reason);
    };
    client.on('error', place.onError);
    if (error) fail(error);
    else if (onConnect) {
      // In ticks of their own: what listeners throw is not a rejection.
      settled((done) => done(undefined, onConnect(client))).then(
        () => process.nextTick(() => this.#welcome(place, waiter)),
        (reason) => process.nextTick(() => client.end(() => fail(reason))),
      );
    } else {
      this.#welcome(place, waiter);
    }
  }

  /** @param {Waiting} waiter @param {any} error */
  #unopened(waiter, error) {
    this.#pulse();
    if (!waiter.isOver) waiter.callback(error, undefined, nothing);
  }

  /** @param {Kept} place @param {Waiting} waiter */
  #welcome(place, waiter) {
    const { maxLifetimeSeconds } = this.options;
    const { client } = place;
    if (maxLifetimeSeconds !== 0) {
      const due = setTimeout(() => {
        note(this, 'ending client due to expired lifetime');
        place.isExpired = true;
        this.#shared.retire(client);
        if (place.isIdle) this.#remove(client, () => this.#pulse());
      }, maxLifetimeSeconds * 1000);
      due.unref();
      client.once('end', () => clearTimeout(due));
    }
    this.#lend(place, waiter, true);
  }

  /** @param {Kept} place @param {Waiting} waiter @param {boolean} isNew */
  #lend(place, waiter, isNew) {
    const { client } = place;
    if (isNew) tell(this, 'connect', client);
    tell(this, 'acquire', client);
    place.take(waiter.taken);
    // Nobody else gets hold of it: less has to be seen to.
    if (!isNew && waiter instanceof PooledQuery && !hasOwnQuery(client)) {
      waiter.callback(undefined, client, place.lendToOwn(), place.since);
      return;
    }
    const { release, giveBack } = place.lend();
    client.release = release;
    const { verify } = this.options;
    const hand = (/** @type {any} */ error = undefined) => {
      if (error) {
        release(error);
        if (!waiter.isOver) waiter.callback(error, undefined, nothing);
      } else if (waiter.isOver) {
        release();
      } else {
        waiter.callback(undefined, client, waiter instanceof PooledQuery ? giveBack : release);
      }
    };
    if (isNew && verify) ask(verify, client, hand);
    else hand(undefined);
  }

  /** @param {Kept} place @param {any} error @param {number} more uses @param {boolean} isClean */
  #release(place, error, more, isClean) {
    const { client, isExpired } = place;
    place.uses += more;
    place.give();
    tell(this, 'release', error, client);
    const isExpended = place.uses >= this.options.maxUses;
    if (isExpended) note(this, 'remove expended client');
    else if (isExpired) note(this, 'remove expired client');
    if (error || this.ending || isExpended || isExpired || isDead(client)) {
      this.#remove(client, () => this.#pulse());
      return;
    }
    if (isClean || typeof client[SETTLE] !== 'function' || !settlesClients(this.options)) {
      this.#rest(place);
      return;
    }
    // What runs comes to its end, and a transaction that was left open is rolled back, before anybody else is served.
    client[SETTLE]((/** @type {any} */ failure) => {
      if (!this.#clients.has(client)) return;
      if (failure) note(this, 'client could not be settled', failure);
      if (failure || this.ending || isDead(client)) this.#remove(client, () => this.#pulse());
      else this.#rest(place);
    }, this.options);
  }

  /** @param {Kept} place */
  #rest(place) {
    const { idleTimeoutMillis, min, allowExitOnIdle } = this.options;
    const isLimited = idleTimeoutMillis && this.#clients.size > min;
    place.rest(isLimited ? idleTimeoutMillis : 0, !allowExitOnIdle);
    if (allowExitOnIdle) place.client.unref();
    this.#idle.push(place);
    this.#pulse();
  }

  /** @param {any} text @param {any} [values] @param {any} [callback] @returns {any} */
  query(text, values, callback) {
    if (!(#clients in this)) return realOf(this).query(text, values, callback);
    if (typeof text === 'function') {
      const message = 'Passing a function as the first parameter to pool.query is not supported';
      return this.#give(text, (done) => setImmediate(done, new Error(message)));
    }
    const isShort = typeof values === 'function';
    const given = isShort ? undefined : values;
    const done = isShort ? values : callback;
    if (this.connect !== connect || !isPlain(text, this.Client)) {
      return this.#give(done, (answered) => runByPool(this, text, given, answered));
    }
    const asked = readQuery(text, given, undefined);
    asked.values = heldValues(asked.values);
    const taken = this.#holders.here(this.query);
    const from = { text, values: given, taken, told: acquiringOf(this) };
    if (done) {
      const tell = bound(done);
      const answered = (/** @type {any} */ result) => tell(undefined, result);
      const failed = (/** @type {any} */ reason) => process.nextTick(tell, describe(reason));
      this.#ask(new PooledQuery(asked, from, this.#shared, answered, failed));
      return undefined;
    }
    /** @type {Promise<any>} */
    const promise = new Promise((resolve) => {
      const failed = (/** @type {any} */ reason) => resolve(rejection(reason));
      this.#ask(new PooledQuery(asked, from, this.#shared, resolve, failed));
    });
    return promiseOf(this.Promise, promise);
  }

  /** Nobody overtakes the queue. @param {Pooled} query */
  #ask(query) {
    if (this.#waiting.length > 0 || this.#idle.length > 0 || !this.#shared.join(query)) {
      this.#seek(query);
    }
  }

  /** @param {any} callback @param {(done: (error: any, value?: any) => void) => void} start */
  #give(callback, start) {
    if (!callback) return this.#promised(start);
    start(bound(callback));
    return undefined;
  }

  /** @param {(error?: Error) => void} [callback] */
  end(callback) {
    if (!(#clients in this)) return realOf(this).end(callback);
    note(this, 'ending');
    if (this.ending) {
      const error = new Error('Called end on pool more than once');
      if (!callback) return this.Promise.reject(error);
      process.nextTick(callback, error);
      return undefined;
    }
    this.ending = true;
    this.#turnAway();
    return this.#give(callback, (done) => {
      this.#ended = endingWithin(() => this.#cutOff(), done);
      this.#pulse();
    });
  }
}

// Programs that tell a pool from a client by the name of its class know this one.
Object.defineProperty(Pool, 'name', { value: 'BoundPool' });

/** What a subclass, or whoever traces, may put something else in the place of. */
const { connect } = Pool.prototype;

module.exports = { Pool };
