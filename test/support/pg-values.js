// Compares the pg encoding of a table of values with node-postgres itself, in the time zone of the environment.
'use strict';

const assert = require('node:assert/strict');
const vm = require('node:vm');
const defaults = require('pg/lib/defaults');
const { prepareValue: reference } = require('pg/lib/utils');
const { prepareParams } = require('../../lib/rows/prepare.js');

const dates = [
  0,
  1_700_000_000_123,
  -1,
  Date.UTC(2014, 1, 1, 5, 41, 1, 7),
  Date.UTC(1900, 0, 1, 12),
  Date.UTC(1937, 5, 30, 23, 59, 59, 999),
  Date.UTC(1850, 6, 1),
  Date.UTC(9999, 11, 31, 23),
  Date.UTC(10000, 5, 1),
  Date.UTC(-43, 2, 15),
  Date.parse('0000-12-31T12:00:00Z'),
  Date.parse('0001-01-02T00:00:00Z'),
  8.64e15,
  -8.64e15,
].map((ms) => new Date(ms));

class Point {
  toPostgres(prepare) {
    return [1, 'two', prepare(new Date(0))];
  }
}

const bytes = Uint8Array.of(0, 1, 2, 250, 251, 252, 253, 254);
const values = [
  null,
  undefined,
  true,
  false,
  0,
  -0,
  1.5,
  1e21,
  2 ** 60,
  Number.NaN,
  Number.NEGATIVE_INFINITY,
  12345678901234567890n,
  '',
  'text',
  'žluť 🐘',
  Symbol('s'),
  function named() {},
  () => 1,
  Buffer.from(bytes),
  bytes.subarray(2, 5),
  new Uint16Array(bytes.buffer, 2, 2),
  new DataView(bytes.buffer, 1, 3),
  ...dates,
  vm.runInNewContext('new Date(0)'),
  new Date(Number.NaN),
  [],
  [[]],
  [1, null, undefined, 'a"b\\c', '', 'NULL', [true, [2n]]],
  [Buffer.of(0, 255), bytes.subarray(1, 3), new DataView(bytes.buffer, 0, 2)],
  dates,
  [{ a: 1 }, new Point()],
  vm.runInNewContext('[1, "x"]'),
  { a: 1, b: [null], c: { d: 'x"' } },
  {},
  new Map([[1, 2]]),
  new Set([1]),
  Promise.resolve(1),
  new String('boxed'),
  new Number(5),
  Object.create(null),
  { toJSON: () => ({ j: 1 }) },
  { toJSON: () => undefined },
  new Point(),
  { toPostgres: () => null },
  { toPostgres: () => undefined },
  { toPostgres: () => Buffer.of(1, 2) },
  { toPostgres: () => new Point() },
  { toPostgres: () => new Date(0) },
  { toPostgres: 'no function' },
  Object.assign(new Date(5), { toPostgres: () => 'ignored' }),
];

const plain = (value) =>
  value == null ? null : typeof value === 'object' ? Buffer.from(value) : value;
const sent = (value) =>
  plain(typeof value === 'object' || value === undefined ? value : String(value));

for (const utc of [false, true]) {
  defaults.parseInputDatesAsUTC = utc;
  for (const [i, value] of values.entries()) {
    const [ours] = prepareParams([value], 'pg', utc);
    assert.deepEqual(sent(ours), sent(reference(value)), `value ${i}, parseInputDatesAsUTC ${utc}`);
  }
}

const cycle = { toPostgres: () => cycle, toString: () => 'me' };
assert.throws(
  () => prepareParams([cycle], 'pg'),
  (error) => {
    assert.throws(() => reference(cycle), { message: error.message });
    return error.message.includes('circular');
  },
);
