// Statements that stand for themselves: run again where that is allowed, bounded in their wait, and read where they must be.
'use strict';

const { leave, openSession, release } = require('./handles.js');
const { lazy } = require('./lazy.js');
const { FLAG, flush } = require('./mailbox.js');
const options = require('./options.js');
const queryable = require('./queryable.js');
const errors = lazy(() => require('./error-classes.js'));

const wholeLimits = lazy(() => require('./whole-limit.js'));
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
 *   marked: Marked | undefined,
 *   onRetry: () => void,
 * }} Settings `retries`: unless a statement says otherwise; `readsOnly`: did
 *   this host take no writes?
 */
/**
 * Runs a transaction that leaves a marker, and has one leave the queue for a connection.
 * @typedef {{
 *   run: (work: (tx: any) => Promise<any>, limits: { timeoutMs?: number, signal?: AbortSignal }) => Promise<any>,
 *   leave: (tx: any, waitedMs: number) => boolean,
 * }} Marked
 */

/**
 * With a wait for the connection of its own: a session leaves the queue when that is over, and another one joins it while it is
 * not.
 * @template T
 * @param {number} limitMs @param {StatementOptions} read
 * @param {(options: StatementOptions, limit: (leave: () => boolean) => void) => Promise<T>} ask in a new session; `leave` is
 *   how that leaves the queue
 * @returns {Promise<T>}
 */
async function patiently(limitMs, read, ask) {
  const began = performance.now();
  const leftOf = (/** @type {number} */ ms) => Math.ceil(ms - (performance.now() - began));
  for (;;) {
    let hasLeft = false;
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const limit = (/** @type {() => boolean} */ leave) => {
      const giveUp = () => {
        flush();
        hasLeft = leave();
      };
      timer = setTimeout(giveUp, Math.max(1, leftOf(limitMs)));
    };
    const { timeoutMs } = read;
    const rest = timeoutMs === undefined ? {} : { timeoutMs: Math.max(1, leftOf(timeoutMs)) };
    try {
      return await ask({ ...read, ...rest }, limit);
    } catch (error) {
      const { AcquireTimeoutError, TransactionLostError } = errors();
      // It has had no effect: without a session the engine would have moved it.
      const isLost = error instanceof TransactionLostError;
      const isLack = error instanceof AcquireTimeoutError || isLost;
      if (hasLeft || !isLack || leftOf(limitMs) <= 0) throw wholeLimits().inFull(error, timeoutMs);
    } finally {
      clearTimeout(timer);
    }
  }
}

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
    const { retries, marked, isLagLimited } = this.#settings;
    const once = exactlyOnce ?? this.#settings.exactlyOnce;
    // What waits for a standby to have come as far only reads.
    const isMarked = once && marked !== undefined && after === undefined && !isLagLimited;
    const ask = async (
      /** @type {number} */ attempt,
      /** @type {number | undefined} */ timeoutMs,
    ) => {
      const limited = timeoutMs === rest.timeoutMs ? rest : { ...rest, timeoutMs };
      if (isMarked) return this.#marked(marked, sql, params, limited, method, acquireTimeoutMs);
      const how = { once, acquireTimeoutMs, after };
      return shape(await this.#ask(sql, params, limited, how, attempt));
    };
    const { signal, timeoutMs } = rest;
    if (!(retry ?? retries)) return ask(1, timeoutMs);
    const { retry: policy, onRetry, readsOnly } = this.#settings;
    // A pool that prefers standbys writes on the primary while there is none.
    const isHarmless = (/** @type {any} */ { host }) => retries && readsOnly(host);
    const limits = { retry: policy, signal, timeoutMs, waitsOnce: true };
    const terms = { ...limits, onRetry, mayTwice: retry === true, isHarmless };
    return tries().tryUntilDone(ask, terms);
  }

  /**
   * In a transaction that leaves a marker, within the limits of the statement, COMMIT and all.
   * @param {Marked} marked @param {string} sql @param {readonly unknown[] | undefined} params
   * @param {StatementOptions} read @param {'query' | 'queryResult'} method @param {number | undefined} acquireTimeoutMs
   */
  async #marked(marked, sql, params, read, method, acquireTimeoutMs) {
    const run = (
      /** @type {StatementOptions} */ { timeoutMs, signal, ...manner },
      /** @type {(tx: any) => void} */ begun,
    ) => {
      const limits = { ...(timeoutMs && { timeoutMs }), ...(signal && { signal }) };
      return marked.run((tx) => {
        begun(tx);
        return tx[method](sql, params, manner);
      }, limits);
    };
    if (acquireTimeoutMs === undefined) return run(read, () => {});
    return patiently(acquireTimeoutMs, read, (options, limit) =>
      run(options, (tx) => limit(() => marked.leave(tx, acquireTimeoutMs))),
    );
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
   * With a wait for the connection of its own.
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} read
   * @param {Manner | undefined} manner @param {number} limitMs @param {number} attempt
   */
  async #patiently(sql, params, read, manner, limitMs, attempt) {
    const { target, reading } = this.#settings;
    const last = { flags: (manner?.flags ?? 0) | FLAG.FINISH };
    return patiently(limitMs, read, async (options, limit) => {
      const session = openSession(target, 'cluster');
      limit(() => leave(session, limitMs));
      try {
        return await queryable.run(session, sql, params, options, reading, last, attempt);
      } finally {
        release(session);
      }
    });
  }
}

module.exports = { Singles };
