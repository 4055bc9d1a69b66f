// Frames that the engine made of PostgreSQL 15's rows (session time zone Asia/Kolkata) against what `pg` makes of the same text.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const pg = require('pg');

const { compile } = require('../../lib/rows/decoder.js');
const kinds = require('../../lib/rows/kinds.js');
const { types } = require('../../lib/rows/type-parsers.js');
const { viewOf } = require('../support/frame-writer.js');
const vectors = require('../vectors/row-frames.json');

const ZONES = ['UTC', 'America/New_York', 'Europe/Berlin', 'Asia/Kolkata', 'Pacific/Apia'];

/** Both ways to decode, both row modes: one list of values each. */
function decodings(vector, frame) {
  const shape = { number: 1, fields: [['value', 0, 0, vector.oid, -1, -1]], kinds: [frame.kind] };
  const rows = vector.text.length;
  const lists = [];
  for (const encoded of [frame.allText, frame.perType].filter((text) => text !== undefined)) {
    for (const generateAfterRows of [0, Number.POSITIVE_INFINITY]) {
      for (const rowMode of ['object', 'array']) {
        const out = [];
        const decode = compile(shape, { generateAfterRows, rowMode });
        assert.equal(decode(viewOf(Buffer.from(encoded, 'base64')), 0, rows, out, 0), rows);
        lists.push(out.map((row) => (rowMode === 'array' ? row[0] : row.value)));
      }
    }
  }
  return lists;
}

/** Intervals by what they hold and print, invalid Dates by name; a plain comparison knows neither. */
function comparable(value) {
  if (Array.isArray(value)) return value.map(comparable);
  if (value instanceof Date && Number.isNaN(value.getTime())) return 'Invalid Date';
  if (typeof value?.toPostgres === 'function') {
    return { ...value, printed: [value.toPostgres(), value.toISO(), value.toISOString()] };
  }
  return value;
}

for (const zone of ZONES) {
  test(`the pg preset gives what pg gives, in ${zone}`, (t) => {
    const before = process.env.TZ;
    t.after(() => {
      if (before === undefined) delete process.env.TZ;
      else process.env.TZ = before;
    });
    process.env.TZ = zone;
    for (const vector of vectors) {
      const [theirs, ours] = [pg.types, types].map((source) => {
        const parse = source.getTypeParser(vector.oid, 'text');
        return vector.text.map((text) => comparable(text === null ? null : parse(text)));
      });
      for (const list of decodings(vector, vector.frames.pg)) {
        assert.deepEqual(comparable(list), theirs, vector.type);
      }
      assert.deepEqual(ours, theirs, `getTypeParser of ${vector.type}`);
    }
  });
}

/** What the server says a value is (another session, UTC, ISO intervals) as the lossless preset has it. */
function lossless(kind, printed) {
  if (printed === null) return null;
  if (Array.isArray(printed)) return printed.map((element) => lossless(kind, element));
  switch (kind) {
    case 'json':
      return { t: true, true: true, f: false, false: false }[printed] ?? JSON.parse(printed);
    case 'number':
      return Number(printed);
    case 'bigint':
      return BigInt(printed);
    case 'bytes':
      return Buffer.from(printed.slice(2), 'hex');
    default:
      return printed;
  }
}

test('sec_w12_the lossless preset gives what the server says, whatever the session', () => {
  for (const vector of vectors) {
    const expected = vector.lossless.map((printed) => lossless(vector.kind, printed));
    for (const list of decodings(vector, vector.frames.lossless)) {
      assert.deepEqual(list, expected, vector.type);
    }
  }
});

test('a type with a parser of the user comes as exact text, once per value and never as NULL', () => {
  const vector = vectors.find(({ type }) => type === 'text');
  const frame = { ...vector.frames.pg, kind: kinds.CUSTOM };
  const shape = { number: 1, fields: [['value', 0, 0, vector.oid, -1, -1]], kinds: [frame.kind] };
  for (const generateAfterRows of [0, Number.POSITIVE_INFINITY]) {
    const seen = [];
    const parser = (text) => seen.push(text);
    const decode = compile(shape, { generateAfterRows, parserFor: () => parser });
    decode(viewOf(Buffer.from(frame.allText, 'base64')), 0, vector.text.length, [], 0);
    assert.deepEqual(seen, vector.text.slice(0, -1));
  }
});
