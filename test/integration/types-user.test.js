// Types that users made, and parsers that users give.
'use strict';

const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { Kysely, sql } = require('kysely');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const {
  failureOf,
  readRequest,
  rightAnswer,
  scriptedPool,
} = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase(`
    create type mood as enum ('sad', 'o"k', 'happy, very');
    create domain positive as int8 check (value > 0);
    create domain moods as mood[];
    create type inner_pair as (n numeric, "__proto__" text);
    create type outer_pair as (id positive, feeling mood, pair inner_pair, many inner_pair[], at timestamptz);
    create type holder as (span interval, spans interval[], grid int4[], words text[], docs jsonb[], boxes box[]);
    create type lonely as (one text);
    create type nobody as ();
    create table things (id int, feeling mood);
    insert into things values (1, 'sad');
`);

const SQL = `select 'o"k'::mood as feeling, array['sad', null, 'happy, very']::mood[] as feelings,
  7::positive as positive, array[1, null]::positive[] as positives, array['sad']::moods as domain_of_array,
  row(1.50, 'a,"b')::inner_pair as pair, array[row(1, null)::inner_pair, null] as pairs,
  row(9, 'sad', row(null, ''), array[row(2, 'x')::inner_pair], '2026-06-05 12:00+00')::outer_pair as whole,
  null::outer_pair as nothing, t as row_of_table from things t`;

const pair = (n, text) =>
  Object.fromEntries([
    ['n', n],
    ['__proto__', text],
  ]);
const EXPECTED = {
  feeling: 'o"k',
  feelings: ['sad', null, 'happy, very'],
  positive: 7n,
  positives: [1n, null],
  domain_of_array: ['sad'],
  pair: pair('1.50', 'a,"b'),
  pairs: [pair('1', null), null],
  whole: {
    id: 9n,
    feeling: 'sad',
    pair: pair(null, ''),
    many: [pair('2', 'x')],
    at: '2026-06-05T12:00:00+00:00',
  },
  nothing: null,
  row_of_table: { id: 1, feeling: 'sad' },
};

async function streamed(rows) {
  const all = [];
  for await (const row of rows) all.push(row);
  return all;
}

test('a composite value with one attribute, NULL or not, or with none is an object', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const sql = `select row(null)::lonely as "null", row('')::lonely as empty, null::lonely as nothing,
    array[row(null)::lonely, null, row('x')::lonely] as list, '()'::nobody as none`;
  for (let run = 0; run < 3; run += 1) {
    assert.deepEqual(await pool.query(sql), [
      {
        null: { one: null },
        empty: { one: '' },
        nothing: null,
        list: [{ one: null }, null, { one: 'x' }],
        none: {},
      },
    ]);
  }
});

test('attributes of built-in types are what columns of these types are', async (t) => {
  const values = `'-1 mon +2 days -03:04:05.6'::interval as span, array['1 day', null]::interval[] as spans,
    '[0:1][2:2]={{1},{null}}'::int4[] as grid, array['a"b\\', 'NULL', ''] as words,
    array['{"a": ["}"]}', null]::jsonb[] as docs, array['(2,2),(1,1)', '(1,1),(0,0)']::box[] as boxes`;
  const expected = {
    span: 'P-1M2DT-3H-4M-5.6S',
    spans: ['P1D', null],
    grid: [[1], [null]],
    words: ['a"b\\', 'NULL', ''],
    docs: [{ a: ['}'] }, null],
    boxes: ['(2,2),(1,1)', '(1,1),(0,0)'],
  };
  for (const style of ['postgres', 'postgres_verbose', 'sql_standard', 'iso_8601']) {
    const pool = db.openPool(t, { poolSize: 1, options: `-c IntervalStyle=${style}` });
    const sql = `select *, row(span, spans, grid, words, docs, boxes)::holder as whole from (select ${values}) v`;
    for (let run = 0; run < 3; run += 1) {
      assert.deepEqual(await pool.query(sql), [{ ...expected, whole: expected }], style);
    }
  }
});

test('enums, domains, composites and arrays of them are values of their parts', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  for (const way of ['first', 'second']) {
    assert.deepEqual(await pool.query(SQL), [EXPECTED], way);
  }
  assert.deepEqual(pool.querySync(SQL), [EXPECTED]);
  assert.deepEqual(await streamed(pool.stream(SQL)), [EXPECTED]);
});

test('a blocking call looks types up itself', (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  assert.deepEqual(pool.querySync(SQL), [EXPECTED]);
});

test('a transaction and a stream look types up on a pool of one connection', async (t) => {
  const inside = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 2000 });
  assert.deepEqual(await inside.transaction((tx) => tx.query(SQL)), [EXPECTED]);
  const streaming = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 2000 });
  assert.deepEqual(await streamed(streaming.stream(SQL)), [EXPECTED]);
  const both = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 2000 });
  await both.transaction(async (tx) => {
    assert.deepEqual(await streamed(tx.stream(SQL)), [EXPECTED]);
  });
});

test('a type made in a transaction is understood inside it', async (t) => {
  const pool = db.openPool(t);
  const tx = await pool.begin();
  await tx.query('create type fresh as (a int, b int8)');
  assert.deepEqual(await tx.query('select row(1, 2)::fresh as v'), [{ v: { a: 1, b: 2n } }]);
  await tx.rollback();
});

test('a type made in a transaction is not looked up from outside of it', async (t) => {
  const pool = db.openPool(t);
  const tx = await pool.begin();
  await tx.query('create type unseen as (a int, b int8)');
  // Its first rows are here, and are kept until the answer is complete.
  const read = tx.query(`with last as materialized (select pg_sleep(1))
    select row(1, 2)::unseen as v from generate_series(1, 20000)
    union all select row(3, 4)::unseen from last`);
  await db.running('unseen');
  await sleep(300);
  assert.deepEqual(await pool.query(`select 'sad'::mood as v`), [{ v: 'sad' }]);
  const rows = await read;
  assert.deepEqual([rows[0], rows.at(-1)], [{ v: { a: 1, b: 2n } }, { v: { a: 3, b: 4n } }]);
  await tx.rollback();
});

test('types are looked up once', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query(SQL);
  const before = await lookUps(pool);
  await pool.query(`${SQL} where 1 = 1`);
  await pool.query(SQL, [], { rowMode: 'array' });
  assert.equal(await lookUps(pool), before);
});

/** Statements prepared for the catalog on the pool's connection count its lookups' texts; executions are in its plans. */
async function lookUps(pool) {
  const [row] = await pool.query(
    `select coalesce(sum(generic_plans + custom_plans), 0)::int as n from pg_prepared_statements
     where statement like '%pg_attribute%' and statement not like '%pg_prepared_statements%'`,
  );
  return row.n;
}

test('concurrent first uses of a type all get values', async (t) => {
  const pool = db.openPool(t, { poolSize: 3 });
  const all = await Promise.all(Array.from({ length: 20 }, () => pool.query(SQL)));
  for (const rows of all) assert.deepEqual(rows, [EXPECTED]);
});

test('a composite type that was altered is read with its new attributes', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await db.sql('create type changing as (a int)');
  assert.deepEqual(await pool.query('select row(1)::changing as v'), [{ v: { a: 1 } }]);
  await db.sql('alter type changing add attribute b int');
  const sql = 'select row(1, 2)::changing as v';
  assert.deepEqual(await pool.query(sql), [{ v: { a: 1, b: 2 } }]);
  assert.deepEqual(pool.querySync(sql), [{ v: { a: 1, b: 2 } }]);
  await db.sql('alter type changing add attribute c int');
  const blocking = pool.querySync('select row(1, 2, 3)::changing as v');
  assert.deepEqual(blocking, [{ v: { a: 1, b: 2, c: 3 } }]);
});

test('a composite type that the pool itself altered has its new names at once', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('create type renamed as (a int, b int)');
  const sql = 'select row(1, 2)::renamed as v';
  assert.deepEqual(await pool.query(sql), [{ v: { a: 1, b: 2 } }]);
  assert.deepEqual(await pool.query(sql, [], { rowMode: 'array' }), [[{ a: 1, b: 2 }]]);
  await pool.query('alter type renamed rename attribute b to z');
  assert.deepEqual(await pool.query(sql), [{ v: { a: 1, z: 2 } }]);
  assert.deepEqual(await pool.query(sql, [], { rowMode: 'array' }), [[{ a: 1, z: 2 }]]);
});

test('types are looked up although COMMIT is already on its way', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 2000 });
  const tx = await pool.begin();
  const asked = tx.query(SQL);
  await tx.commit();
  assert.deepEqual(await asked, [EXPECTED]);
});

test('a lookup that fails never says that the statement was not carried out', async (t) => {
  const fields = [{ name: 'v', type: 99_999 }];
  const { pool } = await scriptedPool(t, async (connection) => {
    const request = await readRequest(connection);
    await connection.send(...rightAnswer(request, { fields, rows: [['a']] }));
    await readRequest(connection);
    connection.cut();
  });
  const error = await failureOf(pool.query('insert into things values (1) returning v'));
  assert.equal(error.name, 'OutcomeUnknownError');
  assert.deepEqual([error.outcome, error.safeToRetry], ['unknown', false]);
  assert.match(error.message, /was carried out.*types of its result/);
  assert.ok(error.cause instanceof Error);
});

const LIMITED = `select row(1, 'a')::inner_pair as pair`;
const PG = /** @type {const} */ ({ types: 'pg' });
for (const [
  what,
  ask,
] of /** @type {[string, (pool: any, tx: any, options: any) => Promise<any>][]} */ ([
  ['a query', (pool, _tx, options) => pool.query(LIMITED, [], options)],
  ['a transaction', (_pool, tx, options) => tx.query(LIMITED, [], options)],
  ['a stream', (_pool, tx, options) => tx.stream(LIMITED, [], options).next()],
]))
  test(`the look for the types of ${what} ends with its limits`, async (t) => {
    for (const limit of ['timeoutMs', 'signal']) {
      const pool = db.openPool(t, { poolSize: 1 });
      const tx = what === 'a query' ? undefined : await pool.begin();
      // Its session knows the types by heart then, the pool does not.
      await (tx ?? pool).query(LIMITED, [], PG);
      await db.sql('begin; lock table pg_catalog.pg_type');
      const controller = new AbortController();
      const { signal } = controller;
      const options = limit === 'signal' ? { signal } : { timeoutMs: 500 };
      const failed = failureOf(ask(pool, tx, options));
      await db.running('with recursive wanted');
      if (limit === 'signal') controller.abort();
      const error = await failed;
      await db.sql('rollback');
      assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown']);
      assert.match(error.message, /was carried out.*types of its result.*cancelled/);
      await tx?.rollback();
    }
  });

test('types of a transaction that nobody else sees, and a pool that has no other connection, are no trouble to Kysely', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 1000 });
  const kysely = new Kysely({ dialect: new BerthDialect({ pool }) });
  const read = await sql`select row(1.50, 'a')::inner_pair as pair`.execute(kysely);
  assert.deepEqual(read.rows, [{ pair: pair('1.50', 'a') }]);
  const made = await kysely.transaction().execute(async (trx) => {
    await sql`create type unseen as (n int)`.execute(trx);
    return sql`select row(1)::unseen as one, array[row(2)::unseen] as many`.execute(trx);
  });
  assert.deepEqual(made.rows, [{ one: { n: 1 }, many: [{ n: 2 }] }]);
});

test('a type is looked up on the connection that a read has caught up on', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 1000 });
  const rows = await pool.query(`select 'sad'::mood as v, row('a')::lonely as one`, [], {
    after: '0/0',
  });
  assert.deepEqual([...rows], [{ v: 'sad', one: { one: 'a' } }]);
});

test('under the preset pg types of users stay text', async (t) => {
  const pool = db.openPool(t, { types: 'pg' });
  const sql = `select array['sad']::mood[] as list, row(1, 'a')::inner_pair as pair`;
  assert.deepEqual(await pool.query(sql), [{ list: '{sad}', pair: '(1,a)' }]);
});

test('parsers by OID and by name get the exact text of the server', async (t) => {
  const types = {
    20: (text) => `oid:${text}`,
    timestamptz: (text) => `tz:${text}`,
    numeric: Number,
    'int4[]': (text) => `list:${text}`,
    jsonb: (text) => text,
  };
  const pool = db.openPool(t, { types, poolSize: 1, options: '-c TimeZone=UTC' });
  const sql = `select 9007199254740993 as big, '2026-01-01 00:00:00.5+00'::timestamptz as at,
    1.5 as n, array[1,2] as list, '{"a":1}'::jsonb as doc, null::int8 as nothing, 1::int4 as plain`;
  const expected = {
    big: 'oid:9007199254740993',
    at: 'tz:2026-01-01 00:00:00.5+00',
    n: 1.5,
    list: 'list:{1,2}',
    doc: '{"a": 1}',
    nothing: null,
    plain: 1,
  };
  for (const way of ['first', 'second']) {
    assert.deepEqual(await pool.query(sql), [expected], way);
  }
  assert.deepEqual(pool.querySync(sql), [expected]);
  assert.deepEqual(await streamed(pool.stream(sql)), [expected]);
  assert.deepEqual(await pool.query('select 1::int8 as v', [], { types: 'lossless' }), [{ v: 1n }]);
  assert.deepEqual(await pool.query('select 1::int8 as v', [], { types: { int8: Number } }), [
    { v: 1 },
  ]);
});

test('a parser of a type that a user made is found by its OID', async (t) => {
  const [{ oid }] = await db.sql(`select 'mood'::regtype::oid::int as oid`);
  const pool = db.openPool(t, { types: { [oid]: (text) => text.toUpperCase() } });
  assert.deepEqual(await pool.query(`select 'sad'::mood as v`), [{ v: 'SAD' }]);
});

test('a parser that throws rejects its own query only, with what it threw', async (t) => {
  for (const thrown of [new Error('mine'), 'text', undefined, null]) {
    const types = {
      int4: (text) => {
        if (text === '13') throw thrown;
        return Number(text);
      },
    };
    const pool = db.openPool(t, { types, poolSize: 1 });
    const ask = (n) => pool.query('select $1::int4 as n', [n]);
    const results = await Promise.allSettled([ask(12), ask(13), ask(14)]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
      String(thrown),
    );
    assert.equal(results[1].reason, thrown);
    assert.throws(
      () => pool.querySync('select 13 as n'),
      (error) => error === thrown,
    );
    await assert.rejects(streamed(pool.stream('select 13 as n')), (error) => error === thrown);
    assert.deepEqual(await ask(1), [{ n: 1 }]);
    await db.released(pool);
  }
});

test('a blocking call from a parser is refused, and nothing of it is sent', async (t) => {
  const types = { int4: () => pool.querySync(`insert into things values (2, 'sad')`) };
  const pool = db.openPool(t, { types, poolSize: 1 });
  await assert.rejects(pool.query('select 1::int4'), /blocking call.*type parser/);
  const things = 'select count(*) as v from things';
  assert.deepEqual(await pool.query(things), [{ v: 1n }]);
});
