// One function per kind that reads the next value of a cursor.
'use strict';

const kinds = require('./kinds.js');
const { lazy } = require('../lazy.js');

const arrays = lazy(() => require('./arrays.js'));
const dates = lazy(() => require('./dates.js'));
const intervals = lazy(() => require('./interval.js'));
const pgTypes = lazy(() => require('./pg-types.js'));

/** @typedef {InstanceType<typeof import('./cursor.js').Cursor>} Cursor */

/** @typedef {(cursor: Cursor) => unknown} Reader */

/** Kinds whose values have an 8-byte slot; all others have a 4-byte slot, json columns and void have none. */
const EIGHT = new Set([kinds.F64, kinds.BIGINT, kinds.DATE, kinds.LOCAL_DATE]);

/** @type {ReadonlyMap<number, Reader>} */
const READERS = new Map(
  /** @type {[number, Reader][]} */ ([
    [kinds.I32, (cursor) => cursor.int()],
    [kinds.U32, (cursor) => cursor.int() >>> 0],
    [kinds.F64, (cursor) => cursor.number()],
    [kinds.BOOL, (cursor) => cursor.int() !== 0],
    [kinds.STR, (cursor) => cursor.text()],
    [kinds.BIGINT, (cursor) => cursor.bigint()],
    [kinds.DATE, (cursor) => dates().dateOf(cursor.number())],
    [kinds.LOCAL_DATE, (cursor) => dates().localDateOf(cursor.number())],
    [kinds.BYTES, (cursor) => cursor.bytes()],
    [kinds.VOID, () => null],
    [kinds.CUSTOM, (cursor) => cursor.text()],
    [kinds.RAW, (cursor) => cursor.bytes()],
    [kinds.INTERVAL, (cursor) => intervals().parseInterval(cursor.text())],
    [kinds.POINT, (cursor) => pgTypes().parsePoint(cursor.text())],
    [kinds.CIRCLE, (cursor) => pgTypes().parseCircle(cursor.text())],
    // As a column json comes in a batch; this is for the elements of arrays.
    [kinds.JSON, (cursor) => JSON.parse(cursor.text())],
  ]),
);

/**
 * Reads a value of this kind that is not NULL.
 * @param {number} kind @returns {Reader}
 */
function readerOf(kind) {
  const element = kind & ~kinds.ARRAY;
  const reader = READERS.get(element);
  if (reader === undefined) throw new Error(`unknown kind of column ${kind}`);
  if (element === kind) return reader;
  const eight = EIGHT.has(element);
  const { readArray } = arrays();
  return (cursor) => readArray(cursor, element, eight, reader);
}

/**
 * Passes the empty slot of a NULL.
 * @param {number} kind @returns {(cursor: Cursor) => void}
 */
function skipperOf(kind) {
  return EIGHT.has(kind)
    ? (cursor) => {
        cursor.eight += 1;
      }
    : (cursor) => {
        cursor.four += 1;
      };
}

module.exports = { readerOf, skipperOf };
