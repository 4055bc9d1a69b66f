// Decoders of row frames: every kind, with and without NULLs, generated and not; names that are up to no good.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const Module = require('node:module');
const { test } = require('node:test');

const { compile } = require('../../lib/rows/decoder.js');
const kinds = require('../../lib/rows/kinds.js');
const { shapeOf, writeFrame } = require('../support/frame-writer.js');

const WAYS = [
  ['generated', 0],
  ['plain', Number.POSITIVE_INFINITY],
];

function decode(columns, rows, options = {}, { names, oids, offset = 0 } = {}) {
  const out = [];
  const run = compile(shapeOf(columns, names, oids), options);
  assert.equal(run(writeFrame(columns, rows, offset), offset, rows.length, out, 0), rows.length);
  return out;
}

/** The same rows decoded both ways; asserts that they agree. */
function decoded(columns, rows, options = {}, more = {}) {
  const [generated, plain] = WAYS.map(([, generateAfterRows]) =>
    decode(columns, rows, { ...options, generateAfterRows }, more),
  );
  assert.deepEqual(plain, generated);
  return generated;
}

const ALL = [
  [kinds.I32, -2147483648, -2147483648],
  [kinds.U32, 4294967295, 4294967295],
  [kinds.F64, -0, -0],
  [kinds.BOOL, 1, true],
  [kinds.STR, 'é', 'é'],
  [kinds.BIGINT, -(2n ** 63n), -(2n ** 63n)],
  [kinds.DATE, 1e12, new Date(1e12)],
  [kinds.LOCAL_DATE, Date.UTC(2024, 0, 2), new Date(2024, 0, 2)],
  [kinds.JSON, '{"a":[null]}', { a: [null] }],
  [kinds.BYTES, Buffer.from([0, 255]), Buffer.from([0, 255])],
  [kinds.VOID, null, null],
  [kinds.CUSTOM, '1', '1'],
  [kinds.POINT, '(1,2)', { x: 1, y: 2 }],
  [kinds.CIRCLE, '<(1,2),3>', { x: 1, y: 2, radius: 3 }],
  [kinds.STR, 'текст 𝄞', 'текст 𝄞'],
  [kinds.ARRAY + kinds.I32, [1, null, 3], [1, null, 3]],
  [kinds.ARRAY + kinds.STR, ['a', 'я', ''], ['a', 'я', '']],
  [kinds.ARRAY + kinds.F64, [], []],
  [kinds.ARRAY + kinds.JSON, ['{}', null, 'null'], [{}, null, null]],
  [kinds.ARRAY + kinds.DATE, [0, null], [new Date(0), null]],
  [kinds.ARRAY + kinds.BIGINT, [1n, null], [1n, null]],
  [kinds.ARRAY + kinds.BYTES, [Buffer.from('x'), null], [Buffer.from('x'), null]],
  [kinds.STR, 'last', 'last'],
];

test('a module that cannot be loaded costs speed, and is loaded later', () => {
  const file = require.resolve('../../lib/rows/decoder.js');
  const generate = require.resolve('../../lib/rows/generate.js');
  const known = [file, generate].map((name) => [name, require.cache[name]]);
  for (const [name] of known) delete require.cache[name];
  const { _extensions: extensions } = Module;
  const read = extensions['.js'];
  let refused = 0;
  try {
    const fresh = require(file);
    extensions['.js'] = (module, name) => {
      if (name !== generate) return read(module, name);
      refused++;
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    };
    const out = [];
    const columns = [kinds.I32];
    const run = fresh.compile(shapeOf(columns), { generateAfterRows: 0 });
    const take = (value) => run(writeFrame(columns, [[value]], 0), 0, 1, out, out.length);
    take(1);
    take(null);
    assert.equal(refused, 2);
    extensions['.js'] = read;
    take(2);
    assert.ok(require.cache[generate]?.loaded);
    assert.deepEqual(
      out.map(({ c0 }) => c0),
      [1, null, 2],
    );
  } finally {
    extensions['.js'] = read;
    for (const [name, module] of known) require.cache[name] = module;
  }
});

test('every kind of column, in all rows, at any place of the buffer', () => {
  const columns = ALL.map(([kind]) => kind);
  const row = ALL.map(([, raw]) => raw);
  const values = ALL.map(([, , value]) => value);
  const empty = columns.map(() => null);
  const expected = [values, empty, values];
  for (const rows of [
    [row, row],
    [row, empty, row],
  ]) {
    const wanted = rows.length === 2 ? [values, values] : expected;
    for (const offset of [0, 4096]) {
      assert.deepEqual(decoded(columns, rows, { rowMode: 'array' }, { offset }), wanted);
    }
    assert.deepEqual(
      decoded(columns, rows),
      wanted.map((list) => Object.fromEntries(list.map((value, i) => [`c${i}`, value]))),
    );
  }
});

test('bytes stay where they are only in memory of their own, and only if they are most of it', () => {
  const [short, long] = [Buffer.from('short'), Buffer.alloc(5000, 7)];
  for (const [, generateAfterRows] of WAYS) {
    for (const isOwn of [false, true]) {
      const columns = [kinds.BYTES, kinds.BYTES];
      const view = { ...writeFrame(columns, [[short, long]], 0), isOwn };
      const out = [];
      compile(shapeOf(columns), { rowMode: 'array', generateAfterRows })(view, 0, 1, out, 0);
      assert.deepEqual(out, [[short, long]]);
      const stays = out[0].map((bytes) => bytes.buffer === view.buffer.buffer);
      assert.deepEqual(stays, [false, isOwn]);
    }
  }
});

test('every column may be the one that is NULL', () => {
  for (const [hole] of ALL.entries()) {
    const raw = ALL.map(([, value], i) => (i === hole ? null : value));
    const expected = ALL.map(([, , value], i) => (i === hole ? null : value));
    const columns = ALL.map(([kind]) => kind);
    assert.deepEqual(decoded(columns, [raw], { rowMode: 'array' }), [expected]);
  }
});

test('infinite timestamps are numbers and those beyond Date are invalid', () => {
  const raw = [[Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY], [9e15]];
  for (const kind of [kinds.DATE, kinds.LOCAL_DATE]) {
    for (const [way, generateAfterRows] of WAYS) {
      const rows = decode([kind], raw, { rowMode: 'array', generateAfterRows });
      const [high, low, far] = rows.flat();
      assert.equal(high, Number.POSITIVE_INFINITY, way);
      assert.equal(low, Number.NEGATIVE_INFINITY, way);
      assert.ok(Number.isNaN(far.getTime()), way);
    }
  }
});

test('text of any length, in any order, comes out of its windows whole', () => {
  const lengths = [0, 1, 12, 13, 1023, 1024, 1025, 3000, 8191, 8192, 8193, 20_000, 5, 0];
  const rows = [];
  for (let i = 0; i < 400; i += 1) {
    const length = lengths[(i * 7) % lengths.length];
    const character = String.fromCharCode(0x61 + (i % 26));
    rows.push([
      character.repeat(length),
      i % 3 === 0 ? 'ж'.repeat(length % 5000) : `é${i}`,
      i % 5 === 0 ? null : `${i}`,
    ]);
  }
  const columns = [kinds.STR, kinds.STR, kinds.STR];
  assert.deepEqual(decoded(columns, rows, { rowMode: 'array' }), rows);
  const arrays = rows.map((row) => [row]);
  assert.deepEqual(decoded([kinds.ARRAY + kinds.STR], arrays, { rowMode: 'array' }), arrays);
});

test('rows are appended to the list at the given place', () => {
  const columns = [kinds.I32];
  const out = ['kept', 'replaced'];
  const run = compile(shapeOf(columns), { rowMode: 'array' });
  assert.equal(run(writeFrame(columns, [[1], [2]]), 0, 2, out, 1), 3);
  assert.deepEqual(out, ['kept', [1], [2]]);
});

test('the first rows, and the first NULLs after them, decode like the later ones', () => {
  const columns = [kinds.STR, kinds.F64];
  const run = compile(shapeOf(columns), { generateAfterRows: 3 });
  for (const value of [1, null, 2, null, 3]) {
    const out = [];
    run(writeFrame(columns, [['a', value]]), 0, 1, out, 0);
    assert.deepEqual(out, [{ c0: 'a', c1: value }]);
  }
});

test('sec_j01_names never become code', () => {
  const names = [
    "'];globalThis.canary=1;//",
    `\`$\{globalThis.canary=1}\``,
    '*/globalThis.canary=1/*',
    '"\\\n\r\u2028\u2029\0',
    ']: (globalThis.canary = 1), ["',
    'x'.repeat(65_536),
    '',
    'constructor(){}',
  ];
  const columns = names.map(() => kinds.I32);
  const [row] = decoded(columns, [names.map((_, i) => i)], {}, { names });
  assert.deepEqual(
    Object.entries(row),
    Object.entries(Object.fromEntries(names.map((n, i) => [n, i]))),
  );
  assert.equal('canary' in globalThis, false);
});

test('sec_j02_names of Object.prototype are columns like any other', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '__defineGetter__'];
  const columns = names.map(() => kinds.JSON);
  const [row] = decoded(columns, [names.map((name) => `{"${name}":1}`)], {}, { names });
  assert.deepEqual(Object.keys(row), names);
  assert.equal(Object.getPrototypeOf(row), Object.prototype);
  for (const name of names) {
    const property = Object.getOwnPropertyDescriptor(row, name);
    assert.deepEqual(
      [property.writable, property.enumerable, property.configurable],
      [true, true, true],
    );
    assert.deepEqual(Object.keys(property.value), [name]);
  }
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
});

test('sec_j03_of duplicate names the last wins at the place of the first, and lists keep all', () => {
  const columns = [kinds.I32, kinds.I32, kinds.I32];
  const names = ['a', 'b', 'a'];
  const [row] = decoded(columns, [[1, 2, 3]], {}, { names });
  assert.deepEqual(Object.entries(row), [
    ['a', 3],
    ['b', 2],
  ]);
  assert.deepEqual(decoded(columns, [[1, 2, 3]], { rowMode: 'array' }, { names }), [[1, 2, 3]]);
});

test('rows without columns and rows with very many', () => {
  assert.deepEqual(decoded([], [[], []]), [{}, {}]);
  for (const count of [500, 501, 1600]) {
    const columns = Array.from({ length: count }, () => kinds.I32);
    const names = columns.map((_, i) => (i === 7 ? '__proto__' : `n${i}`));
    const values = columns.map((_, i) => i);
    const [row] = decoded(columns, [values], {}, { names });
    assert.deepEqual(Object.keys(row), names);
    assert.deepEqual(Object.values(row), values);
  }
});

test('sec_j05_what a parser of the user throws is thrown for its frame only', () => {
  for (const [, generateAfterRows] of WAYS) {
    const columns = [kinds.CUSTOM, kinds.STR];
    const parserFor = (oid) =>
      oid === 1
        ? (text) => {
            if (text === 'bad') throw new RangeError('no');
            return text.length;
          }
        : undefined;
    const run = compile(shapeOf(columns, undefined, [1, 2]), { parserFor, generateAfterRows });
    const out = [];
    run(writeFrame(columns, [['good', 'x']]), 0, 1, out, 0);
    assert.throws(() => run(writeFrame(columns, [['bad', 'x']]), 0, 1, [], 0), RangeError);
    run(writeFrame(columns, [['fine', 'y']]), 0, 1, out, 1);
    assert.deepEqual(out, [
      { c0: 4, c1: 'x' },
      { c0: 4, c1: 'y' },
    ]);
  }
});

test('sec_j06_a JSON cell cannot stand for several rows, nor touch a prototype', () => {
  for (const [, generateAfterRows] of WAYS) {
    const options = { generateAfterRows };
    assert.throws(() => decode([kinds.JSON], [['1,2'], ['3']], options), /do not fit its 2 rows/);
    assert.throws(() => decode([kinds.JSON], [['1],[2']], options), SyntaxError);
  }
  const [{ c0 }] = decoded([kinds.JSON], [['{"__proto__":{"polluted":1}}']]);
  assert.equal(Object.getPrototypeOf(c0), Object.prototype);
  assert.equal({}.polluted, undefined);
});

test('json columns may be wide, several, and beside raw bytes', () => {
  const rows = [
    ['"я"', Buffer.from('ab'), '1'],
    ['"б"', Buffer.from('c'), '"é"'],
  ];
  assert.deepEqual(decoded([kinds.JSON, kinds.BYTES, kinds.JSON], rows, { rowMode: 'array' }), [
    ['я', Buffer.from('ab'), 1],
    ['б', Buffer.from('c'), 'é'],
  ]);
});

test('bytes are copies: the buffer is used again', () => {
  const columns = [kinds.BYTES];
  const view = writeFrame(columns, [[Buffer.from('abc')]]);
  const out = [];
  compile(shapeOf(columns), { rowMode: 'array' })(view, 0, 1, out, 0);
  view.buffer.fill(0);
  assert.deepEqual(out, [[Buffer.from('abc')]]);
});

test('sec_j01_rows are the same where code generation is forbidden', () => {
  const script = `
    const { compile } = require('./lib/rows/decoder.js');
    const { canGenerate } = require('./lib/rows/code-generation.js');
    const { shapeOf, writeFrame } = require('./test/support/frame-writer.js');
    const columns = [1, 5, 9, 7];
    const view = writeFrame(columns, [[1, 'a', '[1]', 0], [null, null, null, null]]);
    const out = [];
    compile(shapeOf(columns), { generateAfterRows: 0 })(view, 0, 2, out, 0);
    process.stdout.write(JSON.stringify([canGenerate(), out]));`;
  const printed = execFileSync(
    process.execPath,
    ['--disallow-code-generation-from-strings', '-e', script],
    { cwd: `${__dirname}/../..`, encoding: 'utf8' },
  );
  assert.deepEqual(JSON.parse(printed), [
    false,
    [
      { c0: 1, c1: 'a', c2: [1], c3: '1970-01-01T00:00:00.000Z' },
      { c0: null, c1: null, c2: null, c3: null },
    ],
  ]);
});

test('a shape with an unknown kind is refused when it is compiled', () => {
  assert.throws(() => compile(shapeOf([99])), /unknown kind of column 99/);
});
