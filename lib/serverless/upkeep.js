// Keeps the lease of a connection that another driver carries, and reaps over it: what the engine does for its own.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { TimeoutError } = require('../errors.js');
const { cooldownOf } = require('./cooldown.js');
const { Reaper, VERDICT_NS } = require('./reaper.js');

/** @import { PgClientLike } from '../../types/serverless.js' */
/** @typedef {InstanceType<typeof import('./lease.js').LeaseManager>} LeaseManager */
/** @typedef {InstanceType<typeof import('./server-clock.js').ServerClock>} ServerClock */

/** A clock that is further off made the first lease wrong (rule SC-9). */
const TOLERATED_MS = 1000;
/** An honest verdict takes milliseconds; whoever holds its lock for longer is no reaper. */
const VERDICT_MS = 250;
const GLANCE_MS = 5;

/** What `pg` says when it stops waiting for an answer, which is under way still. */
const TOO_LATE = 'Query read timeout';

const NOW = `pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000 as server_now`;
const LOOK = `select pg_catalog.pg_backend_pid() as pid, ${NOW}`;
/** Unless a reaper decides about this backend by the name it has; the second parameter says: in any case. */
const RENEW = `select case when $2::pg_catalog.bool
    or pg_catalog.pg_try_advisory_xact_lock_shared(${VERDICT_NS}, pg_catalog.pg_backend_pid())
  then pg_catalog.set_config('application_name', $1, false) end as set_config, ${NOW}`;

/**
 * @param {Record<string, any>} lease the options as given
 */
function withDefaults(lease) {
  const ttlMs = lease.leaseTtlMs ?? 90_000;
  const idleSec = lease.minConnectionIdleTimeSec ?? 180;
  return {
    ttlMs,
    softMs: lease.heartbeatSoftRemainingMs ?? Math.min(30_000, ttlMs / 3),
    hardMs: lease.heartbeatHardWaitRemainingMs ?? Math.min(5000, ttlMs / 18),
    timeoutMs: lease.heartbeatTimeoutMs ?? 2000,
    errorMode: lease.heartbeatErrorMode ?? 'reconnect',
    pooler: lease.pooler ?? 'auto',
    plainName: lease.plainName,
    isReaping: lease.reaper !== false,
    probability: lease.reaperRunProbability ?? 1,
    cooldownMs: lease.reaperCooldownMs ?? 30_000,
    throwsPasses: lease.reaperErrorMode === 'throw',
    strategy: {
      minConnIdleTimeSec: idleSec,
      minIdleInTransactionSec: lease.minIdleInTransactionSec ?? idleSec,
      reapIdleInTransaction: lease.reapIdleInTransaction ?? true,
      maxIdleConnectionsToKill: lease.maxIdleConnectionsToKill ?? 10,
      leaseGraceMs: lease.leaseGraceMs ?? 0,
      reaperTimeoutMs: lease.reaperTimeoutMs ?? 2000,
      reaperErrorMode: /** @type {const} */ ('throw'),
    },
  };
}

/**
 * What upkeep needs of its connection: whether nothing is under way and no transaction open, who hears of what it did, and
 * how the connection is given up.
 * @typedef {{
 *   isFree: () => boolean,
 *   isOpen: () => boolean,
 *   tell: (news: any) => void,
 *   lose: (error: Error) => void,
 *   log: (...words: any[]) => void,
 * }} Home
 */

class Upkeep {
  #client;
  #leases;
  #options;
  #clock;
  #home;
  #cooldown;
  #isLeased;
  #isRenewing = false;
  /** Calls wait for this one. @type {Promise<void> | undefined} */
  #work;
  /** Calls that wait, and hear of a failure in the modes that throw. */
  #waiting = 0;
  /** For them. @type {Error | undefined} */
  #refusal;

  /**
   * @param {PgClientLike} client connected @param {LeaseManager} leases
   * @param {ReturnType<typeof withDefaults>} options @param {ServerClock} clock
   * @param {string} place that the cooldown is kept for @param {number} expiry @param {Home} home
   */
  constructor(client, leases, options, clock, place, expiry, home) {
    this.#client = client;
    this.#leases = leases;
    this.#options = options;
    this.#clock = clock;
    this.#home = home;
    this.#cooldown = cooldownOf(`${place}/${leases.serviceName}`);
    this.#isLeased = options.pooler !== 'on';
    this.expiry = this.#isLeased ? expiry : 0;
  }

  /** Looks at a new connection, in front of its first statement. */
  begin() {
    // What fails here is found again by whatever comes next.
    if (this.#isLeased) this.#start(() => this.#look().catch(() => {}));
  }

  async #look() {
    const asked = performance.now();
    const [seen] = (await this.#client.query(LOOK)).rows;
    const { processID } = this.#client;
    this.#learn(seen, asked);
    const isPid = typeof processID === 'number' && typeof seen?.pid === 'number';
    if (isPid && this.#options.pooler === 'auto' && processID !== seen.pid) {
      this.#isLeased = false;
      this.expiry = 0;
      const name = [this.#options.plainName];
      await this.#client.query(`select pg_catalog.set_config('application_name', $1, false)`, name);
      this.#home.tell({ event: 'pooled' });
      return;
    }
    if (seen && Math.abs(this.#clock.offset) > TOLERATED_MS) await this.renew();
    const { isReaping, cooldownMs, probability } = this.#options;
    if (isReaping && this.#cooldown.claim(cooldownMs) && Math.random() < probability) {
      this.#start(() => this.#reap());
    }
  }

  get remainingMs() {
    return this.expiry - this.#clock.now();
  }

  /** Is something under way that statements wait for? */
  get isBusy() {
    return this.#work !== undefined;
  }

  /** Waits for what is under way; in the modes that throw it rejects with its failure. */
  async wait() {
    this.#waiting++;
    try {
      await this.#work;
    } finally {
      this.#waiting--;
    }
    const refusal = this.#refusal;
    if (this.#waiting === 0) this.#refusal = undefined;
    if (refusal !== undefined) throw refusal;
  }

  /** Before a statement: must the lease be renewed first? @param {boolean} opens a transaction, in which nothing is renewed */
  isDueBefore(opens) {
    if (!this.#isLeased || !this.#home.isFree()) return false;
    const { softMs, hardMs } = this.#options;
    return opens ? this.remainingMs <= softMs : this.remainingMs < Math.max(hardMs, 1);
  }

  renew() {
    return this.#start(() => this.#renew());
  }

  /** The check of A8, for those that call it themselves. */
  async heartbeatIfNeeded() {
    const { softMs, hardMs } = this.#options;
    while (this.isBusy && !this.#isRenewing) await this.wait();
    if (!this.#isLeased || this.remainingMs > softMs || !this.#home.isFree()) return;
    const isUrgent = this.remainingMs < hardMs;
    if (!this.#isRenewing) this.renew();
    if (isUrgent) await this.wait();
  }

  /** Nothing is under way and no transaction open: does what is due. */
  idle() {
    if (!this.#isLeased || this.isBusy) return;
    const { softMs, isReaping, cooldownMs } = this.#options;
    if (this.remainingMs <= softMs) this.renew();
    else if (isReaping && this.#cooldown.claim(cooldownMs)) this.#start(() => this.#reap());
  }

  /** @param {() => Promise<void>} work that never rejects */
  #start(work) {
    const own = work().finally(() => {
      if (this.#work === own) this.#work = undefined;
    });
    this.#work = own;
    return own;
  }

  /** @param {any} row @param {number} asked */
  #learn(row, asked) {
    const now = Number(row?.server_now);
    if (Number.isFinite(now)) this.#clock.learn(now, asked);
  }

  async #renew() {
    this.#isRenewing = true;
    try {
      await this.#sign();
    } finally {
      this.#isRenewing = false;
    }
  }

  async #sign() {
    const { timeoutMs, ttlMs, errorMode } = this.#options;
    const expiry = Math.round(this.#clock.now() + ttlMs);
    try {
      const renewal = this.#setName(this.#leases.generateAppName(expiry));
      await within(renewal, timeoutMs, 'the lease was not renewed in time');
      if (!this.#home.isOpen()) return;
      this.expiry = expiry;
      this.#home.tell({ event: 'renewed' });
    } catch (error) {
      if (!this.#home.isOpen()) return;
      const refused = errorMode === 'throw' ? this.#refuse(error) : 0;
      this.#home.tell({ event: 'notRenewed', error, refused });
    }
  }

  /** @param {unknown} error @returns {number} how many hear of it */
  #refuse(error) {
    if (this.#waiting > 0) this.#refusal = /** @type {Error} */ (error);
    return this.#waiting;
  }

  /** @param {string} name */
  async #setName(name) {
    const began = performance.now();
    for (;;) {
      const asked = performance.now();
      const inAnyCase = asked - began > VERDICT_MS;
      const answer = await this.#client.query(RENEW, [name, inAnyCase]);
      const row = answer.rows[0];
      this.#learn(row, asked);
      if (row === undefined || row.set_config !== null) return;
      await sleep(GLANCE_MS);
    }
  }

  async #reap() {
    const began = performance.now();
    const durationMs = () => Math.round(performance.now() - began);
    const { strategy, throwsPasses } = this.#options;
    try {
      const found = await Reaper.reap(this.#client, null, this.#leases, strategy, this.#home.log);
      if (found.serverNow !== undefined) this.#clock.learn(found.serverNow, began);
      this.#cooldown.finish(began, found.locked);
      if (!this.#home.isOpen()) return;
      const news = { event: 'reaped', ...found, durationMs: durationMs(), refused: 0 };
      this.#home.tell(news);
    } catch (error) {
      this.#cooldown.finish(began, false);
      if (!this.#home.isOpen()) return;
      const refused = throwsPasses ? this.#refuse(error) : 0;
      const nothing = { locked: false, killed: 0, candidates: 0, denied: 0, hidden: 0 };
      this.#home.tell({ event: 'reaped', ...nothing, durationMs: durationMs(), error, refused });
      // A transaction of the pass may be open behind what was asked last.
      const { message } = /** @type {Error} */ (error);
      if (message === TOO_LATE) this.#home.lose(/** @type {Error} */ (error));
    }
  }
}

/** @template T @param {Promise<T>} work @param {number} ms @param {string} message @returns {Promise<T>} */
async function within(work, ms, message) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  /** @type {Promise<never>} */
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new TimeoutError(message, { code: 'ETIMEDOUT', afterMs: ms })),
      ms,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // An answer after the limit is nobody's.
    work.catch(() => {});
  }
}

module.exports = { TOO_LATE, Upkeep, within, withDefaults };
