// A statement that a signal gives up: before its turn at once; afterwards its answer says what came of it.
'use strict';

const { hearAbort } = require('../abort-hearers.js');

class Abortable {
  #resolve;
  #reject;
  #signal;
  #stopHearing = () => {};
  /** Nobody waits for it any more. */
  isOver = false;
  /** Once it was sent. @type {(() => void) | undefined} */
  #cancelIt;

  /** @param {AbortSignal | undefined} signal @param {(answer: any) => void} resolve @param {(reason: any) => void} reject */
  constructor(signal, resolve, reject) {
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    if (!(signal instanceof AbortSignal)) return;
    const giveUp = () => {
      if (this.#cancelIt !== undefined) this.#cancelIt();
      else if (this.#isLast()) this.#reject(signal.reason);
    };
    if (signal.aborted) process.nextTick(giveUp);
    else this.#stopHearing = hearAbort(signal, giveUp);
  }

  /** It had fired before anything was asked. */
  get isRefused() {
    return this.#signal instanceof AbortSignal && this.#signal.aborted;
  }

  #isLast() {
    if (this.isOver) return false;
    this.isOver = true;
    this.#stopHearing();
    return true;
  }

  /** @param {() => void} cancelIt */
  sent(cancelIt) {
    this.#cancelIt = cancelIt;
    // By what a value ran while it was asked.
    if (this.isOver) cancelIt();
  }

  /** @param {any} answer */
  done(answer) {
    if (this.#isLast()) this.#resolve(answer);
  }

  /** @param {any} reason */
  failed(reason) {
    if (!this.#isLast()) return;
    const isGivenUp = reason?.kind === 'cancelled' && reason.outcome !== 'unknown';
    this.#reject(isGivenUp && this.#signal?.aborted ? this.#signal.reason : reason);
  }
}

module.exports = { Abortable };
