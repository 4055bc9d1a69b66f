// Parsers of the binary format for the types that `pg` has such parsers of; they read what those of text read.
'use strict';

const { dateOf, localDateOf } = require('./dates.js');

/** @typedef {(bytes: Buffer) => unknown} BytesParser */

/** Milliseconds from 1970 to 2000, where the server begins to count. */
const EPOCH_MS = 946_684_800_000;
const LATEST = 2n ** 63n - 1n;
const EARLIEST = -(2n ** 63n);

/** Words of a numeric's sign. Source: src/backend/utils/adt/numeric.c. */
const NEGATIVE = 0x4000;
const SPECIAL = new Map([
  [0xc000, 'NaN'],
  [0xd000, 'Infinity'],
  [0xf000, '-Infinity'],
]);

/** @type {BytesParser} */
const text = (bytes) => bytes.toString('utf8');

/** The shortest number that the same four bytes are made of, as the server prints it. @param {Buffer} bytes */
function float4(bytes) {
  const value = bytes.readFloatBE(0);
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** @param {(ms: number) => unknown} dateFrom @returns {BytesParser} */
const timestamp = (dateFrom) => (bytes) => {
  const micros = bytes.readBigInt64BE(0);
  if (micros === LATEST) return Number.POSITIVE_INFINITY;
  if (micros === EARLIEST) return Number.NEGATIVE_INFINITY;
  return dateFrom(Math.floor(Number(micros) / 1000) + EPOCH_MS);
};

/** Digits of base 10 000, the first of which stands for 10 000 to the power of the weight. @param {Buffer} bytes */
function numeric(bytes) {
  const count = bytes.readInt16BE(0);
  const weight = bytes.readInt16BE(2);
  const sign = bytes.readUInt16BE(4);
  const scale = bytes.readInt16BE(6);
  const special = SPECIAL.get(sign);
  if (special !== undefined) return special;
  /** @param {number} place */
  const digits = (place) =>
    place >= 0 && place < count
      ? String(bytes.readInt16BE(8 + 2 * place)).padStart(4, '0')
      : '0000';
  let whole = '';
  for (let place = 0; place <= weight; place++) whole += digits(place);
  let fraction = '';
  for (let place = weight + 1; fraction.length < scale; place++) fraction += digits(place);
  const point = scale > 0 ? `.${fraction.slice(0, scale)}` : '';
  return `${sign === NEGATIVE ? '-' : ''}${whole.replace(/^0+/, '') || '0'}${point}`;
}

/** An array of any dimension. @param {Buffer} bytes */
function array(bytes) {
  const dimensions = bytes.readInt32BE(0);
  if (dimensions === 0) return [];
  const parse = BINARY_PARSERS.get(bytes.readUInt32BE(8)) ?? text;
  const sizes = Array.from({ length: dimensions }, (_, i) => bytes.readInt32BE(12 + 8 * i));
  let at = 12 + 8 * dimensions;
  const element = () => {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0) return null;
    at += length;
    return parse(bytes.subarray(at - length, at));
  };
  /** @param {number} depth @returns {unknown[]} */
  const list = (depth) =>
    Array.from({ length: /** @type {number} */ (sizes[depth]) }, () =>
      depth + 1 < dimensions ? list(depth + 1) : element(),
    );
  return list(0);
}

/**
 * OID → parser. Source of the list: pg-types 2.2, lib/binaryParsers.js.
 * @type {ReadonlyMap<number, BytesParser>}
 */
const BINARY_PARSERS = new Map(
  /** @type {[number, BytesParser][]} */ ([
    [16, (bytes) => bytes[0] !== 0],
    [20, (bytes) => String(bytes.readBigInt64BE(0))],
    [21, (bytes) => bytes.readInt16BE(0)],
    [23, (bytes) => bytes.readInt32BE(0)],
    [25, text],
    [26, (bytes) => bytes.readUInt32BE(0)],
    [700, float4],
    [701, (bytes) => bytes.readDoubleBE(0)],
    [1000, array],
    [1007, array],
    [1008, array],
    [1009, array],
    [1016, array],
    [1114, timestamp(localDateOf)],
    [1184, timestamp(dateOf)],
    [1700, numeric],
  ]),
);

module.exports = { BINARY_PARSERS };
