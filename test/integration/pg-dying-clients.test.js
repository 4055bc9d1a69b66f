// A client that is given back while its connection is ending: nobody else gets it, whatever ran on it.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const pg = require('pg');
const { Client, Cursor, Pool, Query, QueryStream, copyTo } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase();

const SQL = 'select pg_sleep(60) /* dying */';
/** The loss is heard of in one turn of the event loop or in two. */
const ROUNDS = 20;

const failure = (promise) =>
  promise.then(
    () => assert.fail('it was answered'),
    (error) => error,
  );

const failureOf = async (stream) => {
  stream.resume();
  const [error] = await once(stream, 'error');
  return error;
};

/** What runs when the connection ends; resolves to the error. */
const uses = {
  'a query': (client) => failure(client.query(SQL)),
  'a query with a callback': (client) => new Promise((done) => client.query(SQL, done)),
  'a Query': (client) =>
    once(client.query(new Query(SQL)), 'end').then(
      () => assert.fail('it was answered'),
      (error) => error,
    ),
  'a batch': (client) => failure(client.batch([SQL], { errors: 'all-or-nothing' })),
  'a Cursor': (client) => failure(client.query(new Cursor(SQL)).read(1)),
  'a QueryStream': (client) => failureOf(client.query(new QueryStream(SQL))),
  'COPY TO': (client) => failureOf(client.query(copyTo(`copy (${SQL}) to stdout`))),
  'a row of insertMany': async (client) => {
    await client.query('create temp table slow (id int check (pg_sleep(60) is null /* dying */))');
    return failure(client.insertMany('slow', [{ id: 1 }]));
  },
};

/** @param {string} name of what runs @param {any} client @param {(pid: number) => Promise<unknown>} end */
async function endUnder(name, client, end) {
  const failed = uses[name](client);
  const pid = client.processID;
  const text = name.endsWith('insertMany') ? 'COPY "slow"' : 'dying';
  // What is on its way to a backend that ends turns its last words into a reset.
  await db.running(text, 1, { asleep: true });
  await end(pid);
  const error = await failed;
  client.release();
  return error;
}

for (const name of Object.keys(uses)) {
  test(`after ${name} has met the end of its connection the pool lends another one`, async (t) => {
    const pool = new Pool({ connectionString: db.url, max: 1 });
    t.after(() => pool.end());
    for (let round = 0; round < ROUNDS; round++) {
      // Waits for its end: the next round must not take it for its own.
      const terminate = (pid) => db.sql('select pg_terminate_backend($1, 20000)', [pid]);
      const error = await endUnder(name, await pool.connect(), terminate);
      assert.equal(error.message, 'terminating connection due to administrator command');
      const next = await pool.connect();
      assert.equal((await next.query('select 1 as n')).rows[0].n, 1);
      next.release();
    }
  });
}

test('the same behind a connection that was reset', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = new Pool({ connectionString: proxy.url(db.url), max: 1 });
  t.after(() => pool.end());
  for (const name of Object.keys(uses)) {
    const error = await endUnder(name, await pool.connect(), async (pid) => {
      await proxy.cutAll();
      await db.sql('select pg_terminate_backend($1)', [pid]);
    });
    assert.equal(error.message, 'Connection terminated unexpectedly', name);
    const next = await pool.connect();
    assert.equal((await next.query('select 1 as n')).rows[0].n, 1, name);
    next.release();
    await db.idle('dying');
  }
});

test('what is asked right behind the failure fails behind the events that tell of the loss', async (t) => {
  for (const ask of [
    (client) => failure(client.query('select 1')),
    (client) => new Promise((done) => client.query('select 1', done)),
    (client) => new Promise((done) => client.query(new Query('select 1', done))),
  ]) {
    const client = new Client({ connectionString: db.url });
    t.after(() => client.end());
    await client.connect();
    const told = [];
    for (const name of ['error', 'end']) client.on(name, () => told.push(name));
    const { processID } = client;
    const failed = failure(client.query(SQL));
    await db.running('dying');
    await db.sql('select pg_terminate_backend($1)', [processID]);
    await failed;
    await ask(client);
    assert.deepEqual(told, ['error', 'end']);
  }
});

test('a client that is ended when a statement told of the loss has no error event behind that', async () => {
  const client = new Client(db.url);
  await client.connect();
  const events = [];
  client.on('error', (error) => events.push(error));
  await assert.rejects(client.query('select pg_terminate_backend(pg_backend_pid())'), {
    code: '57P01',
  });
  await client.end();
  assert.deepEqual(events, []);
});

test('a statement behind a FATAL that has arrived while the thread was busy rejects with that, the next one with the loss', async (t) => {
  for (const make of [Client, pg.Client]) {
    const client = new make(db.url);
    client.on('error', () => {});
    await client.connect();
    t.after(() => client.end());
    const { processID } = client;
    const kill = `const { Client } = require('pg');
      const client = new Client(${JSON.stringify(db.url)});
      client.connect()
        .then(() => client.query('select pg_terminate_backend(${processID}, 10000)'))
        .then(() => client.end());`;
    execFileSync(process.execPath, ['-e', kill], { cwd: __dirname });
    const asked = [client.query('select 1'), client.query('select 2')];
    const [first, second] = (await Promise.allSettled(asked)).map(({ reason }) => reason);
    assert.deepEqual([first.code, first.severity], ['57P01', 'FATAL']);
    assert.match(first.message, /^terminating connection/);
    assert.equal(second.message, 'Connection terminated unexpectedly');
    if (make === Client) assert.equal(second.outcome, 'not-sent');
  }
});
