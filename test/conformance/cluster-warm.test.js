// What replaces lost connections is warm: their most used statements are prepared before anybody has it (CP-24).
'use strict';

const assert = require('node:assert/strict');
const { Client } = require('pg');
const { createPool } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const db = testDatabase('create table items (id int primary key, name text)');

const OFTEN = 'select name from items where id = $1';
const SOMETIMES = 'select count(*) from items';
const RARELY = 'select max(id) from items';
const PREPARED = 'select statement from pg_prepared_statements where from_sql is false';

/** Uses the pool's connections, each as often as the others. */
async function use(pool, uses, connections = 1) {
  for (const [sql, times, ...params] of uses) {
    for (let turn = 0; turn < times; turn++)
      await Promise.all(Array.from({ length: connections }, () => pool.query(sql, params)));
  }
}

let pools = 0;

/** A pool whose connections the server can tell from those of the test before. */
function open(t, options) {
  pools += 1;
  const applicationName = `warm ${pools}`;
  return Object.assign(db.openPool(t, { ...options, applicationName }), { applicationName });
}

/** Ends the pool's connections, and waits until it knows. */
async function lose(pool) {
  const { size } = pool.status();
  const rows = await db.sql(
    'select pg_terminate_backend(pid, 5000) as ended from pg_stat_activity where application_name = $1',
    [pool.applicationName],
  );
  assert.deepEqual([rows.length, rows.every(({ ended }) => ended)], [size, true]);
  await waitFor(() => pool.status().size === 0, { what: 'the loss of all connections' });
}

/** What is prepared on a connection, apart from the question. */
async function prepared(queryable) {
  const rows = await queryable.query(PREPARED);
  return rows.map(({ statement }) => statement).filter((text) => text !== PREPARED);
}

function hear(pool) {
  /** @type {any[]} */
  const told = [];
  pool.on('warm', (event) => told.push(event));
  return told;
}

const USES = [
  [RARELY, 1],
  [OFTEN, 9, 1],
  [SOMETIMES, 4],
];

for (const [warmStatements, expected] of /** @type {const} */ ([
  [2, [OFTEN, SOMETIMES]],
  [undefined, [OFTEN, SOMETIMES, RARELY]],
  [0, []],
]))
  test(`CP-24: with warmStatements ${warmStatements} ${expected.length} statements are prepared on what replaces a connection`, async (t) => {
    const pool = open(t, {
      poolSize: 1,
      ...(warmStatements !== undefined && { warmStatements }),
    });
    const told = hear(pool);
    await use(pool, USES);
    await lose(pool);
    assert.deepEqual((await prepared(pool)).sort(), [...expected].sort());
    assert.deepEqual(
      told.map(({ statements, refused }) => [statements, refused]),
      expected.length === 0 ? [] : [[expected.length, []]],
    );
    // Known in every respect: types of parameters and columns too.
    assert.deepEqual(await pool.query(OFTEN, [1]), []);
    assert.deepEqual(await pool.query(SOMETIMES), [{ count: 0n }]);
  });

test('CP-24: a connection beyond those that were lost is not warmed', async (t) => {
  const pool = open(t, { poolSize: 2 });
  await use(pool, USES);
  await lose(pool);
  const [one, two] = await Promise.all([pool.begin(), pool.begin()]);
  const warm = [await prepared(one), await prepared(two)].map((texts) => texts.includes(OFTEN));
  assert.deepEqual(warm.sort(), [false, true]);
  await Promise.all([one.rollback(), two.rollback()]);
});

test('CP-24: a statement that the server refuses harms nothing, and is told once', async (t) => {
  const pool = open(t, { poolSize: 2 });
  const told = hear(pool);
  const held = await Promise.all([pool.begin(), pool.begin()]);
  await Promise.all(held.map((tx) => tx.query('create temp table own (id int)')));
  await Promise.all(held.map((tx) => tx.commit()));
  await use(
    pool,
    [
      ['select id from own', 9],
      [OFTEN, 4, 1],
    ],
    2,
  );
  await lose(pool);
  const again = await Promise.all([pool.begin(), pool.begin()]);
  for (const tx of again) assert.ok((await prepared(tx)).includes(OFTEN));
  await Promise.all(again.map((tx) => tx.commit()));
  const refused = told.flatMap((event) => event.refused);
  assert.deepEqual(
    refused.map(({ sql, error }) => [sql, error.code]),
    [['select id from own', '42P01']],
  );
  assert.deepEqual(await pool.query(SOMETIMES), [{ count: 0n }]);
});

test('CP-24: a lock on a table keeps nobody from a connection', async (t) => {
  const pool = open(t, { poolSize: 1 });
  const told = hear(pool);
  await use(pool, USES);
  const locker = new Client({ connectionString: db.url, application_name: 'observer' });
  await locker.connect();
  t.after(() => locker.end());
  await locker.query('begin; lock table items in access exclusive mode');
  await lose(pool);
  // To prepare a statement on that table is to wait for its lock.
  assert.deepEqual(await pool.query('select 1 as one'), [{ one: 1 }]);
  assert.deepEqual(told, []);
  await locker.query('rollback');
  assert.deepEqual(await pool.query(OFTEN, [1]), []);
});

test('CP-24: after a failover the new primary has minIdle connections, prepared, before anybody asks', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  await cluster.primary.sql('create table items (id int primary key, name text)');
  await cluster.primary.sql(`insert into items select i, 'name' from generate_series(1, 100) i`);
  const pool = createPool(cluster.options({ minIdle: 3, poolSize: 5 }));
  t.after(() => pool.end());
  const told = hear(pool);
  await use(pool, USES, 3);
  const p99 = async () => {
    const times = [];
    for (let turn = 0; turn < 1000; turn++) {
      const began = performance.now();
      await pool.query(OFTEN, [turn % 100]);
      times.push(performance.now() - began);
    }
    return /** @type {number} */ (times.sort((one, other) => one - other)[989]);
  };
  const steady = await p99();
  await cluster.failover();
  const opened = () =>
    pool.status().nodes.find(({ address }) => address === cluster.primary.host)?.open;
  await waitFor(() => opened() === 3 && pool.status().available === 3, {
    what: 'idle connections',
  });
  const held = await Promise.all([pool.begin(), pool.begin(), pool.begin()]);
  for (const tx of held) assert.ok((await prepared(tx)).includes(OFTEN));
  await Promise.all(held.map((tx) => tx.rollback()));
  assert.deepEqual(
    told.map(({ address, refused }) => [address, refused]),
    held.map(() => [cluster.primary.host, []]),
  );
  t.diagnostic(
    `p99 of 1000 queries: ${steady.toFixed(3)} ms before, ${(await p99()).toFixed(3)} ms behind a failover`,
  );
});
