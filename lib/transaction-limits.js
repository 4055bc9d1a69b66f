// How long a transaction may take: its own time limit and signal, within which its statements have theirs.
'use strict';

const { setImmediate } = require('node:timers');
const { hearAbort } = require('./abort-hearers.js');
const { anySignal } = require('./any-signal.js');
const { outOfTime } = require('./unanswered.js');

/** @import { StatementOptions } from './queryable.js' */

/** What a ROLLBACK may take when the transaction's own time is over. */
const PATIENCE_MS = 2000;

/** @param {number | undefined} timeoutMs @returns {number | undefined} when it ends, by `performance.now` */
function deadlineOf(timeoutMs) {
  return timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
}

/**
 * Limits of the end of a transaction that a stream or a batch has of its own. COMMIT is waited for no longer than statements are;
 * behind a signal that has fired, and for a ROLLBACK, which says nothing new, patience has an end too.
 * @param {'COMMIT' | 'ROLLBACK'} word @param {StatementOptions} options of the statements
 * @returns {StatementOptions}
 */
function limitsOfEnd(word, { timeoutMs, wholeMs, signal }) {
  if (timeoutMs === undefined && signal === undefined) return {};
  if (word === 'ROLLBACK') return { timeoutMs: Math.max(PATIENCE_MS, timeoutMs ?? 0) };
  if (signal?.aborted) return { timeoutMs: timeoutMs ?? PATIENCE_MS };
  return /** @type {StatementOptions} */ ({ timeoutMs, wholeMs, signal });
}

class Limits {
  #deadline;
  #timeoutMs;
  #signal;

  /** @param {{ timeoutMs?: number, signal?: AbortSignal }} options @param {number | undefined} deadline */
  constructor({ timeoutMs, signal }, deadline) {
    this.#deadline = deadline;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
  }

  /**
   * Those of a transaction, if it has any.
   * @param {{ timeoutMs?: number, signal?: AbortSignal, until?: number | undefined }} options
   * @returns {Limits | undefined}
   */
  static of(options) {
    const deadline = options.until ?? deadlineOf(options.timeoutMs);
    if (deadline === undefined && options.signal === undefined) return undefined;
    return new Limits(options, deadline);
  }

  /** Is any time left? A timer may ring a little early. */
  hasTime() {
    return this.#deadline === undefined || performance.now() < this.#deadline - 1;
  }

  /** How long a ROLLBACK is waited for: a server that is frozen would never answer it. @returns {StatementOptions} */
  patience() {
    const until = this.#deadline ?? (this.#signal?.aborted ? 0 : Number.POSITIVE_INFINITY);
    const left = Math.max(PATIENCE_MS, Math.ceil(until - performance.now()));
    return left === Number.POSITIVE_INFINITY ? {} : { timeoutMs: left };
  }

  /**
   * A statement's own limits within these.
   * @param {StatementOptions} options
   * @returns {StatementOptions}
   */
  narrow(options) {
    const limited = /** @type {StatementOptions} */ ({ ...options });
    if (this.#deadline !== undefined) {
      const left = Math.ceil(this.#deadline - performance.now());
      if (left <= 0) throw outOfTime(this.#timeoutMs, 'not-sent');
      const { timeoutMs = Number.POSITIVE_INFINITY } = options;
      limited.timeoutMs = Math.min(left, timeoutMs);
      if (left < timeoutMs) limited.wholeMs = this.#timeoutMs;
    }
    const signals = [this.#signal, options.signal].filter((signal) => signal !== undefined);
    if (signals.length > 0)
      limited.signal =
        signals.length === 1 ? /** @type {AbortSignal} */ (signals[0]) : anySignal(signals);
    return limited;
  }

  /**
   * A closure that does not return is left at the end of the transaction's time, or when its signal fires, unless it has
   * ended the transaction. One that waits for a statement hears of that by the statement's own error, which knows more.
   * @template T
   * @param {Promise<T>} work @param {() => Promise<void>} settled when its statements are answered
   * @param {() => boolean} isOver @param {() => Promise<unknown>} undo
   * @returns {Promise<T>}
   */
  leaveInTime(work, settled, isOver, undo) {
    return new Promise((resolve, reject) => {
      const signal = this.#signal;
      let isLeft = false;
      /** @param {() => unknown} reason */
      const leave = async (reason) => {
        stop();
        await settled();
        setImmediate(async () => {
          if (isOver()) return;
          // From here on it is rolled back, whatever the closure still returns.
          isLeft = true;
          await undo().catch(() => {});
          reject(reason());
        });
      };
      const onAbort = () => leave(() => signal?.reason);
      const left = this.#deadline === undefined ? undefined : this.#deadline - performance.now();
      const timer =
        left === undefined
          ? undefined
          : setTimeout(leave, Math.ceil(left), () => outOfTime(this.#timeoutMs, 'failed'));
      const stopHearing = signal && hearAbort(signal, onAbort);
      const stop = () => {
        clearTimeout(timer);
        stopHearing?.();
      };
      if (signal?.aborted) onAbort();
      work
        .then(
          (value) => isLeft || resolve(value),
          (error) => isLeft || reject(error),
        )
        .finally(stop);
    });
  }
}

module.exports = { Limits, deadlineOf, limitsOfEnd };
