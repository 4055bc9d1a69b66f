// What was asked of a transaction and is not answered yet, as far as it may be given up before it is sent: COMMIT waits for it.
'use strict';

// Taken now: a test may put another clock in its place.
const { clearTimeout, setImmediate, setTimeout } = require('node:timers');
const { TimeoutError, TransactionRolledBackError } = require('./error-classes.js');

/** @import { Writable, Readable } from 'node:stream' */

/** @typedef {{ cause: unknown }} Missing why something was not sent */

/** @param {any} reason @param {AbortSignal | undefined} signal whose reason is thrown as it is */
function wasNotSent(reason, signal) {
  return reason?.outcome === 'not-sent' || (signal?.aborted === true && reason === signal.reason);
}

/**
 * What COMMIT rejects with when part of its transaction was left out.
 * @param {any} cause @param {string} [why]
 */
function rolledBackFor(cause, why = 'one of its statements was never sent') {
  const details = { code: '25P02', outcome: /** @type {const} */ ('failed'), cause };
  return new TransactionRolledBackError(`commit: rolled back, because ${why}`, details);
}

/**
 * A limit ran out here, and not in the engine.
 * @param {number | undefined} afterMs @param {'not-sent' | 'failed'} outcome
 */
function outOfTime(afterMs, outcome) {
  // The SQLSTATE says that the server has stopped it.
  const code = outcome === 'failed' ? '57014' : 'ERR_TIMEOUT';
  const details = { code, outcome, phase: /** @type {const} */ ('statement'), afterMs };
  return new TimeoutError(`query: cancelled after timeout of ${afterMs}ms`, details);
}

class Unanswered {
  /** With what tells of a failure whether the statement was never sent. @type {Map<Promise<unknown>, (reason: unknown) => boolean>} */
  #asked = new Map();
  /** COPYs that are not over. @type {Set<Writable | Readable>} */
  #copies = new Set();

  get size() {
    return this.#asked.size;
  }

  /**
   * @template T
   * @param {Promise<T>} answer @param {AbortSignal | undefined} signal
   * @param {() => boolean} [isRefused] it has failed, and nothing was asked
   * @returns {Promise<T>} for its owner, who hears in a turn of its own that it was never sent: what he asks for in this one,
   *   COMMIT perhaps, is asked for without knowing that
   */
  note(answer, signal, isRefused = () => false) {
    const isUnsent = (/** @type {unknown} */ reason) => isRefused() || wasNotSent(reason, signal);
    const told = answer.catch(async (reason) => {
      if (isUnsent(reason)) await new Promise((resolve) => setImmediate(resolve));
      throw reason;
    });
    this.#asked.set(told, isUnsent);
    const over = () => this.#asked.delete(told);
    told.then(over, over);
    return told;
  }

  /** What was refused before it was asked for. @param {unknown} cause @returns {Promise<never>} */
  refuse(cause) {
    return this.note(Promise.reject(cause), undefined, () => true);
  }

  /**
   * @param {Writable | Readable} copy @param {AbortSignal | undefined} signal
   * @returns {(error: Error | undefined) => void} to be called at its end
   */
  noteCopy(copy, signal) {
    this.#copies.add(copy);
    /** @type {(error: Error | undefined) => void} */
    let end = () => {};
    const ended = new Promise((resolve, reject) => {
      end = (error) => {
        this.#copies.delete(copy);
        if (error === undefined) resolve(undefined);
        // Its owner hears of that in a turn of its own.
        else copy.once('close', () => reject(error));
      };
    });
    this.note(ended, signal);
    return end;
  }

  /** Whoever rolls back does not wait for data that nobody may send, or take. */
  giveUpCopies() {
    for (const copy of this.#copies) copy.destroy();
  }

  /** Waits until all of it is answered. */
  async settled() {
    await Promise.allSettled(this.#asked.keys());
  }

  /**
   * The same, and says what will never be carried out.
   * @param {number | undefined} timeoutMs
   * @returns {Promise<Missing | undefined>}
   */
  async missing(timeoutMs) {
    if (timeoutMs === undefined) return this.#missing();
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(outOfTime(timeoutMs, 'not-sent')), timeoutMs);
    });
    try {
      return await Promise.race([this.#missing(), /** @type {Promise<never>} */ (late)]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns {Promise<Missing | undefined>} */
  async #missing() {
    const asked = [...this.#asked];
    const ends = await Promise.allSettled(asked.map(([told]) => told));
    for (const [index, end] of ends.entries()) {
      if (end.status === 'rejected' && asked[index]?.[1](end.reason)) return { cause: end.reason };
    }
    return undefined;
  }
}

module.exports = { Unanswered, outOfTime, rolledBackFor };
