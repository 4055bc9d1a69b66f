// Positions in the log: those that writes end at, and reads that wait for a standby to have come as far (CP-15).
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { hearAbort, throwIfAborted } = require('./abort-hearers.js');
const { FencedError, NoStandbyError, TimeoutError } = require('./errors.js');
const { leave, openSession } = require('./handles.js');
const { flush } = require('./mailbox.js');
const { DEFAULT_POOL_SIZE } = require('./options.js');
const queryable = require('./queryable.js');
const { outOfTime } = require('./unanswered.js');

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */

/** A commit that was not waited for may be further than what has been written. */
const POSITION = `SELECT (CASE WHEN pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off'
  THEN pg_catalog.pg_current_wal_insert_lsn() ELSE pg_catalog.pg_current_wal_lsn() END)::text AS lsn`;

/** Has this server replayed one position, and does it lag behind another by no more than so many bytes? */
const REPLAYED = `SELECT NOT pg_catalog.pg_is_in_recovery() OR (
  pg_catalog.pg_wal_lsn_diff($1::pg_catalog.pg_lsn, pg_catalog.pg_last_wal_replay_lsn()) operator(pg_catalog.<=) 0 AND
  pg_catalog.pg_wal_lsn_diff($2::pg_catalog.pg_lsn, pg_catalog.pg_last_wal_replay_lsn()) operator(pg_catalog.<=) $3) AS there`;

const START = '0/0';
/** Between two questions to standbys that are not there yet. */
const PAUSE_MS = 5;
/** How long another connection is waited for while late ones are held, and how many of those. */
const LOOK_ON_MS = 100;
const MOST_HELD = 16;
/** A position of the primary is used for so long, and waited for when it is older than the second: so long, or half of what the
 * read may take. */
const FRESH_MS = 50;
const STALE_MS = 1000;

/** Where the primary is, asked at most every 50 ms and only while somebody reads. */
class Leader {
  #ask;
  #at = Number.NEGATIVE_INFINITY;
  #isAway = false;
  /** @type {Promise<void> | undefined} */
  #asking;
  /** The last that is known: while no primary answers, reading goes on by that. */
  position = START;

  /** @param {(timeoutMs: number) => Promise<string>} ask */
  constructor(ask) {
    this.#ask = ask;
  }

  /** What a read waits for: a primary that has just said nothing holds up no other one. @returns {Promise<void> | undefined} */
  news() {
    const age = performance.now() - this.#at;
    if (age <= FRESH_MS) return undefined;
    this.#asking ??= this.#refresh();
    return age > STALE_MS && !this.#isAway ? this.#asking : undefined;
  }

  async #refresh() {
    try {
      this.position = await this.#ask(STALE_MS);
      this.#at = performance.now();
      this.#isAway = false;
    } catch {
      this.#isAway = true;
    } finally {
      this.#asking = undefined;
    }
  }
}

/** What the caller of a read allows it, all its tries together. */
class Allowance {
  #until;
  #acquireMs;
  #timeoutMs;
  #timeoutAt;
  #options;

  /** @param {StatementOptions} options @param {number} acquireMs for finding a server */
  constructor(options, acquireMs) {
    const now = performance.now();
    this.#options = options;
    this.#acquireMs = acquireMs;
    this.#timeoutMs = options.wholeMs ?? options.timeoutMs;
    this.#timeoutAt = now + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    this.#until = Math.min(now + acquireMs, this.#timeoutAt);
  }

  get leftMs() {
    return Math.max(0, this.#until - performance.now());
  }

  /** Of one try. @returns {StatementOptions} */
  get options() {
    if (this.#timeoutMs === undefined) return this.#options;
    const left = Math.max(1, Math.ceil(this.#timeoutAt - performance.now()));
    return { ...this.#options, timeoutMs: left, wholeMs: this.#timeoutMs };
  }

  /** Throws when the caller has given up, or nothing is left. */
  check() {
    const { signal } = this.#options;
    throwIfAborted(signal);
    if (this.leftMs > 0) return;
    if (performance.now() < this.#timeoutAt) throw behind(this.#acquireMs);
    throw outOfTime(this.#timeoutMs, 'not-sent');
  }

  /** Waits, but not for longer. @param {Promise<void>} promise @param {number} [mostMs] */
  async wait(promise, mostMs = Number.POSITIVE_INFINITY) {
    const { signal } = this.#options;
    if (signal?.aborted) return;
    /** @type {(() => void)[]} */
    const undo = [];
    const over = new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(this.leftMs, mostMs));
      undo.push(() => clearTimeout(timer));
      if (signal !== undefined) undo.push(hearAbort(signal, () => resolve(undefined)));
    });
    await Promise.race([promise, over]);
    for (const take of undo) take();
  }
}

class LogPositions {
  #target;
  #reading;
  #limits;
  #leader;
  #elsewhere;

  /**
   * @param {Target} target @param {Reading} reading how the caller reads
   * @param {{ acquireTimeoutMs: number, maxLagBytes: number | undefined }} limits
   * @param {ReturnType<typeof followLeader>} [path] to the primary
   */
  constructor(target, reading, limits, path) {
    this.#target = target;
    this.#reading = reading;
    this.#limits = limits;
    this.#leader = path?.leader;
    this.#elsewhere = path?.elsewhere;
  }

  /**
   * Reads from a server that has replayed `after` and lags no further behind than the pool allows. The question travels in
   * front of the read; an answer of a server that is not there is dropped, because a standby cannot have changed anything.
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} options
   * @param {string} [after] @param {number} [acquireTimeoutMs]
   */
  async read(
    sql,
    params,
    options,
    after = START,
    acquireTimeoutMs = this.#limits.acquireTimeoutMs,
  ) {
    const allowed = new Allowance(options, acquireTimeoutMs);
    const ask = (/** @type {Target} */ session, /** @type {StatementOptions} */ limits) =>
      queryable.run(session, sql, params, limits, this.#reading, { flags: 0 });
    const found = await this.#find(allowed, after, ask);
    if (found !== undefined) return found.answer;
    const primary = /** @type {Target} */ (this.#elsewhere);
    return queryable.run(primary, sql, params, allowed.options, this.#reading, undefined);
  }

  /**
   * A session on a server that lags no further behind than the pool allows, for more than one read. How far it lags is looked
   * at once, in front of all.
   * @param {StatementOptions} options
   * @returns {Promise<Target>}
   */
  async near(options) {
    const allowed = new Allowance(options, this.#limits.acquireTimeoutMs);
    const found = await this.#find(allowed, START);
    return found?.session ?? openSession(/** @type {Target} */ (this.#elsewhere), 'cluster');
  }

  /**
   * A server that is there.
   * @param {InstanceType<typeof Allowance>} allowed @param {string} after
   * @param {(session: Target, limits: StatementOptions) => Promise<any>} [ask] the one read; without it the session keeps its connection
   * @returns {Promise<{ session: Target, answer: any } | undefined>} undefined: the primary is to be read from
   */
  async #find(allowed, after, ask) {
    /** Connections to servers that are not there: while they are held, the pool gives others. @type {Target[]} */
    const held = [];
    const free = () => {
      for (const session of held.splice(0)) leave(session);
    };
    try {
      for (;;) {
        const news = this.#leader?.news();
        if (news !== undefined) await allowed.wait(news, Math.min(STALE_MS, allowed.leftMs / 2));
        allowed.check();
        const session = openSession(this.#target, 'cluster');
        const patienceMs = held.length > 0 ? LOOK_ON_MS : allowed.leftMs;
        const tried = await this.#try(session, allowed.options, after, patienceMs, ask);
        if (tried.is === 'there') return { session, answer: tried.answer };
        if (tried.is === 'late') held.push(session);
        if (tried.is === 'late' && held.length < MOST_HELD) continue;
        // All that can be had now are late.
        free();
        allowed.check();
        if (this.#elsewhere !== undefined) return undefined;
        await allowed.wait(sleep(PAUSE_MS));
      }
    } finally {
      free();
    }
  }

  /**
   * One server.
   * @param {Target} session @param {StatementOptions} options @param {string} after @param {number} patienceMs for a connection
   * @param {((session: Target, limits: StatementOptions) => Promise<any>) | undefined} ask
   * @returns {Promise<{ is: 'there', answer: any } | { is: 'late' | 'busy' }>} `'late'`: the session keeps its connection
   */
  async #try(session, options, after, patienceMs, ask) {
    const lead = this.#leader?.position ?? START;
    const { maxLagBytes = 0 } = this.#limits;
    let hasLeft = false;
    const timer = setTimeout(() => {
      flush();
      hasLeft = leave(session, Math.ceil(patienceMs));
    }, patienceMs);
    let isKept = false;
    try {
      const { timeoutMs, wholeMs, signal } = options;
      const limits = { ...(timeoutMs && { timeoutMs, wholeMs }), ...(signal && { signal }) };
      const plain = { types: 'lossless', rowMode: /** @type {const} */ ('object'), ...limits };
      const manner = { flags: 0 };
      const bounds = [after, lead, maxLagBytes];
      const check = queryable.run(session, REPLAYED, bounds, plain, this.#reading, manner);
      const asked = ask?.(session, options);
      const [seen, answer] = await Promise.allSettled([check, asked]);
      if (seen.status === 'rejected') {
        if (hasLeft || isUnserved(seen.reason)) return { is: 'busy' };
        throw seen.reason;
      }
      const [row] = /** @type {{ there: boolean }[]} */ (seen.value.result.rows);
      const isThere = row?.there === true;
      isKept = ask === undefined || !isThere;
      if (!isThere) return { is: 'late' };
      if (answer.status === 'rejected') {
        if (isUnserved(answer.reason)) return { is: 'busy' };
        throw answer.reason;
      }
      return { is: 'there', answer: answer.value };
    } finally {
      clearTimeout(timer);
      if (!isKept) leave(session);
    }
  }
}

/**
 * Where the log of the primary is, for reads that must see what was written. What was written stays written although nobody
 * can say that afterwards, in what is left of the caller's time.
 * @param {(sql: string, params: [], session: undefined, limits: StatementOptions) => Promise<any[]>} ask
 * @param {number} began @param {{ timeoutMs?: number, signal?: AbortSignal }} limits
 * @returns {Promise<string | null>}
 */
async function positionBehind(ask, began, { timeoutMs, signal }) {
  const left = timeoutMs && Math.max(1, Math.ceil(timeoutMs - (performance.now() - began)));
  const limits = { ...(left && { timeoutMs: left }), ...(signal && { signal }) };
  try {
    return (await ask(POSITION, [], undefined, limits))[0].lsn;
  } catch {
    return null;
  }
}

/** Was there no connection in the time of one try, or one to a server that serves no more? @param {any} error */
function isUnserved(error) {
  const isLate = error instanceof TimeoutError && error.outcome === 'not-sent';
  return isLate || error instanceof FencedError;
}

/**
 * The way to the primary of a pool that bounds how far its standbys lag: where it is, and where reads go that prefer a
 * standby and find none near enough.
 * @param {Target} target a pool on the primary @param {string} mode of the pool that reads
 * @param {(sql: string, limits: { timeoutMs: number }) => Promise<any[]>} ask
 */
function followLeader(target, mode, ask) {
  const leader = new Leader(async (timeoutMs) => (await ask(POSITION, { timeoutMs }))[0].lsn);
  return { leader, elsewhere: mode === 'prefer-standby' ? target : undefined };
}

/** @param {number} waitedMs */
function behind(waitedMs) {
  const message = `query: no standby available after ${waitedMs}ms: those that answer have not replayed far enough`;
  const known = { code: '08006', outcome: /** @type {const} */ ('not-sent'), transient: true };
  return new NoStandbyError(message, { ...known, waitedMs });
}

/**
 * A pool on the primary beside one that reads elsewhere: one connection for where it is, as many as the other has for reads
 * that find no standby near enough, and nobody told.
 * @param {Record<string, any>} given
 */
function leaderOptions(given) {
  const { logger, onSlowQuery, slowQueryMs, onQueryError, lease, maxLagMs, loadBalance, ...same } =
    given;
  const { mode, poolSize = DEFAULT_POOL_SIZE } = given;
  const size = mode === 'prefer-standby' ? 1 + poolSize : 1;
  return { ...same, mode: 'read-write', maxLagBytes: undefined, poolSize: size, minIdle: 0 };
}

module.exports = { LogPositions, followLeader, leaderOptions, positionBehind };
