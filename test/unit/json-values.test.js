// Parameters with `json: 'value'`: their texts for JSON, for arrays of JSON and for other types, in one section.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { prepareJsonParams } = require('../../lib/rows/json-values.js');
const { encodeParams, encodeToBuffer } = require('../../lib/rows/params.js');

const VALUES = { values: true, bigints: false };
const DAY = new Date(Date.UTC(2024, 1, 29));

/** The values of a section: format, and what it holds for each type. @param {Buffer} section */
function read(section) {
  const count = section.readUInt16BE(0);
  let at = 2 + 2 * count;
  assert.equal(section.readUInt16BE(at), count);
  at += 2;
  const values = Array.from({ length: count }, (_, i) => {
    const format = section.readUInt16BE(2 + 2 * i);
    const length = section.readInt32BE(at);
    const value = section.subarray(at + 4, at + 4 + length);
    at += 4 + length;
    if (format < 2) return [format, value.toString()];
    const first = value.readUInt32BE(0);
    const texts = [value.toString('utf8', 4, 4 + first)];
    const rest = value.subarray(4 + first);
    if (format === 2) return [format, ...texts, rest.toString()];
    const second = rest.readUInt32BE(0);
    return [
      format,
      ...texts,
      rest.toString('utf8', 4, 4 + second),
      rest.toString('utf8', 4 + second),
    ];
  });
  assert.equal(at, section.length);
  return values;
}

/** Value → its text (2: and its JSON; 3: for arrays of JSON, its literal, its JSON). @type {[unknown, unknown[]][]} */
const LOSSLESS = [
  ['a"', [2, 'a"', '"a\\""']],
  ['', [2, '', '""']],
  [1.5, [0, '1.5']],
  [12n, [0, '12']],
  [true, [0, 'true']],
  [Buffer.from('[1]'), [1, '[1]']],
  [{ n: 1n }, [0, '{"n":1}']],
  [DAY, [2, '2024-02-29T00:00:00.000Z', '"2024-02-29T00:00:00.000Z"']],
  [[], [3, '{}', '{}', '[]']],
  [
    ['a"', null, undefined, 1, true, 2n],
    [
      3,
      '{"\\"a\\\\\\"\\"",NULL,NULL,1,true,2}',
      '{"a\\"",NULL,NULL,1,true,2}',
      '["a\\"",null,null,1,true,2]',
    ],
  ],
  [[['x']], [3, '{{"\\"x\\""}}', '{{"x"}}', '[["x"]]']],
  [[{ a: 1 }], [3, '{"{\\"a\\":1}"}', '{"{\\"a\\":1}"}', '[{"a":1}]']],
  [
    [DAY],
    [
      3,
      '{"\\"2024-02-29T00:00:00.000Z\\""}',
      '{"2024-02-29T00:00:00.000Z"}',
      '["2024-02-29T00:00:00.000Z"]',
    ],
  ],
];

test('every value has the text that each type wants', () => {
  const values = LOSSLESS.map(([value]) => value);
  const wanted = LOSSLESS.map(([, texts]) => texts);
  const section = encodeToBuffer(prepareJsonParams(values, 'lossless', false, VALUES), 'lossless');
  assert.deepEqual(read(section), wanted);
});

test('under the pg encoding the texts for other types are those of pg', () => {
  const values = ['a', [1, 'b', null, [2]], { toPostgres: () => 'own' }, Symbol('s')];
  const section = encodeToBuffer(prepareJsonParams(values, 'pg', true, VALUES), 'pg');
  assert.deepEqual(read(section), [
    [2, 'a', '"a"'],
    [3, '{1,"\\"b\\"",NULL,{2}}', '{1,"b",NULL,{2}}', '[1,"b",null,[2]]'],
    [0, 'own'],
    [0, 'Symbol(s)'],
  ]);
  const objects = [{ n: 1n }, [{ n: 1n }], { toPostgres: (/** @type {any} */ f) => f({ n: 1n }) }];
  const bigints = prepareJsonParams(objects, 'pg', true, { values: false, bigints: true });
  assert.deepEqual(bigints, ['{"n":1}', '{"{\\"n\\":1}"}', '{"n":1}']);
});

test('a section that does not fit is not written in part, wherever it ends', () => {
  const values = ['ž'.repeat(30), ['a', [DAY, 'ž']], [], ''];
  const prepared = prepareJsonParams(values, 'lossless', false, VALUES);
  const whole = encodeToBuffer(prepared, 'lossless');
  for (let limit = 0; limit < whole.length + 100; limit++) {
    const buffer = Buffer.alloc(limit + 8, 0xee);
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    const end = encodeParams({ buffer, view }, 0, limit, prepared, 'lossless');
    if (end === -1) assert.ok(limit < whole.length + 80, `${limit}`);
    else assert.deepEqual(buffer.subarray(0, end), whole, `${limit}`);
    assert.ok(buffer.subarray(limit).every((byte) => byte === 0xee));
  }
});

test('code of the user runs once, in elements too', () => {
  let ran = 0;
  const item = {
    toJSON() {
      ran++;
      return 'x';
    },
  };
  prepareJsonParams([item, [item], [[item]]], 'lossless', false, VALUES);
  assert.equal(ran, 3);
});
