// Parameter encoding: lib/rows/params.js, prepare.js and what they use, without a server.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const test = require('node:test');
const vm = require('node:vm');
const { dateText } = require('../../lib/rows/date-text.js');
const { encodeParams, encodeToBuffer } = require('../../lib/rows/params.js');
const { prepareParams } = require('../../lib/rows/prepare.js');

/** Big enough for every table below. */
function outboxOf(bytes) {
  const buffer = Buffer.alloc(bytes, 0xaa);
  return { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, bytes) };
}

/** The section back as `{ format, bytes }`, checking that lengths and counts agree. */
function decode(section) {
  const formats = section.readUInt16BE(0);
  const codes = Array.from({ length: formats }, (_, i) => section.readUInt16BE(2 + 2 * i));
  let at = 2 + 2 * formats;
  const count = section.readUInt16BE(at);
  at += 2;
  assert.ok(formats === 0 || formats === count);
  const values = [];
  for (let i = 0; i < count; i++) {
    const length = section.readInt32BE(at);
    at += 4;
    const bytes = length === -1 ? null : section.subarray(at, at + length);
    if (bytes) at += length;
    values.push({ format: codes[i] ?? 0, bytes });
  }
  assert.equal(at, section.length, 'announced lengths end where the section ends');
  return values;
}

function encode(values, encoding = 'lossless', utcDates = false) {
  const outbox = outboxOf(1 << 16);
  const prepared = prepareParams(values, encoding, utcDates);
  const end = encodeParams(outbox, 8, 1 << 16, prepared, encoding);
  assert.ok(end > 0);
  assert.ok(
    outbox.buffer.subarray(0, 8).every((byte) => byte === 0xaa),
    'nothing before offset',
  );
  const section = outbox.buffer.subarray(8, end);
  assert.deepEqual(encodeToBuffer(prepared, encoding), section, 'the same in an own buffer');
  return decode(section);
}

/** Text of one parameter, or its bytes, or both spellings of an array. */
function one(value, encoding, utcDates) {
  const [{ format, bytes }] = encode([value], encoding, utcDates);
  if (bytes === null) return null;
  if (format === 0) return bytes.toString();
  if (format === 1) return Buffer.from(bytes);
  const literal = bytes.readUInt32BE(0);
  return {
    literal: bytes.subarray(4, 4 + literal).toString(),
    json: bytes.subarray(4 + literal).toString(),
  };
}

const invalidDate = new Date(Number.NaN);
const foreignDate = vm.runInNewContext('new Date(0)');

test('lossless scalars', () => {
  const table = [
    [null, null],
    [undefined, null],
    [true, 'true'],
    [false, 'false'],
    ['', ''],
    ['plain', 'plain'],
    ['24 characters, exactly...', '24 characters, exactly...'],
    ['žluť 🐘', 'žluť 🐘'],
    ['é'.repeat(24), 'é'.repeat(24)],
    ['漢'.repeat(100), '漢'.repeat(100)],
    ['\u0001\u007f\u0080', '\u0001\u007f\u0080'],
    [3.7, '3.7'],
    [1e-7, '1e-7'],
    [5e-324, '5e-324'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'],
    [Number.MIN_SAFE_INTEGER, '-9007199254740991'],
    [9007199254740994, '9.007199254740994e15'],
    [-(2 ** 60), '-1.152921504606847e18'],
    [1e21, '1e21'],
    [Number.MAX_VALUE, '1.7976931348623157e308'],
    [9223372036854775807n, '9223372036854775807'],
    [-(10n ** 40n), `-1${'0'.repeat(40)}`],
    [new Date('2024-02-29T12:34:56.789Z'), '2024-02-29T12:34:56.789Z'],
    [foreignDate, '1970-01-01T00:00:00.000Z'],
    [new Date(Date.UTC(9999, 11, 31, 23, 59, 59, 999)), '9999-12-31T23:59:59.999Z'],
    [new Date(Date.UTC(10000, 0, 1)), '10000-01-01T00:00:00.000Z'],
    [new Date(8.64e15), '275760-09-13T00:00:00.000Z'],
    [new Date('0001-01-01T00:00:00Z'), '0001-01-01T00:00:00.000Z'],
    [new Date('0000-12-31T00:00:00Z'), '0001-12-31T00:00:00.000Z BC'],
    [new Date('-000043-03-15T00:00:00Z'), '0044-03-15T00:00:00.000Z BC'],
  ];
  for (const [value, expected] of table) assert.equal(one(value), expected, String(value));
});

test('integers are written digit by digit exactly as String writes them', () => {
  const edges = [0, -0, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, -(2 ** 31) - 1, 1e9 - 1, 1e9, 1e9 + 1];
  for (let power = 0; power < 16; power++) {
    for (const near of [-1, 0, 1]) edges.push(10 ** power + near, -(10 ** power) + near);
  }
  for (let i = 0; i < 53; i++) edges.push(2 ** i, 2 ** i - 1, -(2 ** i), 1 - 2 ** i);
  for (let i = 0; i < 2000; i++) {
    edges.push(Math.trunc((Math.random() - 0.5) * 2 ** (1 + (i % 53))));
  }
  for (const value of edges) {
    assert.equal(one(value), String(value), `${value}`);
    assert.equal(one(value, 'pg'), String(value), `${value} (pg)`);
  }
});

test('dates are written exactly as toISOString writes them, on every day of 10 000 years', () => {
  const DAY = 86_400_000;
  const last = Date.UTC(9999, 11, 31);
  const check = (ms) => {
    const date = new Date(ms);
    if (dateText(date, 0) !== date.toISOString())
      assert.equal(dateText(date, 0), date.toISOString());
  };
  for (let day = Date.parse('0001-01-01T00:00:00Z'); day <= last; day += DAY) {
    check(day);
    check(day + DAY - 1);
  }
  for (let i = 0; i < 100_000; i++) check(Math.floor((Math.random() - 0.2) * 2e14));
});

test('bytes are the window of the view, in binary format', () => {
  const whole = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  const window = Buffer.of(2, 3, 4, 5);
  for (const encoding of ['lossless', 'pg']) {
    assert.deepEqual(one(Buffer.from(whole.buffer, 2, 4), encoding), window);
    assert.deepEqual(one(whole.subarray(2, 6), encoding), window);
    assert.deepEqual(one(new DataView(whole.buffer, 2, 4), encoding), window);
    assert.deepEqual(one(new Uint16Array(whole.buffer, 2, 2), encoding), window);
    assert.deepEqual(one(Buffer.alloc(0), encoding), Buffer.alloc(0));
  }
});

test('sec_f04: bytes are copied before the call returns', () => {
  const mine = Buffer.from('before');
  const section = encodeToBuffer(prepareParams([mine], 'lossless'), 'lossless');
  mine.fill(0);
  assert.equal(decode(section)[0].bytes.toString(), 'before');
});

test('format codes are put in front of values already written', () => {
  const values = encode(['text', 1, null, Buffer.of(9), true, [1], Buffer.of(8)]);
  assert.deepEqual(
    values.map(({ format }) => format),
    [0, 0, 0, 1, 0, 2, 1],
  );
  assert.equal(values[0].bytes.toString(), 'text');
  assert.equal(values[2].bytes, null);
  assert.deepEqual([...values[6].bytes], [8]);
  assert.deepEqual(encode([]), []);
});

test('lossless arrays go as array literal and as JSON', () => {
  const table = [
    [[], '{}', '[]'],
    [[1, null, undefined, 2.5], '{1,NULL,NULL,2.5}', '[1,null,null,2.5]'],
    [
      [
        [1, 2],
        [3, 4],
      ],
      '{{1,2},{3,4}}',
      '[[1,2],[3,4]]',
    ],
    [
      ['a', '', 'NULL', 'q"b\\', '{,}'],
      '{"a","","NULL","q\\"b\\\\","{,}"}',
      '["a","","NULL","q\\"b\\\\","{,}"]',
    ],
    [[true, false], '{true,false}', '[true,false]'],
    [[2n ** 63n - 1n], '{9223372036854775807}', '[9223372036854775807]'],
    [[9007199254740994], '{9.007199254740994e15}', '[9007199254740994]'],
    [[Number.NaN, Number.POSITIVE_INFINITY], '{NaN,Infinity}', '[NaN,Infinity]'],
    [[new Date(0)], '{"1970-01-01T00:00:00.000Z"}', '["1970-01-01T00:00:00.000Z"]'],
    [[Buffer.of(0, 255)], '{"\\\\x00ff"}', '[{"type":"Buffer","data":[0,255]}]'],
    [[{ a: 'x"y' }], '{"{\\"a\\":\\"x\\\\\\"y\\"}"}', '[{"a":"x\\"y"}]'],
    [[{ n: 1n }], '{"{\\"n\\":1}"}', '[{"n":1}]'],
    [['漢🐘'], '{"漢🐘"}', '["漢🐘"]'],
  ];
  for (const [value, literal, json] of table) assert.deepEqual(one(value), { literal, json });
});

test('lossless objects go as JSON', () => {
  const table = [
    [{ a: 1, b: [null, 'null'] }, '{"a":1,"b":[null,"null"]}'],
    [{ toJSON: () => ({ x: 1 }) }, '{"x":1}'],
    [{ toJSON: () => null }, 'null'],
    [{ big: 12345678901234567890n, minus: -1n }, '{"big":12345678901234567890,"minus":-1}'],
    [{ boxed: Object(7n) }, '{"boxed":7}'],
    [Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    [{ at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    [{ gone: undefined }, '{}'],
    [{ a: {}, b: null }, '{"a":{},"b":null}'],
    [Object.assign(new Map(), { toJSON: () => [] }), '[]'],
    [{ a: Object.assign(new Map(), { toJSON: () => ({}) }) }, '{"a":{}}'],
  ];
  for (const [value, expected] of table) assert.equal(one(value), expected);
});

test('user code in an array runs once', () => {
  let calls = 0;
  one([{ toJSON: () => ++calls }]);
  assert.equal(calls, 1);
});

test('what cannot be sent is refused by position and type, never by value', () => {
  const cyclic = [];
  cyclic.push(cyclic);
  /** @type {any} */
  const circle = {};
  circle.canary = circle;
  let deep = {};
  for (let i = 0; i < 100_000; i++) deep = { deep };
  const table = [
    ['canary\ud800', /half of a surrogate pair/],
    [`${'canary'.repeat(10)}\udc00`, /half of a surrogate pair/],
    ['canary\0', /U\+0000/],
    [`${'canary'.repeat(10)}\0`, /U\+0000/],
    [['canary\0'], /U\+0000/],
    [Symbol('canary'), /symbol/],
    [() => 'canary', /function/],
    [[Symbol('canary')], /symbol/],
    [invalidDate, /invalid Date/],
    [[invalidDate], /invalid Date/],
    [{ canary: Number.NaN }, /NaN or Infinity/],
    [[{ canary: Number.POSITIVE_INFINITY }], /NaN or Infinity/],
    [{ a: { canary: new Map([['canary', 1]]) } }, /holds a Map/],
    [{ a: [new Set(['canary'])] }, /Set/],
    [[{ canary: new ArrayBuffer(3) }], /ArrayBuffer/],
    [{ canary: Promise.resolve('canary') }, /await/],
    [{ canary: [invalidDate] }, /holds an invalid Date/],
    [{ toJSON: () => undefined }, /no JSON form/],
    [new Map([['canary', 1]]), /Map/],
    [new Set(['canary']), /Set/],
    [new ArrayBuffer(3), /ArrayBuffer/],
    [Promise.resolve('canary'), /await/],
    [cyclic, /cyclic/],
    [circle, /is cyclic/],
    [[{ circle }], /is cyclic/],
    [{ one: 1n, circle }, /is cyclic/],
    [deep, /is nested too deeply/],
  ];
  for (const [value, message] of table) {
    assert.throws(
      () => encode([1, value]),
      (error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /^parameter \$2 /);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /canary/);
        assert.equal(error.code, '22P02');
        assert.equal(error.position, 2);
        assert.equal(error.outcome, 'not-sent');
        assert.equal(error.safeToRetry, true);
        return true;
      },
    );
  }
});

test('sec_e05: lone surrogates are refused in the pg encoding too, U+0000 is left to the server', () => {
  assert.throws(() => encode(['\ud800'], 'pg'), { position: 1, code: '22P02' });
  assert.equal(one('a\0b', 'pg'), 'a\0b');
  assert.equal(one(`${'x'.repeat(40)}\0`, 'pg'), `${'x'.repeat(40)}\0`);
});

test('views of detached buffers are refused', () => {
  for (const encoding of ['lossless', 'pg']) {
    for (const View of [Uint8Array, Float64Array, DataView]) {
      const view = new View(new ArrayBuffer(8));
      structuredClone(view.buffer, { transfer: [view.buffer] });
      assert.throws(() => encode([view], encoding), { position: 1, message: /detached/ });
    }
  }
});

test('views of buffers that have become too short are refused, and so are they in arrays', () => {
  for (const View of [Uint8Array, Buffer, Uint16Array, Float64Array, DataView]) {
    const resizable = new ArrayBuffer(16, { maxByteLength: 16 });
    const view = View === Buffer ? Buffer.from(resizable, 8, 8) : new View(resizable, 8);
    const fixed = View === DataView ? new DataView(resizable, 8, 8) : view;
    resizable.resize(4);
    for (const encoding of ['lossless', 'pg']) {
      assert.throws(() => encode([fixed], encoding), { position: 1, message: /detached/ });
    }
    assert.throws(() => encode([1, [fixed]]), { position: 2, message: /detached/ });
    const gone = new Uint8Array(8);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    assert.throws(() => encode([[gone]]), { position: 1, message: /detached/ });
  }
});

test('views of resizable and shared buffers are bytes as they are now', () => {
  const resizable = new ArrayBuffer(2, { maxByteLength: 8 });
  const tracking = new Uint8Array(resizable);
  tracking.set([1, 2]);
  resizable.resize(3);
  const shared = new Uint8Array(new SharedArrayBuffer(2));
  shared.set([7, 8]);
  for (const encoding of ['lossless', 'pg']) {
    assert.deepEqual(one(tracking, encoding), Buffer.of(1, 2, 0));
    assert.deepEqual(one(shared, encoding), Buffer.of(7, 8));
    assert.deepEqual(one(new Uint8Array(0), encoding), Buffer.alloc(0));
    assert.deepEqual(one(new Uint16Array(0), encoding), Buffer.alloc(0));
    // Node 24 and newer
    const { Float16Array } = globalThis;
    if (Float16Array) assert.deepEqual(one(Float16Array.of(1), encoding), Buffer.of(0, 0x3c));
  }
});

test('what user code throws is thrown unchanged', () => {
  const boom = new Error('boom');
  const thrower = () => {
    throw boom;
  };
  const is = (error) => error === boom;
  assert.throws(() => encode([{ toJSON: thrower }]), is);
  assert.throws(() => encode([[{ toJSON: thrower }]]), is);
  assert.throws(
    () => encode([Object.defineProperty({}, 'x', { get: thrower, enumerable: true })]),
    is,
  );
  assert.throws(() => encode([{ toPostgres: thrower }], 'pg'), is);
  const array = [1];
  Object.defineProperty(array, 1, { get: thrower });
  assert.throws(() => encode(array), is);
});

test('params must be an array, or absent', () => {
  assert.throws(() => prepareParams('x', 'pg'), /params must be an array, got string/);
  assert.deepEqual(prepareParams(undefined, 'pg'), []);
  assert.deepEqual(prepareParams(null, 'lossless'), []);
});

test('nothing is allocated when there is nothing to prepare', () => {
  const values = [1, 'a', true, null, undefined, 5n, Buffer.of(1)];
  assert.equal(prepareParams(values, 'lossless'), values);
});

test('sec_e04: 65 535 parameters pass, one more is refused naming the limit', () => {
  const many = new Array(65_535).fill(1);
  assert.equal(decode(encodeToBuffer(many, 'pg')).length, 65_535);
  const over = {
    name: 'RangeError',
    message: /65536 .* 65535/,
    code: '54000',
    outcome: 'not-sent',
  };
  assert.throws(() => encodeToBuffer([...many, 1], 'pg'), over);
  assert.throws(() => encodeParams(outboxOf(16), 0, 16, [...many, 1], 'pg'), over);
});

test('what does not fit gives −1 and never writes behind the limit', () => {
  const cases = [
    [],
    [1],
    ['x'.repeat(24)],
    ['x'.repeat(500)],
    ['漢'.repeat(200)],
    [Buffer.alloc(300)],
    [['a', 'b'], 1],
    [true, null, 'é', 12.5, 10n ** 50n, Buffer.of(1), ['x'.repeat(90)]],
    [1n << 400n],
  ];
  for (const values of cases) {
    const prepared = prepareParams(values, 'lossless');
    const whole = encodeToBuffer(prepared, 'lossless');
    let fitted = 0;
    for (let limit = 0; limit <= whole.length + 200; limit++) {
      const outbox = outboxOf(whole.length + 300);
      const end = encodeParams(outbox, 3, 3 + limit, prepared, 'lossless');
      assert.ok(
        outbox.buffer.subarray(3 + limit).every((byte) => byte === 0xaa),
        `limit ${limit}`,
      );
      if (end === -1) continue;
      fitted++;
      assert.deepEqual(outbox.buffer.subarray(3, end), whole);
    }
    assert.ok(fitted > 0);
  }
});

test('a large parameter takes one buffer of its size', () => {
  const bytes = Buffer.alloc(10 << 20, 7);
  const section = encodeToBuffer([bytes], 'pg');
  assert.ok(section.buffer.byteLength < bytes.length + 1024);
  assert.deepEqual(decode(section)[0].bytes, bytes);
});

test('a large parameter is written into room that is left, if that is long enough', () => {
  const room = new ArrayBuffer(1 << 20);
  const bytes = Buffer.alloc(1000, 7);
  const section = encodeToBuffer([bytes], 'pg', 8, room);
  assert.equal(section.buffer, room);
  assert.deepEqual(decode(section.subarray(8))[0].bytes, bytes);
  const longer = encodeToBuffer([Buffer.alloc(1 << 20, 7)], 'pg', 8, room);
  assert.notEqual(longer.buffer, room);
});

test('encode and decode agree for random values', () => {
  const pick = (n) => Math.floor(Math.random() * n);
  for (let round = 0; round < 2000; round++) {
    const texts = Array.from({ length: pick(6) }, () =>
      String.fromCharCode(
        ...Array.from({ length: pick(60) }, () => 1 + pick(pick(2) ? 126 : 0xd000)),
      ),
    );
    const back = encode(texts).map(({ bytes }) => bytes.toString());
    assert.deepEqual(back, texts);
  }
});

const zones = ['UTC', 'Asia/Kolkata', 'America/St_Johns', 'Europe/Amsterdam', 'Africa/Monrovia'];

test('the pg encoding is what prepareValue of pg gives, in every zone', () => {
  for (const TZ of zones) {
    const child = require.resolve('../support/pg-values.js');
    execFileSync(process.execPath, ['--no-deprecation', child], { env: { ...process.env, TZ } });
  }
});

test('an invalid date warns in the pg encoding', () => {
  const script = `
    const { prepareParams } = require(${JSON.stringify(require.resolve('../../lib/rows/prepare.js'))});
    process.on('warning', (warning) => console.log(warning.code));
    console.log(prepareParams([new Date(NaN)], 'pg')[0]);`;
  const out = execFileSync(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  assert.deepEqual(String(out).trim().split('\n'), [
    '0NaN-NaN-NaNTNaN:NaN:NaN.NaN+NaN:NaN',
    'PG_INVALID_DATE',
  ]);
});
