// Writes row frames as the engine does (native/src/frame/mod.rs), so that decoders can be tested without it.
'use strict';

const { frameView } = require('../../lib/rows/frame-view.js');
const kinds = require('../../lib/rows/kinds.js');

const EIGHT = new Set([kinds.F64, kinds.BIGINT, kinds.DATE, kinds.LOCAL_DATE]);
const WIDE = 0x40000000;

/**
 * @param {readonly number[]} columns kinds
 * @param {readonly (readonly any[])[]} rows raw values: numbers, bigints, strings, Buffers, JSON text, null
 * @param {number} [offset] where in its buffer the frame starts
 */
function writeFrame(columns, rows, offset = 0) {
  const areas = { eight: [], four: [], latin: [], wide: [], raw: [] };
  const json = columns.map((kind) => (kind === kinds.JSON ? [] : undefined));
  const nulls = Buffer.alloc(Math.ceil((rows.length * columns.length) / 8));
  let hasNulls = false;
  for (const [r, row] of rows.entries()) {
    for (const [c, kind] of columns.entries()) {
      const value = row[c];
      if (kind === kinds.VOID) continue;
      if (kind === kinds.JSON) {
        json[c].push(value ?? 'null');
        continue;
      }
      if (value === null) {
        const bit = r * columns.length + c;
        nulls[bit >> 3] |= 1 << (bit & 7);
        hasNulls = true;
      }
      if (kind >= kinds.ARRAY) writeArray(areas, kind - kinds.ARRAY, value);
      else writeValue(areas, kind, value);
    }
  }
  return assemble(areas, json, hasNulls ? nulls : Buffer.alloc(0), offset);
}

function writeValue(areas, kind, value) {
  if (EIGHT.has(kind)) {
    const slot = Buffer.alloc(8);
    if (kind === kinds.BIGINT) slot.writeBigInt64LE(value ?? 0n);
    else slot.writeDoubleLE(value ?? 0);
    areas.eight.push(slot);
  } else if (typeof value === 'string') {
    const isLatin = /^[\0-\xff]*$/.test(value);
    areas[isLatin ? 'latin' : 'wide'].push(Buffer.from(value, isLatin ? 'latin1' : 'utf16le'));
    areas.four.push(word(isLatin ? value.length : value.length | WIDE));
  } else if (Buffer.isBuffer(value)) {
    areas.raw.push(value);
    areas.four.push(word(value.length));
  } else {
    areas.four.push(word(Number(value ?? 0)));
  }
}

/** One-dimensional. */
function writeArray(areas, kind, list) {
  if (list === null || list.length === 0) {
    areas.four.push(word(0));
    return;
  }
  const hasNulls = list.includes(null);
  areas.four.push(word(hasNulls ? 0x101 : 1), word(list.length));
  for (const value of list) writeValue(areas, kind, value);
  if (!hasNulls) return;
  for (let at = 0; at < list.length; at += 32) {
    let bits = 0;
    for (let i = at; i < Math.min(at + 32, list.length); i += 1) {
      if (list[i] === null) bits |= 1 << (i - at);
    }
    areas.four.push(word(bits));
  }
}

function assemble(areas, json, nulls, offset) {
  const [eight, four, latin, wide, raw] = [
    areas.eight,
    areas.four,
    areas.latin,
    areas.wide,
    areas.raw,
  ].map((parts) => Buffer.concat(parts));
  const batches = json.filter((cells) => cells !== undefined).map(encodeBatch);
  const table = batches.flatMap(([bytes, isWide]) => [word(bytes.length), word(isWide ? 1 : 0)]);
  const header = [
    eight.length / 8,
    four.length / 4,
    nulls.length,
    latin.length,
    wide.length,
    raw.length,
    batches.length,
    0,
  ].map(word);
  const parts = [...header, eight, four, ...table, nulls];
  parts.push(padding(parts, 2), wide, latin);
  for (const [bytes] of batches) parts.push(padding(parts, 2), bytes);
  parts.push(raw);
  parts.push(padding(parts, 8));
  return viewOf(Buffer.concat([Buffer.alloc(offset, 0xaa), ...parts]));
}

function encodeBatch(cells) {
  const text = `[${cells.join(',')}]`;
  const isWide = !/^[\0-\xff]*$/.test(text);
  return [Buffer.from(text, isWide ? 'utf16le' : 'latin1'), isWide];
}

function padding(parts, to) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.alloc((to - (length % to)) % to);
}

function word(value) {
  const slot = Buffer.alloc(4);
  slot.writeInt32LE(value | 0);
  return slot;
}

/** What a decoder reads, over a copy of the bytes. */
function viewOf(bytes) {
  const memory = new ArrayBuffer(bytes.length);
  bytes.copy(Buffer.from(memory));
  return frameView(memory, false);
}

/** A shape of these kinds and names; OIDs default to one that nobody knows. */
function shapeOf(columns, names = columns.map((_, i) => `c${i}`), oids = []) {
  return {
    number: 1,
    fields: names.map((name, i) => [name, 0, 0, oids[i] ?? 16_000, -1, -1]),
    kinds: columns,
  };
}

module.exports = { shapeOf, viewOf, writeFrame };
