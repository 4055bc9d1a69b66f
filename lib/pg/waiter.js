// Someone who waits for a client of a pool, and is told once: of a client, a failure, the pool's limit, or a signal that fired.
'use strict';

const { hearAbort } = require('../abort-hearers.js');
const { uncaught } = require('./callbacks.js');
const { hostOf } = require('./for-pools.js');

/** @typedef {(error: any, client?: any, release?: (error?: any) => void) => void} Acquired */

class Waiter {
  /** Nobody waits for it any more. */
  isOver = false;
  /** Its limit. @type {NodeJS.Timeout | undefined} */
  late = undefined;
  #acquired;
  #stopHearing = () => {};

  /**
   * @param {Acquired} acquired
   * @param {string | undefined} taken from where, if that is recorded
   * @param {((error: unknown, host?: string) => void) | undefined} told whoever traces
   */
  constructor(acquired, taken, told) {
    this.#acquired = acquired;
    this.taken = taken;
    this.told = told;
  }

  /** @param {any} error @param {any} [client] @param {(error?: any) => void} [release] */
  callback(error, client, release) {
    this.#stopHearing();
    clearTimeout(this.late);
    this.told?.(error, client && hostOf(client));
    try {
      this.#acquired(error, client, release);
    } catch (thrown) {
      // The program's own: whoever has just given the client back is not to hear of it.
      uncaught(thrown);
    }
  }

  /** Is given up when the signal fires, which it has not yet. @param {AbortSignal} signal @param {() => void} forget */
  heed(signal, forget) {
    this.#stopHearing = hearAbort(signal, () => {
      if (this.isOver) return;
      this.isOver = true;
      forget();
      process.nextTick(() => this.callback(reasonOf(signal)));
    });
  }
}

/** What a signal fired with; a callback knows a failure by something that is true. @param {AbortSignal} signal */
function reasonOf({ reason }) {
  return reason || new DOMException('This operation was aborted', 'AbortError');
}

/**
 * For a `connect` of the program's own, whose waiter nobody else knows: a client that comes after the signal goes back.
 * @param {Acquired} acquired @param {AbortSignal} signal has not fired yet
 * @returns {Acquired}
 */
function forgoing(acquired, signal) {
  let isOver = false;
  const stopHearing = hearAbort(signal, () => {
    isOver = true;
    process.nextTick(() => acquired(reasonOf(signal)));
  });
  return (error, client, release) => {
    stopHearing();
    if (!isOver) acquired(error, client, release);
    else client?.release();
  };
}

module.exports = { Waiter, forgoing, reasonOf };
