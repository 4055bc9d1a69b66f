// Results of every type and its arrays: the same values whichever way a statement is run, in both presets.
'use strict';

const assert = require('node:assert/strict');
const { Client } = require('pg');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase();

/** Type, literal, value under the lossless preset. Names with spaces are as the server spells them. */
// table: one row per type
const VALUES = [
  ['bool', 'true', true],
  ['bool', 'false', false],
  ['int2', '-32768', -32768],
  ['int4', '-2147483648', -2147483648],
  ['oid', '4294967295', 4294967295],
  ['int8', '-9223372036854775808', -9223372036854775808n],
  ['int8', '9223372036854775807', 9223372036854775807n],
  ['float4', '1.1', 1.1],
  ['float4', '-Infinity', Number.NEGATIVE_INFINITY],
  ['float8', '5e-324', 5e-324],
  ['float8', 'NaN', Number.NaN],
  ['float8', '-0', -0],
  ['numeric', '-12.50', '-12.50'],
  ['numeric', '0.0000', '0.0000'],
  ['numeric', '0.000123', '0.000123'],
  ['numeric', '123456789012345678901234567890.5', '123456789012345678901234567890.5'],
  ['numeric', 'NaN', 'NaN'],
  ['numeric', '-Infinity', '-Infinity'],
  ['text', 'žluť 🐘 "\\{},', 'žluť 🐘 "\\{},'],
  ['text', '', ''],
  ['text', 'NULL', 'NULL'],
  ['varchar', 'ÿ', 'ÿ'],
  ['bpchar', 'ab ', 'ab '],
  ['name', 'n', 'n'],
  ['uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['bytea', '\\x00ff5c', Buffer.from([0, 255, 92])],
  ['bytea', '', Buffer.alloc(0)],
  ['json', '{"a": [1, null, "ž"]}', { a: [1, null, 'ž'] }],
  ['json', 'null', null],
  ['jsonb', '[1, {"b": "\\u0000x"}]'.replace('\\u0000', ''), [1, { b: 'x' }]],
  ['jsonb', '"text"', 'text'],
  ['timestamptz', '2026-06-05 14:00:00+02', '2026-06-05T12:00:00+00:00'],
  ['timestamptz', '2026-06-05 12:00:00.000001+00', '2026-06-05T12:00:00.000001+00:00'],
  ['timestamptz', 'infinity', 'infinity'],
  ['timestamptz', '0044-03-15 12:00:00+00 BC', '0044-03-15T12:00:00+00:00 BC'],
  ['timestamptz', '12345-01-01 00:00:00.5+00', '12345-01-01T00:00:00.500000+00:00'],
  ['timestamp', '2026-06-05 12:00:00.123456', '2026-06-05T12:00:00.123456'],
  ['timestamp', '-infinity', '-infinity'],
  ['timestamp', '294276-12-31 23:59:59.999999', '294276-12-31T23:59:59.999999'],
  ['timestamp', '4713-11-24 00:00:00 BC', '4713-11-24T00:00:00 BC'],
  ['date', '2026-06-05', '2026-06-05'],
  ['date', '0044-03-15 BC', '0044-03-15 BC'],
  ['date', '12026-06-05', '12026-06-05'],
  ['date', 'infinity', 'infinity'],
  ['time', '12:00:00.5', '12:00:00.500000'],
  ['time', '24:00:00', '24:00:00'],
  ['timetz', '12:00:00.5+05:30', '12:00:00.5+05:30'],
  ['interval', '1 year 2 mons -3 days 04:05:06.7', 'P1Y2M-3DT4H5M6.7S'],
  ['interval', '0', 'PT0S'],
  ['inet', '10.0.0.1/8', '10.0.0.1/8'],
  ['cidr', '2001:db8::/32', '2001:db8::/32'],
  ['macaddr', '08:00:2b:01:02:03', '08:00:2b:01:02:03'],
  ['macaddr8', '08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03:04:05'],
  ['bit(3)', '101', '101'],
  ['varbit', '', ''],
  ['money', '-12.34', '-$12.34'],
  ['point', '(1,-2.5)', '(1,-2.5)'],
  ['line', '{1,2,3}', '{1,2,3}'],
  ['lseg', '[(0,0),(1,1)]', '[(0,0),(1,1)]'],
  ['box', '(1,1),(0,0)', '(1,1),(0,0)'],
  ['path', '((0,0),(1,1))', '((0,0),(1,1))'],
  ['polygon', '((0,0),(1,1))', '((0,0),(1,1))'],
  ['circle', '<(1,2),3>', '<(1,2),3>'],
  ['int4range', '[1,5)', '[1,5)'],
  ['int8range', 'empty', 'empty'],
  ['numrange', '[1.5,2.5]', '[1.5,2.5]'],
  ['tsrange', '(,2026-01-01 00:00)', '(,"2026-01-01 00:00:00")'],
  ['daterange', '[2026-01-01,)', '[2026-01-01,)'],
  ['int4multirange', '{[1,2),[5,6)}', '{[1,2),[5,6)}'],
  ['tsvector', "'a':1 'b':2", "'a':1 'b':2"],
  ['tsquery', 'a & b', "'a' & 'b'"],
  ['"char"', 'x', 'x'],
  ['"char"', '', ''],
  ['xid', '5', '5'],
  ['xid8', '18446744073709551615', '18446744073709551615'],
  ['cid', '7', '7'],
  ['tid', '(1,2)', '(1,2)'],
  ['pg_lsn', '16/B374D848', '16/B374D848'],
  ['regclass', 'pg_class', 'pg_class'],
  ['regtype', 'int4', 'integer'],
  ['regproc', 'now', 'now'],
  ['jsonpath', '$.a[*]', '$."a"[*]'],
  ['refcursor', 'c', 'c'],
  ['pg_snapshot', '10:20:10,14,15', '10:20:10,14,15'],
];

/** One row: the value, NULL, and arrays of one and two dimensions, empty, and with a lower bound of its own. */
const statement = (type, literal) => {
  const quoted = `'${literal.replaceAll("'", "''")}'`;
  return `select v as scalar, null::${type} as nothing, array[v, null, v] as list,
      array[[v, null], [null, v]] as grid, array[[[v]]] as cube, '{}'::${type}[] as empty,
      array_fill(v, array[2], array[-5]) as shifted
    from (select ${quoted}::${type}) as s(v)`;
};

const expected = (value) => ({
  scalar: value,
  nothing: null,
  list: [value, null, value],
  grid: [
    [value, null],
    [null, value],
  ],
  cube: [[[value]]],
  empty: [],
  shifted: [value, value],
});

/** The rows of each way a statement can be run: text first, then the formats of its types. */
async function everyWay(pool, sql, options) {
  const streamed = [];
  const first = await pool.query(sql, [], options);
  const second = await pool.query(sql, [], options);
  for await (const row of pool.stream(sql, [], options)) streamed.push(row);
  return { first, second, blocking: pool.querySync(sql, [], options), streamed };
}

test('every type and its arrays have one value, however the statement is run', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  for (const [type, literal, value] of VALUES) {
    const ways = await everyWay(pool, statement(type, literal));
    for (const [way, rows] of Object.entries(ways)) {
      assert.deepEqual(rows, [expected(value)], `${type} ${literal}, ${way}`);
    }
  }
});

test('under the preset pg every type and its arrays are what node-postgres makes of them', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, types: 'pg' });
  const client = new Client({ connectionString: db.url });
  await client.connect();
  for (const [type, literal] of VALUES) {
    const sql = statement(type, literal);
    const { rows: reference } = await client.query(sql);
    const ways = await everyWay(pool, sql);
    for (const [way, rows] of Object.entries(ways)) {
      assert.deepEqual(plain(rows), plain(reference), `${type} ${literal}, ${way}`);
    }
  }
  await client.end();
});

/** Values in a form in which equal ones compare equal. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  // beyond the range of Date both give an invalid one, and no invalid Date equals another
  if (value instanceof Date) return `Date ${value.getTime()}`;
  // two classes with the same properties
  if (value?.constructor?.name === 'PostgresInterval') return { ...value };
  if (value !== null && typeof value === 'object' && value.constructor === Object) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

test('arrays of six dimensions keep their shape', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const ways = await everyWay(pool, `select array[[[[[[1,2],[3,null]]]]]] as deep`);
  for (const rows of Object.values(ways)) {
    assert.deepEqual(rows[0].deep, [
      [
        [
          [
            [
              [1, 2],
              [3, null],
            ],
          ],
        ],
      ],
    ]);
  }
});

test('a void function gives null', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await db.sql(`create function nothing() returns void language sql as 'select'`);
  const ways = await everyWay(pool, 'select nothing() as v');
  for (const rows of Object.values(ways)) assert.deepEqual(rows, [{ v: null }]);
});

test('an untyped literal is a string', async (t) => {
  const pool = db.openPool(t);
  assert.deepEqual(await pool.query(`select 'x' as v, null as n`), [{ v: 'x', n: null }]);
});

test('values do not depend on what IntervalStyle, TimeZone, bytea_output and the order of DateStyle are set to', async (t) => {
  const options =
    '-c DateStyle=ISO,DMY -c IntervalStyle=sql_standard -c bytea_output=escape -c TimeZone=Asia/Kathmandu';
  const pool = db.openPool(t, { poolSize: 1, options });
  const sql = `select '2026-06-05 12:00:00.5+00'::timestamptz as at, '2026-06-05'::date as day,
    '2026-06-05 12:00:00'::timestamp as local, '1 day 02:03:04'::interval as span,
    '\\x00ff'::bytea as bytes, 0.1::float8 + 0.2::float8 as sum`;
  const value = {
    at: '2026-06-05T12:00:00.500000+00:00',
    day: '2026-06-05',
    local: '2026-06-05T12:00:00',
    span: 'P1DT2H3M4S',
    bytes: Buffer.from([0, 255]),
    sum: 0.30000000000000004,
  };
  const ways = await everyWay(pool, sql);
  for (const [way, rows] of Object.entries(ways)) assert.deepEqual(rows, [value], way);
});

test('types that no table knows arrive as text', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const sql = `select 'postgres=r/postgres'::aclitem as acl, '1 2'::int2vector as vector,
    relacl, '(,)'::numrange as range from pg_class where relname = 'pg_class'`;
  const ways = await everyWay(pool, sql);
  for (const [way, [row]] of Object.entries(ways)) {
    assert.equal(row.acl, 'postgres=r/postgres', way);
    assert.equal(row.vector, '1 2', way);
    assert.equal(row.range, '(,)', way);
    assert.deepEqual(row.relacl, ways.first[0].relacl, way);
  }
});
