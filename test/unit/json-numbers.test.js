// JSON whose long numbers are kept: what JSON.parse makes of a document, but for numbers beyond ±(2⁵³ − 1).
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { jsonParser } = require('../../lib/rows/json-numbers.js');

const parsers = { bigint: jsonParser('bigint'), string: jsonParser('string') };

/** Number → what it becomes; undefined: what JSON.parse makes of it. @type {[string, bigint | undefined, boolean][]} */
const NUMBERS = [
  ['0', undefined, false],
  ['-0', undefined, false],
  ['0.1', undefined, false],
  ['1e15', undefined, false],
  ['9007199254740991', undefined, false],
  ['9007199254740991.0', undefined, false],
  ['-9007199254740991', undefined, false],
  ['1234567890123456e-3', undefined, false],
  ['0.12345678901234567890', undefined, false],
  ['0e99999999999', undefined, false],
  ['1e-99999999999', undefined, false],
  ['9007199254740992', 2n ** 53n, true],
  ['-9007199254740993', -(2n ** 53n) - 1n, true],
  ['9007199254740993.0', 2n ** 53n + 1n, true],
  ['900719925474099.30e0', undefined, false],
  ['900719925474099.30e+1', 2n ** 53n + 1n, true],
  ['900719925474099.30E2', 90071992547409930n, true],
  ['12345678901234567890000e-3', 12345678901234567890n, true],
  ['1.5e300', 15n * 10n ** 299n, true],
  ['9007199254740993.5', undefined, true],
  ['12345678901234567890001e-3', undefined, true],
  ['1e400', undefined, true],
  ['-1e99999999999999999999', undefined, true],
  ['9'.repeat(131_072), BigInt('9'.repeat(131_072)), true],
  ['9'.repeat(131_073), undefined, true],
];

/** Texts around a number, and what holds it. @type {[string, string, (value: unknown) => unknown][]} */
const PLACES = [
  ['', '', (value) => value],
  [' ', '\n', (value) => value],
  ['[', ']', (value) => [value]],
  [
    '["\\"1234567890123456789", ',
    ',"\\\\", "1e5"]',
    (value) => ['"1234567890123456789', value, '\\', '1e5'],
  ],
  ['{"1234567890123456789":', '}', (value) => ({ '1234567890123456789': value })],
  ['{"a":12345678901234567890,"a":[null,', ',true]}', (value) => ({ a: [null, value, true] })],
  [
    '{"__proto__":{"a":',
    '}}',
    (value) =>
      JSON.parse('{"__proto__":{}}', (key, held) => (key === '__proto__' ? { a: value } : held)),
  ],
  ['{"ž🐘\\ud800":', ',"":"\\u0000"}', (value) => ({ 'ž🐘\ud800': value, '': '\0' })],
];

for (const [number, integer, isBeyond] of NUMBERS) {
  const name = number.length > 50 ? `${number.length} digits` : number;
  test(`${name} in every place`, () => {
    const plain = JSON.parse(number);
    const wanted = { bigint: integer ?? plain, string: isBeyond ? number : plain };
    for (const [before, behind, holding] of PLACES) {
      for (const [word, parse] of Object.entries(parsers)) {
        assert.deepEqual(parse(before + number + behind), holding(wanted[word]), word);
      }
    }
  });
}

test('a text that is no JSON is refused as JSON.parse refuses it', () => {
  for (const text of [
    ...[
      '',
      '01234567890123456789',
      '12345678901234567890.',
      '.12345678901234567890',
      '1e+',
      '1e5e5',
    ],
    ...['+12345678901234567890', '12345678901234567890n', '"12345678901234567890', '["\\"'],
    ...['[12345678901234567890', '12345678901234567890 12345678901234567890', '1234567890123456-1'],
    ...["'12345678901234567890'", '[12345678901234567890,]', '{12345678901234567890:1}'],
  ]) {
    assert.throws(() => JSON.parse(text), SyntaxError, text);
    for (const parse of Object.values(parsers)) {
      assert.throws(() => parse(text), { name: 'SyntaxError' }, text);
    }
  }
});

test("what stands for a BigInt is nobody else's string", () => {
  const big = 12345678901234567890n;
  const text = `["integer:0", "integer::0", ${big}, {"integer:": "integer:1"}]`;
  assert.deepEqual(parsers.bigint(text), [
    'integer:0',
    'integer::0',
    big,
    { 'integer:': 'integer:1' },
  ]);
});

test('the depth of a document is no limit', () => {
  const depth = 100_000;
  for (const [word, wanted] of [
    ['bigint', 12345678901234567890n],
    ['string', '12345678901234567890'],
  ]) {
    let value = parsers[word](`${'[{"a":'.repeat(depth)}12345678901234567890${'}]'.repeat(depth)}`);
    for (let i = 0; i < depth; i++) value = value[0].a;
    assert.equal(value, wanted);
  }
});

test('a few characters become no number that fills the memory', () => {
  const text = `[${Array(1000).fill('1e131071').join(',')}]`;
  assert.deepEqual(parsers.bigint(text), Array(1000).fill(Number.POSITIVE_INFINITY));
});

test('documents of every shape are those of JSON.parse, number by number', () => {
  let state = 1;
  const random = (/** @type {number} */ below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const strings = ['', 'a', '"', '\\', '\\"', '1e5', '12345678901234567890', 'ž', '\n', ',', '{['];
  /** @param {number} depth @returns {[string, unknown, unknown]} text, with BigInts, with texts */
  const document = (depth) => {
    const kind = random(depth > 4 ? 4 : 6);
    if (kind < 2) {
      const [number = '0', integer, isBeyond] = NUMBERS[random(NUMBERS.length - 2)] ?? [];
      const plain = JSON.parse(number);
      return [number, integer ?? plain, isBeyond ? number : plain];
    }
    if (kind === 2) {
      const string = `${strings[random(strings.length)]}${strings[random(strings.length)]}`;
      return [JSON.stringify(string), string, string];
    }
    if (kind === 3) return random(2) === 0 ? ['null', null, null] : ['false', false, false];
    const items = Array.from({ length: random(5) }, () => document(depth + 1));
    const space = [' ', '', '\t'][random(3)];
    if (kind === 4) {
      const text = items.map(([item]) => item).join(`,${space}`);
      return [`[${space}${text}]`, items.map((item) => item[1]), items.map((item) => item[2])];
    }
    const keys = items.map((_, i) => `${strings[random(strings.length)]}${i}`);
    const text = items.map(([item], i) => `${JSON.stringify(keys[i])}${space}:${item}`).join(',');
    const ofAll = (/** @type {1 | 2} */ at) =>
      Object.fromEntries(items.map((item, i) => [keys[i], item[at]]));
    return [`{${text}${space}}`, ofAll(1), ofAll(2)];
  };
  for (let i = 0; i < 3000; i++) {
    const [text, bigint, string] = document(0);
    assert.deepEqual(parsers.bigint(text), bigint, text);
    assert.deepEqual(parsers.string(text), string, text);
  }
});
