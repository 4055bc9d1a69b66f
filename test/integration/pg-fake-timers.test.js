// Tests put timers of their own in the place of the real ones; Sinon and Vitest leave `nextTick` alone, and programs have Jest do
// so. The pg face goes on under them, as pg does.
'use strict';

const assert = require('node:assert/strict');
const { Client, Cursor, Pool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase();

/** Until the end of the test no turn that is asked for by the global name comes. */
function stopTurns(t) {
  const { setImmediate } = globalThis;
  t.after(() => {
    globalThis.setImmediate = setImmediate;
  });
  globalThis.setImmediate = () => assert.fail('asked for a turn that a test has stopped');
}

test('a client is ended, behind failures too', async (t) => {
  stopTurns(t);
  const client = new Client(db.url);
  await client.connect();
  await assert.rejects(client.query('selec'), { code: '42601' });
  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }]);
  await client.end();
});

test('a client that could not connect is ended, and so is one whose connection is lost', async (t) => {
  stopTurns(t);
  const refused = new Client({ host: '127.0.0.1', port: 1 });
  await assert.rejects(refused.connect(), { code: 'ECONNREFUSED' });
  await refused.end();
  const lost = new Client(db.url);
  await lost.connect();
  lost.on('error', () => {});
  const end = new Promise((resolve) => lost.once('end', resolve));
  await assert.rejects(lost.query('select pg_terminate_backend(pg_backend_pid())'), {
    code: '57P01',
  });
  await end;
});

test('a pool is used and ended', async (t) => {
  stopTurns(t);
  const pool = new Pool({ connectionString: db.url });
  await assert.rejects(pool.query('selec'), { code: '42601' });
  await pool.query('select 1');
  await pool.end();
});

test('a cursor is read to its end and closed', async (t) => {
  stopTurns(t);
  const client = new Client(db.url);
  await client.connect();
  const cursor = client.query(new Cursor('select generate_series(1, 3)'));
  assert.equal((await cursor.read(2)).length, 2);
  assert.equal((await cursor.read(2)).length, 1);
  assert.deepEqual(await cursor.read(2), []);
  await cursor.close();
  await client.end();
});

/** Timers in the place of the real ones that end when the test says so; with `refresh` as Node has it. */
function keepTimers(t) {
  const real = { setTimeout, clearTimeout };
  const restore = () => Object.assign(globalThis, real);
  t.after(restore);
  const kept = new Set();
  let made = 0;
  globalThis.setTimeout = (end, ms) => {
    made++;
    const timer = { ms, refresh: () => timer, unref: () => timer };
    timer.end = () => kept.delete(timer) && end();
    kept.add(timer);
    return timer;
  };
  globalThis.clearTimeout = (timer) => {
    if (!kept.delete(timer)) real.clearTimeout(timer);
  };
  return { kept, restore, made: () => made };
}

const IDLE_MS = 12_345;

function openResting(t) {
  const pool = new Pool({ connectionString: db.url, max: 1, idleTimeoutMillis: IDLE_MS });
  t.after(() => pool.end());
  return pool;
}

const idleTimer = ({ kept }) => [...kept].find(({ ms }) => ms === IDLE_MS);

test('a client rests by one timer, however many queries it served, and goes when that ends', async (t) => {
  const timers = keepTimers(t);
  const pool = openResting(t);
  await pool.query('select 1');
  const before = timers.made();
  for (let i = 0; i < 5; i++) await pool.query('select 1');
  assert.equal(timers.made(), before, 'none was made anew');
  const removed = new Promise((resolve) => pool.once('remove', resolve));
  idleTimer(timers).end();
  await removed;
  assert.equal(pool.totalCount, 0);
});

test('time that ends while a query runs takes nobody away, and the next rest is limited again', async (t) => {
  const timers = keepTimers(t);
  const pool = openResting(t);
  await pool.query('select 1');
  const running = pool.query('select pg_backend_pid() as pid');
  await new Promise((resolve) => process.nextTick(resolve));
  assert.equal(pool.idleCount, 0);
  idleTimer(timers).end();
  const [{ pid }] = (await running).rows;
  assert.equal((await pool.query('select pg_backend_pid() as pid')).rows[0].pid, pid);
  assert.ok(idleTimer(timers), 'it rests by a timer');
});

test('a client in the hands of the program has no timer', async (t) => {
  const timers = keepTimers(t);
  const pool = openResting(t);
  await pool.query('select 1');
  const client = await pool.connect();
  assert.equal(idleTimer(timers), undefined);
  client.release();
  assert.ok(idleTimer(timers));
});

test('a pool that was used before a test began, or goes on behind it, rests by the timers of its time', async (t) => {
  const pool = openResting(t);
  await pool.query('select 1');
  const timers = keepTimers(t);
  await pool.query('select 1');
  assert.ok(idleTimer(timers), 'the timer of the test');
  timers.restore();
  timers.kept.clear();
  await pool.query('select 1');
  assert.equal(timers.kept.size, 0, 'the real one again');
});
