// Batches: statements in order on one connection, each for itself or all or nothing.
'use strict';

const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table t (id int primary key)');
const ALL = { errors: 'all-or-nothing' };

async function open(t, options) {
  await db.sql('truncate t');
  return db.openPool(t, { poolSize: 1, ...options });
}

const insert = (id) => ({ sql: 'insert into t values ($1) returning id', params: [id] });
const stored = () =>
  db.sql('select id from t order by id').then((rows) => rows.map(({ id }) => id));

test('each for itself: every statement has its own outcome, in order', async (t) => {
  const pool = await open(t);
  const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
  const outcomes = await pool.batch([
    insert(1),
    insert(1),
    'select 1 / 0',
    { sql: 'select $1::int as n', params: [Symbol('no value')] },
    insert(2),
    'select pg_backend_pid() as pid',
  ]);
  assert.deepEqual(
    outcomes.map(({ status, value, reason }) => [status, value ?? reason.code]),
    [
      ['fulfilled', [{ id: 1 }]],
      ['rejected', '23505'],
      ['rejected', '22012'],
      ['rejected', outcomes[3].reason.code],
      ['fulfilled', [{ id: 2 }]],
      ['fulfilled', [{ pid }]],
    ],
  );
  assert.ok(outcomes[3].reason instanceof TypeError);
  assert.deepEqual(await stored(), [1, 2]);
  await db.released(pool);
});

test('all or nothing: everything is there, in one transaction', async (t) => {
  const pool = await open(t);
  const results = await pool.batch(
    [insert(1), insert(2), 'select txid_current()::text as x', 'select txid_current()::text as x'],
    ALL,
  );
  assert.deepEqual(results.slice(0, 2), [[{ id: 1 }], [{ id: 2 }]]);
  assert.deepEqual(results[2], results[3]);
  assert.deepEqual(await stored(), [1, 2]);
});

test('all or nothing: the first error is thrown with its number, and nothing was done', async (t) => {
  const pool = await open(t);
  for (const [statements, index, expected] of [
    [[insert(1), insert(2), insert(1), insert(3)], 2, { code: '23505' }],
    [['select 1 / 0', insert(1)], 0, { code: '22012' }],
    [[insert(1), { sql: 'select $1', params: [Symbol('x')] }, insert(2)], 1, { name: 'TypeError' }],
    [[{ sql: 'select $1', params: [Symbol('x')] }], 0, { name: 'TypeError' }],
  ]) {
    await assert.rejects(pool.batch(statements, ALL), { index, ...expected });
    assert.deepEqual(await stored(), []);
  }
  assert.deepEqual(await pool.query('select 1 as one'), [{ one: 1 }]);
});

test('all or nothing: an error at COMMIT is no success', async (t) => {
  const pool = await open(t);
  await db.sql(`create table late (id int unique deferrable initially deferred)`);
  t.after(() => db.sql('drop table late'));
  const twice = ['insert into late values (1)', 'insert into late values (1)'];
  await assert.rejects(pool.batch(twice, ALL), { code: '23505' });
  assert.deepEqual(await db.sql('select * from late'), []);
});

test('all or nothing: an error is no denial of what was committed all the same', async (t) => {
  const pool = await open(t);
  const mine = new Error('no number for me');
  const types = {
    int4: () => {
      throw mine;
    },
  };
  // Answered behind the COMMIT, which it could stop otherwise.
  const late = 'insert into t select 1 from pg_sleep(0.2) returning id';
  await assert.rejects(pool.batch([late, insert(2)], { ...ALL, types }), {
    name: 'OutcomeUnknownError',
    message: 'the batch was committed, although statement 0 failed: no number for me',
    outcome: 'unknown',
    index: 0,
    cause: mine,
  });
  assert.deepEqual(await stored(), [1, 2]);
  await db.sql('truncate t');
  const own = ['select pg_sleep(0.2)', 'savepoint a', 'select 1 / 0', 'rollback to a', insert(3)];
  await assert.rejects(pool.batch(own, ALL), ({ name, index, cause }) => {
    assert.deepEqual([name, index, cause.code], ['OutcomeUnknownError', 2, '22012']);
    return true;
  });
  assert.deepEqual(await stored(), [3]);
  // What failed before it was sent takes everything with it.
  await db.sql('truncate t');
  const unsent = [insert(1), { sql: 'select $1', params: [Symbol('x')] }];
  await assert.rejects(pool.batch(unsent, { ...ALL, types }), { name: 'Error', index: 0 });
  assert.deepEqual(await stored(), []);
});

test('a thousand statements take their turns on the line together', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = await open(t, { connectionString: proxy.url(db.url) });
  const statements = Array.from({ length: 1000 }, (_, i) => insert(i));
  const before = proxy.counts.connections;
  const outcomes = await pool.batch(statements);
  assert.deepEqual(
    outcomes.map(({ value }) => value[0].id),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  assert.equal(proxy.counts.connections - before, 1);
  await db.sql('truncate t');
  assert.equal((await pool.batch(statements, ALL)).length, 1000);
  assert.equal((await stored()).length, 1000);
});

test('a line that is cut before COMMIT leaves nothing, and the error says so', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = await open(t, { connectionString: proxy.url(db.url) });
  await pool.query('select 1');
  proxy.cutAt({ direction: 'toServer', text: 'select 42', before: true });
  await assert.rejects(pool.batch([insert(1), 'select 42', insert(2)], ALL), (error) => {
    assert.notEqual(error.outcome, 'unknown');
    return true;
  });
  assert.deepEqual(await stored(), []);
});

test('each for itself: on a line that is cut every statement has its own outcome', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = await open(t, { connectionString: proxy.url(db.url) });
  await pool.query('select 1');
  proxy.cutAt({ direction: 'toServer', text: 'select 42', before: true });
  const outcomes = await pool.batch(['select 41', 'select 42']);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.deepEqual(await pool.query('select 1 as one'), [{ one: 1 }]);
});

test('all or nothing: what was given up before it was sent is not left out of what is committed', async (t) => {
  const proxy = await db.openProxy(t);
  for (const [what, ofPool, ofBatch] of [
    ['timeoutMs', {}, { timeoutMs: 200 }],
    ['maxStatementMs', { maxStatementMs: 200 }, {}],
    ['signal', {}, {}],
  ]) {
    const pool = await open(t, { connectionString: proxy.url(db.url), ...ofPool });
    const holder = new AbortController();
    await pool.query('select 1');
    const before = proxy.counts.connections;
    const slow = 'insert into t select 1 from pg_sleep(0.3)';
    const options = { ...ALL, ...ofBatch, ...(what === 'signal' && { signal: holder.signal }) };
    const failure = assert.rejects(pool.batch([slow, insert(2), insert(3)], options), (error) => {
      assert.ok(!error.outcomeUnknown, error.stack);
      return true;
    });
    // It is carried out on the server, and the answer comes when its caller has given up all three.
    await db.running('pg_sleep');
    proxy.blackHole();
    holder.abort();
    await waitFor(() => proxy.counts.connections > before, { what: 'a cancel request' });
    await db.idle('pg_sleep');
    proxy.heal();
    await failure;
    await db.released(pool);
    assert.deepEqual(await stored(), [], what);
  }
});

test('all or nothing: what is given up in the turn of its end is not left out of what is committed', async (t) => {
  const pool = await open(t);
  const abort = new AbortController();
  await pool.query('select 1');
  // Before the batch asks for its end, and too late for the statement that is on its way.
  setImmediate(() => abort.abort());
  const batch = pool.batch([insert(1), insert(2)], { ...ALL, signal: abort.signal });
  await assert.rejects(batch, { name: 'AbortError' });
  await db.released(pool);
  assert.deepEqual(await stored(), []);
});

test('all or nothing: given up while it waits for a connection, it has sent nothing', async (t) => {
  const pool = await open(t);
  const holder = await pool.begin();
  await holder.query('select 1');
  await assert.rejects(
    async () => {
      const batch = pool.batch([insert(1), insert(2)], { ...ALL, timeoutMs: 50 });
      setTimeout(() => holder.rollback(), 150);
      await batch;
    },
    /** @type {any} */ ({ name: 'TimeoutError', outcome: 'not-sent', index: 0 }),
  );
  await db.released(pool);
  assert.deepEqual(await stored(), []);
});

test('a statement whose COMMIT was behind it on a lost line may be committed, and says so', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = await open(t, { connectionString: proxy.url(db.url), commitResolution: 'off' });
  const marked = { sql: `insert into t values ($1) returning 'cut' || 'here'`, params: [2] };
  const cut = () => proxy.cutAt({ direction: 'toClient', text: 'cuthere', before: true });
  const there = () =>
    waitFor(async () => (await stored()).length === 2, { what: 'what was committed' });
  await pool.batch([insert(8), { ...marked, params: [9] }], ALL);
  await db.sql('truncate t');
  cut();
  await assert.rejects(pool.batch([insert(1), marked], ALL), { outcome: 'unknown' });
  await there();
  await db.sql('truncate t');
  const tx = await pool.begin();
  await tx.query('insert into t values (1)');
  cut();
  const asked = tx.query(marked.sql, marked.params);
  const ends = await Promise.allSettled([asked, tx.commit()]);
  assert.deepEqual(
    ends.map(({ reason }) => reason?.outcome),
    ['unknown', 'unknown'],
  );
  await there();
});

test('a signal that was given up and wrong arguments send nothing', async (t) => {
  // There is no server: what was to be sent would fail with that. The pool tries to connect at its first use in any case.
  const pool = await open(t, {
    connectionString: undefined,
    hosts: ['127.0.0.1:1'],
    acquireTimeoutMs: 500,
  });
  const signal = AbortSignal.abort(new Error('too late'));
  await assert.rejects(pool.batch([insert(1)], { signal }), /too late/);
  for (const [statements, message] of [
    ['select 1', /must be an array/],
    [[insert(1), 42], /statement 1 of the batch must be a text/],
    [[{ sql: 'select 1', values: [] }], /statement 0 of the batch has the unknown member "values"/],
  ]) {
    await assert.rejects(pool.batch(statements), { name: 'TypeError', message });
  }
  await assert.rejects(pool.batch([], { errors: 'none' }), {
    name: 'TypeError',
    message: /errors/,
  });
  assert.deepEqual(await pool.batch([]), []);
  await assert.rejects(pool.batch([insert(1)], ALL), { name: 'NoPrimaryError' });
});
