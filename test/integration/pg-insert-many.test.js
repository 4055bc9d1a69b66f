// Bulk insert of the pg face: on a client in its turn, on a pool, with values as parameters of `pg`.
'use strict';

const assert = require('node:assert/strict');
const { Client, Pool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase(`
  create domain document as jsonb;
  create table every (
    id int8, label text, price numeric, at timestamp, day timestamptz, tags text[], data jsonb, wrapped document, bytes bytea, yes bool,
    spot point, custom text
  );
  create table item (id int primary key);
  create table slow (id int);
  create function pause() returns trigger language plpgsql as 'begin perform pg_sleep(60); return new; end';
  create trigger slow before insert on slow for each row execute function pause()`);

async function openClient(t, options = {}) {
  const client = new Client({ connectionString: db.url, ...options });
  client.on('error', () => {});
  t.after(() => client.end());
  return client.connect();
}

async function openPool(t, options = {}) {
  const pool = new Pool({ connectionString: db.url, max: 1, ...options });
  t.after(() => pool.end());
  return pool;
}

const never = new Promise(() => {});

test('every kind of value arrives as a parameter of pg would, arrays of JSON too', async (t) => {
  const client = await openClient(t);
  const rows = [
    {
      id: '9007199254740993',
      label: 'tab\t, newline\n, backslash \\, \\N, \\., 🚢',
      price: '12345678901234567890.123',
      at: new Date(2024, 1, 2, 3, 4, 5, 6),
      day: new Date(0),
      tags: ['a', null, 'b "quoted" \\ {x}', ''],
      data: { deep: ['\\', '\n'] },
      wrapped: { a: 1 },
      bytes: Buffer.from([0, 9, 10, 13, 92, 255]),
      yes: true,
      spot: '(1,2)',
      custom: { toPostgres: (prepare) => prepare(['x', 1]) },
    },
    { id: 1n, label: '', price: 1.5, tags: [], data: null, bytes: Buffer.alloc(0), yes: 'off' },
    { id: -2, label: undefined, at: null, bytes: new DataView(new ArrayBuffer(2)) },
  ];
  assert.equal(await client.insertMany('every', rows), 3);
  const loaded = (await client.query('table every')).rows;
  await client.query('truncate every');
  for (const row of rows) {
    const columns = Object.keys(row);
    const places = columns.map((_, i) => `$${i + 1}`);
    await client.query(`insert into every (${columns}) values (${places})`, Object.values(row));
  }
  assert.deepEqual(loaded, (await client.query('table every')).rows);
  assert.deepEqual(loaded[0].at, rows[0].at, 'local time, as pg writes and reads it');
  // What pg cannot know of a parameter, the column says.
  await client.insertMany('every', [{ id: 7, data: [1, ['x']], wrapped: [] }]);
  const { rows: arrays } = await client.query('select data, wrapped from every where id = 7');
  assert.deepEqual(arrays, [{ data: [1, ['x']], wrapped: [] }]);
});

test('it has its turn among the queries of its client, and belongs to the open transaction', async (t) => {
  const client = await openClient(t);
  const count = async () => Number((await client.query('select count(*) from item')).rows[0].count);
  const asked = [
    client.query('begin'),
    client.insertMany('item', [{ id: 1 }, { id: 2 }]),
    count(),
    client.insertMany('item', new Set([[3]]), { columns: ['id'] }),
    count(),
    client.query('rollback'),
    count(),
  ];
  const [, two, seen, one, more, , left] = await Promise.all(asked);
  assert.deepEqual([two, seen, one, more, left], [2, 2, 1, 3, 0]);
  assert.equal(await client.insertMany('item', []), 0);
  const named = await client.query(
    "select count(*) from pg_prepared_statements where statement like '%pg_attribute%'",
  );
  assert.equal(named.rows[0].count, '0', 'it leaves nothing prepared');
});

test('whatever fails stores nothing, says in which row, has the stack of the caller, and the client goes on', async (t) => {
  const client = await openClient(t);
  const numbers = Array.from({ length: 500 }, (_, id) => ({ id }));
  async function callerOfInsertMany(rows, options) {
    await client.insertMany('item', rows, options);
  }
  for (const [last, options, expected] of [
    [{ id: 'x' }, {}, { code: '22P02', row: undefined, isOurs: true }],
    [{ id: 3 }, {}, { code: '23505', row: undefined, isOurs: true }],
    [{ ids: 3 }, {}, { code: 'ERR_CONFIG', row: 500, isOurs: true }],
    [{ id: { toPostgres: () => JSON.parse('{') } }, {}, { code: undefined, row: 500 }],
    [{ id: 1 }, { column: [] }, { code: 'ERR_CONFIG', row: undefined, isOurs: true }],
  ]) {
    await assert.rejects(callerOfInsertMany([...numbers, last], options), (error) => {
      assert.equal(error.code, expected.code);
      assert.equal(error.row, expected.row);
      if (expected.isOurs) assert.match(error.stack, /callerOfInsertMany/);
      return true;
    });
    assert.equal((await client.query('select count(*) from item')).rows[0].count, '0');
  }
  await assert.rejects(client.insertMany('gone', numbers), { code: '42P01' });
  await client.query('begin; select 1');
  await assert.rejects(client.query('select 1/0'), { code: '22012' });
  await assert.rejects(client.insertMany('item', numbers), { code: '25P02' });
  await client.query('rollback');
  assert.equal(await client.insertMany('item', numbers), 500);
  await client.query('truncate item');
});

test('a signal gives it up at every stage, and a time limit cancels it', async (t) => {
  const client = await openClient(t);
  const give = (rows, table = 'item') => {
    const controller = new AbortController();
    const loaded = client.insertMany(table, rows, { signal: controller.signal });
    return { loaded, abort: () => controller.abort(new Error('enough')) };
  };
  // Before it has its turn.
  const sleeping = assert.rejects(client.query('select pg_sleep(60)'), { code: '57014' });
  const early = give([{ id: 1 }]);
  early.abort();
  await assert.rejects(early.loaded, /enough/);
  await db.running('select pg_sleep(60)');
  await db.sql('select pg_cancel_backend($1)', [client.processID]);
  await sleeping;
  // While the first row is awaited.
  const first = give({ [Symbol.asyncIterator]: () => ({ next: () => never }) });
  first.abort();
  await assert.rejects(first.loaded, /enough/);
  // While the server is busy with the rows.
  const late = give([{ id: 1 }], 'slow');
  await db.running('COPY "slow"');
  late.abort();
  await assert.rejects(late.loaded, /enough/);
  await assert.rejects(client.insertMany('slow', [{ id: 1 }], { timeoutMs: 50 }), {
    name: 'TimeoutError',
  });
  assert.equal(await client.insertMany('item', [{ id: 1 }]), 1);
  await client.query('truncate item');
});

async function* stuckAfter(count, isStuck) {
  for (let id = 0; id < count; id++) yield { id };
  isStuck();
  await never;
}

test('a signal and a time limit hold on a server that is frozen', async (t) => {
  const proxy = await db.openProxy(t);
  const connectionString = proxy.url(db.url);
  const clients = [
    await openClient(t, { connectionString }),
    await openClient(t, { connectionString }),
  ];
  proxy.blackHole();
  const controller = new AbortController();
  const [limited, aborted] = clients.map((client, index) =>
    client.insertMany(
      'item',
      [{ id: 9 }],
      index === 0 ? { timeoutMs: 50 } : { signal: controller.signal },
    ),
  );
  const ends = [assert.rejects(limited, /timeout/), assert.rejects(aborted, /enough/)];
  await waitFor(() => proxy.held('toServer') > 0, { what: 'the question for the types' });
  controller.abort(new Error('enough'));
  await Promise.all(ends);
  proxy.heal();
});

test('a source that makes no more rows holds nobody up when the connection is lost', async (t) => {
  for (const before of [0, 3]) {
    const client = await openClient(t);
    let isWaiting;
    const waits = new Promise((resolve) => {
      isWaiting = resolve;
    });
    const loaded = client.insertMany('item', stuckAfter(before, isWaiting));
    await waits;
    const refused = assert.rejects(loaded, /terminat/);
    await db.sql('select pg_terminate_backend($1)', [client.processID]);
    await refused;
    await assert.rejects(client.query('select 1'), { code: 'ERR_CONNECTION_LOST' });
  }
});

test('a pool lends a client for it, and has it back whatever comes of it', async (t) => {
  const pool = await openPool(t);
  assert.equal(await pool.insertMany('item', [{ id: 1 }]), 1);
  await assert.rejects(pool.insertMany('item', [{ id: 2 }, { id: 1 }]), { code: '23505' });
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
  assert.deepEqual((await pool.query('select id from item')).rows, [{ id: 1 }]);
  await pool.query('truncate item');
});
