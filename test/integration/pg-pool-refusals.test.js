// What a client of the pg face cannot run: whoever gave it hears of that, and a pool has its client back.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Client, Cursor, Pool, Query, QueryStream } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { uncaughtIn } = require('../support/uncaught.js');

const db = testDatabase();
const SOCKET = /^this submittable needs the socket/;

/** A submittable that only a socket could run. */
const foreign = (more = {}) => ({ submit() {}, ...more });

/** A Query that would read the protocol by itself. */
class Reading extends Query {
  handleDataRow() {}
}

for (const [name, make] of Object.entries({
  'one with handleError': (told) => foreign({ handleError: (error) => told.push(error.message) }),
  'one without': () => foreign(),
  'one with a callback of its own': (told) =>
    foreign({ callback: (error) => told.push(error.message) }),
  'one whose handleError throws': () =>
    foreign({
      handleError(error) {
        throw error;
      },
    }),
  'a class derived from Query': () => new Reading('select 1'),
})) {
  test(`sec_p06: a pool settles what its client refuses: ${name}`, async (t) => {
    const pool = new Pool({ connectionString: db.url, max: 1 });
    t.after(() => pool.end());
    const told = [];
    const thrown = await uncaughtIn(async () => {
      const refused = name.startsWith('a class') ? /of a Query is not called/ : SOCKET;
      await assert.rejects(pool.query(make(told)), { message: refused });
      const given = make(told);
      const failure = await new Promise((resolve) => pool.query(given, resolve));
      assert.match(failure.message, refused);
      assert.equal((await pool.query('select 1')).rowCount, 1);
      assert.deepEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [1, 1, 0]);
    });
    assert.equal(told.length, /with/.test(name) && !/without/.test(name) ? 2 : 0);
    assert.equal(thrown.length, name.endsWith('throws') ? 2 : 0);
  });
}

test('a refusal that nobody could be told of is an uncaught exception', async (t) => {
  const client = new Client(db.url);
  await client.connect();
  t.after(() => client.end());
  const thrown = await uncaughtIn(async () => {
    client.query(foreign());
    await client.query('select 1');
  });
  assert.equal(thrown.length, 1);
  assert.match(thrown[0].message, SOCKET);
  const callbacks = [];
  client.query(foreign(), (error) => callbacks.push(error.message));
  await client.query('select 1');
  assert.equal(callbacks.length, 1);
  assert.match(callbacks[0], SOCKET);
});

test('sec_f02: the text of a cursor or stream must be one, and what is none leaves the client free', async (t) => {
  const client = new Client(db.url);
  await client.connect();
  t.after(() => client.end());
  for (const text of [5, true, {}, [], Symbol('a')]) {
    const wrong = {
      name: 'TypeError',
      code: 'ERR_CONFIG',
      message: `the text of a cursor must be a string, got ${typeof text}`,
    };
    await assert.rejects(client.query(new Cursor(text)).read(1), wrong);
    const stream = client.query(new QueryStream(text)).resume();
    const [error] = await once(stream, 'error');
    assert.equal(error.message, wrong.message);
  }
  for (const text of [undefined, null]) {
    assert.deepEqual(await client.query(new QueryStream(text)).toArray(), []);
  }
  assert.equal((await client.query('select 1')).rowCount, 1);
});
