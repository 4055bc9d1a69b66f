// Transactions of one client follow one another, and none waits for ever for itself.
'use strict';

const { TimeoutError } = require('../errors.js');

/** Looks at the transaction in front within its limit: a process that was frozen has looked once, not four times. */
const LOOKS = 4;

class Turns {
  /** Resolves when everybody who came so far is over. */
  #last = Promise.resolve();
  #taken = 0;
  /** Statements under way, and all that ever were, of the transaction whose turn it is. */
  #running = 0;
  #asked = 0;

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @param {number} limitMs longest wait behind a transaction that runs no statement; 0: no limit
   * @returns {Promise<T>}
   */
  async take(work, limitMs) {
    const before = this.#last;
    let over = () => {};
    this.#last = new Promise((resolve) => {
      over = resolve;
    });
    try {
      if (this.#taken++ > 0) await this.#wait(before, limitMs);
      return await work();
    } finally {
      this.#taken--;
      // Who gives up waiting lets nobody pass whose turn it is not.
      before.then(over);
    }
  }

  /** A statement of the client that runs inside that transaction. */
  noted() {
    this.#asked++;
  }

  /** A statement of the transaction whose turn it is. @template T @param {() => Promise<T>} ask @returns {Promise<T>} */
  async during(ask) {
    this.#asked++;
    this.#running++;
    try {
      return await ask();
    } finally {
      this.#running--;
    }
  }

  /** @param {Promise<void>} before @param {number} limitMs */
  async #wait(before, limitMs) {
    if (limitMs === 0) return before;
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const stuck = new Promise((_, reject) => {
      let [seen, quiet] = [this.#asked, 0];
      const look = () => {
        quiet = this.#running > 0 || this.#asked !== seen ? 0 : quiet + 1;
        seen = this.#asked;
        if (quiet >= LOOKS) reject(stuckFor(limitMs));
      };
      timer = setInterval(look, Math.max(1, limitMs / LOOKS));
    });
    try {
      await Promise.race([before, stuck]);
    } finally {
      clearInterval(timer);
    }
  }
}

/** @param {number} limitMs */
function stuckFor(limitMs) {
  return new TimeoutError(
    `the transaction in front of this one has run no statement for ${limitMs} ms; one that is begun inside another of the same client waits for itself`,
    { code: 'ERR_TIMEOUT', outcome: 'not-sent', phase: 'acquire', afterMs: limitMs },
  );
}

module.exports = { Turns };
