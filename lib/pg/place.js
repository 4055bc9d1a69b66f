// What a pool knows of one of its clients: who has it, how often it was lent, and whether it has rested for too long.
'use strict';

/**
 * What a pool hears of: the client is gone; it has rested for too long; it is given back, and perhaps nothing on it can have left a
 * transaction open.
 * @typedef {{
 *   lost: (place: Place, error: any) => void, rested: (place: Place) => void,
 *   given: (place: Place, error: any, uses: number, isClean: boolean) => void,
 * }} Heard
 */

class Place {
  /** Checkouts so far. */
  uses = 0;
  /** It is past its lifetime. */
  isExpired = false;
  /** Nobody has it. */
  isIdle = false;
  /** The pool's own queries have it, which hear of its loss by their answers. */
  isOwn = false;
  /** Since when somebody has it; undefined while nobody does. @type {number | undefined} */
  since = undefined;
  /** From where it was asked for, if that is recorded. @type {string | undefined} */
  taken = undefined;
  /** @type {NodeJS.Timeout | undefined} */
  #timer = undefined;
  #timerMs = 0;
  /** A test puts another in its place, and takes that away again. */
  #setBy = setTimeout;

  /** @param {any} client @param {Heard} heard by the pool */
  constructor(client, { lost, rested, given }) {
    this.client = client;
    /** @param {any} error */
    this.onError = (error) => {
      if (!this.isOwn) lost(this, error);
    };
    /** Of the pool's own queries. @param {any} [error] @param {number} [uses] @param {boolean} [isClean] */
    this.giveBack = (error, uses = 1, isClean = false) => given(this, error, uses, isClean);
    this.rested = () => {
      this.#timer = undefined;
      if (this.isIdle) rested(this);
    };
  }

  /** @param {string | undefined} taken from where */
  take(taken) {
    this.isIdle = false;
    this.since = performance.now();
    this.taken = taken;
  }

  /** The pool's own queries have it: nobody else calls what gives it back. */
  lendToOwn() {
    this.isOwn = true;
    return this.giveBack;
  }

  /**
   * A program has it, and listens to it. Either gives it back, once: `release` is the program's, which hands on whatever it likes.
   */
  lend() {
    this.stir();
    this.client.removeListener('error', this.onError);
    let isReleased = false;
    /** @type {typeof this.giveBack} */
    const giveBack = (error, uses, isClean) => {
      if (isReleased) {
        throw new Error('Release called on client which has already been released to the pool.');
      }
      isReleased = true;
      this.client.on('error', this.onError);
      this.giveBack(error, uses, isClean);
    };
    /** @param {any} [error] */
    const release = (error) => giveBack(error);
    return { giveBack, release };
  }

  give() {
    this.isOwn = false;
    this.since = undefined;
    this.taken = undefined;
  }

  /**
   * From now on it rests. The timer outlives the pool's own queries: to set it anew costs less than another.
   * @param {number} ms 0 = as long as it likes @param {boolean} isAwaited the process lives as long
   */
  rest(ms, isAwaited) {
    this.isIdle = true;
    if (!ms) {
      this.stir();
      return;
    }
    if (this.#timer?.refresh && this.#timerMs === ms && this.#setBy === setTimeout) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#timerMs = ms;
    this.#setBy = setTimeout;
    this.#timer = setTimeout(this.rested, ms);
    if (!isAwaited) this.#timer.unref();
  }

  /** No timer runs. */
  stir() {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

module.exports = { Place };
