// Batches of the pg face, and what a client with a pipeline has on the wire.
'use strict';

const assert = require('node:assert/strict');
const { Client, Pool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase(`
  create table item (id int primary key, name text not null);
  create table late (id int references item deferrable initially deferred)`);

async function openClient(t, options = {}) {
  const client = new Client({ connectionString: db.url, ...options });
  await client.connect();
  t.after(() => client.end());
  return client;
}

const insert = (id, name = `item ${id}`) => ({
  text: 'insert into item values ($1, $2) returning id',
  values: [id, name],
});
const ids = async () => (await db.sql('select id from item order by id')).map(({ id }) => id);

test('a batch travels in one go: nothing waits for an answer', async (t) => {
  const proxy = await db.openProxy(t);
  const connectionString = proxy.url(db.url);
  const client = await openClient(t, { connectionString });
  const holder = await openClient(t);
  const text = 'select id from item where id = $1';
  const rejected = async (asking) => {
    await holder.query('begin; lock table item in access exclusive mode');
    const settled = Promise.allSettled(asking());
    await db.running(text);
    // Without a word of the server's: its FATAL would prove that nothing was run.
    await proxy.cutAll();
    await holder.query('rollback');
    await db.idle(text);
    return (await settled).map(({ reason }) => reason?.outcome);
  };
  const queries = Array.from({ length: 10 }, (_, n) => ({ text, values: [n] }));
  let batch;
  const asBatch = () => {
    batch = client.batch(queries);
    return [batch];
  };
  assert.deepEqual(
    await rejected(asBatch),
    [undefined],
    'an isolated batch says of each query what became of it',
  );
  assert.deepEqual(
    (await batch).map(({ reason }) => reason.outcome),
    Array.from({ length: 10 }, () => 'unknown'),
  );
  const pipelined = await openClient(t, { connectionString, pipeline: true });
  assert.deepEqual(
    await rejected(() => queries.map((query) => pipelined.query(query))),
    Array.from({ length: 10 }, () => 'unknown'),
  );
  const inTurn = await openClient(t, { connectionString });
  assert.deepEqual(await rejected(() => queries.map((query) => inTurn.query(query))), [
    'unknown',
    ...Array.from({ length: 9 }, () => 'not-sent'),
  ]);
});

test('isolated: each query has its own result or error', async (t) => {
  const client = await openClient(t);
  const results = await client.batch([
    'select 1 as a',
    'select 1/0',
    insert(1),
    insert(1),
    'select 5 as a',
  ]);
  assert.deepEqual(
    results.map(({ value, reason }) => value?.rows[0] ?? reason.code),
    [{ a: 1 }, '22012', { id: 1 }, '23505', { a: 5 }],
  );
  assert.equal(client.getTransactionStatus(), 'I');
  assert.deepEqual(await ids(), [1]);
});

test('all or nothing: the results, or the first error with its place and nothing done', async (t) => {
  const client = await openClient(t);
  const both = { errors: 'all-or-nothing' };
  const results = await client.batch(
    [insert(10), insert(11), 'select count(*)::int as n from item'],
    both,
  );
  assert.deepEqual(
    results.map(({ command, rows }) => [command, rows[0]]),
    [
      ['INSERT', { id: 10 }],
      ['INSERT', { id: 11 }],
      ['SELECT', { n: 3 }],
    ],
  );
  const before = await ids();
  await assert.rejects(client.batch([insert(12), insert(10), insert(13)], both), {
    code: '23505',
    index: 1,
  });
  const unsendable = {
    text: 'select $1',
    values: [
      {
        toPostgres() {
          throw new Error('mine');
        },
      },
    ],
  };
  await assert.rejects(client.batch([insert(14), unsendable, insert(15)], both), {
    message: 'mine',
    index: 1,
  });
  await assert.rejects(
    client.batch([insert(16), { text: 'insert into late values (999)', values: [] }], both),
    { code: '23503' },
    'a deferred constraint fails at COMMIT',
  );
  assert.equal(client.getTransactionStatus(), 'I');
  assert.deepEqual(await ids(), before);
});

test('all or nothing: what was committed although a result could not be read is said to be', async (t) => {
  const client = await openClient(t);
  const mine = new Error('no number for me');
  // Answered behind the end of the batch, which would be another otherwise.
  const late = (id) => ({
    text: 'insert into item select $1, $2 from pg_sleep(0.2) returning id',
    values: [id, 'late'],
    types: {
      getTypeParser: () => () => {
        throw mine;
      },
    },
  });
  const both = { errors: 'all-or-nothing' };
  await assert.rejects(client.batch([late(50), insert(51)], both), {
    name: 'OutcomeUnknownError',
    message: 'the batch was committed, although statement 0 failed: no number for me',
    index: 0,
    cause: mine,
  });
  await client.query('begin');
  await assert.rejects(client.batch([late(52)], both), {
    message: 'the batch was carried out, although statement 0 failed: no number for me',
  });
  await client.query('rollback');
  const kept = await ids();
  assert.deepEqual(
    [50, 51, 52].map((id) => kept.includes(id)),
    [true, true, false],
  );
});

test("inside the caller's transaction a batch is a savepoint", async (t) => {
  const client = await openClient(t);
  const both = { errors: 'all-or-nothing' };
  await client.query('begin');
  await client.query(insert(20));
  await client.batch([insert(21), insert(22)], both);
  await assert.rejects(client.batch([insert(23), insert(20)], both), { code: '23505', index: 1 });
  assert.equal(client.getTransactionStatus(), 'T');
  await client.query(insert(24));
  await client.query('commit');
  const kept = await ids();
  assert.deepEqual(
    [20, 21, 22, 23, 24].map((id) => kept.includes(id)),
    [true, true, true, false, true],
  );
});

test('all or nothing: what was given up before it was sent is not left out of what is committed', async (t) => {
  const client = await openClient(t);
  const holder = new AbortController();
  const slow = `insert into item select 60, 'slow' from pg_sleep(0.2)`;
  const given = { ...insert(61), signal: holder.signal };
  const batch = client.batch([slow, given], { errors: 'all-or-nothing' });
  const failure = assert.rejects(batch, (/** @type {any} */ error) => {
    assert.ok(!error.outcomeUnknown, error.stack);
    return true;
  });
  await db.running('pg_sleep');
  holder.abort();
  await failure;
  const kept = await ids();
  assert.deepEqual([kept.includes(60), kept.includes(61)], [false, false]);
});

test('a pool lends a client for a batch, and takes it back', async (t) => {
  const pool = new Pool({ connectionString: db.url, max: 1 });
  t.after(() => pool.end());
  const both = { errors: 'all-or-nothing' };
  const [one, two] = await pool.batch([insert(30), insert(31)], both);
  assert.deepEqual([one.rows, two.rows], [[{ id: 30 }], [{ id: 31 }]]);
  await assert.rejects(pool.batch([insert(30)], both), { code: '23505', index: 0 });
  assert.deepEqual(await pool.batch([]), []);
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
});

test('what is no query, and unknown options, are refused before anything is sent', async (t) => {
  const client = await openClient(t);
  await assert.rejects(client.batch('select 1'), /queries must be an array, got string/);
  await assert.rejects(client.batch([insert(40), null]), /query 1 of the batch must be a text/);
  await assert.rejects(client.batch([{ text: 'x', callback() {} }]), /without a callback/);
  await assert.rejects(client.batch(['select 1'], { errors: 'some' }), /"errors" must be one of/);
  await assert.rejects(client.batch(['select 1'], { error: 'isolated' }), /did you mean "errors"/);
  const all = /** @type {const} */ ({ errors: 'all-or-nothing' });
  const own = { name: 'TypeError', code: 'ERR_CONFIG', message: /^query 1 of the batch ends/ };
  for (const end of ['rollback', '/* mine */ COMMIT;', { text: 'abort' }]) {
    await assert.rejects(client.batch([insert(40), end, insert(41)], all), own);
    await client.query('begin');
    await assert.rejects(client.batch([insert(40), end, insert(41)], all), own);
    await client.query('commit');
  }
  assert.ok(!(await ids()).some((id) => id === 40 || id === 41));
});
