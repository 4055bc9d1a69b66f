// createPool behind PgBouncer in transaction mode (CP-11, CP-65).
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { poolInDoubt, seenSession } = require('../support/doubt.js');
const { startPgbouncer } = require('../support/pgbouncer.js');
const { testDatabase } = require('../support/pools.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const db = testDatabase('create table t (id int primary key, n int)');

/** A pool behind a pooler with fewer connections to the server than it has itself. */
async function open(t, options) {
  const bouncer = await startPgbouncer(t, db.url);
  if (bouncer === undefined) return undefined;
  const pool = createPool({
    connectionString: bouncer.url,
    sslmode: 'disable',
    poolSize: 6,
    ...options,
  });
  t.after(() => pool.end({ timeoutMs: 500 }));
  return Object.assign(pool, { url: bouncer.url });
}

/** What a promise gives, or why not. @returns {Promise<any>} */
const settled = (/** @type {Promise<any>} */ promise) => promise.catch((error) => error);

for (const fenceCheck of /** @type {const} */ (['auto', 'query'])) {
  test(`CP-11, CP-65: through PgBouncer, fenceCheck ${fenceCheck}, unnamed statements: every statement has its own answer`, async (t) => {
    const pool = await open(t, { fenceCheck, preparedStatements: 'unnamed' });
    if (pool === undefined) return;
    await db.sql('truncate t');
    const work = async (/** @type {number} */ id) => {
      await pool.query('insert into t values ($1, 0)', [id]);
      for (let n = 1; n <= 10; n++) {
        await pool.transaction(async (tx) => {
          await tx.query('update t set n = n + 1 where id = $1', [id]);
        });
        assert.equal((await pool.query('select n from t where id = $1', [id]))[0].n, n);
      }
    };
    await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(work));
    const [{ sum }] = await db.sql('select sum(n)::int as sum from t');
    assert.equal(sum, 80);
  });
}

test('CP-52: where the pooler refuses statement_timeout the limit is kept by the pool, and nobody else is hit', async (t) => {
  const pool = await open(t, { statementTimeoutMs: 200, preparedStatements: 'unnamed' });
  if (pool === undefined) return;
  const slow = 'select pg_sleep(20)';
  const inTransaction = pool.transaction((tx) => tx.query(slow), { maxAttempts: 1 });
  const problems = await Promise.all([pool.query(slow), inTransaction].map(settled));
  for (const error of problems)
    assert.deepEqual([error.name, error.code, error.outcome], ['TimeoutError', '57014', 'failed']);
  // Counted for each statement by itself, behind whatever it waits.
  const [first, second] = await pool.batch([slow, 'select 1 as one']);
  assert.deepEqual([first.reason.code, second.value], ['57014', [{ one: 1 }]]);
  // A limit of the caller's that is shorter holds.
  const own = await settled(pool.query(slow, [], { timeoutMs: 50 }));
  assert.deepEqual([own.name, own.afterMs], ['TimeoutError', 50]);
  assert.deepEqual(await pool.query('select 1 as one'), [{ one: 1 }]);
  // Whoever gets the pooler's connections next has the server's own setting.
  const others = createPool({ connectionString: pool.url, sslmode: 'disable', poolSize: 6 });
  t.after(() => others.end({ timeoutMs: 500 }));
  const seen = await Promise.all(
    Array.from({ length: 12 }, () => others.query('show statement_timeout')),
  );
  assert.deepEqual(new Set(seen.map(([row]) => row.statement_timeout)), new Set(['0']));
});

test('CP-65: statements that the pooler has lost are prepared again, outside of transactions', async (t) => {
  const pool = await open(t, {});
  if (pool === undefined) return;
  const read = async (/** @type {number} */ n) => {
    for (let round = 0; round < 20; round++)
      assert.equal((await pool.query('select $1::int as n', [n]))[0].n, n);
  };
  await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(read));
});

/** Its COMMIT waits for a lock, so that its answer can be lost. */
const SLOW_COMMIT = `
  create function linger() returns trigger language plpgsql as $$ begin
    perform pg_advisory_xact_lock(7);
    return null;
  end $$;
  create constraint trigger linger after insert on t deferrable initially deferred
    for each row when (new.id > 100) execute function linger()`;

for (const [way, preparedStatements] of /** @type {const} */ ([
  ['transaction', 'named'],
  ['transaction', 'unnamed'],
  ['exactlyOnce', 'named'],
  ['exactlyOnce', 'unnamed'],
])) {
  test(`CP-4, CP-6: a pooler outlives its server, and a COMMIT on the next one is judged by that one (${way}, ${preparedStatements})`, async (t) => {
    const server = await startServer();
    t.after(() => server.stop());
    await server.sql(`create table t (id int primary key); ${SLOW_COMMIT}`);
    const bouncer = await startPgbouncer(t, server.url);
    if (bouncer === undefined) return;
    const { hostname, port } = new URL(bouncer.url);
    const through = [{ host: hostname, port: Number(port) }];
    const fixture = await poolInDoubt(t, through, { preparedStatements });
    const { pool, loseConnections, letAsk, resolved } = fixture;
    const sql = 'insert into t values ($1)';
    const insert = (/** @type {number} */ id) =>
      way === 'exactlyOnce'
        ? pool.query(sql, [id], { exactlyOnce: true })
        : pool.transaction((tx) => tx.query(sql, [id]), { maxAttempts: 1 });
    for (const id of [1, 2]) await insert(id);
    await server.kill();
    await server.start();
    // The pooler may hold connections to the server of before.
    await waitFor(() => insert(3).then(() => true), { what: 'a write on the new server' });
    const holders = createPool(`${server.url}?sslmode=disable`);
    t.after(() => holders.end({ timeoutMs: 500 }));
    const holder = await holders.begin();
    await holder.query('select pg_advisory_xact_lock(7)');
    const done = insert(101);
    done.catch(() => {});
    await seenSession((text) => server.sql(text), `wait_event = 'advisory'`, 'a slow COMMIT');
    await loseConnections();
    await holder.rollback();
    await waitFor(async () => (await server.sql('select from t where id = 101')).length === 1);
    letAsk();
    await done;
    assert.deepEqual(
      resolved.map(({ status }) => status),
      ['committed'],
    );
  });
}

for (const driver of /** @type {const} */ (['loop', 'engine'])) {
  test(`CP-65: named statements through a PgBouncer that loses them: a connection soon keeps none for transactions: ${driver}`, async (t) => {
    const pool = await open(t, { driver });
    if (pool === undefined) return;
    await db.sql('truncate t');
    await db.sql('insert into t select g, 0 from generate_series(0, 9) g');
    let committed = 0;
    /** @type {any[]} */
    const errors = [];
    const work = async (/** @type {number} */ id) => {
      for (let n = 0; n < 40; n++) {
        const done = pool.transaction(async (tx) => {
          await tx.query('update t set n = n + 1 where id = $1', [id]);
          await tx.query('select n from t where id = $1', [id]);
        });
        await done.then(
          () => committed++,
          (error) => errors.push(error),
        );
      }
    };
    const all = () => Promise.all(Array.from({ length: 12 }, (_, k) => work(k % 10)));
    await all();
    // Three losses tell a connection what is in front of it.
    assert.ok(errors.length <= 3 * 6, `${errors.length} of ${committed}`);
    for (const { code, outcome } of errors) assert.deepEqual([code, outcome], ['26000', 'failed']);
    errors.length = 0;
    await all();
    assert.deepEqual(errors, []);
    assert.deepEqual(await db.sql('select sum(n)::int as n from t'), [{ n: committed }]);
  });
}
