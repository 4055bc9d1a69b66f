// Statements and their results: rows, columns, sizes, and what a query may hold.
'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { finished } = require('node:stream/promises');
const { inspect } = require('node:util');
const { Client, ServerError } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase();

test('rows are a plain array with command and rowCount that do not show', async (t) => {
  const pool = db.openPool(t);
  const rows = await pool.query('select 1 as a union all select 2');
  assert.deepEqual(rows, [{ a: 1 }, { a: 2 }]);
  assert.equal(rows.command, 'SELECT');
  assert.equal(rows.rowCount, 2);
  assert.deepEqual(Object.keys(rows), ['0', '1']);
  assert.equal(JSON.stringify(rows), '[{"a":1},{"a":2}]');
  assert.equal(Object.getOwnPropertyDescriptor(rows, 'rowCount')?.enumerable, false);
});

test('command and rowCount say what the server did', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  for (const [sql, command, rowCount, rows] of [
    ['create table counted (n int)', 'CREATE', null, 0],
    ['insert into counted select generate_series(1, 5)', 'INSERT', 5, 0],
    ['update counted set n = n + 1 where n > 3 returning n', 'UPDATE', 2, 2],
    ['delete from counted where n = 99', 'DELETE', 0, 0],
    ['select from counted', 'SELECT', 5, 5],
    ['', '', null, 0],
    ['-- nothing', '', null, 0],
    ['values (1), (2)', 'SELECT', 2, 2],
    ['set work_mem = 1024', 'SET', null, 0],
    ['create table made as select 1 as n', 'SELECT', 1, 0],
    ['do $$ begin end $$', 'DO', null, 0],
    ['security label on table counted is null', 'SECURITY', null, 0],
    ['drop table counted', 'DROP', null, 0],
  ]) {
    const failing = command === 'SECURITY';
    const result = await pool
      .query(sql)
      .catch((error) => (failing ? error : Promise.reject(error)));
    if (failing) continue;
    assert.deepEqual(
      [result.command, result.rowCount, result.length],
      [command, rowCount, rows],
      sql,
    );
  }
});

test('an error message and its detail may be long', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const sql = `do $$ begin
    raise exception using message = repeat('m', 900000), detail = repeat('é', 300000);
  end $$`;
  const error = await pool.query(sql).then(assert.fail, (reason) => reason);
  assert.equal(error.message, 'm'.repeat(900_000));
  assert.equal(error.detail, 'é'.repeat(300_000));
  assert.deepEqual(await pool.query('select 1 as still'), [{ still: 1 }]);
});

test('queryResult describes the columns', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('create table described (id int primary key, label varchar(10))');
  const sql = 'select id, label, 1::numeric(5,2) as n from described';
  const [{ oid }] = await db.sql(`select 'described'::regclass::oid::int as oid`);
  for (const way of ['first', 'second']) {
    const { rows, fields, command, rowCount } = await pool.queryResult(sql);
    assert.deepEqual([rows, command, rowCount], [[], 'SELECT', 0], way);
    assert.deepEqual(
      fields.map(({ name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier }) => [
        name,
        tableID,
        columnID,
        dataTypeID,
        dataTypeSize,
        dataTypeModifier,
      ]),
      [
        ['id', oid, 1, 23, 4, -1],
        ['label', oid, 2, 1043, -1, 14],
        ['n', 0, 0, 1700, -1, 327686],
      ],
      way,
    );
  }
  const { fields } = await pool.queryResult('drop table described');
  assert.deepEqual(fields, []);
});

test('rowMode array keeps columns of the same name, objects keep the last', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const sql = 'select 1 as a, 2 as b, 3 as a';
  for (const way of ['first', 'second']) {
    assert.deepEqual(await pool.query(sql), [{ a: 3, b: 2 }], way);
    assert.deepEqual(await pool.query(sql, [], { rowMode: 'array' }), [[1, 2, 3]], way);
  }
  const arrays = db.openPool(t, { rowMode: 'array' });
  assert.deepEqual(await arrays.query(sql), [[1, 2, 3]]);
  assert.deepEqual(await arrays.query(sql, [], { rowMode: 'object' }), [{ a: 3, b: 2 }]);
});

test('column names are data, whatever they are called', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const names = [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '0',
    '10',
    '2',
    "it's",
    'say "hi"',
    'back\\slash',
    `\`\${process.exit(1)}\``,
    'a\nb\r\u2028\u2029',
    '*/ } throw 1; /*',
    'žluť 🐘',
    ' ',
    '?column?',
    'x'.repeat(63),
  ];
  const list = names.map((name, i) => `${i} as "${name.replaceAll('"', '""')}"`).join(', ');
  // beyond the rows that are decoded without generated code, and with NULLs in some
  const sql = `select ${list}, nullif(i % 2, 0) as odd from generate_series(1, 300) i`;
  for (const way of ['first', 'second']) {
    const rows = await pool.query(sql);
    assert.equal(rows.length, 300);
    for (const row of rows) {
      assert.equal(Object.getPrototypeOf(row), Object.prototype, way);
      for (const [i, name] of names.entries()) {
        assert.deepEqual(
          Object.getOwnPropertyDescriptor(row, name),
          { value: i, writable: true, enumerable: true, configurable: true },
          `${name}, ${way}`,
        );
      }
    }
  }
  const { fields } = await pool.queryResult(sql);
  assert.deepEqual(
    fields.slice(0, -1).map(({ name }) => name),
    names,
  );
});

test('a result may have 1600 columns, one, or none', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const list = Array.from({ length: 1600 }, (_, i) => `${i} as c${i}`).join(', ');
  const wide = `select ${list} from generate_series(1, 100)`;
  for (const way of ['first', 'second']) {
    const rows = await pool.query(wide);
    assert.equal(rows.length, 100, way);
    for (const row of rows) assert.equal(Object.keys(row).length, 1600);
    assert.equal(rows[99].c1599, 1599);
    assert.deepEqual(await pool.query('select from generate_series(1, 3)'), [{}, {}, {}], way);
    const none = await pool.query('select from generate_series(1, 70000)');
    assert.equal(none.length, 70_000, way);
  }
});

test('text and bytes of 10 MB come and go unharmed', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const latin = 'aé'.repeat(5_000_000);
  const wide = 'ž漢🐘'.repeat(2_000_000);
  const bytes = createHash('shake256', { outputLength: 10_000_000 }).update('seed').digest();
  const sql = 'select $1::text as latin, $2::text as wide, $3::bytea as bytes, 1 as n';
  for (const way of ['first', 'second']) {
    const [row] = await pool.query(sql, [latin, wide, bytes]);
    assert.ok(row.latin === latin, way);
    assert.ok(row.wide === wide, way);
    assert.ok(row.bytes.equals(bytes), way);
    assert.equal(row.n, 1);
  }
  const [row] = pool.querySync(sql, [latin, wide, bytes]);
  assert.ok(row.latin === latin && row.wide === wide && row.bytes.equals(bytes));
  for await (const streamed of pool.stream(sql, [latin, wide, bytes])) {
    assert.ok(streamed.bytes.equals(bytes));
  }
  const [{ doc }] = await pool.query(`select jsonb_build_object('k', $1::text) as doc`, [wide]);
  assert.ok(doc.k === wide);
  assert.deepEqual(await pool.query(`select ''::text as a, ''::bytea as b`), [
    { a: '', b: Buffer.alloc(0) },
  ]);
});

test('bytes of a result are the caller’s own', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const [{ b }] = await pool.query(`select '\\x010203'::bytea as b`);
  await pool.query(`select '\\xffffff'::bytea as b`);
  assert.deepEqual([...b], [1, 2, 3]);
});

test('many rows of mixed sizes arrive complete and in order', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const sql = `select i, repeat('x', i % 3000) as a, repeat('ž', i % 700) as w, nullif(i % 3, 0) as m,
    case when i % 500 = 0 then repeat('y', 300000) end as huge from generate_series(1, 5000) i`;
  for (const way of ['first', 'second']) {
    const rows = await pool.query(sql);
    assert.equal(rows.length, 5000);
    for (const [index, row] of rows.entries()) {
      const i = index + 1;
      assert.ok(row.i === i && row.a.length === i % 3000 && row.w === 'ž'.repeat(i % 700), way);
      assert.equal(row.m, i % 3 || null);
      assert.equal(row.huge?.length, i % 500 === 0 ? 300_000 : undefined);
    }
  }
});

test('an SQL text that is no text is refused', async (t) => {
  const pool = db.openPool(t);
  for (const sql of [undefined, null, 5, {}, ['select 1'], Buffer.from('select 1')]) {
    await assert.rejects(pool.query(sql), { name: 'TypeError', message: /sql must be a string/ });
    assert.throws(() => pool.querySync(sql), TypeError);
    assert.throws(() => pool.stream(sql), TypeError);
  }
  for (const sql of ["select '\0'", "select '\ud800'"]) {
    await assert.rejects(pool.query(sql), { outcome: 'not-sent' }, JSON.stringify(sql));
    assert.throws(() => pool.querySync(sql), { outcome: 'not-sent' });
  }
});

test('COPY through a query is refused and never hangs', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('create table copied (n int)');
  await pool.query('insert into copied values (1), (2)');
  await assert.rejects(pool.query('copy copied from stdin'), { code: '57014' });
  assert.deepEqual(await pool.query('select 1 as n'), [{ n: 1 }]);
  // Its data would be lost without a word, as it is with `pg`.
  const out = ({ message, cause }) =>
    /use copyTo/.test(message) && cause.code === 'ERR_RESULT_FORMAT';
  await assert.rejects(pool.query('copy copied to stdout'), out);
  assert.throws(() => pool.querySync('copy copied to stdout'), out);
  assert.deepEqual(await pool.query('select 2 as n'), [{ n: 2 }]);
  const tx = await pool.begin();
  await assert.rejects(tx.query('copy copied from stdin'), { code: '57014' });
  await tx.rollback();
  assert.throws(() => pool.querySync('copy copied from stdin'), { code: '57014' });
  assert.deepEqual(await pool.query('select count(*)::int as n from copied'), [{ n: 2 }]);
});

test('notices and notifications during statements do not disturb them', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('listen noise');
  const sql = `do $$ begin
    for i in 1..200 loop raise notice 'n %', repeat('x', 1000); perform pg_notify('noise', i::text); end loop;
    end $$`;
  const storm = Array.from({ length: 5 }, () => pool.query(sql));
  const rows = pool.query('select count(*)::int as n from generate_series(1, 1000)');
  await db.sql(`notify noise, 'from outside'`);
  await Promise.all(storm);
  assert.deepEqual(await rows, [{ n: 1000 }]);
  assert.deepEqual(await pool.query('select 1 as n'), [{ n: 1 }]);
});

test('two statements in one text are refused by the server and leave the connection usable', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await assert.rejects(pool.query('select 1; select 2'), { code: '42601' });
  assert.deepEqual(await pool.query('select 3 as n;'), [{ n: 3 }]);
});

test('CP-93: errors of the server name their statement, where no log of errors shows it', async (t) => {
  const pool = db.openPool(t);
  const wrong = 'select $1::int4 / 0 /* the statement */';
  const values = [815_815];
  const copy = 'copy (select 1 / 0) to stdout';
  /** @type {Record<string, () => any>} */
  const ways = {
    query: () => pool.query(wrong, values),
    'query with options': () => pool.query(wrong, values, { timeoutMs: 60_000 }),
    queryResult: () => pool.queryResult(wrong, values),
    querySync: async () => pool.querySync(wrong, values),
    stream: () => pool.stream(wrong, values).next(),
    transaction: () => pool.transaction((tx) => tx.query(wrong, values)),
    batch: () => pool.batch([{ sql: wrong, params: values }], { errors: 'all-or-nothing' }),
    copyTo: () => finished(pool.copyTo(copy).resume()),
  };
  for (const [way, fail] of Object.entries(ways)) {
    const error = await failureOf(fail());
    assert.equal(error.sql, way === 'copyTo' ? copy : wrong, way);
    for (const shown of [inspect(error), JSON.stringify(error), error.message])
      assert.ok(!shown.includes('the statement') && !shown.includes('815'), `${way}: ${shown}`);
  }
  const client = new Client(db.url);
  await client.connect();
  t.after(() => client.end());
  const error = await failureOf(client.query('select 1 / 0'));
  assert.deepEqual([error.constructor, error.sql], [ServerError, undefined], 'as in pg');
});
