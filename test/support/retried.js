// Downloads that fail are tried again: one lost connection is no reason for a whole run to fail.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

/** Before the second try and the third. */
const PAUSES_MS = [2000, 10_000];

/**
 * @template T
 * @param {string} what is installed, for who reads along
 * @param {() => Promise<T>} work may be done again after it has failed
 * @param {number[]} [pauses] milliseconds
 * @returns {Promise<T>} rejects with the last failure
 */
async function retried(what, work, pauses = PAUSES_MS) {
  console.log(`installing ${what}`);
  for (const pause of pauses) {
    try {
      return await work();
    } catch (error) {
      const [reason] = /** @type {Error} */ (error).message.trim().split('\n').slice(-1);
      console.log(`installing ${what} failed, and is tried again in ${pause / 1000} s: ${reason}`);
      await sleep(pause);
    }
  }
  return work();
}

module.exports = { retried };
