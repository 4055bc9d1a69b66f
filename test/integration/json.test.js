// JSON values are what JSON.parse makes of their text, however large, odd or many they are.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');

const { promisify } = require('node:util');

const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase();

const SQL =
  'select doc::text as text, doc, doc::jsonb::text as btext, doc::jsonb as bdoc from unnest($1::json[]) doc';

/** The same numbers in every run. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

const TEXTS = [
  '',
  'a',
  'plain',
  'é',
  'ÿ',
  '東京',
  '🐘',
  '"\\/\b\f\n\r\t',
  '\u2028',
  '</script>',
  'x'.repeat(1100),
  'é'.repeat(3000),
];
const NAMES = [
  'a',
  'b',
  'name',
  'a b',
  'é',
  '東',
  '__proto__',
  'constructor',
  '0',
  '17',
  'toString',
  '',
];
const NUMBERS = [
  '0',
  '-0',
  '-0.0',
  '1',
  '-1',
  '268435455',
  '268435456',
  '-268435456',
  '-268435457',
  '2147483648',
  '9007199254740993',
  '0.1',
  '1e2',
  '1E-7',
  '5e-324',
  '1.7976931348623157e308',
  '123456789012345678901234567890',
];

function document(pick, depth) {
  const space = [' ', '', '', '\n\t'][pick(4)];
  switch (pick(depth > 3 ? 4 : 7)) {
    case 0:
      return ['null', 'true', 'false'][pick(3)];
    case 1:
    case 2:
      return NUMBERS[pick(NUMBERS.length)];
    case 3:
      return JSON.stringify(TEXTS[pick(TEXTS.length)]);
    case 4:
      return `[${space}${Array.from({ length: pick(5) }, () => document(pick, depth + 1)).join(`,${space}`)}]`;
    default: {
      const from = pick(NAMES.length);
      const names = Array.from({ length: pick(4) }, (_, i) => NAMES[(from + i) % NAMES.length]);
      const property = (name) =>
        `${JSON.stringify(name)}${space}:${space}${document(pick, depth + 1)}`;
      return `{${names.map(property).join(',')}${space}}`;
    }
  }
}

function check(rows) {
  for (const { text, doc, btext, bdoc } of rows) {
    assert.deepStrictEqual(doc, JSON.parse(text), text);
    assert.deepStrictEqual(bdoc, JSON.parse(btext), btext);
    assert.equal(JSON.stringify(doc), JSON.stringify(JSON.parse(text)));
  }
}

test('random documents, few and many at a time', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const pick = random(7);
  for (const count of [1, 3, 40, 400, 4000]) {
    const docs = Array.from({ length: count }, () => document(pick, 0));
    const rows = await pool.query(SQL, [docs]);
    assert.equal(rows.length, count);
    check(rows);
  }
});

test('documents that are much alike', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const doc = (i) =>
    `{"k" : ${i}, "name" : "item ${i}", "price" : ${i / 4}, "tags": ["a", {"n": ${i % 3}}], "none" : null}`;
  for (const count of [200, 2000, 20_000]) {
    const rows = await pool.query(SQL, [Array.from({ length: count }, (_, i) => doc(i))]);
    assert.equal(rows.length, count);
    check(rows);
  }
});

test('keys that are data, deep documents, lone surrogates and one long document', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const many = JSON.stringify(
    Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, i])),
  );
  const each = Array.from({ length: 300 }, (_, i) => `{"k${i}": ${i}}`);
  const deep = `${'['.repeat(500)}${']'.repeat(500)}`;
  const long = JSON.stringify(Array.from({ length: 60_000 }, (_, i) => ({ i, text: `text ${i}` })));
  const plain = 'select doc::text as text, doc from unnest($1::json[]) doc';
  for (const docs of [
    [many, many],
    each,
    [deep, deep, deep],
    [long],
    ['"\\ud800"', `"${'x'.repeat(2000)}"`],
    ['{"a": 1, "a": 2}', `"${'x'.repeat(2000)}"`],
  ]) {
    const rows = await pool.query(plain, [docs]);
    assert.equal(rows.length, docs.length);
    for (const { text, doc } of rows) assert.deepStrictEqual(doc, JSON.parse(text));
  }
});

test('NULL among documents is null', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const rows = await pool.query(
    "select case when i % 3 > 0 then json_build_object('i', i, 'n', 'number ' || i) end as doc from generate_series(1, 300) i",
  );
  rows.forEach(({ doc }, i) => {
    assert.deepEqual(doc, (i + 1) % 3 > 0 ? { i: i + 1, n: `number ${i + 1}` } : null);
  });
});

test('sec_j04: keys that are data do not stay in memory', async (t) => {
  const gc = globalThis.gc;
  assert.ok(gc, 'run with --expose-gc');
  const pool = db.openPool(t, { poolSize: 1 });
  // 200 documents of some objects each with 40 keys that no other has
  const documents = (objects) => `
    select (select json_agg(doc) from (
      select json_object_agg(md5(random()::text || n), k) as doc
      from generate_series(1, ${objects}) o, generate_series(1, 40) k where n > 0 group by o) s) as docs
    from generate_series(1, 200) n`;
  const used = async (objects) => {
    const rows = await pool.query(documents(objects));
    assert.equal(rows.length, 200);
    for (const { docs } of rows) assert.equal(docs.length, objects);
  };
  await used(1);
  gc();
  const before = process.memoryUsage().heapUsed;
  for (const objects of [4, 60]) await used(objects);
  gc();
  const more = process.memoryUsage().heapUsed - before;
  assert.ok(more < 20e6, `${more} bytes are kept`);
});

test('sec_j01_sec_j06: names are data and no prototypes, with and without code generation', async () => {
  const script = `
    const { createPool } = require('./lib/index.js');
    (async () => {
      const pool = createPool({ connectionString: process.argv[1], poolSize: 1 });
      const doc = '{"__proto__": {"polluted": 1}, "constructor": 2, "x\`]: process.exit(3), [\`": 3}';
      const rows = await pool.query('select $1::json as doc from generate_series(1, 1000)', [doc]);
      for (const { doc: found } of rows) {
        if (Object.getPrototypeOf(found) !== Object.prototype) throw new Error('prototype');
        if (JSON.stringify(found) !== JSON.stringify(JSON.parse(doc))) throw new Error('content');
      }
      if ({}.polluted !== undefined) throw new Error('polluted');
      await pool.end();
      console.log(rows.length);
    })();`;
  for (const flags of [[], ['--disallow-code-generation-from-strings']]) {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...flags, '-e', script, db.url],
      {
        cwd: path.join(__dirname, '../..'),
      },
    );
    assert.equal(stdout.trim(), '1000');
  }
});
