// The options `json` and `jsonNumbers`: the same value in every way of running a statement, and on every face that has them.
'use strict';

const assert = require('node:assert/strict');
const { Kysely, sql } = require('kysely');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { ServerlessClient, joinPool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase(`
  create domain document as jsonb;
  create table kept (id int, plain json, doc jsonb, docs jsonb[], wrapped document, label text, labels text[]);
  create type pair as (doc jsonb, docs json[]);
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

/** Text of a document → what it is with `'number'`, `'bigint'` and `'string'`; the server keeps it as it is. */
const NUMBERS = [
  ['9007199254740991', 9007199254740991, 9007199254740991, 9007199254740991],
  ['9007199254740993', 9007199254740992, 9007199254740993n, '9007199254740993'],
  ['-9007199254740993', -9007199254740992, -9007199254740993n, '-9007199254740993'],
  ['[0.1,-0,1.5]', [0.1, -0, 1.5], [0.1, -0, 1.5], [0.1, -0, 1.5]],
  ['100000000000000000000', 1e20, 100000000000000000000n, '100000000000000000000'],
  ['9007199254740993.5', 9007199254740994, 9007199254740994, '9007199254740993.5'],
  ['0.12345678901234567890', 0.12345678901234568, 0.12345678901234568, 0.12345678901234568],
  ['"9007199254740993"', ...Array(3).fill('9007199254740993')],
  ['["1e400","\\"",12345678901234567890]', null, ['1e400', '"', 12345678901234567890n], null],
  ['{"12345678901234567890":1}', ...Array(3).fill({ '12345678901234567890': 1 })],
  ['null', null, null, null],
];

/** Of these only `json` keeps the text. */
const JSON_NUMBERS = [
  ['1e400', Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, '1e400'],
  ['[1e20,1E+2]', [1e20, 100], [100000000000000000000n, 100], ['1e20', 100]],
  ['{"a":12345678901234567890,"a":1}', { a: 1 }, { a: 1 }, { a: 1 }],
  ['{"a":1,"a":12345678901234567890}', null, { a: 12345678901234567890n }, null],
];

const WORDS = /** @type {const} */ (['number', 'bigint', 'string']);

/** Another text than `null` that has null is not looked at. @param {any[]} cases @param {number} at */
const casesOf = (cases, at) =>
  cases
    .filter((row) => row[at + 1] !== null || row[0] === 'null')
    .map((row) => [row[0], row[at + 1]]);

for (const options of [{}, { types: 'pg' }, { driver: 'engine' }]) {
  test(`numbers beyond arrive without loss in every way (${JSON.stringify(options)})`, async (t) => {
    for (const [at, jsonNumbers] of WORDS.entries()) {
      const plain = [...casesOf(NUMBERS, at), ...casesOf(JSON_NUMBERS, at)];
      const binary = casesOf(NUMBERS, at).filter(([text]) => text !== '[0.1,-0,1.5]');
      const text = `select d::json as doc, array[d, null]::json[] as docs, null::jsonb as nothing,
        case when b is not null then b::jsonb end as bdoc, array[array[b]]::jsonb[] as bdocs
        from unnest($1::text[], $2::text[]) as each (d, b)`;
      const params = [plain.map(([doc]) => doc), binary.map(([doc]) => doc)];
      const wanted = plain.map(([, value], i) => ({
        doc: value,
        docs: [value, null],
        nothing: null,
        bdoc: binary[i]?.[1] ?? null,
        bdocs: [[binary[i]?.[1] ?? null]],
      }));
      for (const [way, run] of Object.entries(WAYS)) {
        const pool = db.openPool(t, { poolSize: 1, jsonNumbers, ...options });
        for (const time of [1, 2, 3]) {
          const rows = await run(pool, text, params);
          assert.deepEqual([...rows], wanted, `${way} ${jsonNumbers} ${time}`);
        }
        await pool.end();
      }
      // More rows than are read without generated code, and in arrays.
      const pool = db.openPool(t, { poolSize: 1, jsonNumbers, ...options });
      const many = `select i, '[9007199254740993]'::jsonb as doc from generate_series(1, 500) i`;
      const [want] = casesOf(NUMBERS.slice(1, 2), at);
      for (const rowMode of ['object', 'array']) {
        const rows = await pool.query(many, [], { rowMode });
        assert.equal(rows.length, 500);
        for (const row of rows) assert.deepEqual(Object.values(row)[1], [want[1]]);
      }
    }
  });
}

test('a statement has its own jsonNumbers, and parsers of the user come first', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, jsonNumbers: 'bigint' });
  const text = `select '12345678901234567890'::jsonb as doc, array['12345678901234567890']::jsonb[] as docs`;
  const big = 12345678901234567890n;
  assert.deepEqual(await pool.query(text), [{ doc: big, docs: [big] }]);
  assert.deepEqual(await pool.query(text, [], { jsonNumbers: 'string' }), [
    { doc: `${big}`, docs: [`${big}`] },
  ]);
  assert.deepEqual(await pool.query(text, [], { jsonNumbers: 'number' }), [
    { doc: Number(big), docs: [Number(big)] },
  ]);
  assert.deepEqual(await pool.query(text, [], { types: 'pg' }), [{ doc: big, docs: [big] }]);
  const types = { jsonb: (doc) => `own ${doc}` };
  assert.deepEqual(await pool.query(text, [], { types }), [{ doc: `own ${big}`, docs: [big] }]);
  const [row] = await pool.query(text, [], { jsonNumbers: 'string', rowMode: 'array', types });
  assert.deepEqual(row, [`own ${big}`, [`${big}`]]);
  await assert.rejects(pool.query(text, [], { jsonNumbers: 'exact' }), { option: 'jsonNumbers' });
});

test('json inside types of the users reads its numbers in the same way', async (t) => {
  const text = `select row('{"n": 9007199254740993}', array['9007199254740993']::json[])::pair as pair,
    array['9007199254740993']::document[] as wrapped, '9007199254740993'::document as one`;
  const values = {
    number: 9007199254740992,
    bigint: 9007199254740993n,
    string: '9007199254740993',
  };
  for (const [jsonNumbers, n] of Object.entries(values)) {
    const pool = db.openPool(t, { poolSize: 1, jsonNumbers });
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(await pool.query(text), [
        { pair: { doc: { n }, docs: [n] }, wrapped: [n], one: n },
      ]);
    }
  }
});

test('keys of every name, deep documents and large ones keep their numbers', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, jsonNumbers: 'bigint' });
  const big = '12345678901234567890';
  const [{ doc }] = await pool.query(
    `select '{"__proto__": ${big}, "constructor": {"__proto__": {"x": ${big}}}}'::jsonb as doc`,
  );
  assert.equal(Object.getPrototypeOf(doc), Object.prototype);
  assert.equal(Object.getOwnPropertyDescriptor(doc, '__proto__')?.value, BigInt(big));
  const [[, inside]] = Object.entries(doc.constructor);
  assert.deepEqual(inside, { x: BigInt(big) });
  const depth = 5000;
  const [row] = await pool.query('select $1::json as doc', [
    `${'['.repeat(depth)}${big}${']'.repeat(depth)}`,
  ]);
  let inner = row.doc;
  for (let i = 0; i < depth; i++) inner = inner[0];
  assert.equal(inner, BigInt(big));
  const [{ list }] = await pool.query(
    `select jsonb_agg(jsonb_build_object('id', ${big}, 'name', '"' || i || ' 1e5 ž\\')) as list from generate_series(1, 20000) i`,
  );
  assert.equal(list.length, 20_000);
  assert.deepEqual(list[19_999], { id: BigInt(big), name: '"20000 1e5 ž\\' });
});

test('a BigInt of a document that was read goes back as the number it was', async (t) => {
  const doc = { n: 9007199254740993n, list: [-9007199254740993n, 'x'] };
  const ask = async (options) => {
    const pool = db.openPool(t, { poolSize: 1, jsonNumbers: 'bigint', ...options });
    for (let i = 0; i < 2; i++) {
      assert.deepEqual((await pool.query('select $1::jsonb as doc', [doc]))[0].doc, doc);
      assert.deepEqual((await pool.query('select $1::jsonb[] as docs', [[doc]]))[0].docs, [doc]);
    }
  };
  for (const types of ['lossless', 'pg'])
    for (const json of ['text', 'value']) await ask({ types, json });
  // As in pg, unless the option says otherwise.
  const asPg = db.openPool(t, { poolSize: 1, types: 'pg' });
  await assert.rejects(asPg.query('select $1::jsonb', [doc]), /BigInt/);
});

test('ServerlessClient has both options', async (t) => {
  for (const types of ['pg', 'lossless']) {
    const client = new ServerlessClient({
      ...{ connectionString: db.url, leaseMode: 'optional', types },
      ...{ json: 'value', jsonNumbers: 'bigint' },
    });
    t.after(() => client.end());
    const values = ['[1]', { n: 9007199254740993n }, ['1'], '1'];
    for (const name of [undefined, undefined, 'named', 'named']) {
      const { rows } = await client.query({
        ...{ text: 'select $1::jsonb as a, $2::jsonb as b, $3::jsonb[] as c, $4::text as d' },
        ...{ values, name },
      });
      assert.deepEqual(rows, [{ a: '[1]', b: values[1], c: ['1'], d: '1' }]);
    }
    const own = { getTypeParser: () => (text) => text };
    const simple = 'select 9007199254740993::text::jsonb as n';
    assert.deepEqual((await client.query(simple)).rows, [{ n: 9007199254740993n }]);
    assert.deepEqual((await client.query({ text: simple, rowMode: 'array' })).rows, [
      [9007199254740993n],
    ]);
    assert.deepEqual((await client.query({ text: simple, types: own })).rows, [
      { n: '9007199254740993' },
    ]);
    await assert.rejects(client.query({ text: simple, jsonNumbers: 'string' }), /jsonNumbers/);
  }
  const library = require('pg');
  const config = { connectionString: db.url, leaseMode: 'optional', library };
  assert.throws(() => new ServerlessClient({ ...config, jsonNumbers: 'bigint' }), /jsonNumbers/);
  assert.throws(() => new ServerlessClient({ ...config, json: 'value' }), /"json"/);
});

test('Kysely has both options, and so has a thread that joins', async (t) => {
  const connection = { connectionString: db.url, json: 'value', jsonNumbers: 'string' };
  const kysely = new Kysely({ dialect: new BerthDialect({ connection }) });
  t.after(() => kysely.destroy());
  const wanted = [{ a: 'abc', b: ['1', 2], n: '9007199254740993' }];
  const ask = sql`select ${'abc'}::jsonb as a, ${['1', 2]}::jsonb as b, 9007199254740993::text::jsonb as n`;
  for (let i = 0; i < 2; i++) {
    assert.deepEqual((await ask.execute(kysely)).rows, wanted);
    const inside = await kysely.transaction().execute((tx) => ask.execute(tx));
    assert.deepEqual(inside.rows, wanted);
  }
  const pool = db.openPool(t, { json: 'value', jsonNumbers: 'bigint' });
  const joined = joinPool(pool.share());
  t.after(() => joined.end());
  const [row] = await joined.query('select $1::jsonb as a, 9007199254740993::text::jsonb as n', [
    '[1]',
  ]);
  assert.deepEqual(row, { a: '[1]', n: 9007199254740993n });
  const other = joinPool(pool.share(), { json: 'text', jsonNumbers: 'number' });
  t.after(() => other.end());
  const [own] = await other.query('select $1::jsonb as a, 9007199254740993::text::jsonb as n', [
    '[1]',
  ]);
  assert.deepEqual(own, { a: [1], n: 9007199254740992 });
});
