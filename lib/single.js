// Statements that stand for themselves: run again where that is allowed, bounded in their wait, and read where they must be.
'use strict';

const { leave, openSession, release } = require('./handles.js');
const { lazy } = require('./lazy.js');
const { FLAG, flush } = require('./mailbox.js');
const options = require('./options.js');
const queryable = require('./queryable.js');
const errors = lazy(() => require('./error-classes.js'));

const tries = lazy(() => require('./tries.js'));

/** @import { Policy } from './backoff.js' */
/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Manner } from './request.js' */
/** @import { Target } from '../types/internal.js' */
/** @typedef {InstanceType<typeof import('./log-positions.js').LogPositions>} LogPositions */
/** @typedef {InstanceType<typeof import('./answer.js').StatementAnswer>} Answered */

/** Behind the statement, in its packet, is what its outcome can be found out by. */
const EXACTLY_ONCE = Object.freeze({ flags: FLAG.PROBE });

/** @param {boolean} isProbed its outcome is to be known even if its answer is lost @returns {Manner | undefined} */
function singly(isProbed) {
  return isProbed ? EXACTLY_ONCE : undefined;
}

/**
 * @typedef {{
 *   target: Target,
 *   reading: Reading,
 *   retry: Policy & { maxAttempts: number },
 *   retries: boolean,
 *   readsOnly: (host: string | undefined) => boolean,
 *   exactlyOnce: boolean,
 *   acquireTimeoutMs: number,
 *   positions: () => LogPositions,
 *   isLagLimited: boolean,
 *   marked: ((work: (tx: any) => Promise<any>) => Promise<any>) | undefined,
 *   onRetry: () => void,
 * }} Settings `retries`: unless a statement says otherwise; `readsOnly`: did
 *   this host take no writes? `marked` runs a transaction that leaves a marker
 */

class Singles {
  #settings;
  /** How plain statements are asked for. */
  plain;
  /** Is each of them more than a plain one? */
  isSpecial;

  /** @param {Settings} settings */
  constructor(settings) {
    this.#settings = settings;
    const { exactlyOnce, retries, isLagLimited, marked } = settings;
    this.plain = singly(exactlyOnce);
    this.isSpecial = retries || isLagLimited || (exactlyOnce && marked !== undefined);
  }

  /**
   * @template T
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {unknown} given
   * @param {(answer: Answered) => T} shape @param {'query' | 'queryResult'} method of a transaction that does the same
   * @returns {Promise<T>}
   */
  async run(sql, params, given, shape, method) {
    queryable.checkText(sql);
    const read = queryable.readOptions(given, options.SINGLE_OPTIONS);
    const { exactlyOnce, retry, acquireTimeoutMs, after, ...rest } = /** @type {any} */ (read);
    const { retries, marked } = this.#settings;
    const once = exactlyOnce ?? this.#settings.exactlyOnce;
    if (once && marked !== undefined) {
      return marked((tx) => tx[method](sql, params, given === undefined ? undefined : rest));
    }
    const ask = (/** @type {number} */ attempt) =>
      this.#ask(sql, params, rest, { once, acquireTimeoutMs, after }, attempt);
    if (!(retry ?? retries)) return shape(await ask(1));
    const { retry: policy, onRetry, readsOnly } = this.#settings;
    const { signal } = rest;
    // A pool that prefers standbys writes on the primary while there is none.
    const isHarmless = (/** @type {any} */ { host }) => retries && readsOnly(host);
    const terms = { retry: policy, signal, onRetry, mayTwice: retry === true, isHarmless };
    return shape(await tries().tryUntilDone(ask, { ...terms, waitsOnce: true }));
  }

  /**
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} read
   * @param {{ once: boolean, acquireTimeoutMs: number | undefined, after: string | undefined }} how @param {number} attempt
   * @returns {Promise<Answered>}
   */
  #ask(sql, params, read, { once, acquireTimeoutMs, after }, attempt) {
    const { target, reading, positions, isLagLimited } = this.#settings;
    if (after !== undefined || isLagLimited) {
      return positions().read(sql, params, read, after, acquireTimeoutMs);
    }
    if (acquireTimeoutMs !== undefined) {
      return this.#patiently(sql, params, read, singly(once), acquireTimeoutMs, attempt);
    }
    return queryable.run(target, sql, params, read, reading, singly(once), attempt);
  }

  /**
   * With a wait for the connection of its own: a session leaves the queue when that is over, and joins it again while it is not.
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} read
   * @param {Manner | undefined} manner @param {number} limitMs @param {number} attempt
   */
  async #patiently(sql, params, read, manner, limitMs, attempt) {
    const { target, reading } = this.#settings;
    const until = performance.now() + limitMs;
    for (;;) {
      const session = openSession(target, 'cluster');
      let hasLeft = false;
      const left = Math.max(1, Math.ceil(until - performance.now()));
      const timer = setTimeout(() => {
        flush();
        hasLeft = leave(session, limitMs);
      }, left);
      try {
        const last = { flags: (manner?.flags ?? 0) | FLAG.FINISH };
        return await queryable.run(session, sql, params, read, reading, last, attempt);
      } catch (error) {
        const { AcquireTimeoutError, TransactionLostError } = errors();
        // It has had no effect: without a session the engine would have moved it.
        const isLost = error instanceof TransactionLostError;
        const isLack = error instanceof AcquireTimeoutError || isLost;
        if (hasLeft || !isLack || performance.now() >= until) throw error;
      } finally {
        clearTimeout(timer);
        release(session);
      }
    }
  }
}

module.exports = { Singles };
