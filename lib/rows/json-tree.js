// Values of a JSON column that the engine has taken apart already. Layout: native/src/frame/json_tree.rs.
'use strict';

const { canGenerate, interned, put } = require('./code-generation.js');
const { latinText, wideText } = require('./long-text.js');

/** @import { FrameView } from '../../types/rows.js' */

/** @typedef {(tree: JsonTree) => object} Make */

/** Text becomes JS strings in pieces of so many characters; a value is a slice of a piece and keeps it alive. */
const WINDOW = 8192;

/** Longer values get strings of their own, in characters. */
const OWN_STRING = 1024;

/** Objects with the same keys before a constructor is made for them: that costs as much as reading so many. */
const GENERATE_AFTER = 256;

/** Lists of keys known at a time, and the characters of their texts. They are data of users, so there are limits. */
const MOST_KNOWN = 2000;
const MOST_KEPT = 1 << 20;

/** A longer text has data in the place of names, and hardly comes again. */
const LONGEST_KEPT = 1 << 16;

const CONSTANTS = [null, true, false];

/** Makes objects with the keys of one list. */
class Maker {
  /** @param {string[]} keys */
  constructor(keys) {
    this.names = keys.map(interned);
    this.left = canGenerate() ? GENERATE_AFTER : Number.POSITIVE_INFINITY;
    /** @type {Make | undefined} */
    this.generated = undefined;
  }

  /** @param {JsonTree} tree the place of the values */
  object(tree) {
    if (this.generated !== undefined) return this.generated(tree);
    this.left -= 1;
    if (this.left < 0) this.generated = generate(this.names);
    /** @type {Record<string, unknown>} */
    const object = {};
    for (const name of this.names) put(object, name, tree.value());
    return object;
  }
}

/** Makers by their keys, lists of makers by the text that holds all keys of a column, and the characters of these texts. */
const makers = new Map();
const lists = new Map();
let kept = 0;

/**
 * Nothing of the server's becomes code: names are passed as data (rule J01).
 * @param {string[]} names
 * @returns {Make}
 */
function generate(names) {
  const constants = names.map((_, i) => `const n${i} = names[${i}];`).join(' ');
  const properties = names.map((_, i) => `[n${i}]: tree.value()`).join(', ');
  const source = `${constants} return function make(tree) { return { ${properties} }; };`;
  return new Function('names', source)(names);
}

/** @param {string} text JSON: the lists of keys @returns {Maker[]} */
function makersOf(text) {
  const known = lists.get(text);
  if (known !== undefined) return known;
  /** @type {string[][]} */
  const keys = JSON.parse(text);
  if (text.length > LONGEST_KEPT) return keys.map((names) => new Maker(names));
  kept += text.length;
  if (lists.size >= MOST_KNOWN || makers.size + keys.length > MOST_KNOWN || kept > MOST_KEPT) {
    // A list holds its makers, so neither goes without the other.
    makers.clear();
    lists.clear();
    kept = text.length;
  }
  const list = keys.map(makerOf);
  lists.set(text, list);
  return list;
}

/** @param {string[]} names */
function makerOf(names) {
  const name = JSON.stringify(names);
  let maker = makers.get(name);
  if (maker === undefined) {
    maker = new Maker(names);
    makers.set(name, maker);
  }
  return maker;
}

/** A place among the values of one column of a frame. */
class JsonTree {
  /** @param {FrameView} view @param {number} start byte where the tree begins, a multiple of 8 */
  constructor({ buffer, i32, f64 }, start) {
    const header = start / 4;
    /** @param {number} word */
    const count = (word) => /** @type {number} */ (i32[header + word]);
    this.buffer = buffer;
    this.i32 = i32;
    this.f64 = f64;
    /** Next double, and next word of the tape. */
    this.eight = start / 8 + 4;
    this.four = header + 8 + 2 * count(1);
    /** The string that values are cut from, the place in it, the byte where the next one starts, and the last one's end. */
    this.piece = '';
    this.at = 0;
    this.next = 4 * (this.four + count(0));
    this.end = this.next + count(2);
    this.wide = count(3);
    const keys = this.end + (this.end & 1);
    this.makers = makersOf(this.slice(keys, keys + count(4), count(5)));
  }

  /** @returns {unknown} */
  value() {
    const word = /** @type {number} */ (this.i32[this.four++]);
    switch (word & 7) {
      case 0:
        return CONSTANTS[word >>> 3];
      case 1:
        return word >> 3;
      case 2:
        return this.f64[this.eight++];
      case 3:
        return this.text(word >>> 3);
      case 4:
        return this.array(word >>> 3);
      default:
        return /** @type {Maker} */ (this.makers[word >>> 3]).object(this);
    }
  }

  /** @param {number} length */
  array(length) {
    const array = [];
    for (let i = 0; i < length; i++) array.push(this.value());
    return array;
  }

  /** @param {number} length in characters */
  text(length) {
    const at = this.at;
    if (length <= this.piece.length - at) {
      this.at = at + length;
      return this.piece.substring(at, at + length);
    }
    const { wide } = this;
    const start = this.next - ((this.piece.length - at) << wide);
    if (length > OWN_STRING) {
      this.piece = '';
      this.at = 0;
      this.next = start + (length << wide);
      return this.slice(start, this.next, wide);
    }
    this.next = Math.min(start + (WINDOW << wide), this.end);
    this.piece = this.slice(start, this.next, wide);
    this.at = length;
    return this.piece.substring(0, length);
  }

  /** @param {number} start @param {number} end @param {number} wide 1 for UTF-16 */
  slice(start, end, wide) {
    return wide === 0 ? latinText(this.buffer, start, end) : wideText(this.buffer, start, end);
  }
}

/**
 * @param {FrameView} view @param {number} start
 * @returns {unknown}
 */
function readTree(view, start) {
  return new JsonTree(view, start).value();
}

module.exports = { readTree };
