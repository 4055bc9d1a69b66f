// What stays prepared on a real server: a bounded number, the least recently used first to go, and stale ones anew.
'use strict';

const assert = require('node:assert/strict');
const { Client } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table t (id int); insert into t values (1)');

const text = (n) => `select $1::int + ${n} as n`;
const VIEW = `select statement from pg_prepared_statements
  where statement like 'select $1::int + %' order by prepare_time, name`;

test('sec_j04: more texts than the cache holds: the least recently used are closed', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, statementCacheSize: 4 });
  const kept = async () => {
    const rows = await pool.query(VIEW);
    return rows.map(({ statement }) => Number(statement.match(/\+ (\d+)/)[1]));
  };
  for (const n of [1, 2, 3]) await pool.query(text(n), [0]);
  assert.deepEqual(await kept(), [1, 2, 3]);
  // It is used again, so 2 and 3 go before it.
  await pool.query(text(1), [0]);
  for (const n of [4, 5]) assert.deepEqual(await pool.query(text(n), [1]), [{ n: n + 1 }]);
  await pool.query('select 1 as one');
  assert.deepEqual(await kept(), [1, 4, 5]);
  for (let n = 0; n < 100; n++) assert.deepEqual(await pool.query(text(n), [n]), [{ n: 2 * n }]);
  const [{ count }] = await pool.query('select count(*)::int as count from pg_prepared_statements');
  assert.ok(count <= 5, `${count}`);
});

test('0A000 and 26000: what became stale is prepared anew, unseen', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const all = 'select * from t where id = $1';
  for (let n = 0; n < 3; n++) assert.deepEqual(await pool.query(all, [1]), [{ id: 1 }]);
  await db.sql('alter table t add more text default $$x$$');
  assert.deepEqual(await pool.query(all, [1]), [{ id: 1, more: 'x' }]);
  await pool.query('deallocate all');
  assert.deepEqual(await pool.query(all, [1]), [{ id: 1, more: 'x' }]);
  await pool.query('discard all');
  const many = Array.from({ length: 20 }, () => pool.query(all, [1]));
  for (const rows of await Promise.all(many)) assert.deepEqual(rows, [{ id: 1, more: 'x' }]);
  await db.sql('alter table t drop more');
});

for (const driver of ['loop', 'engine']) {
  test(`26000: BEGIN is prepared once, and what ends all statements unseen fails no transaction: ${driver}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1, driver });
    await db.sql(`create or replace function forget() returns void language plpgsql
      as $$ begin execute 'deallocate all'; end $$`);
    let attempts = 0;
    const names = () =>
      pool.transaction(async (tx) => {
        attempts++;
        await tx.query('update t set id = id where id = $1', [1]);
        const rows = await tx.query(
          "select name from pg_prepared_statements where statement = 'BEGIN' or name = 'berth_probe' order by name",
        );
        return rows.map(({ name }) => name);
      });
    const [first] = await names();
    for (let n = 0; n < 3; n++) assert.deepEqual(await names(), [first, 'berth_probe']);
    await pool.query('select forget()');
    const [second] = await names();
    assert.notEqual(second, first);
    for (let n = 0; n < 3; n++) assert.deepEqual(await names(), [second, 'berth_probe']);
    // A connection that loses its statements again and again keeps none for transactions.
    for (let n = 0; n < 5; n++) {
      await pool.query('select forget()');
      await names();
    }
    assert.equal(attempts, 13);
  });
}

test('a temporary table that hides another is read at once, whatever was prepared', async (t) => {
  const client = new Client(db.url);
  await client.connect();
  t.after(() => client.end());
  const ask = async () => (await client.query('select id from t')).rows;
  for (let n = 0; n < 3; n++) assert.deepEqual(await ask(), [{ id: 1 }]);
  await client.query('create temp table first (id int)');
  for (let n = 0; n < 3; n++) assert.deepEqual(await ask(), [{ id: 1 }]);
  await client.query('create temporary table t (id int)');
  assert.deepEqual(await ask(), []);
  await client.query('drop table pg_temp.t');
  assert.deepEqual(await ask(), [{ id: 1 }]);
});

test('sec_j04: texts that do not come again do not fill the memory', async (t) => {
  const gc = globalThis.gc;
  assert.ok(gc, 'run with --expose-gc');
  const pool = db.openPool(t, { poolSize: 1 });
  const ask = async (from, to) => {
    for (let n = from; n < to; n++) {
      // flat: a text put together from pieces would be the pieces' memory
      const long = Buffer.from(`select ${n} as n -- ${'x'.repeat(90_000)}`).toString('latin1');
      assert.deepEqual(await pool.query(long), [{ n }]);
    }
  };
  await ask(0, 10);
  gc();
  const before = process.memoryUsage().heapUsed;
  await ask(10, 500);
  gc();
  const more = process.memoryUsage().heapUsed - before;
  assert.ok(more < 25e6, `${more} bytes are kept`);
  // one that was let go is one like any other
  await ask(0, 10);
});
