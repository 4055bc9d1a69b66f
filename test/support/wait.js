// Waits for a condition by polling, never for a fixed time; says what was last seen when it gives up.
'use strict';

const { inspect } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');

/**
 * Polls until `condition` gives a truthy value, and resolves to that value. A condition that throws counts as not yet true.
 *
 * @template T
 * @param {() => T | Promise<T>} condition
 * @param {{ timeoutMs?: number, intervalMs?: number, what?: string }} [options] `what` completes "… did not happen"
 * @returns {Promise<T>}
 */
async function waitFor(
  condition,
  { timeoutMs = 10_000, intervalMs = 10, what = 'the condition' } = {},
) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let last;
    let cause;
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= deadline) {
      const seen =
        cause === undefined ? `last value: ${inspect(last)}` : `last error: ${inspect(cause)}`;
      throw new Error(`${what} did not happen within ${timeoutMs} ms; ${seen}`, { cause });
    }
    await sleep(intervalMs);
  }
}

module.exports = { waitFor };
