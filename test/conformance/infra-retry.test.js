// Rules R1 to R8: retry.
'use strict';

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { mock, test } = require('node:test');
const { createRetryWrapper, isTransientError, withRetry } = require('../../lib/resilience.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const database = testDatabase('create table r8 (n int)');

const coded = (code, more = {}) =>
  Object.assign(new Error(`failed with ${code}`), { code, ...more });

/** A function that fails with each of the errors in turn and then gives 'done'. */
function failing(...errors) {
  const fn = mock.fn(async () => {
    if (errors.length > 0) throw errors.shift();
    return 'done';
  });
  return fn;
}

/** The delays that withRetry asks timers for, without waiting for them. */
async function delaysOf(t, options) {
  const delays = [];
  const real = globalThis.setTimeout;
  t.mock.method(globalThis, 'setTimeout', (fn, ms, ...rest) => {
    delays.push(ms);
    return real(fn, 0, ...rest);
  });
  const fn = mock.fn(async () => {
    throw coded('ECONNRESET');
  });
  await assert.rejects(withRetry(fn, options), { code: 'ECONNRESET' });
  t.mock.restoreAll();
  return delays;
}

test('retry: the last error, and one that is not transient, come back as the same object', async () => {
  const unique = coded('23505');
  const fn = failing(unique);
  await assert.rejects(withRetry(fn), (error) => error === unique);
  assert.equal(fn.mock.callCount(), 1);
  const last = coded('40001');
  const three = failing(coded('40P01'), coded('ECONNRESET'), last);
  await assert.rejects(withRetry(three, { delayMs: 0 }), (error) => error === last);
  assert.equal(three.mock.callCount(), 3);
});

test('retry: delays double up to the cap, or stay the same without backoff', async (t) => {
  const exact = { maxAttempts: 5, delayMs: 100, maxDelayMs: 500, jitterFactor: 0 };
  assert.deepEqual(await delaysOf(t, exact), [100, 200, 400, 500]);
  assert.deepEqual(await delaysOf(t, { ...exact, backoff: false }), [100, 100, 100, 100]);
});

test('retry: a wrapper passes its arguments through', async () => {
  const fn = mock.fn(async (a, b) => a + b);
  assert.equal(await createRetryWrapper(fn)(1, 2), 3);
  const refused = createRetryWrapper(fn, { maxAttempts: 0 });
  await assert.rejects(refused(1, 2), { message: 'maxAttempts must be at least 1, got 0' });
});

test('retry: onRetry gets the number of the failed attempt and its error', async () => {
  const seen = [];
  const error = coded('ETIMEDOUT');
  await withRetry(failing(error, error), { delayMs: 0, onRetry: (...args) => seen.push(args) });
  assert.deepEqual(seen, [
    [1, error],
    [2, error],
  ]);
});

test('R1: no delay exceeds maxDelayMs, whatever the jitter', async (t) => {
  t.mock.method(Math, 'random', () => 0.999);
  const delays = await delaysOf(t, { maxAttempts: 4, delayMs: 400, maxDelayMs: 400 });
  assert.deepEqual(delays, [400, 400, 400]);
});

test('R1: jitter spreads over plus and minus its share', async (t) => {
  t.mock.method(Math, 'random', () => 0);
  assert.deepEqual(await delaysOf(t, { maxAttempts: 2, delayMs: 400 }), [300]);
  t.mock.method(Math, 'random', () => 0.75);
  assert.deepEqual(await delaysOf(t, { maxAttempts: 2, delayMs: 400 }), [450]);
});

test('R1: without a cap the delay goes on doubling', async (t) => {
  const options = { maxAttempts: 5, delayMs: 50_000, maxDelayMs: Number.POSITIVE_INFINITY };
  assert.deepEqual(
    await delaysOf(t, { ...options, jitterFactor: 0 }),
    [50_000, 100_000, 200_000, 400_000],
  );
});

test('R2: a first delay above the default cap raises the cap', async (t) => {
  const delays = await delaysOf(t, { maxAttempts: 3, delayMs: 60_000, jitterFactor: 0 });
  assert.deepEqual(delays, [60_000, 60_000]);
  const fn = failing();
  await assert.rejects(withRetry(fn, { delayMs: 1000, maxDelayMs: 500 }), {
    message: 'maxDelayMs (500) must be greater than or equal to delayMs (1000)',
  });
  assert.equal(fn.mock.callCount(), 0);
});

test('R3: maxAttempts is a whole number of at least 1, or Infinity', async () => {
  for (const maxAttempts of [Number.NaN, 2.5, 0, -1, 0.5, Number.NEGATIVE_INFINITY]) {
    const fn = failing();
    await assert.rejects(withRetry(fn, { maxAttempts }), /maxAttempts must be .*, got/);
    assert.equal(fn.mock.callCount(), 0, String(maxAttempts));
  }
  const many = failing(...Array.from({ length: 20 }, () => coded('EPIPE')));
  assert.equal(
    await withRetry(many, { maxAttempts: Number.POSITIVE_INFINITY, delayMs: 0 }),
    'done',
  );
});

test('R3: options are checked by name and type', async () => {
  await assert.rejects(withRetry(failing(), { maxAttempt: 3 }), /did you mean "maxAttempts"/);
  await assert.rejects(withRetry(failing(), { delayMs: '1' }), /option "delayMs" must be a number/);
  await assert.rejects(withRetry(failing(), { delayMs: Number.NaN }), /"delayMs"/);
  await assert.rejects(withRetry(failing(), { jitterFactor: 2 }), /"jitterFactor"/);
  await assert.rejects(withRetry(failing(), { maxDelayMs: Number.NaN }), /"maxDelayMs"/);
  for (const maxElapsedMs of [-1, Number.NaN]) {
    await assert.rejects(withRetry(failing(), { maxElapsedMs }), /"maxElapsedMs"/);
  }
  await assert.rejects(withRetry('select 1'), {
    name: 'TypeError',
    message: 'fn must be a function, got string',
  });
});

test('R4: an onRetry that throws or rejects ends nothing', async () => {
  const throwing = () => {
    throw new Error('hook');
  };
  assert.equal(await withRetry(failing(coded('EPIPE')), { delayMs: 0, onRetry: throwing }), 'done');
  const rejecting = async () => throwing();
  assert.equal(
    await withRetry(failing(coded('EPIPE')), { delayMs: 0, onRetry: rejecting }),
    'done',
  );
});

test('R5: a signal stops the wait at once with its reason', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const fn = failing(coded('EPIPE'), coded('EPIPE'));
  const options = { delayMs: 60_000, signal: controller.signal };
  const retried = withRetry(fn, { ...options, onRetry: () => controller.abort(reason) });
  await assert.rejects(retried, (error) => error === reason);
  assert.equal(fn.mock.callCount(), 1);
});

test('R5: a signal ends an attempt that never settles, and an aborted one starts none', async () => {
  const controller = new AbortController();
  const hanging = withRetry(() => new Promise(() => {}), { signal: controller.signal });
  controller.abort(new Error('gone'));
  await assert.rejects(hanging, { message: 'gone' });
  const fn = failing();
  await assert.rejects(
    withRetry(fn, { signal: AbortSignal.abort('before') }),
    (e) => e === 'before',
  );
  assert.equal(fn.mock.callCount(), 0);
});

test('R5: the reason of a signal goes before what the attempt makes of it', async () => {
  for (const isAsync of [true, false]) {
    const controller = new AbortController();
    const fail = () => {
      controller.abort(new Error('gone'));
      throw coded('23505');
    };
    const fn = isAsync ? async () => fail() : fail;
    await assert.rejects(withRetry(fn, { signal: controller.signal }), { message: 'gone' });
  }
});

test('R5: calls that share a signal share one listener, of which Node does not warn', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const options = { delayMs: 60_000, signal };
  const hanging = Array.from({ length: 20 }, (_, n) =>
    withRetry(n % 2 ? () => new Promise(() => {}) : failing(coded('EPIPE')), options),
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  controller.abort('shutdown');
  for (const one of await Promise.allSettled(hanging))
    assert.equal(/** @type {PromiseRejectedResult} */ (one).reason, 'shutdown');
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('R5: a signal that lives longer is left without listeners', async () => {
  const { signal } = new AbortController();
  assert.equal(await withRetry(failing(coded('EPIPE')), { delayMs: 0, signal }), 'done');
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('R5: no attempt begins after maxElapsedMs', async () => {
  const errors = Array.from({ length: 9 }, () => coded('EPIPE'));
  const fn = failing(...errors);
  const options = {
    maxAttempts: 9,
    delayMs: 20,
    backoff: false,
    jitterFactor: 0,
    maxElapsedMs: 50,
  };
  await assert.rejects(withRetry(fn, options), { code: 'EPIPE' });
  assert.ok(
    fn.mock.callCount() >= 1 && fn.mock.callCount() <= 3,
    `${fn.mock.callCount()} attempts`,
  );
});

test('R5: no attempt begins after maxElapsedMs when the wait took longer than it should', async () => {
  const fn = failing(coded('EPIPE'), coded('EPIPE'));
  const options = {
    delayMs: 20,
    jitterFactor: 0,
    maxElapsedMs: 200,
    onRetry() {
      const end = performance.now() + 220;
      setImmediate(() => {
        while (performance.now() < end);
      });
    },
  };
  await assert.rejects(withRetry(fn, options), { code: 'EPIPE' });
  assert.equal(fn.mock.callCount(), 1);
});

test('R6: the transient codes', () => {
  const codes = `ECONNREFUSED ETIMEDOUT ECONNRESET EPIPE EAI_AGAIN EHOSTUNREACH ENETUNREACH 08000 08001 08003 08004 08006
    40001 40P01 53300 57P01 57P02 57P03 57P05 ER_LOCK_DEADLOCK ER_LOCK_WAIT_TIMEOUT ER_CON_COUNT_ERROR
    PROTOCOL_CONNECTION_LOST SQLITE_BUSY SQLITE_LOCKED -2 -1 233 1205 1222 10053 10054`;
  for (const code of codes.split(/\s+/)) assert.equal(isTransientError({ code }), true, code);
  assert.equal(isTransientError({ number: 1205 }), true);
  for (const other of [{ code: '23505' }, {}, null, undefined, 'ECONNRESET', new Error('x')]) {
    assert.equal(isTransientError(other), false);
  }
});

test('R6: causes are looked through, loops included, and errors when all are transient', () => {
  const wrapped = new Error('outer', {
    cause: new Error('middle', { cause: coded('ECONNRESET') }),
  });
  assert.equal(isTransientError(wrapped), true);
  const loop = new Error('loop');
  loop.cause = loop;
  assert.equal(isTransientError(loop), false);
  const all = new AggregateError([coded('ECONNREFUSED'), coded('EHOSTUNREACH')]);
  assert.equal(isTransientError(all), true);
  assert.equal(
    isTransientError(new AggregateError([coded('ECONNREFUSED'), coded('23505')])),
    false,
  );
  assert.equal(isTransientError(new AggregateError([])), false);
  all.errors.push(all);
  assert.equal(isTransientError(all), false);
});

test('R6: connection failures of this driver are transient', async (t) => {
  const { createPool } = require('../../lib/index.js');
  const pool = createPool({ host: '127.0.0.1', port: 1, user: 'x', acquireTimeoutMs: 300 });
  t.after(() => pool.end());
  const error = await pool.query('select 1').then(assert.fail, (failure) => failure);
  assert.equal(isTransientError(error), true);
  assert.equal(isTransientError({ code: error.code }), true, `code ${error.code}`);
});

test('R6: a lost connection and a time that is over are transient on every face', async (t) => {
  const { Client, ServerlessClient } = require('../../lib/index.js');
  const proxy = await database.openProxy(t);
  const lossAt = (text) => proxy.cutAt({ direction: 'toClient', text, before: true });
  const isTold = (error, outcome) =>
    assert.deepEqual(
      [error.outcome, error.transient, isTransientError(error)],
      [outcome, true, true],
      error.stack,
    );
  const connectionString = proxy.url(database.url);
  const client = new Client({ connectionString });
  t.after(() => client.end());
  const told = new Promise((resolve) => client.once('error', resolve));
  await client.connect();
  lossAt('first');
  const asked = ["select 'first'", 'select 2'].map((text) => failureOf(client.query(text)));
  isTold(await asked[0], 'unknown');
  isTold(await asked[1], 'not-sent');
  isTold(await told, 'not-sent');
  const late = new Client({ connectionString: database.url, query_timeout: 100 });
  t.after(() => late.end());
  await late.connect();
  const behind = ['select pg_sleep(60)', 'select 2'].map((text) => failureOf(late.query(text)));
  isTold(await behind[1], 'not-sent');
  isTold(await behind[0], 'failed');
  for (const library of [undefined, require('pg')]) {
    const secret = 'a secret that only the tests know';
    const options = { connectionString, secret, reaper: false, retries: 0, library };
    const serverless = new ServerlessClient(options);
    t.after(() => serverless.end());
    await serverless.query('select 1');
    lossAt('INSERT 0 1');
    isTold(await failureOf(serverless.query('insert into r8 values (7)')), 'unknown');
  }
  await database.sql('truncate r8');
});

test('R6: what a failed transaction refuses is not transient', async (t) => {
  const pool = database.openPool(t);
  const tx = await pool.begin();
  await assert.rejects(tx.query('select 1/0'), { code: '22012' });
  const error = await tx.query('select 1').then(assert.fail, (failure) => failure);
  await tx.rollback();
  assert.equal(error.code, '25P02');
  assert.equal(isTransientError(error), false);
});

test('R6: an error of this driver says it itself, whatever is behind it', () => {
  const cause = coded('ECONNRESET');
  const ours = { outcome: 'failed', transient: false };
  assert.equal(isTransientError(coded('ERR_OF_OURS', { ...ours, cause })), false);
  assert.equal(isTransientError(coded('ERR_OF_OURS', { ...ours, transient: true })), true);
  // Others may mean something else by the word.
  assert.equal(isTransientError(coded('ERR_OF_OTHERS', { transient: true })), false);
  assert.equal(isTransientError(coded('ERR_OF_OTHERS', { transient: false, cause })), true);
});

test('R7: an unknown outcome is retried only when that is harmless', async () => {
  const doubt = () => coded('ECONNRESET', { outcomeUnknown: true });
  const fn = failing(doubt());
  await assert.rejects(withRetry(fn, { delayMs: 0 }), { outcomeUnknown: true });
  assert.equal(fn.mock.callCount(), 1);
  const hidden = failing(new Error('wrapped', { cause: doubt() }));
  const always = { delayMs: 0, shouldRetry: () => true };
  await assert.rejects(withRetry(hidden, always), /wrapped/);
  const among = new AggregateError([coded('ECONNREFUSED'), doubt()], 'several');
  among.errors.unshift(among);
  await assert.rejects(withRetry(failing(among), always), /several/);
  assert.equal(await withRetry(failing(doubt()), { delayMs: 0, idempotent: true }), 'done');
});

test('R8: an insert whose answer was lost is not done twice', async (t) => {
  const proxy = await database.openProxy(t);
  const pool = database.openPool(t, { connectionString: proxy.url(database.url) });
  await pool.query('select 1');
  const inserted = withRetry(() => pool.query('insert into r8 select 1 from pg_sleep(0.3)', []), {
    delayMs: 1,
  });
  await database.running('insert into r8');
  await proxy.cutAll();
  await assert.rejects(inserted, { outcomeUnknown: true });
  await waitFor(async () => (await database.sql('select from r8')).length === 1, {
    what: 'the row',
  });
});
