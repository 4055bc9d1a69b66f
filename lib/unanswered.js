// What was asked of a transaction and is not answered yet, as far as it may be given up before it is sent: COMMIT waits for it.
'use strict';

// Taken now: a test may put another clock in its place.
const { clearTimeout, setTimeout } = require('node:timers');
const { TimeoutError } = require('./error-classes.js');

/** @import { Writable, Readable } from 'node:stream' */

/** @typedef {{ cause: unknown }} Missing why something was not sent */

/** @param {any} reason @param {AbortSignal | undefined} signal whose reason is thrown as it is */
function wasNotSent(reason, signal) {
  return reason?.outcome === 'not-sent' || (signal?.aborted === true && reason === signal.reason);
}

/** @param {number} timeoutMs of a COMMIT, which was not sent */
function outOfTime(timeoutMs) {
  const details = { code: '57014', outcome: /** @type {const} */ ('not-sent') };
  return new TimeoutError(`query: cancelled after timeout of ${timeoutMs}ms`, details);
}

class Unanswered {
  /** @type {Map<Promise<unknown>, AbortSignal | undefined>} */
  #asked = new Map();
  /** COPYs that are not over. @type {Set<Writable | Readable>} */
  #copies = new Set();

  get size() {
    return this.#asked.size;
  }

  /** @param {Promise<unknown>} answer @param {AbortSignal | undefined} signal */
  note(answer, signal) {
    this.#asked.set(answer, signal);
    const over = () => this.#asked.delete(answer);
    answer.then(over, over);
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
      timer = setTimeout(() => reject(outOfTime(timeoutMs)), timeoutMs);
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
    const ends = await Promise.allSettled(asked.map(([answer]) => answer));
    for (const [index, end] of ends.entries()) {
      if (end.status === 'rejected' && wasNotSent(end.reason, asked[index]?.[1]))
        return { cause: end.reason };
    }
    return undefined;
  }
}

module.exports = { Unanswered };
