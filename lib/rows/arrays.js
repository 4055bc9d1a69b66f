// Array cells of a row frame. Layout: native/src/frame/array.rs.
'use strict';

const kinds = require('./kinds.js');

/** @typedef {InstanceType<typeof import('./cursor.js').Cursor>} Cursor */

/** Set in the header when elements are NULL. */
const HAS_NULL = 0x100;

/**
 * An array of any dimension: a list, or lists of lists.
 *
 * @param {Cursor} cursor
 * @param {number} kind of the elements
 * @param {boolean} eight have the elements 8-byte slots?
 * @param {(cursor: Cursor) => unknown} read one element
 * @returns {unknown[]}
 */
function readArray(cursor, kind, eight, read) {
  const header = cursor.int();
  const dimensions = header & 0xff;
  if (dimensions === 0) return [];
  const sizes = Array.from({ length: dimensions }, () => cursor.int());
  const count = sizes.reduce((product, size) => product * size, 1);
  let list;
  if ((header & HAS_NULL) !== 0) list = nullable(cursor, count, eight, read);
  else if (kind === kinds.I32) list = integers(cursor, count);
  else if (kind === kinds.F64) list = numbers(cursor, count);
  else if (kind === kinds.STR) list = strings(cursor, count);
  else list = values(cursor, count, read);
  return dimensions === 1 ? list : nest(list, sizes);
}

// The loops below say the same; each is small and sees one type of value, which makes it several times faster.

/** @param {Cursor} cursor @param {number} count */
function integers(cursor, count) {
  const { i32, four } = cursor;
  const list = new Array(count);
  for (let i = 0; i < count; i += 1) list[i] = i32[four + i];
  cursor.four = four + count;
  return list;
}

/** @param {Cursor} cursor @param {number} count */
function numbers(cursor, count) {
  const { f64, eight } = cursor;
  const list = new Array(count);
  for (let i = 0; i < count; i += 1) list[i] = f64[eight + i];
  cursor.eight = eight + count;
  return list;
}

/** @param {Cursor} cursor @param {number} count */
function strings(cursor, count) {
  const list = new Array(count);
  for (let i = 0; i < count; i += 1) list[i] = cursor.text();
  return list;
}

/** @param {Cursor} cursor @param {number} count @param {(cursor: Cursor) => unknown} read */
function values(cursor, count, read) {
  const list = new Array(count);
  for (let i = 0; i < count; i += 1) list[i] = read(cursor);
  return list;
}

/**
 * The bitmap lies behind the elements' 4-byte slots; a NULL element has an empty slot.
 *
 * @param {Cursor} cursor @param {number} count @param {boolean} eight @param {(cursor: Cursor) => unknown} read
 */
function nullable(cursor, count, eight, read) {
  const { i32 } = cursor;
  const bitmap = cursor.four + (eight ? 0 : count);
  const list = new Array(count);
  for (let i = 0; i < count; i += 1) {
    const word = /** @type {number} */ (i32[bitmap + (i >>> 5)]);
    if (((word >>> (i & 31)) & 1) === 0) {
      list[i] = read(cursor);
    } else {
      list[i] = null;
      if (eight) cursor.eight += 1;
      else cursor.four += 1;
    }
  }
  cursor.four = bitmap + ((count + 31) >>> 5);
  return list;
}

/** @param {unknown[]} list @param {number[]} sizes outermost first */
function nest(list, sizes) {
  let nested = list;
  for (const size of sizes.slice(1).reverse()) {
    const outer = [];
    for (let at = 0; at < nested.length; at += size) outer.push(nested.slice(at, at + size));
    nested = outer;
  }
  return nested;
}

module.exports = { readArray };
