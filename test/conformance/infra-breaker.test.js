// Rules C1 to C10: the circuit breaker.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { createServer } = require('node:net');
const { mock, test } = require('node:test');
const { createPool } = require('../../lib/index.js');
const { CircuitBreaker, CircuitBreakerError, withRetry } = require('../../lib/resilience.js');
require('../support/stray-errors.js');

const coded = (code) => Object.assign(new Error(`failed with ${code}`), { code });

const down = async () => {
  throw coded('ECONNREFUSED');
};
const up = async () => 'up';
const failTimes = async (breaker, times, fn = down) => {
  for (let i = 0; i < times; i++) await breaker.execute(fn).catch(() => {});
};

/** A function with the means to settle its promise. */
function pending() {
  const { promise, resolve, reject } = deferred();
  return { fn: () => promise, resolve, reject };
}

function deferred() {
  let resolve;
  let reject;
  const promise = new Promise((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  return { promise, resolve, reject };
}

test('breaker: opens at the threshold, fails fast, and closes after a good probe', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const changes = [];
  const onStateChange = (...states) => changes.push(states.join('<'));
  const breaker = new CircuitBreaker({ threshold: 3, resetTimeMs: 1000, onStateChange });
  await failTimes(breaker, 3);
  assert.deepEqual(breaker.getState(), {
    state: 'open',
    failures: 3,
    lastFailureTime: Date.now(),
    isTestingHalfOpen: false,
  });
  const fn = mock.fn(up);
  await assert.rejects(breaker.execute(fn), { message: 'Circuit breaker is open' });
  assert.equal(fn.mock.callCount(), 0);
  t.mock.timers.tick(1001);
  const probe = pending();
  const probing = breaker.execute(probe.fn);
  assert.equal(breaker.getState().isTestingHalfOpen, true);
  await assert.rejects(breaker.execute(fn), { message: 'Circuit breaker is testing recovery' });
  probe.resolve('fine');
  assert.equal(await probing, 'fine');
  assert.equal(breaker.isClosed(), true);
  assert.equal(breaker.getState().failures, 0);
  assert.deepEqual(changes, ['open<closed', 'half-open<open', 'closed<half-open']);
});

test('breaker: a failed probe opens it again', async () => {
  const breaker = new CircuitBreaker(1, 0);
  await failTimes(breaker, 1);
  await assert.rejects(breaker.execute(down), { code: 'ECONNREFUSED' });
  assert.equal(breaker.isOpen(), true);
});

test('C1: failures count only when they are consecutive', async () => {
  const breaker = new CircuitBreaker(3);
  for (let i = 0; i < 10; i++) {
    await failTimes(breaker, 2);
    await breaker.execute(up);
  }
  assert.deepEqual([breaker.isClosed(), breaker.getState().failures], [true, 0]);
});

test('C2: answers of the server about a statement do not count', async () => {
  const breaker = new CircuitBreaker(1);
  const abort = Object.assign(new Error('aborted'), { name: 'AbortError' });
  for (const error of [coded('23505'), coded('40001'), coded('22012'), abort]) {
    await failTimes(breaker, 1, () => Promise.reject(error));
    assert.equal(breaker.isClosed(), true, error.message);
  }
  for (const error of [
    coded('08006'),
    coded('53300'),
    coded('XX000'),
    coded('EPIPE'),
    new Error('bug'),
  ]) {
    const strict = new CircuitBreaker(1);
    await failTimes(strict, 1, () => Promise.reject(error));
    assert.equal(strict.isOpen(), true, error.message);
  }
});

test('C2: an abort by the caller does not count, whatever its reason', async (t) => {
  const silent = createServer(() => {});
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (silent.address());
  const pool = createPool(`postgres://nobody@127.0.0.1:${port}/none?sslmode=disable`);
  t.after(async () => {
    await pool.end({ timeoutMs: 1 });
    silent.close();
  });
  const never = () => new Promise(() => {});
  const works = {
    'a statement': (signal) => pool.query('select 1', [], { signal }),
    'a batch': (signal) => pool.batch(['select 1'], { signal, errors: 'all-or-nothing' }),
    'a transaction': (signal) => pool.transaction((tx) => tx.query('select 1'), { signal }),
    retries: (signal) => withRetry(never, { signal }),
  };
  for (const [what, work] of Object.entries(works)) {
    const breaker = new CircuitBreaker(1);
    const reason = new Error('the user has left');
    const controller = new AbortController();
    const left = breaker.execute(() => work(controller.signal));
    setImmediate(() => controller.abort(reason));
    await assert.rejects(left, (error) => error === reason, what);
    assert.equal(breaker.isClosed(), true, what);
    const before = AbortSignal.abort(new Error('the user had left'));
    await assert.rejects(
      breaker.execute(() => work(before)),
      { message: 'the user had left' },
    );
    assert.equal(breaker.isClosed(), true, `${what}, begun too late`);
    await assert.rejects(
      breaker.execute(() => work(AbortSignal.timeout(1))),
      { name: 'TimeoutError' },
    );
    assert.equal(breaker.isClosed(), true, `${what}, by a timeout of the caller`);
  }
});

test('C2: what the rest of the work was stopped with is still a failure', async () => {
  const breaker = new CircuitBreaker(1);
  const controller = new AbortController();
  const failure = coded('ECONNREFUSED');
  const all = breaker.execute(async () => {
    const rest = withRetry(() => new Promise(() => {}), { signal: controller.signal });
    controller.abort(failure);
    await rest;
  });
  await assert.rejects(all, (error) => error === failure);
  assert.equal(breaker.isOpen(), true);
});

test('C2: an error that does not count clears the count and closes a half-open breaker', async () => {
  const breaker = new CircuitBreaker(2, 0);
  await failTimes(breaker, 1);
  await failTimes(breaker, 1, () => Promise.reject(coded('23505')));
  assert.equal(breaker.getState().failures, 0);
  await failTimes(breaker, 2);
  assert.equal(breaker.isOpen(), true);
  await failTimes(breaker, 1, () => Promise.reject(coded('23505')));
  assert.equal(breaker.isClosed(), true);
});

test('C2: isFailure decides, and one that throws counts', async () => {
  const lenient = new CircuitBreaker({ threshold: 1, isFailure: () => false });
  await failTimes(lenient, 3);
  assert.equal(lenient.isClosed(), true);
  const isFailure = () => {
    throw new Error('hook');
  };
  const broken = new CircuitBreaker({ threshold: 1, isFailure });
  await assert.rejects(broken.execute(down), { code: 'ECONNREFUSED' });
  assert.equal(broken.isOpen(), true);
});

test('C3: a probe that never settles gives its place away', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const breaker = new CircuitBreaker({ threshold: 1, resetTimeMs: 1000, probeTimeoutMs: 500 });
  await failTimes(breaker, 1);
  t.mock.timers.tick(1000);
  const hung = pending();
  const first = breaker.execute(hung.fn);
  t.mock.timers.tick(499);
  await assert.rejects(breaker.execute(up), CircuitBreakerError);
  t.mock.timers.tick(1);
  const second = pending();
  const next = breaker.execute(second.fn);
  t.mock.timers.tick(499);
  await assert.rejects(breaker.execute(up), CircuitBreakerError, 'the next probe has its own time');
  second.resolve('up');
  assert.equal(await next, 'up');
  hung.reject(coded('ECONNREFUSED'));
  await assert.rejects(first, { code: 'ECONNREFUSED' });
  assert.equal(breaker.isClosed(), true, 'what the old probe did is ignored');
});

test('C4: calls begun in an earlier state change nothing', async () => {
  const breaker = new CircuitBreaker(1, 0);
  const old = pending();
  const early = breaker.execute(old.fn);
  await failTimes(breaker, 1);
  const probe = pending();
  const probing = breaker.execute(probe.fn);
  old.reject(coded('ECONNREFUSED'));
  await assert.rejects(early);
  assert.equal(breaker.getState().state, 'half-open');
  probe.resolve('ok');
  await probing;
  assert.equal(breaker.isClosed(), true);
});

test('C4: a late success of before the opening does not close it', async () => {
  const breaker = new CircuitBreaker(1);
  const old = pending();
  const early = breaker.execute(old.fn);
  await failTimes(breaker, 1);
  old.resolve('late');
  assert.equal(await early, 'late');
  assert.equal(breaker.isOpen(), true);
});

test('C5: an onStateChange that throws changes nothing and is logged', async () => {
  const logged = [];
  const onStateChange = () => {
    throw new Error('hook');
  };
  const logger = { error: (message) => logged.push(message) };
  const breaker = new CircuitBreaker({ threshold: 1, resetTimeMs: 0, onStateChange, logger });
  await assert.rejects(breaker.execute(down), { code: 'ECONNREFUSED' });
  assert.equal(await breaker.execute(up), 'up');
  assert.equal(breaker.isClosed(), true);
  assert.equal(logged.length, 3);
});

test('C6: wrong thresholds and times are refused by name', () => {
  for (const threshold of [0, -1, Number.NaN, 1.5]) {
    assert.throws(() => new CircuitBreaker({ threshold }), {
      name: 'RangeError',
      message: /threshold/,
    });
    assert.throws(() => new CircuitBreaker(threshold), RangeError);
  }
  for (const resetTimeMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new CircuitBreaker({ resetTimeMs }), /resetTimeMs/);
    assert.throws(() => new CircuitBreaker(5, resetTimeMs), RangeError);
  }
  assert.throws(() => new CircuitBreaker({ probeTimeoutMs: 0 }), /probeTimeoutMs/);
  assert.throws(() => new CircuitBreaker({ treshold: 5 }), /did you mean "threshold"/);
});

test('C7: the error says when to come back, and is the same class from both entries', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const breaker = new CircuitBreaker(1, 1000);
  await failTimes(breaker, 1);
  t.mock.timers.tick(400);
  const error = await breaker.execute(up).then(assert.fail, (failure) => failure);
  assert.ok(error instanceof CircuitBreakerError);
  assert.equal(error.retryAfterMs, 600);
  assert.deepEqual([error.name, error.code], ['CircuitBreakerError', 'DB_CONNECTION_FAILED']);
  const { name, message, code, detail } = error;
  assert.deepEqual(error.toJSON(), { name, message, code, detail });
  assert.equal(require('../../lib/index.js').CircuitBreakerError, CircuitBreakerError);
});

test('C8: forceOpen and reset take effect at once', async () => {
  const breaker = new CircuitBreaker(5);
  const opened = breaker.forceOpen();
  assert.equal(breaker.isOpen(), true);
  assert.equal(breaker.getState().failures, 5);
  await assert.rejects(breaker.execute(up), CircuitBreakerError);
  const closed = breaker.reset();
  assert.deepEqual(breaker.getState(), {
    state: 'closed',
    failures: 0,
    lastFailureTime: undefined,
    isTestingHalfOpen: false,
  });
  await Promise.all([opened, closed]);
});

test('C9: at exactly the reset time it is open no longer', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const breaker = new CircuitBreaker(1, 1000);
  await failTimes(breaker, 1);
  t.mock.timers.tick(999);
  await assert.rejects(breaker.execute(up), CircuitBreakerError);
  t.mock.timers.tick(1);
  assert.equal(await breaker.execute(up), 'up');
});

test('C10: execute calls its function at once and adds one await around it', async () => {
  const breaker = new CircuitBreaker();
  let turns = 0;
  let isDone = false;
  const count = async () => {
    while (!isDone) {
      turns++;
      await null;
    }
  };
  const counting = count();
  const result = breaker.execute(() => Promise.resolve('x'));
  await result;
  isDone = true;
  await counting;
  // One turn of the queue for the await inside, one for the await here.
  assert.ok(turns <= 4, `${turns} turns`);
});

test('C10: callers that arrive together after the reset time make one probe', async () => {
  const breaker = new CircuitBreaker(1, 0);
  await failTimes(breaker, 1);
  const fn = mock.fn(up);
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => breaker.execute(fn)));
  assert.equal(fn.mock.callCount(), 1);
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 4);
});
