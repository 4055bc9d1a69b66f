// The pause between two tries (CP-83).
'use strict';

const { throwIfAborted } = require('./abort-hearers.js');

/** @typedef {{ baseDelayMs: number, maxDelayMs: number, jitter: 'half' | 'decorrelated' }} Policy */

class Backoff {
  #policy;
  #last;

  /** @param {Policy} policy */
  constructor(policy) {
    this.#policy = policy;
    this.#last = policy.baseDelayMs;
  }

  /**
   * How long before the try after this one. `'half'`: doubling, between half of it and all; `'decorrelated'`: between the
   * base and three times the pause before, so that clients that failed together do not come back together.
   * @param {number} attempt from 1 @param {number} [roll] 0 to 1
   */
  delay(attempt, roll = Math.random()) {
    const { baseDelayMs, maxDelayMs, jitter } = this.#policy;
    if (jitter === 'half') {
      return Math.round(Math.min(baseDelayMs * 2 ** (attempt - 1), maxDelayMs) * (0.5 + roll / 2));
    }
    const most = Math.max(baseDelayMs, this.#last * 3);
    this.#last = Math.min(maxDelayMs, baseDelayMs + roll * (most - baseDelayMs));
    return Math.round(this.#last);
  }

  /** @param {number} attempt @param {AbortSignal | undefined} signal */
  pause(attempt, signal) {
    return this.sleep(this.delay(attempt), signal);
  }

  /** @param {number} ms @param {AbortSignal | undefined} signal */
  async sleep(ms, signal) {
    throwIfAborted(signal);
    const { setTimeout: sleep } = require('node:timers/promises');
    const options = signal === undefined ? {} : { signal };
    await sleep(ms, undefined, options).catch((error) => {
      throwIfAborted(signal);
      throw error;
    });
  }
}

module.exports = { Backoff };
