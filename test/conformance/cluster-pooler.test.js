// createPool behind PgBouncer in transaction mode (CP-11, CP-65).
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { startPgbouncer } = require('../support/pgbouncer.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
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
  return pool;
}

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

test('CP-65: statements that the pooler has lost are prepared again, outside of transactions', async (t) => {
  const pool = await open(t, {});
  if (pool === undefined) return;
  const read = async (/** @type {number} */ n) => {
    for (let round = 0; round < 20; round++)
      assert.equal((await pool.query('select $1::int as n', [n]))[0].n, n);
  };
  await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(read));
});
