// Markers of whatever commits (CP-5, CP-6): single statements obey the options of every other one, batches, streams and Kysely have them too.
'use strict';

const assert = require('node:assert/strict');
const { Kysely, sql } = require('kysely');
const pg = require('pg');
const { createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const db = testDatabase(`
  create table commit_markers (
    id uuid primary key, committed boolean not null default true, at timestamptz not null default now());
  create table t (n int);
  create table held (n int);
  create function hold() returns trigger language plpgsql as
    'begin perform pg_advisory_xact_lock(77); return null; end';
  create constraint trigger held after insert on held deferrable initially deferred
    for each row execute function hold()`);

const MARKED = /** @type {const} */ ({
  commitResolution: 'marker',
  commitMarkerTable: 'commit_markers',
});
const ONCE = { exactlyOnce: true };
const rowsOf = async (n) => (await db.sql('select from t where n = $1', [n])).length;
const markers = async () => (await db.sql('select from commit_markers')).length;

/** A pool behind a proxy. */
async function behindProxy(t, options) {
  const proxy = await db.openProxy(t);
  const pool = createPool({ connectionString: proxy.url(db.url), poolSize: 1, ...options });
  t.after(() => pool.end({ timeoutMs: 100 }));
  return { proxy, pool };
}

/** Whoever writes into `held` cannot commit until the returned function is called. */
async function holdCommits(t) {
  const gate = new pg.Client({ connectionString: db.url });
  await gate.connect();
  t.after(() => gate.end());
  await gate.query('select pg_advisory_lock(77)');
  return () => gate.query('select pg_advisory_unlock(77)');
}

test('CP-51: acquireTimeoutMs of a statement that leaves a marker is shorter or longer than the pool’s', async (t) => {
  const patient = db.openPool(t, { ...MARKED, poolSize: 1, acquireTimeoutMs: 600_000 });
  const tx = await patient.begin();
  const short = await failureOf(
    patient.query('insert into t values (1)', [], { ...ONCE, acquireTimeoutMs: 50 }),
  );
  assert.deepEqual([short.name, short.safeToRetry], ['AcquireTimeoutError', true], short.stack);
  assert.match(short.message, /within 50ms/);
  assert.equal(patient.status().waiting, 0);
  await tx.rollback();

  const hasty = db.openPool(t, { ...MARKED, poolSize: 1, acquireTimeoutMs: 100 });
  const other = await hasty.begin();
  const long = hasty.query('insert into t values (1)', [], { ...ONCE, acquireTimeoutMs: 50_000 });
  long.catch(() => {});
  // By then the first has met the limit of the pool as well.
  assert.match((await failureOf(hasty.query('select 1'))).message, /100ms/);
  await other.rollback();
  await long;
  assert.equal(await rowsOf(1), 1);
  await waitFor(() => hasty.status().available === 1, { what: 'its connection back' });
});

test('CP-84: retry runs a statement again that leaves a marker', async (t) => {
  const { proxy, pool } = await behindProxy(t, { ...MARKED, retry: { baseDelayMs: 1 } });
  await pool.query('select 1');
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  const rows = await pool.query('insert into t values (2)', [], { ...ONCE, retry: true });
  assert.equal(rows.rowCount, 1);
  assert.equal(pool.status().counters.retries, 1);
  assert.equal(await rowsOf(2), 1);
});

test('CP-15: what reads behind a position leaves no marker, and waits for it', async (t) => {
  const pool = db.openPool(t, { ...MARKED, exactlyOnce: true });
  const start = await markers();
  // It has an id, so a transaction of the pool’s own would leave one.
  const [{ id }] = await pool.query('select pg_current_xact_id()::text as id', [], {
    after: '0/1',
  });
  assert.match(id, /^\d+$/);
  assert.equal(await markers(), start);
  await pool.query('select pg_current_xact_id()');
  assert.equal(await markers(), start + 1);
});

test('CP-51: timeoutMs of a statement that leaves a marker covers its COMMIT', async (t) => {
  const release = await holdCommits(t);
  const pool = db.openPool(t, { ...MARKED, resolveTimeoutMs: 600_000 });
  const insert = 'insert into held values (1)';
  const error = await failureOf(pool.query(insert, [], { ...ONCE, timeoutMs: 300 }));
  assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown'], error.stack);
  await release();
  await waitFor(async () => (await db.sql('select from held where n = 1')).length === 1);
});

test('a signal is heard while it is looked for what became of a marker', async (t) => {
  const { proxy, pool } = await behindProxy(t, { ...MARKED, resolveTimeoutMs: 600_000 });
  await pool.query('select 1');
  proxy.cutAt({ direction: 'toServer', text: 'COMMIT', before: true });
  proxy.refuse();
  const leaving = new AbortController();
  const asked = failureOf(
    pool.query('insert into t values (4)', [], { ...ONCE, signal: leaving.signal }),
  );
  await waitFor(() => proxy.counts.refused > 0, { what: 'a question about it' });
  leaving.abort(new Error('the caller left'));
  const error = await asked;
  assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown'], error.stack);
});

test('CP-2: whoever gives up a COMMIT by a signal hears at once that its outcome is open', async (t) => {
  const { proxy, pool } = await behindProxy(t, { resolveTimeoutMs: 600_000 });
  const leaving = new AbortController();
  const work = async (tx) => {
    await tx.query('insert into t values (5)');
    proxy.blackHole();
  };
  const done = failureOf(pool.transaction(work, { signal: leaving.signal }));
  await waitFor(() => proxy.held('toServer') > 0, { what: 'a COMMIT on its way' });
  leaving.abort(new Error('the caller left'));
  const error = await done;
  assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown'], error.stack);
});

test('CP-51: timeoutMs ends a wait for a connection that acquireTimeoutMs would go on with', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 100 });
  const tx = await pool.begin();
  const limits = { timeoutMs: 250, acquireTimeoutMs: 600_000 };
  const error = await failureOf(pool.query('select 1', [], limits));
  assert.deepEqual([error.name, error.outcome], ['TimeoutError', 'not-sent'], error.stack);
  await tx.rollback();
});

test('CP-84: timeoutMs is for all tries together', async (t) => {
  const retry = { maxAttempts: 1_000_000, baseDelayMs: 10, maxDelayMs: 20 };
  const pool = db.openPool(t, { retry });
  const conflict = `do $$ begin raise sqlstate '40001' using message = 'conflict'; end $$`;
  const error = await failureOf(pool.query(conflict, [], { retry: true, timeoutMs: 300 }));
  assert.ok(['40001', '57014'].includes(error.code), error.stack);
  assert.ok(pool.status().counters.retries > 0);
});

/** What writes a row in one transaction, by the way it does. */
const WRITERS = {
  'a batch of all or nothing': (pool, n) =>
    pool.batch(['select 1', { sql: 'insert into t values ($1)', params: [n] }], {
      errors: 'all-or-nothing',
    }),
  'a limited batch of all or nothing': (pool, n) =>
    pool.batch([{ sql: 'insert into t values ($1)', params: [n] }], {
      errors: 'all-or-nothing',
      signal: new AbortController().signal,
    }),
  'a transaction of Kysely': (pool, n) =>
    new Kysely({ dialect: new BerthDialect({ pool }) })
      .transaction()
      .execute((tx) => sql`insert into t values (${n})`.execute(tx)),
  'a stream': (pool, n) => all(pool.stream('insert into t values ($1) returning n', [n])),
  'a stream of Kysely': (pool, n) =>
    all(
      new Kysely({ dialect: new BerthDialect({ pool }) })
        .insertInto('t')
        .values({ n })
        .returning('n')
        .stream(),
    ),
};

async function all(rows) {
  const read = [];
  for await (const row of rows) read.push(row);
  return read;
}

for (const [index, [name, write]] of Object.entries(WRITERS).entries()) {
  test(`CP-5: ${name} leaves a marker, which tells what became of a lost COMMIT`, async (t) => {
    const { proxy, pool } = await behindProxy(t, MARKED);
    const n = 100 + 10 * index;
    const start = await markers();
    await write(pool, n);
    assert.equal(await markers(), start + 1);
    proxy.cutAt({ direction: 'toClient', text: 'COMMIT', before: true });
    await write(pool, n + 1).catch((/** @type {any} */ lost) => {
      // Where the rows are lost with the answer to COMMIT, there is nothing to resolve with.
      assert.match(lost.message, /^the batch was committed, although/);
    });
    assert.equal(await rowsOf(n + 1), 1);
    const text = name === 'a transaction of Kysely' ? 'commit' : 'COMMIT';
    proxy.cutAt({ direction: 'toServer', text, before: true });
    const error = await failureOf(write(pool, n + 2));
    assert.deepEqual([error.name, error.outcome], ['CommitAbortedError', 'failed'], error.stack);
    assert.equal(await rowsOf(n + 2), 0);
  });
}

const READ_ONLY = ['set transaction read only', 'SET LOCAL transaction_read_only = on'];
/** How a transaction that takes no more writes is run. @type {Record<string, (pool: any, text: string) => Promise<any>>} */
const READERS = {
  'a transaction': (pool, text) =>
    pool.transaction(async (tx) => {
      await tx.query(text);
      return tx.queryResult('select 1 as n');
    }),
  'a batch': (pool, text) => pool.batch([text, 'select 1 as n'], { errors: 'all-or-nothing' }),
  'a transaction of Kysely': (pool, text) =>
    new Kysely({ dialect: new BerthDialect({ pool }) }).transaction().execute(async (tx) => {
      await sql.raw(text).execute(tx);
      return sql`select 1 as n`.execute(tx);
    }),
};
for (const [what, read] of Object.entries(READERS)) {
  test(`CP-5: ${what} that has said itself that it only reads commits without a marker`, async (t) => {
    const pool = db.openPool(t, { ...MARKED, poolSize: 1 });
    const start = await markers();
    for (const text of READ_ONLY) await read(pool, text);
    const error = await failureOf(
      read(pool, 'set transaction read only; insert into t values (1)'),
    );
    assert.equal(error.code, what.includes('Kysely') ? '25006' : '42601');
    assert.equal(await markers(), start);
    await WRITERS['a batch of all or nothing'](pool, 300);
    assert.equal(await markers(), start + 1);
  });
}

test('CP-5: a stream that reads leaves no marker', async (t) => {
  const pool = db.openPool(t, MARKED);
  const start = await markers();
  assert.deepEqual(await all(pool.stream('select 1 as n')), [{ n: 1 }]);
  assert.equal(await markers(), start);
});

test('CP-5: a batch that reads leaves no marker, and one that fails says which statement did', async (t) => {
  const pool = db.openPool(t, MARKED);
  const whole = /** @type {const} */ ({ errors: 'all-or-nothing' });
  const start = await markers();
  await pool.batch(['select 1'], whole);
  const insert = { sql: 'insert into t values ($1)', params: [200] };
  const error = await failureOf(pool.batch([insert, 'select 1 / 0'], whole));
  assert.deepEqual([error.code, error.index], ['22012', 1], error.stack);
  assert.equal(await markers(), start);
  const lacking = db.openPool(t, { ...MARKED, commitMarkerTable: 'no_such_table' });
  const lack = await failureOf(lacking.batch([insert], whole));
  assert.deepEqual([lack.code, /no_such_table/.test(lack.message)], ['42P01', true], lack.stack);
  assert.equal(await rowsOf(200), 0);
});
