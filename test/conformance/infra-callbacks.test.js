// What users hand to retry, breaker, health checks and shutdown, and how it may misbehave.
'use strict';

const assert = require('node:assert/strict');
const { mock, test } = require('node:test');
const { withRetry } = require('../../lib/resilience.js');
require('../support/stray-errors.js');

const refuse = async () => {
  throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
};

test('R5: maxElapsedMs ends retries without delays after any number of attempts', async (t) => {
  // Far beyond where a doubled delay is infinite; every wait takes no time on this clock.
  const real = globalThis.setTimeout;
  t.mock.method(globalThis, 'setTimeout', (fn, ms, ...rest) => {
    assert.equal(ms, 0);
    return real(fn, 0, ...rest);
  });
  let now = 0;
  t.mock.method(performance, 'now', () => now++);
  const fn = mock.fn(async () => {
    if (fn.mock.callCount() > 1200) throw new Error('still called');
    return refuse();
  });
  const options = { maxAttempts: Number.POSITIVE_INFINITY, delayMs: 0, maxElapsedMs: 1100 };
  await assert.rejects(withRetry(fn, options), { code: 'ECONNREFUSED' });
  assert.ok(fn.mock.callCount() > 1050);
});
