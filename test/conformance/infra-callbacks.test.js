// What users hand to retry, breaker, health checks and shutdown, and how it may misbehave.
'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { mock, test } = require('node:test');
const { HealthMonitor, checkDatabaseHealth, performHealthCheck } = require('../../lib/health.js');
const { CircuitBreaker, withRetry } = require('../../lib/resilience.js');
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
  // A millisecond for each attempt, however often the clock is looked at.
  t.mock.method(performance, 'now', () => fn.mock.callCount());
  const fn = mock.fn(async () => {
    if (fn.mock.callCount() > 1200) throw new Error('still called');
    return refuse();
  });
  const options = { maxAttempts: Number.POSITIVE_INFINITY, delayMs: 0, maxElapsedMs: 1100 };
  await assert.rejects(withRetry(fn, options), { code: 'ECONNREFUSED' });
  assert.ok(fn.mock.callCount() > 1050);
});

/** A breaker whose reset time is over at once, after a failure. */
async function opened(onStateChange) {
  const breaker = new CircuitBreaker({ threshold: 1, resetTimeMs: 0, onStateChange });
  await assert.rejects(breaker.execute(refuse), { code: 'ECONNREFUSED' });
  return breaker;
}

test('C10: a call made by onStateChange is no second probe', async () => {
  const probe = mock.fn(async () => 'well');
  let inner;
  const breaker = await opened((state) => {
    if (state === 'half-open') inner = breaker.execute(probe);
    inner?.catch(() => {});
  });
  assert.equal(await breaker.execute(probe), 'well');
  await assert.rejects(inner, { message: 'Circuit breaker is testing recovery' });
  assert.equal(probe.mock.callCount(), 1);
  assert.equal(breaker.isClosed(), true);
});

test('C8: what onStateChange forces holds against the probe that it hears of', async () => {
  const forced = await opened((state) => {
    if (state === 'half-open') forced.forceOpen();
  });
  await forced.execute(async () => 'well');
  assert.equal(forced.isOpen(), true);
  const reset = await opened((state) => {
    if (state === 'half-open') reset.reset();
  });
  await assert.rejects(reset.execute(refuse), { code: 'ECONNREFUSED' });
  const { state, failures, isTestingHalfOpen } = reset.getState();
  assert.deepEqual(
    { state, failures, isTestingHalfOpen },
    {
      state: 'closed',
      failures: 0,
      isTestingHalfOpen: false,
    },
  );
});

test('H3: a getMetrics that gives a promise gives no figures, and its rejection harms nobody', async () => {
  const db = { selectNoFrom: () => ({ execute: async () => [{ ping: 1 }] }) };
  for (const getMetrics of [refuse, async () => ({ total: 1, idle: 1, active: 0, waiting: 0 })]) {
    const { status, metrics } = await checkDatabaseHealth(db, { getMetrics });
    assert.equal(status, 'healthy');
    assert.equal(metrics.poolMetrics, undefined);
  }
});

test('S10: an exitCode that gives no whole number leaves the status as it would be', () => {
  const program = `
    const { registerShutdownHandlers } = require(${JSON.stringify(require.resolve('../../lib/shutdown.js'))});
    const refuse = async () => { throw new Error('refused'); };
    const codes = { nothing: (error) => { if (error) return 3; }, promised: async () => 4, rejected: refuse };
    const exitCode = codes[process.argv[1]];
    registerShutdownHandlers({ destroy: async () => {} }, { exitCode, logger: {} });
    registerShutdownHandlers({ destroy: refuse }, { exitCode, logger: {} });
    setInterval(() => {}, 1000);
    process.kill(process.pid, 'SIGTERM');`;
  const expected = { nothing: 3, promised: 1, rejected: 1 };
  for (const [how, code] of Object.entries(expected)) {
    const { status, stderr } = spawnSync(process.execPath, ['-e', program, how], {
      timeout: 20_000,
    });
    assert.deepEqual([how, status, String(stderr)], [how, code, '']);
  }
});

test('what shouldRetry and isFailure throw or reject with hides no error and ends no process', async () => {
  const broken = () => {
    throw new Error('of the hook');
  };
  const fn = mock.fn(refuse);
  const refused = { code: 'ECONNREFUSED' };
  await assert.rejects(withRetry(fn, { delayMs: 0, shouldRetry: broken }), refused);
  assert.equal(fn.mock.callCount(), 1);
  const rejecting = async () => broken();
  await assert.rejects(withRetry(refuse, { delayMs: 0, shouldRetry: rejecting }), refused);
  const breaker = new CircuitBreaker({ threshold: 1, isFailure: rejecting });
  await assert.rejects(breaker.execute(refuse), refused);
  assert.equal(breaker.isOpen(), true);
  await new Promise((resolve) => setImmediate(resolve));
});

test('a promise of shouldRetry or isFailure decides nothing: it was taken for yes, whatever it came to', async () => {
  for (const said of [async () => false, async () => true, () => Promise.reject(new Error('no'))]) {
    const fn = mock.fn(refuse);
    await assert.rejects(withRetry(fn, { delayMs: 0, shouldRetry: said }), {
      code: 'ECONNREFUSED',
    });
    assert.equal(fn.mock.callCount(), 1);
    const logged = [];
    const logger = { error: (message) => logged.push(message) };
    const breaker = new CircuitBreaker({ threshold: 1, isFailure: said, logger });
    await assert.rejects(breaker.execute(refuse), { code: 'ECONNREFUSED' });
    assert.equal(breaker.isOpen(), true);
    assert.match(logged[0], /^isFailure threw: it gave a promise/);
  }
});

test('H3: a database that throws when it is looked at is unhealthy, and no check rejects', async () => {
  const problem = new Error('not initialised yet');
  const absent = new Proxy(
    {},
    {
      get() {
        throw problem;
      },
    },
  );
  const result = await checkDatabaseHealth(absent, absent);
  assert.deepEqual([result.status, result.errors], ['unhealthy', [problem.message]]);
  const verbose = await performHealthCheck(absent, { pool: absent, verbose: true, logger: {} });
  assert.deepEqual(verbose.errors, [problem.message]);
  const monitor = new HealthMonitor(absent, { logger: {}, intervalMs: 3_600_000 });
  const seen = await new Promise((resolve) => {
    monitor.start(resolve);
  });
  monitor.stop();
  assert.equal(seen.status, 'unhealthy');
});
