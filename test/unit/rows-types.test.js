// Which parser reads which type: presets, maps, `types` objects of pg, and types made by users.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const pg = require('pg');

const { compile } = require('../../lib/rows/decoder.js');
const { isoInterval } = require('../../lib/rows/iso-interval.js');
const { isoDate, isoInstant, isoTime } = require('../../lib/rows/iso-text.js');
const kinds = require('../../lib/rows/kinds.js');
const { parseArray, parseRecord } = require('../../lib/rows/literals.js');
const { TypeParsers, types } = require('../../lib/rows/type-parsers.js');
const { PRESETS, resolveTypes, typeOid } = require('../../lib/rows/types.js');
const { needsLookup } = require('../../lib/rows/user-oids.js');
const { shapeOf, writeFrame } = require('../support/frame-writer.js');

const shout = (text) => text.toUpperCase();
const whisper = (text) => text.toLowerCase();

test('builtins are those of pg', () => {
  assert.deepEqual({ ...types.builtins }, { ...pg.types.builtins });
});

test('types are named by OID, by name and as arrays', () => {
  for (const [key, oid] of [
    ['20', 20],
    ['int8', 20],
    ['INT8', 20],
    ['int8[]', 1016],
    ['timestamptz', 1184],
    ['jsonb[]', 3807],
    ['4294967295', 4294967295],
  ]) {
    assert.equal(typeOid(key), oid, key);
  }
  for (const key of ['', 'int9', '0', '4294967296', 'int8[][]', '__proto__', '1.5']) {
    assert.throws(() => typeOid(key), /option "types"/, key);
  }
});

test('CP-74: a query comes before its pool, the pool before the preset; a preset replaces all', () => {
  const pool = resolveTypes({ int8: shout, 1184: shout }, PRESETS.lossless);
  assert.deepEqual([pool.preset, pool.custom, pool.volatile], ['lossless', [20, 1184], false]);
  const query = resolveTypes({ timestamptz: whisper, json: whisper }, pool);
  assert.deepEqual(query.custom, [20, 114, 1184]);
  assert.equal(query.parserFor(20), shout);
  assert.equal(query.parserFor(1184), whisper);
  assert.equal(query.parserFor(25), undefined);
  assert.equal(resolveTypes(undefined, pool), pool);
  assert.equal(resolveTypes('pg', pool), PRESETS.pg);
  assert.throws(() => resolveTypes('pgg', pool), /"lossless", "pg"/);
});

test('the same option over the same base is resolved once', () => {
  const option = { int8: shout };
  const first = resolveTypes(option, PRESETS.pg);
  assert.equal(resolveTypes(option, PRESETS.pg), first);
  assert.notEqual(resolveTypes(option, PRESETS.lossless), first);
});

test('setTypeParser counts: what was resolved before it is resolved again', () => {
  const global = new TypeParsers();
  const client = new TypeParsers(global);
  const first = resolveTypes(client, PRESETS.pg);
  assert.deepEqual(first.custom, []);
  assert.equal(resolveTypes(client, PRESETS.pg), first);
  global.setTypeParser(20, shout);
  const second = resolveTypes(client, PRESETS.pg);
  assert.deepEqual([second.custom, second.parserFor(20)], [[20], shout]);
  client.setTypeParser(20, 'text', whisper);
  client.setTypeParser(1700, whisper);
  client.setTypeParser(17, 'binary', whisper);
  const third = resolveTypes(client, PRESETS.pg);
  assert.equal(third.parserFor(20), whisper);
  assert.equal(third.parserFor(1700), whisper);
  assert.equal(third.parserFor(17), undefined);
  assert.equal(client.getTypeParser(17, 'binary'), whisper);
  assert.equal(client.getTypeParser(99_999)('x'), 'x');
  assert.throws(() => client.setTypeParser(20, 'text'), /must be a function/);
});

test('an object with getTypeParser is asked every time', () => {
  let parser = shout;
  const foreign = { getTypeParser: (oid) => (oid === 1184 ? parser : types.getTypeParser(oid)) };
  for (const option of [foreign, new TypeParsers(foreign)]) {
    parser = shout;
    const first = resolveTypes(option, PRESETS.pg);
    assert.deepEqual([first.volatile, first.custom], [true, [1184]]);
    parser = types.getTypeParser(1184);
    assert.deepEqual(resolveTypes(option, PRESETS.pg).custom, []);
  }
});

test('the array parser takes what the server prints and what pg took', () => {
  for (const text of [
    '{}',
    '{1,2}',
    '{NULL,"NULL",null}',
    '{{a,b},{c,d}}',
    '[0:1][-1:0]={{a,b},{c,d}}',
    '{"","a b","q\\"q","b\\\\b","c,d","{}"}',
    '{{{{{{x}}}}}}',
  ]) {
    const expected = pg.types.arrayParser.create(text, shoutOrNull).parse();
    assert.deepEqual(types.arrayParser.create(text, shoutOrNull).parse(), expected, text);
  }
  assert.deepEqual(parseArray('{(1,2),(3,4);(5,6),(7,8)}', String, ';'), [
    '(1,2),(3,4)',
    '(5,6),(7,8)',
  ]);
  for (const text of ['', 'x', '{', '{"a}', '{a}}', '{a}{b}', '{{{{{{{x}}}}}}}']) {
    assert.throws(() => parseArray(text, String), /malformed/, text);
  }
});

/** pg's transform sees null, ours does not. */
function shoutOrNull(text) {
  return text === null ? null : shout(text);
}

test('composite values are taken apart', () => {
  for (const [text, values] of [
    ['()', []],
    ['(,)', [null, null]],
    ['(1,"",x y)', ['1', '', 'x y']],
    ['("a ""b"" \\\\c","(1,2)",)', ['a "b" \\c', '(1,2)', null]],
  ]) {
    assert.deepEqual(parseRecord(text), values, text);
  }
  for (const text of ['', '(', '1,2', '("a)', '("a"b)']) {
    assert.throws(() => parseRecord(text), /malformed/, text);
  }
});

test('ISO text made in JavaScript is the same as the engine makes', () => {
  for (const vector of require('../vectors/row-frames.json')) {
    const convert = { 1083: isoTime, 1114: isoDate, 1184: isoInstant, 1186: isoInterval }[
      vector.oid
    ];
    if (convert === undefined) continue;
    const made = vector.text.map((text) => (text === null ? null : convert(text)));
    assert.deepEqual(made, vector.lossless, vector.type);
  }
  assert.equal(
    isoInstant('294276-12-31 23:59:59.5-00:00:01'),
    '294277-01-01T00:00:00.500000+00:00',
  );
  assert.equal(isoInstant('05/06/2026 12:00:00 UTC'), '05/06/2026 12:00:00 UTC');
});

const INFO = new Map([
  [20_001, { array: 20_000 }],
  [20_002, { base: 20 }],
  [20_003, { array: 20_002 }],
  [
    20_004,
    {
      attributes: [
        ['id', 20],
        ['__proto__', 25],
        ['when', 1184],
        ['list', 20_003],
      ],
    },
  ],
  [20_005, { array: 20_004 }],
  [20_006, { base: 20_006 }],
]);

test('arrays of enums and domains and composite types are read by what the catalog says', () => {
  const oids = [20_001, 20_003, 20_004, 20_005, 20_006, 20_000];
  const columns = oids.map(() => kinds.STR);
  const shape = shapeOf(columns, undefined, oids);
  assert.deepEqual(needsLookup(shape), oids);
  const record = '(1,p,"2026-06-05 14:00:00+02","{2,NULL}")';
  const quoted = record.replaceAll('"', '\\"');
  const view = writeFrame(columns, [
    ['{sad,NULL,"very happy"}', '{{1},{2}}', record, `{"${quoted}"}`, 'x', 'happy'],
  ]);
  const value = JSON.parse('{"id":1,"__proto__":"p","when":"2026-06-05T12:00:00+00:00"}');
  Object.assign(value, { id: 1n, list: [2n, null] });
  const out = [];
  compile(shape, { typeInfo: (oid) => INFO.get(oid), rowMode: 'array' })(view, 0, 1, out, 0);
  assert.deepEqual(out, [
    [['sad', null, 'very happy'], [[1n], [2n]], value, [value], 'x', 'happy'],
  ]);
  compile(shape, { rowMode: 'array' })(view, 0, 1, out, 0);
  assert.equal(out[0][0], '{sad,NULL,"very happy"}');
});

test('sec_w07_a composite value with other attributes than known is refused', () => {
  const shape = shapeOf([kinds.STR], undefined, [20_004]);
  const view = writeFrame([kinds.STR], [['(1,2)']]);
  const run = compile(shape, { typeInfo: (oid) => INFO.get(oid) });
  assert.throws(() => run(view, 0, 1, [], 0), /2 parts where 4 are known/);
});

test('intervals of every style are ISO 8601, and other text stays', () => {
  // (iso_8601, postgres, postgres_verbose, sql_standard), printed by PostgreSQL 15
  for (const [expected, ...styles] of [
    ['PT0S', '00:00:00', '@ 0', '0', 'PT0S'],
    ['P1Y2M', '1 year 2 mons', '@ 1 year 2 mons', '1-2', 'P1Y2M'],
    ['P-1Y-2M', '-1 years -2 mons', '@ 1 year 2 mons ago', '-1-2'],
    ['P3DT4H5M6S', '3 days 04:05:06', '@ 3 days 4 hours 5 mins 6 secs', '3 4:05:06'],
    [
      'P-3DT-4H-5M-6.7S',
      '-3 days -04:05:06.7',
      '@ 3 days 4 hours 5 mins 6.7 secs ago',
      '-3 4:05:06.7',
    ],
    ['P1Y2M-3DT4H5M6.789S', '1 year 2 mons -3 days +04:05:06.789', '+1-2 -3 +4:05:06.789'],
    ['PT-0.000001S', '-00:00:00.000001', '@ 0.000001 secs ago', '-0:00:00.000001'],
    ['PT1000H0.5S', '1000:00:00.5', '@ 1000 hours 0.5 secs'],
    ['P1D', '1 day', '@ 1 day', '1 0:00:00'],
    [
      'P-178956970Y-8M2147483647DT-2562047788H-54.775808S',
      '-178956970 years -8 mons +2147483647 days -2562047788:00:54.775808',
    ],
    ...['infinity', '-infinity', '', '1 lustrum', '1 year 2', '1:2:3:4'].map((text) => [
      text,
      text,
    ]),
  ]) {
    for (const text of styles) assert.equal(isoInterval(text), expected, text);
  }
});
