// The stack of every error of the pg face leads to whoever asked, connects and waits included.
'use strict';

const assert = require('node:assert/strict');
const { Client, Cursor, Pool, createListener } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table item (id int)');

const NOWHERE = { host: '127.0.0.1', port: 1 };
const TOGETHER = { errors: 'all-or-nothing' };

async function callerOfTheFace(ask) {
  await ask();
}

/** @param {Record<string, () => Promise<unknown>>} asks each fails */
async function allLeadHere(asks) {
  for (const [name, ask] of Object.entries(asks)) {
    const error = await callerOfTheFace(ask).then(
      () => assert.fail(`${name}: nothing failed`),
      (reason) => reason,
    );
    assert.match(error.stack, /callerOfTheFace/, `${name}: ${error.stack}`);
  }
}

test('errors of a client', async (t) => {
  const client = await new Client(db.url).connect();
  client.on('error', () => {});
  t.after(() => client.end());
  await allLeadHere({
    query: () => client.query('selec'),
    'query with values': () => client.query('select $1::int', ['x']),
    'named query': () => client.query({ name: 'n', text: 'select $1::int', values: ['x'] }),
    query_timeout: () => client.query({ text: 'select pg_sleep(9)', query_timeout: 20 }),
    batch: () => client.batch(['select 1', 'selec'], TOGETHER),
    'wrong batch': () => client.batch([5]),
    insertMany: () => client.insertMany('item', [{ id: 'x' }]),
    'Cursor, first read': () => client.query(new Cursor('selec')).read(1),
    'Cursor, in the middle': async () => {
      const cursor = client.query(new Cursor('select 1 / (3 - n) from generate_series(1, 5) n'));
      await cursor.read(1);
      await cursor.read(5);
    },
    'second connect': () => client.connect(),
    'a session that ends': () => client.query('select pg_terminate_backend(pg_backend_pid())'),
    'query behind the end': () => client.query('select 1'),
    'batch behind the end': () => client.batch(['select 1'], TOGETHER),
    'insertMany behind the end': () => client.insertMany('item', [{ id: 1 }]),
    'Cursor behind the end': () => client.query(new Cursor('select 1')).read(1),
  });
});

test('errors of connecting', async () => {
  const pool = new Pool(NOWHERE);
  const listener = createListener({ ...NOWHERE, user: 'nobody', acquireTimeoutMs: 50 });
  await allLeadHere({
    'client.connect': () => new Client(NOWHERE).connect(),
    'pool.connect': () => pool.connect(),
    'pool.query': () => pool.query('select 1'),
    'pool.batch': () => pool.batch(['select 1']),
    'pool.insertMany': () => pool.insertMany('item', [{ id: 1 }]),
    listen: () => listener.listen('a'),
  });
  await pool.end();
  await listener.end();
});

test('errors of a pool', async () => {
  const full = new Pool({ connectionString: db.url, max: 1, connectionTimeoutMillis: 500 });
  const held = await full.connect();
  const pool = new Pool({ connectionString: db.url, max: 1 });
  await allLeadHere({
    'a full pool: connect': () => full.connect(),
    'a full pool: query': () => full.query('select 1'),
    'a full pool: batch': () => full.batch(['select 1']),
    query: () => pool.query('selec'),
    'query with values': () => pool.query('select $1::int', ['x']),
    query_timeout: () => pool.query({ text: 'select pg_sleep(9)', query_timeout: 20 }),
    batch: () => pool.batch(['selec'], TOGETHER),
    insertMany: () => pool.insertMany('gone', [{ id: 1 }]),
  });
  held.release();
  await full.end();
  await pool.end();
  await allLeadHere({
    'connect behind end': () => pool.connect(),
    'query behind end': () => pool.query('select 1'),
    'second end': () => pool.end(),
  });
});
