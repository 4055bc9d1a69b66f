// What cursors, streams and COPY say of a statement that was under way when their client was ended or cut.
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const ForeignCursor = require('pg-cursor');
const ForeignStream = require('pg-query-stream');
const copyStreams = require('pg-copy-streams');
const {
  Client,
  Cursor,
  Pool,
  Query,
  QueryStream,
  copyFrom,
  copyTo,
} = require('../../lib/index.js');
const { freshDatabase } = require('../support/shared.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const SLOW = 'insert into item select 1 from pg_sleep(10) returning id';

let database;
let observer;
before(async () => {
  database = await freshDatabase();
  observer = new Client(database.url);
  await observer.connect();
  await observer.query(`create table item (id int); create table item_slowly (id int);
    create function wait() returns trigger language plpgsql as
      $$ begin perform pg_sleep(10); return new; end $$;
    create trigger slow before insert on item_slowly for each row execute function wait()`);
});
after(async () => {
  await observer.end();
  await database.drop();
});

const ended = (stream) =>
  new Promise((resolve, reject) => {
    stream.on('error', reject).on('close', resolve).resume?.();
  });

/** A COPY whose first row waits in a trigger. */
function loading(client) {
  const copy = client.query(copyFrom('copy item_slowly from stdin'));
  copy.write('1\n');
  return copy;
}

/** What asks, and what is known of it when the client goes. */
const ASKING = {
  Cursor: [(client) => client.query(new Cursor(SLOW)).read(1), 'unknown'],
  'a Cursor of pg-cursor': [(client) => client.query(new ForeignCursor(SLOW)).read(1), 'unknown'],
  QueryStream: [(client) => ended(client.query(new QueryStream(SLOW))), 'unknown'],
  'a stream of pg-query-stream': [
    (client) => ended(client.query(new ForeignStream(SLOW))),
    'unknown',
  ],
  copyTo: [(client) => ended(client.query(copyTo(`copy (${SLOW}) to stdout`))), 'unknown'],
  'copyFrom with its end': [(client) => ended(loading(client).end()), 'unknown'],
  'copyFrom without its end': [(client) => ended(loading(client)), 'not-sent'],
};

const GOING = {
  'end()': (client) => client.end(),
  'connection.stream.destroy()': (client) => client.connection.stream.destroy(),
};

for (const [what, [ask, outcome]] of Object.entries(ASKING)) {
  for (const [how, go] of Object.entries(GOING)) {
    test(`${what} under ${how}: the outcome is ${outcome}`, async () => {
      const client = new Client(database.url);
      client.on('error', () => {});
      await client.connect();
      const { processID } = client;
      const told = assert.rejects(ask(client), {
        outcome,
        safeToRetry: outcome === 'not-sent',
      });
      const behind = assert.rejects(client.query('select 1'), { outcome: 'not-sent' });
      // Only then it runs: columns may have been asked for ahead of it.
      await waitFor(async () => {
        const text = 'select state, query, wait_event from pg_stat_activity where pid = $1';
        const [row] = (await observer.query(text, [processID])).rows;
        return row.state === 'active' && row.query.includes('item') && row.wait_event === 'PgSleep';
      }, 'the statement');
      const over = new Promise((resolve) => client.once('end', resolve));
      go(client);
      await Promise.all([told, behind, over]);
    });
  }
}

test('a cursor that waits for a read when its client ends tells of it with the next one', async () => {
  const client = new Client(database.url);
  await client.connect();
  const cursor = client.query(new Cursor('select generate_series(1, 9) as n'));
  assert.equal((await cursor.read(2)).length, 2);
  await client.end();
  await assert.rejects(cursor.read(2), { message: 'Connection terminated' });
  await cursor.close();
});

/** JavaScript does nothing meanwhile: what the server and the engine have to say is there at once afterwards. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const SERIES = 'select generate_series(1, 100) as n';

for (const [name, make] of /** @type {[string, () => any][]} */ ([
  ['Cursor', () => new Cursor(SERIES)],
  ['the Cursor of a QueryStream', () => new QueryStream(SERIES)],
  ['a Cursor of pg-cursor', () => new ForeignCursor(SERIES)],
  ['the Cursor of a stream of pg-query-stream', () => new ForeignStream(SERIES)],
])) {
  test(`${name}: end() resolves when rows come behind the end of the connection`, async () => {
    for (let round = 0; round < 5; round++) {
      const client = new Client(database.url);
      await client.connect();
      const submittable = client.query(make());
      const cursor = submittable.cursor ?? submittable;
      const failed = new Promise((resolve) => cursor.once('error', resolve));
      const read = cursor.read(10).then(
        (rows) => `${rows.length} rows`,
        ({ message }) => message,
      );
      await new Promise((resolve) => process.nextTick(resolve));
      block(10);
      const over = client.end();
      process.nextTick(block, 10);
      await over;
      assert.match(await read, /^(10 rows|Connection terminated)$/);
      assert.equal((await failed).message, 'Connection terminated');
    }
  });
}

/** What is given to a pool, and how it ends for whoever reads it. @type {Record<string, () => [any, Promise<unknown>]>} */
const GIVEN_TO_POOLS = {
  Cursor: () => {
    const cursor = new Cursor(SERIES);
    return [cursor, cursor.read(1)];
  },
  'a Cursor of pg-cursor': () => {
    const cursor = new ForeignCursor(SERIES);
    return [cursor, cursor.read(1)];
  },
  ...Object.fromEntries(
    /** @type {[string, () => any][]} */ ([
      ['QueryStream', () => new QueryStream(SERIES)],
      ['a stream of pg-query-stream', () => new ForeignStream(SERIES)],
      ['copyTo', () => copyTo(`copy (${SERIES}) to stdout`)],
      ['to of pg-copy-streams', () => copyStreams.to(`copy (${SERIES}) to stdout`)],
      ['copyFrom', () => copyFrom('copy item from stdin').end('1\n')],
      ['from of pg-copy-streams', () => copyStreams.from('copy item from stdin').end('1\n')],
    ]).map(([name, make]) => [
      name,
      () => {
        const stream = make();
        return [stream, ended(stream)];
      },
    ]),
  ),
  Query: () => {
    const query = new Query(SERIES);
    return [query, new Promise((resolve, reject) => query.on('end', resolve).on('error', reject))];
  },
};

for (const [name, make] of Object.entries(GIVEN_TO_POOLS)) {
  test(`${name} hears of it when its pool has no client for it`, async () => {
    const pool = new Pool({ host: '127.0.0.1', port: 1, connectionTimeoutMillis: 5000 });
    const [given, over] = make();
    const told = assert.rejects(over, { code: 'ECONNREFUSED' });
    await assert.rejects(pool.query(given), { code: 'ECONNREFUSED', outcome: 'not-sent' });
    await told;
    await pool.end();
    const [late, lateOver] = make();
    const refused = assert.rejects(lateOver, /after calling end/);
    await assert.rejects(pool.query(late), /after calling end/);
    await refused;
  });
}

test('what nobody reads does not end the process when its pool has no client for it', async () => {
  const pool = new Pool({ host: '127.0.0.1', port: 1 });
  const all = [
    new Cursor(SERIES),
    new QueryStream(SERIES),
    new Query(SERIES),
    copyTo(`copy (${SERIES}) to stdout`),
    copyFrom('copy item from stdin'),
  ];
  for (const given of all) await assert.rejects(pool.query(given), { code: 'ECONNREFUSED' });
  await pool.end();
});

/** Rows of a write that is carried out only when its cursor is done, the first of them read. */
async function partlyRead(client, table) {
  const cursor = client.query(new Cursor(`insert into ${table} values (1), (2) returning *`));
  assert.equal((await cursor.read(1)).length, 1);
  return cursor;
}

test('close() of a cursor tells what took back the rows that were read', async () => {
  const client = await new Client(database.url).connect();
  await client.query('create table parent (id int primary key)');
  await client.query('create table child (id int references parent deferrable initially deferred)');
  const refused = { code: '23503', outcome: 'failed' };
  const cursor = await partlyRead(client, 'child');
  await assert.rejects(cursor.close(), refused);
  const called = await partlyRead(client, 'child');
  const told = await new Promise((resolve) => called.close(resolve));
  assert.equal(told?.code, '23503');
  // Nobody waits for this one.
  (await partlyRead(client, 'child')).close();
  assert.deepEqual((await client.query('select * from child')).rows, []);
  await client.end();
});

test('close() of a cursor that has lost its connection behind a read tells of it, unless a read has', async () => {
  for (const isHeard of [false, true]) {
    const client = await new Client(database.url).connect();
    const lost = new Promise((resolve) => client.once('error', resolve));
    const { processID } = client;
    const cursor = await partlyRead(client, 'item');
    await observer.query('select pg_terminate_backend($1)', [processID]);
    await lost;
    if (isHeard) await assert.rejects(cursor.read(1), { outcome: 'not-sent' });
    if (isHeard) await cursor.close();
    else await assert.rejects(cursor.close(), { outcome: 'not-sent' });
  }
  assert.deepEqual((await observer.query('select * from item')).rows, []);
});
