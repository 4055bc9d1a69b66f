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
