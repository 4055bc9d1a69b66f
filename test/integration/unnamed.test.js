// preparedStatements: 'unnamed', for poolers that lose prepared statements: nothing is left on the server.
'use strict';

const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table kept (id int, list int[], doc jsonb)');

const open = (t) => db.openPool(t, { poolSize: 1, preparedStatements: 'unnamed' });
const left = (on) => on.query('select name from pg_prepared_statements');

test('arrays become array literals or JSON by the type of the parameter', async (t) => {
  const pool = open(t);
  const insert = 'insert into kept values ($1, $2, $3) returning list, doc';
  for (const id of [1, 2, 3]) {
    const rows = await pool.query(insert, [id, [id, null], [id, 'a', [true]]]);
    assert.deepEqual(rows, [{ list: [id, null], doc: [id, 'a', [true]] }]);
  }
  assert.deepEqual(await pool.query('select $1::text[] as a, $2::json as b', [['x'], ['y']]), [
    { a: ['x'], b: ['y'] },
  ]);
  assert.deepEqual(pool.querySync('select $1::int[] as a', [[7]]), [{ a: [7] }]);
  assert.deepEqual(await left(pool), []);
});

test('the same inside transactions, in batches and at once', async (t) => {
  const pool = open(t);
  const text = 'select id from kept where id = any($1) order by id';
  await pool.transaction(async (tx) => {
    assert.deepEqual(await tx.query(text, [[1, 3]]), [{ id: 1 }, { id: 3 }]);
    const both = [tx.query(text, [[2]]), tx.query('select $1::jsonb as a', [[5]])];
    assert.deepEqual(await Promise.all(both), [[{ id: 2 }], [{ a: [5] }]]);
    assert.deepEqual(await left(tx), []);
  });
  const [first, second] = await pool.batch(
    [
      { sql: text, params: [[1]] },
      { sql: text, params: [[2]] },
    ],
    { errors: 'all-or-nothing' },
  );
  assert.deepEqual([[...first], [...second]], [[{ id: 1 }], [{ id: 2 }]]);
  const asked = Array.from({ length: 30 }, (_, n) => pool.query(text, [[n % 4]]));
  const found = (await Promise.all(asked)).map(([row]) => row?.id);
  assert.deepEqual(
    found,
    Array.from({ length: 30 }, (_, n) => n % 4 || undefined),
  );
});

test('streams, with and without arrays', async (t) => {
  const pool = open(t);
  const rows = [];
  const texts = 'select n, $1::int[] as list from generate_series(1, 25) n';
  for await (const row of pool.stream(texts, [[4, 2]], { batchSize: 10 })) rows.push(row);
  assert.deepEqual([rows.length, rows[24]], [25, { n: 25, list: [4, 2] }]);
  await pool.transaction(async (tx) => {
    let count = 0;
    for await (const { n } of tx.stream('select generate_series(1, $1::int) as n', [30]))
      count += n;
    assert.equal(count, 465);
    assert.deepEqual(await left(tx), []);
  });
});

test('an error in the statement or in a value is told as it is, and the connection goes on', async (t) => {
  const pool = open(t);
  await assert.rejects(pool.query('selec $1', [[1]]), { code: '42601' });
  await assert.rejects(pool.query('select $1::int[]', [['x']]), { code: '22P02' });
  await assert.rejects(pool.query('select $1 + 1', [[1]]), { outcome: 'failed' });
  assert.deepEqual(await pool.query('select $1::int[] as a', [[1]]), [{ a: [1] }]);
});
