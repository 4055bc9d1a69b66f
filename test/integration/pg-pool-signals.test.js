// A signal gives up what waits for a client of a pg pool: at once, alone, and without a client being lost.
'use strict';

const assert = require('node:assert/strict');
const { Client, Pool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table item (id int)');
const MINE = new Error('mine');

/** A pool of one client, which somebody has. */
async function busyPool(t, options = {}) {
  const pool = new Pool({ connectionString: db.url, max: 1, ...options });
  const holder = await pool.connect();
  t.after(async () => {
    if (pool.idleCount === 0) holder.release();
    await pool.end();
  });
  return { pool, holder };
}

const counts = ({ totalCount, idleCount, waitingCount }) => [totalCount, idleCount, waitingCount];

/** Calls that wait for a client, and what each comes to when its signal fires. */
const CALLS = {
  query: (pool, signal) => pool.query({ text: 'select 1', signal }),
  'query with a callback': (pool, signal) =>
    new Promise((resolve, reject) => {
      pool.query({ text: 'select 1', signal }, (error, result) =>
        error ? reject(error) : resolve(result),
      );
    }),
  insertMany: (pool, signal) => pool.insertMany('item', [{ id: 1 }], { signal }),
  'batch of all or nothing': (pool, signal) =>
    pool.batch(['select 1', { text: 'select 2', signal }], { errors: 'all-or-nothing' }),
  batch: (pool, signal) =>
    pool
      .batch([
        { text: 'select 1', signal },
        { text: 'select 2', signal },
      ])
      .then((results) => Promise.reject(results[1].reason)),
};

for (const [name, call] of Object.entries(CALLS)) {
  test(`sec_p06: a ${name} that waits for a client is given up`, async (t) => {
    const { pool, holder } = await busyPool(t);
    await assert.rejects(call(pool, AbortSignal.abort(MINE)), MINE);
    const controller = new AbortController();
    const waits = call(pool, controller.signal);
    const behind = pool.query('select 3 as n');
    assert.deepEqual(counts(pool), [1, 0, 2]);
    controller.abort(MINE);
    await assert.rejects(waits, MINE);
    assert.deepEqual(counts(pool), [1, 0, 1]);
    holder.release();
    assert.deepEqual((await behind).rows, [{ n: 3 }]);
    assert.deepEqual(counts(pool), [1, 1, 0]);
    assert.deepEqual(await db.sql('select * from item'), []);
  });
}

test('sec_p06: the error of a batch of all or nothing has the number of the query that was given up', async (t) => {
  const { pool } = await busyPool(t);
  const queries = ['select 1', { text: 'select 2', signal: AbortSignal.abort(new Error('yours')) }];
  const together = pool.batch(queries, { errors: 'all-or-nothing' });
  await assert.rejects(together, { message: 'yours', index: 1 });
});

test('sec_c03: queries of a batch that are given up while it waits are not run, the others are', async (t) => {
  const { pool, holder } = await busyPool(t);
  const controller = new AbortController();
  const waits = pool.batch([
    { text: 'insert into item values (1)', signal: controller.signal },
    'select 2 as n',
  ]);
  controller.abort(MINE);
  holder.release();
  const [first, second] = await waits;
  assert.deepEqual(first, { status: 'rejected', reason: MINE });
  assert.deepEqual(second.value.rows, [{ n: 2 }]);
  assert.deepEqual(await db.sql('select * from item'), []);
});

test('sec_p01: a client that is opened for what was given up goes to the pool', async (t) => {
  const pool = new Pool({ connectionString: db.url, max: 1 });
  t.after(() => pool.end());
  const controller = new AbortController();
  const waits = pool.query({ text: 'select 1', signal: controller.signal });
  const lent = new Promise((resolve) => pool.once('release', resolve));
  controller.abort(MINE);
  await assert.rejects(waits, MINE);
  await lent;
  assert.deepEqual(counts(pool), [1, 1, 0]);
  assert.equal((await pool.query('select 1')).rowCount, 1);
});

test('sec_p01: by a connect of its own too, whose client goes back when it comes', async (t) => {
  class Own extends Pool {
    connect(callback) {
      return super.connect(callback);
    }
  }
  const pool = new Own({ connectionString: db.url, max: 1 });
  t.after(() => pool.end());
  const holder = await pool.connect();
  const controller = new AbortController();
  const waits = pool.query({ text: 'select 1', signal: controller.signal });
  controller.abort(MINE);
  await assert.rejects(waits, MINE);
  holder.release();
  assert.equal((await pool.query('select 1')).rowCount, 1);
  assert.deepEqual(counts(pool), [1, 1, 0]);
});

test('rows of an insertMany that is given up are left, those of one without a client are not', async (t) => {
  const { pool } = await busyPool(t);
  let left = 0;
  const rows = {
    [Symbol.iterator]: () => ({ next: () => ({ done: true }), return: () => ++left }),
  };
  await assert.rejects(pool.insertMany('item', rows, { signal: AbortSignal.abort(MINE) }), MINE);
  assert.equal(left, 1);
  const nowhere = new Pool({ host: '127.0.0.1', port: 1, user: 'nobody' });
  const { signal } = new AbortController();
  await assert.rejects(nowhere.insertMany('item', rows, { signal }), { code: 'ECONNREFUSED' });
  assert.equal(left, 1);
  await nowhere.end();
});

test('an abort without a reason that a callback could know is an AbortError', async (t) => {
  const { pool } = await busyPool(t);
  await assert.rejects(pool.query({ text: 'select 1', signal: AbortSignal.abort(null) }), {
    name: 'AbortError',
  });
});

test('a signal that fires later leaves the client alone', async (t) => {
  const pool = new Pool({ connectionString: db.url, max: 1 });
  t.after(() => pool.end());
  const controller = new AbortController();
  await pool.query({ text: 'select 1', signal: controller.signal });
  const client = await pool.connect();
  assert.ok(client instanceof Client);
  controller.abort(MINE);
  assert.equal((await client.query('select 1')).rowCount, 1);
  client.release();
  assert.deepEqual(counts(pool), [1, 1, 0]);
});
