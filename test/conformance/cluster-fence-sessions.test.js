// Sessions of their own that meet a fence: statements with a limit for the connection, batches, Kysely's connections (CP-10).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { Kysely, sql } = require('kysely');
const { createPool, FencedError, NoPrimaryError } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { startCluster } = require('../support/cluster.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  cluster = await startCluster({ synchronous: false });
  await cluster.primary.sql('create table t (id int primary key)');
});
after(() => cluster.stop());

/** A pool whose connections are all open and idle, to a primary that is fenced then. */
async function fenced(t, options) {
  const poolSize = 3;
  const pool = createPool(cluster.options({ poolSize, acquireTimeoutMs: 10_000, ...options }));
  t.after(() => pool.end({ timeoutMs: 500 }));
  await Promise.all(Array.from({ length: poolSize }, () => pool.query('select pg_sleep(0.05)')));
  await cluster.primary.fence();
  t.after(() => cluster.primary.unfence());
  return pool;
}

/** Ends the fence as soon as so many wait for a connection. */
async function unfenceOnce(pool, waiting) {
  await waitFor(() => pool.status().waiting === waiting, { what: 'sessions back in the queue' });
  await cluster.primary.unfence();
}

const stored = async (from) => {
  const rows = await cluster.primary.sql(`select id from t where id >= ${from} order by id`);
  return rows.map(({ id }) => Number(id));
};

test('CP-10: what has a session of its own goes to the next primary with all others', async (t) => {
  const pool = await fenced(t, { validationIntervalMs: 0 });
  const patience = { acquireTimeoutMs: 9_000 };
  const asked = [
    ...[10, 11, 12].map((id) => pool.query('insert into t values ($1)', [id], patience)),
    pool.query('select 1 as one', [], patience),
    pool.batch(['insert into t values (13)']),
  ];
  await unfenceOnce(pool, asked.length);
  const [, , , [row]] = await Promise.all(asked);
  assert.deepEqual({ ...row }, { one: 1 });
  assert.deepEqual(await stored(10), [10, 11, 12, 13]);
});

test('CP-10: a read behind a position is asked again of the next primary', async (t) => {
  const pool = await fenced(t, { validationIntervalMs: 0 });
  const read = pool.query('select 1 as one', [], { after: '0/1' });
  await waitFor(() => pool.status().waiting > 0, { what: 'the next try' });
  await cluster.primary.unfence();
  assert.deepEqual(
    (await read).map((row) => ({ ...row })),
    [{ one: 1 }],
  );
});

test('CP-60: no primary within the own limit of a statement is told as such', async (t) => {
  const pool = await fenced(t);
  const limit = { acquireTimeoutMs: 300 };
  const error = await failureOf(pool.query('insert into t values (20)', [], limit));
  assert.ok(error instanceof NoPrimaryError, error.stack);
  assert.equal(error.outcome, 'not-sent');
  assert.match(error.message, /no writable primary available after 300ms/);
  assert.equal(pool.status().waiting, 0);
  await cluster.primary.unfence();
  await pool.query('insert into t values (21)');
  assert.deepEqual(await stored(20), [21]);
});

test('CP-10: Kysely goes to the next primary with every query of its pool', async (t) => {
  const pool = await fenced(t);
  const db = new Kysely({ dialect: new BerthDialect({ pool }) });
  const ids = [30, 31, 32, 33, 34, 35];
  const asked = ids.map((id) => sql`insert into t values (${id})`.execute(db));
  await unfenceOnce(pool, asked.length);
  await Promise.all(asked);
  assert.deepEqual(await stored(30), ids);
});

test('CP-10: statements that rely on one another are not torn apart', async (t) => {
  const pool = await fenced(t, { validationIntervalMs: 0 });
  const settled = await pool.batch([
    'insert into t select 40 from pg_sleep(0.1)',
    'select count(*)::int as n from t where id = 40',
  ]);
  for (const { status, reason } of settled) {
    assert.equal(status, 'rejected');
    assert.ok(reason instanceof FencedError, reason);
    assert.deepEqual([reason.outcome, reason.transient, reason.code], ['failed', true, '25006']);
    assert.match(reason.message, /^the statement's node .*: it had no effect$/);
  }
  await cluster.primary.unfence();
  assert.deepEqual(await stored(40), []);
  const [{ value }, { value: counted }] = await pool.batch([
    'insert into t values (40)',
    'select count(*)::int as n from t where id = 40',
  ]);
  assert.deepEqual([value.rowCount, counted[0].n], [1, 1]);
});

test('CP-10: the connection that a caller has in his hands is not exchanged', async (t) => {
  const pool = createPool(cluster.options({ poolSize: 2, validationIntervalMs: 0 }));
  t.after(() => pool.end({ timeoutMs: 500 }));
  t.after(() => cluster.primary.unfence());
  const db = new Kysely({ dialect: new BerthDialect({ pool }) });
  const statement = sql`select pg_backend_pid() as pid`;
  await db.connection().execute(async (connection) => {
    await statement.execute(connection);
    await cluster.primary.fence();
    const error = await failureOf(statement.execute(connection));
    assert.ok(error instanceof FencedError, error.stack);
    await cluster.primary.unfence();
  });
  assert.equal((await statement.execute(db)).rows.length, 1);
});

test('CP-10: SHOW and COPY tell nothing of a fenced primary either', async (t) => {
  const pool = await fenced(t, { validationIntervalMs: 0, acquireTimeoutMs: 300 });
  const chunks = [];
  const copied = async () => {
    for await (const chunk of await pool.copyTo('copy (select 1) to stdout')) chunks.push(chunk);
  };
  const asked = [pool.query('show server_version'), copied()];
  for (const error of await Promise.all(asked.map(failureOf))) {
    assert.ok(error instanceof NoPrimaryError, error.stack);
    assert.equal(error.outcome, 'not-sent');
  }
  assert.deepEqual(chunks, []);
  await cluster.primary.unfence();
  await copied();
  assert.equal(Buffer.concat(chunks).toString(), '1\n');
});

test('CP-8: a setting that is only named by a parameter does not go around the fence', async (t) => {
  const pool = createPool(cluster.options({ poolSize: 1, acquireTimeoutMs: 300 }));
  t.after(() => pool.end({ timeoutMs: 500 }));
  t.after(() => cluster.primary.unfence());
  const setting = ['default_transaction_read_only', 'off'];
  await pool.query('select set_config($1, $2, false)', setting);
  await cluster.primary.fence();
  const error = await failureOf(pool.query('insert into t values (50)'));
  assert.ok(error instanceof NoPrimaryError, error.stack);
  await cluster.primary.unfence();
  assert.deepEqual(await stored(50), []);
});
