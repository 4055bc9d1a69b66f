// The option `json`: the same value in every way of running a statement.
'use strict';

const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase(`
  create domain document as jsonb;
  create table kept (id int, plain json, doc jsonb, docs jsonb[], wrapped document, label text, labels text[]);
`);

/** Strings that look like JSON, and others. Of half a surrogate pair and U+0000 PostgreSQL has no text. */
const STRINGS = [
  'abc',
  '',
  '1',
  'null',
  'true',
  '"quoted"',
  '{"a":1}',
  '[1]',
  '\\',
  'ž🐘\n\t"',
  "'",
];
const DAY = new Date(Date.UTC(2024, 1, 29, 12));

/** What every way has to send: parameters of a statement, and the texts that the server has for them. */
const ASKED = `select $1::json::text as plain, $2::jsonb::text as doc, $3::jsonb[]::text as docs,
  $4::text as label, $5::text[] as labels, $6::jsonb::text as list, $7::json::text as at, $8::json::text as object`;

/** @param {string} text */
const paramsOf = (text) => [text, text, [text, null], text, [text], [text, null, 1], DAY, { text }];

/** @param {string} text */
const expectedOf = (text) => ({
  plain: JSON.stringify(text),
  doc: JSON.stringify(text),
  docs: [text, null],
  label: text,
  labels: [text],
  list: [text, null, 1],
  at: DAY.toJSON(),
  object: { text },
});

/** @param {Record<string, any>} row */
const readBack = ({ plain, doc, docs, label, labels, list, at, object }) => ({
  plain,
  doc,
  docs: docs
    .slice(1, -1)
    .split(/,(?=NULL$)/)
    .map((part) => (part === 'NULL' ? null : JSON.parse(JSON.parse(part)))),
  label,
  labels,
  list: JSON.parse(list),
  at: JSON.parse(at),
  object: JSON.parse(object),
});

/** Every way of running a statement on a pool. @type {Record<string, (pool: any, text: string, params: unknown[]) => Promise<any[]>>} */
const WAYS = {
  query: (pool, text, params) => pool.query(text, params),
  queryResult: async (pool, text, params) => (await pool.queryResult(text, params)).rows,
  querySync: async (pool, text, params) => pool.querySync(text, params),
  stream: (pool, text, params) => all(pool.stream(text, params)),
  batch: async (pool, sqlText, params) =>
    (await pool.batch([{ sql: sqlText, params }, 'select 1'], { errors: 'all-or-nothing' }))[0],
  isolated: async (pool, sqlText, params) =>
    (await pool.batch([{ sql: sqlText, params }]))[0].value,
  transaction: (pool, text, params) => pool.transaction((tx) => tx.query(text, params)),
  pipelined: (pool, text, params) =>
    pool.transaction(async (tx) => {
      const [first, second] = await Promise.all([tx.query(text, params), tx.query(text, params)]);
      assert.deepEqual(first, second);
      return second;
    }),
};

async function all(rows) {
  const list = [];
  for await (const row of rows) list.push(row);
  return list;
}

for (const options of [
  {},
  { types: 'pg' },
  { preparedStatements: 'unnamed' },
  { statementCacheSize: 0 },
  { driver: 'engine' },
]) {
  test(`a string is the same JSON value in every way (${JSON.stringify(options)})`, async (t) => {
    for (const [way, run] of Object.entries(WAYS)) {
      const pool = db.openPool(t, { poolSize: 1, json: 'value', ...options });
      for (const text of STRINGS) {
        // The server knows the statement from the second time on, and the third time without any detour.
        for (const time of [1, 2, 3]) {
          const [row] = await run(pool, `${ASKED} -- ${text.length}`, paramsOf(text));
          assert.deepEqual(
            readBack(row),
            expectedOf(text),
            `${way} ${JSON.stringify(text)} ${time}`,
          );
        }
      }
      await pool.end();
    }
  });
}

test('what a string becomes never depends on what was run before', async (t) => {
  const pool = db.openPool(t, { poolSize: 3, json: 'value' });
  const rows = await Promise.all(
    Array.from({ length: 60 }, (_, i) =>
      pool.query('select $1::jsonb::text as doc, $1::text as same', [`{"${i % 7}":1}`]),
    ),
  );
  // One parameter has one type, the first that it is cast to.
  for (const [i, [row]] of rows.entries()) {
    assert.equal(row.doc, JSON.stringify(`{"${i % 7}":1}`));
    assert.equal(row.same, row.doc);
  }
  const asText = db.openPool(t, { poolSize: 1 });
  for (let i = 0; i < 3; i++) {
    assert.equal((await asText.query('select $1::jsonb::text as doc', ['[1]']))[0].doc, '[1]');
    await assert.rejects(asText.query('select $1::jsonb', ['abc']), { code: '22P02' });
  }
});

test('insert and insertMany send what query sends', async (t) => {
  const pool = db.openPool(t, { poolSize: 2, json: 'value' });
  const row = (id) => ({
    id,
    plain: '1',
    doc: '[1]',
    docs: ['null', null, { a: 'b' }],
    label: '1',
    labels: ['[1]', null],
  });
  await pool.insert('kept', row(1));
  await pool.insertMany('kept', [row(2), row(3)]);
  await pool.insertMany('kept', [{ id: 4, plain: 'x'.repeat(100_000), docs: [DAY, 1n, true] }]);
  const found = await pool.query('select * from kept order by id');
  for (const [i, kept] of found.slice(0, 3).entries()) {
    assert.deepEqual(kept, { ...row(i + 1), wrapped: null });
  }
  assert.equal(found[3].plain.length, 100_000);
  assert.deepEqual(found[3].docs, [DAY.toJSON(), 1, true]);
  // A string that is an array in SQL is one for a column of arrays.
  await pool.insertMany('kept', [{ id: 5, docs: '{"1"}', wrapped: 'abc' }]);
  const [last] = await pool.query('select docs, wrapped from kept where id = 5');
  assert.deepEqual(last, { docs: [1], wrapped: 'abc' });
  // The server names the domain: it has to be told.
  await assert.rejects(pool.query('insert into kept (wrapped) values ($1)', ['abc']), {
    code: '22P02',
  });
  await pool.query('insert into kept (id, wrapped) values (6, $1::jsonb)', ['abc']);
  const asText = db.openPool(t);
  await asText.insertMany('kept', [{ id: 7, doc: '[1]', docs: ['[1]'] }]);
  assert.deepEqual(await asText.query('select doc, docs from kept where id = 7'), [
    { doc: [1], docs: [[1]] },
  ]);
});

test('what is no string is what it is without the option', async (t) => {
  const text = `select $1::jsonb::text as n, $2::jsonb::text as b, $3::jsonb::text as big, $4::jsonb is null as none,
    $5::json::text as bytes, $6::jsonb::text as doc, $7::timestamptz = $8 as at, $9::jsonb::text as empty`;
  const params = [
    ...[1.5, true, 2n ** 64n, null, Buffer.from('[1]'), { n: 2n ** 64n, a: ['b'] }, DAY, DAY],
    [],
  ];
  const wanted = {
    ...{ n: '1.5', b: 'true', big: '18446744073709551616', none: true, bytes: '[1]' },
    ...{ doc: '{"a": ["b"], "n": 18446744073709551616}', at: true, empty: '[]' },
  };
  for (const json of ['text', 'value']) {
    const pool = db.openPool(t, { poolSize: 1, json });
    for (let i = 0; i < 3; i++) assert.deepEqual((await pool.query(text, params))[0], wanted);
  }
});

test('what JSON or the server lacks is refused, whichever type it is for', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, json: 'value' });
  for (const type of ['json', 'jsonb', 'text']) {
    for (let i = 0; i < 2; i++) {
      const ask = (value) => pool.query(`select $1::${type} as it`, [value]);
      await assert.rejects(ask('\ud800'), { position: 1, outcome: 'not-sent' });
      await assert.rejects(ask('a\0b'), { position: 1, outcome: 'not-sent' });
      await assert.rejects(ask(new Date(Number.NaN)), { position: 1, outcome: 'not-sent' });
    }
  }
  await assert.rejects(pool.query('select $1::jsonb', [[Number.NaN]]), { code: '22P02' });
  const cycle = [];
  cycle.push(cycle);
  await assert.rejects(pool.query('select $1::jsonb', [cycle]), { position: 1 });
  const asPg = db.openPool(t, { poolSize: 1, json: 'value', types: 'pg' });
  await assert.rejects(asPg.query('select $1::jsonb', [new Date(Number.NaN)]), { code: '22P02' });
});
