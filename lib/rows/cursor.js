// A place in a row frame and what can be read there: slots, text, bytes. Layout: native/src/frame/mod.rs.
'use strict';

const { lazy } = require('../lazy.js');

const longText = lazy(() => require('./long-text.js'));
const trees = lazy(() => require('./json-tree.js'));

/** @import { FrameView } from '../../types/rows.js' */

/** A length with this bit counts 16-bit units of the UTF-16 area. */
const WIDE = 0x40000000;

/** Text becomes JS strings in pieces of so many bytes; a cell is a slice of a piece and keeps it alive. */
const WINDOW = 8192;

/** Longer cells get strings of their own, in characters. */
const OWN_STRING = 1024;

/** @type {unknown[][]} */
const NO_JSON = [];

class Cursor {
  /** @param {FrameView} view @param {number} offset of the frame in bytes @param {number} rows */
  constructor(view, offset, rows) {
    const { buffer, i32 } = view;
    const header = offset / 4;
    this.buffer = buffer;
    this.i32 = i32;
    this.f64 = view.f64;
    this.i64 = view.i64;
    this.isOwn = view.isOwn;
    /** Next 8-byte slot. */
    this.eight = offset / 8 + 4;
    /** Next 4-byte slot. */
    this.four = header + 8 + 2 * slot(i32, header);
    const table = this.four + slot(i32, header + 1);
    const jsonColumns = slot(i32, header + 6);
    /** First byte of the NULL bitmap. */
    this.nulls = 4 * (table + 2 * jsonColumns);
    /** Is anything NULL? */
    this.hasNulls = slot(i32, header + 2) !== 0;
    /** The string that cells of UTF-16 text are cut from, the place in it, and the byte where the next one starts. */
    this.wide = '';
    this.wideAt = 0;
    this.wideNext = even(this.nulls + slot(i32, header + 2));
    this.wideEnd = this.wideNext + slot(i32, header + 4);
    /** The same for Latin-1 text. */
    this.latin = '';
    this.latinAt = 0;
    this.latinNext = this.wideEnd;
    this.latinEnd = this.latinNext + slot(i32, header + 3);
    /** Next raw byte. */
    this.raw = this.latinEnd;
    /** Cells of the json columns. */
    this.json = jsonColumns === 0 ? NO_JSON : readJson(this, table, jsonColumns, rows);
  }

  /** @param {number} bit row × columns + column */
  isNull(bit) {
    const byte = /** @type {number} */ (this.buffer[this.nulls + (bit >>> 3)]);
    return ((byte >>> (bit & 7)) & 1) !== 0;
  }

  int() {
    return /** @type {number} */ (this.i32[this.four++]);
  }

  number() {
    return /** @type {number} */ (this.f64[this.eight++]);
  }

  bigint() {
    return /** @type {bigint} */ (this.i64[this.eight++]);
  }

  text() {
    const length = this.int();
    const at = this.latinAt;
    if (length <= this.latin.length - at) {
      this.latinAt = at + length;
      return this.latin.substring(at, at + length);
    }
    return this.miss(length);
  }

  /** A string that is not in the window of Latin-1 text. @param {number} length as in its slot */
  miss(length) {
    if (length >= WIDE) return this.wideText(length - WIDE);
    const start = this.latinNext - (this.latin.length - this.latinAt);
    if (length > OWN_STRING) {
      this.latin = '';
      this.latinAt = 0;
      this.latinNext = start + length;
      return longText().latinText(this.buffer, start, start + length);
    }
    this.latinNext = Math.min(start + WINDOW, this.latinEnd);
    this.latin = this.buffer.latin1Slice(start, this.latinNext);
    this.latinAt = length;
    return this.latin.substring(0, length);
  }

  /** A string of the UTF-16 text. @param {number} length in units */
  wideText(length) {
    const at = this.wideAt;
    if (length <= this.wide.length - at) {
      this.wideAt = at + length;
      return this.wide.substring(at, at + length);
    }
    const start = this.wideNext - 2 * (this.wide.length - at);
    if (length > OWN_STRING) {
      this.wide = '';
      this.wideAt = 0;
      this.wideNext = start + 2 * length;
      return longText().wideText(this.buffer, start, this.wideNext);
    }
    this.wideNext = Math.min(start + WINDOW, this.wideEnd);
    this.wide = this.buffer.ucs2Slice(start, this.wideNext);
    this.wideAt = length;
    return this.wide.substring(0, length);
  }

  /** A copy where the buffer is used again, or a short value would keep a long one alive. */
  bytes() {
    const start = this.raw;
    this.raw = start + this.int();
    const bytes = this.buffer.subarray(start, this.raw);
    return this.isOwn && 2 * bytes.length > this.buffer.length ? bytes : Buffer.from(bytes);
  }
}

/** A column whose values the engine has taken apart. */
const TREE = 2;

/**
 * The values of all cells of the json columns; they lie before the raw bytes.
 * @param {Cursor} cursor @param {number} table @param {number} columns @param {number} rows
 */
function readJson(cursor, table, columns, rows) {
  const { buffer, i32 } = cursor;
  /** @type {unknown[][]} */
  const json = [];
  for (let entry = table; entry < table + 2 * columns; entry += 2) {
    const form = slot(i32, entry + 1);
    const start = form === TREE ? (cursor.raw + 7) & ~7 : even(cursor.raw);
    const end = start + slot(i32, entry);
    cursor.raw = end;
    const cells = form === TREE ? trees().readTree(cursor, start) : parse(buffer, start, end, form);
    if (!Array.isArray(cells) || cells.length !== rows) {
      throw new Error(`the JSON values the server sent do not fit its ${rows} rows`);
    }
    json.push(cells);
  }
  return json;
}

/**
 * One `JSON.parse` for all cells of a column.
 * @param {FrameView['buffer']} buffer @param {number} start @param {number} end @param {number} form 1 for UTF-16
 */
function parse(buffer, start, end, form) {
  const { latinText, wideText } = longText();
  return JSON.parse(form === 0 ? latinText(buffer, start, end) : wideText(buffer, start, end));
}

/** @param {Int32Array} i32 @param {number} at */
function slot(i32, at) {
  return /** @type {number} */ (i32[at]);
}

/** @param {number} offset */
function even(offset) {
  return offset + (offset & 1);
}

module.exports = { Cursor, WIDE };
