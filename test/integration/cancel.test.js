// Cancelling: by signal and by time, and never anything but what it was meant for (rule C02).
'use strict';

const assert = require('node:assert/strict');
const { Client, Cursor, Pool, Query } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();
const ROUNDS = 100;
/** Seconds a raced statement sleeps: about as long as a cancel takes, and two that are certainly too long. */
const SLEEPS = [0.002, 0.005, 0.008, 0.01, 0.012, 0.015, 0.02, 0.03, 5, 60];
const sleepOf = (round) => SLEEPS[round % SLEEPS.length];

/** A line on which a cancel request arrives about when the answer leaves. */
async function slowLine(t) {
  const proxy = await db.openProxy(t);
  return proxy;
}

/**
 * Each round cancels a statement around its end and asks another one at once, which must have its answer.
 * @param {(round: number) => Promise<'answered' | 'cancelled'>} raced
 * @param {(round: number) => Promise<number>} next
 */
async function neverHits(raced, next) {
  const came = { answered: 0, cancelled: 0 };
  // On a busy machine longer, until one was early enough: otherwise nothing was raced.
  for (let round = 0; round < ROUNDS || came.answered === 0; round++) {
    const first = raced(round);
    const second = next(round);
    came[await first] += 1;
    assert.equal(await second, round);
  }
  assert.ok(came.cancelled >= 20, JSON.stringify(came));
}

const settled = (promise, name) =>
  promise.then(
    () => 'answered',
    (error) => {
      assert.equal(error.name, name, String(error));
      return 'cancelled';
    },
  );

test('sec_c02: a late cancel by time never hits the next statement of a pool, 100 of 100', async (t) => {
  const proxy = await slowLine(t);
  proxy.delay(3, ['toServer']);
  const pool = db.openPool(t, { connectionString: proxy.url(db.url), poolSize: 1 });
  await pool.query('select 1');
  await neverHits(
    (round) =>
      settled(
        pool.query('select pg_sleep($1)', [sleepOf(round)], { timeoutMs: 12 }),
        'TimeoutError',
      ),
    async (round) => (await pool.query('select pg_sleep(0.004), $1::int as i', [round]))[0].i,
  );
});

test('sec_c02: a late cancel by signal never hits the next statement of a pool, 100 of 100', async (t) => {
  const proxy = await slowLine(t);
  proxy.delay(2, ['toServer']);
  const pool = db.openPool(t, { connectionString: proxy.url(db.url), poolSize: 1 });
  await pool.query('select 1');
  await neverHits(
    (round) => {
      const signal = AbortSignal.timeout(8 + (round % 5));
      const slept = pool.query('select pg_sleep($1)', [sleepOf(round)], { signal });
      return settled(slept, 'TimeoutError');
    },
    async (round) => (await pool.query('select pg_sleep(0.003), $1::int as i', [round]))[0].i,
  );
});

test('sec_c02: a late cancel by query_timeout never hits the next statement of a client, 100 of 100', async (t) => {
  const proxy = await slowLine(t);
  proxy.delay(3, ['toServer']);
  const client = new Client({ connectionString: proxy.url(db.url) });
  t.after(() => client.end());
  await client.connect();
  await neverHits(
    (round) =>
      settled(
        client.query({
          text: 'select pg_sleep($1)',
          values: [sleepOf(round)],
          query_timeout: 12,
        }),
        'TimeoutError',
      ),
    async (round) =>
      (await client.query('select pg_sleep(0.004), $1::int as i', [round])).rows[0].i,
  );
});

test('sec_c02: a late cancel by signal never hits the next statement of a client, 100 of 100', async (t) => {
  const proxy = await slowLine(t);
  proxy.delay(2, ['toServer']);
  const client = new Client({ connectionString: proxy.url(db.url) });
  t.after(() => client.end());
  await client.connect();
  await neverHits(
    (round) => {
      const signal = AbortSignal.timeout(8 + (round % 5));
      const values = [sleepOf(round)];
      return settled(client.query({ text: 'select pg_sleep($1)', values, signal }), 'TimeoutError');
    },
    async (round) =>
      (await client.query('select pg_sleep(0.003), $1::int as i', [round])).rows[0].i,
  );
});

test('a query of a client is given up before it is sent, while it waits, and while it runs', async (t) => {
  const client = new Client(db.url);
  await client.connect();
  t.after(() => client.end());
  const reason = new Error('mine');
  const early = client.query({ text: 'select 1', signal: AbortSignal.abort(reason) });
  await assert.rejects(early, (error) => error === reason);
  const cursor = client.query(new Cursor('select 1'));
  const waiting = new AbortController();
  const behind = client.query({ text: 'create table never (a int)', signal: waiting.signal });
  waiting.abort(reason);
  await assert.rejects(behind, (error) => error === reason);
  await cursor.close();
  const running = new AbortController();
  const slow = assert.rejects(
    client.query({ text: 'select pg_sleep(61)', signal: running.signal }),
    (error) => error === reason,
  );
  await db.running('pg_sleep(61)');
  running.abort(reason);
  await slow;
  await assert.rejects(client.query({ text: 'select 1', signal: 'no' }), { name: 'TypeError' });
  const { signal } = new AbortController();
  assert.throws(
    () => client.querySync({ text: 'select 1', signal }),
    /no effect on a blocking call/,
  );
  const { rows } = await client.query(`select to_regclass('never') as never`);
  assert.deepEqual(rows, [{ never: null }]);
});

test('a Query is given up by its signal as a query is, on a client and on a pool', async (t) => {
  const pool = new Pool({ connectionString: db.url, max: 1 });
  t.after(() => pool.end());
  const client = await pool.connect();
  const reason = new Error('mine');
  /** What its events say. */
  const ended = (query) =>
    new Promise((resolve, reject) => query.on('end', resolve).on('error', reject));
  const early = client.query(new Query({ text: 'select 1', signal: AbortSignal.abort(reason) }));
  await assert.rejects(ended(early), reason);
  const cursor = client.query(new Cursor('select 1'));
  const waiting = new AbortController();
  const text = 'create table never (a int)';
  const behind = ended(client.query(new Query({ text, signal: waiting.signal })));
  waiting.abort(reason);
  await assert.rejects(behind, reason);
  await cursor.close();
  const running = new AbortController();
  const slow = ended(
    client.query(new Query({ text: 'select pg_sleep(61)', signal: running.signal })),
  );
  await db.running('pg_sleep(61)');
  running.abort(reason);
  await assert.rejects(slow, reason);
  await assert.rejects(ended(client.query(new Query({ text: 'select 1', signal: 'no' }))), {
    name: 'TypeError',
  });
  const forClient = new AbortController();
  const query = new Query({ text, signal: forClient.signal });
  const [told, given] = [ended(query), pool.query(query)];
  forClient.abort(reason);
  await assert.rejects(told, reason);
  await assert.rejects(given, reason);
  const late = new AbortController();
  const done = client.query(new Query({ text: 'select 1 as n', signal: late.signal }));
  assert.deepEqual((await ended(done)).rowCount, 1);
  late.abort(reason);
  assert.deepEqual((await client.query(`select to_regclass('never') as never`)).rows, [
    { never: null },
  ]);
  client.release();
});

test('a cancelled statement is over on the server, and its connection is used again', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
  const controller = new AbortController();
  const slow = pool.query('select pg_sleep(60)', [], { signal: controller.signal });
  const outcome = slow.catch((error) => error);
  await db.running('pg_sleep(60)');
  const reason = new Error('not needed any more');
  controller.abort(reason);
  assert.equal(await outcome, reason);
  await db.idle('pg_sleep(60)');
  assert.equal((await pool.query('select pg_backend_pid() as pid'))[0].pid, pid);
});

test('what end() cancels says so, also where a signal has not fired', async (t) => {
  const { signal } = new AbortController();
  const pool = db.openPool(t);
  const given = ['select pg_sleep(61)', 'select pg_sleep(62)'];
  const asked = given.map((sql, n) => pool.query(sql, [], n === 0 ? { signal } : {}));
  const outcomes = asked.map((query) => query.catch((error) => error));
  for (const sql of given) await db.running(sql);
  await pool.end({ timeoutMs: 50 });
  for (const { name, code, outcome, message } of await Promise.all(outcomes)) {
    assert.deepEqual([name, code, outcome], ['CancelledError', 'ABORT_ERR', 'failed']);
    assert.equal(message, 'query: cancelled by end()');
  }
  const client = new Client({ connectionString: db.url });
  await client.connect();
  const last = client.query({ text: 'select pg_sleep(63)', signal }).catch((error) => error);
  await db.running('select pg_sleep(63)');
  await client.end();
  assert.equal((await last).message, 'Connection terminated');
});

test('sec_c04: a cancel request that overtakes its statement is sent again', async (t) => {
  const proxy = await slowLine(t);
  const pool = db.openPool(t, { connectionString: proxy.url(db.url), poolSize: 1 });
  const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
  const controller = new AbortController();
  proxy.delay(400, ['toServer']);
  const slow = pool.query('select pg_sleep(62)', [], { signal: controller.signal });
  const outcome = slow.catch((error) => error);
  await waitFor(() => proxy.held('toServer') > 0, { what: 'the statement on its way' });
  proxy.delay(0);
  const reason = new Error('not needed any more');
  controller.abort(reason);
  assert.equal(await outcome, reason);
  assert.equal((await pool.query('select pg_backend_pid() as pid'))[0].pid, pid);
});

test('a client tells its transaction status and its process with every answer', async (t) => {
  const client = new Client(db.url);
  assert.deepEqual([client.getTransactionStatus(), client.processID], [null, null]);
  await client.connect();
  t.after(() => client.end());
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  assert.equal(client.processID, pid);
  const statuses = [client.getTransactionStatus()];
  for (const sql of ['begin', 'select 1', 'select 1 / 0', 'rollback', 'select 1 / 0']) {
    await client.query(sql).catch(() => {});
    statuses.push(client.getTransactionStatus());
  }
  assert.deepEqual(statuses, ['I', 'T', 'T', 'E', 'I', 'I']);
});

test('a signal is heard that fires while its statement is for a moment neither in the queue nor on a connection', async (t) => {
  const native = require('../../lib/native.js');
  const { cancel } = native;
  t.after(() => Object.assign(native, { cancel }));
  const pool = db.openPool(t, { poolSize: 1 });
  const abort = new AbortController();
  const asked = pool.query('select pg_sleep(4)', [], { signal: abort.signal });
  await db.running('pg_sleep(4)');
  // With pauses that only double the statement would end before the fifteenth look.
  let looks = 0;
  Object.assign(native, { cancel: (...given) => ++looks > 14 && cancel(...given) });
  abort.abort();
  await assert.rejects(asked, (error) => error === abort.signal.reason);
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('what is given up while it runs is counted once, in whatever way it was run', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const limited = db.openPool(t, { maxStatementMs: 60 });
  const sql = 'select pg_sleep(20)';
  const rows = async () => {
    for await (const _ of pool.stream(sql, [], { timeoutMs: 60 }));
  };
  const ways = {
    'a time limit': () => pool.query(sql, [], { timeoutMs: 60 }),
    'a signal': () => {
      const abort = new AbortController();
      const asked = pool.query(sql, [], { signal: abort.signal });
      return Promise.all([asked, db.running(sql).then(() => abort.abort())]);
    },
    'AbortSignal.timeout': () => pool.query(sql, [], { signal: AbortSignal.timeout(60) }),
    'a transaction': () => pool.transaction((tx) => tx.query(sql, [], { timeoutMs: 60 })),
    'a stream': rows,
    querySync: async () => pool.querySync(sql, [], { timeoutMs: 60 }),
  };
  let count = 0;
  for (const [way, run] of Object.entries(ways)) {
    await assert.rejects(run(), way);
    assert.equal(pool.status().counters.cancels, ++count, way);
  }
  await assert.rejects(limited.query(sql));
  assert.equal(limited.status().counters.cancels, 1, 'maxStatementMs');
  // Never sent, never cancelled.
  const [held, also] = [await pool.begin(), await pool.begin()];
  await Promise.all([held.query('select 1'), also.query('select 1')]);
  await assert.rejects(pool.query(sql, [], { timeoutMs: 30 }), { outcome: 'not-sent' });
  await Promise.all([held.rollback(), also.rollback()]);
  await pool.end();
  assert.equal(pool.status().counters.cancels, count, 'behind the end');
});
