// The server's text of arrays and composite values, taken apart.
'use strict';

/** Nested lists deeper than the server has dimensions are not its text. */
const MAX_DIMENSIONS = 6;

/**
 * An array of any dimension; lower bounds are dropped. Source: `array_out` of the server.
 *
 * @template T
 * @param {string} text
 * @param {(element: string) => T} convert is not called for NULL elements
 * @param {string} [delimiter] `;` for box, else `,`
 * @returns {(T | null | unknown[])[]} lists of lists for more dimensions
 */
function parseArray(text, convert, delimiter = ',') {
  const start = text.startsWith('[') ? text.indexOf('=') + 1 : 0;
  const end = text.length;
  if (text[start] !== '{') throw malformed('array');
  /** @type {unknown[][]} */
  const outer = [];
  /** @type {unknown[]} */
  let list = [];
  let at = start + 1;
  while (at < end) {
    const char = text[at];
    if (char === '{') {
      if (outer.push(list) === MAX_DIMENSIONS) throw malformed('array');
      const inner = /** @type {unknown[]} */ ([]);
      list.push(inner);
      list = inner;
      at += 1;
    } else if (char === '}') {
      const parent = outer.pop();
      at += 1;
      if (parent === undefined) {
        if (at !== end) throw malformed('array');
        return /** @type {(T | null | unknown[])[]} */ (list);
      }
      list = parent;
    } else if (char === delimiter) {
      at += 1;
    } else if (char === '"') {
      const [value, next] = quoted(text, at + 1);
      list.push(convert(value));
      at = next;
    } else {
      const from = at;
      while (at < end && text[at] !== delimiter && text[at] !== '}') at += 1;
      const value = text.slice(from, at);
      list.push(value === 'NULL' ? null : convert(value));
    }
  }
  throw malformed('array');
}

/**
 * The attributes of a composite value, NULL as null. Source: `record_out` of the server.
 * @param {string} text
 * @returns {(string | null)[]}
 */
function parseRecord(text) {
  if (!text.startsWith('(') || !text.endsWith(')')) throw malformed('composite value');
  /** @type {(string | null)[]} */
  const values = [];
  const end = text.length - 1;
  let at = 1;
  if (at === end) return values;
  for (;;) {
    if (text[at] === '"') {
      const [value, next] = quoted(text, at + 1);
      values.push(value);
      at = next;
    } else {
      const comma = text.indexOf(',', at);
      const next = comma === -1 ? end : comma;
      values.push(next === at ? null : text.slice(at, next));
      at = next;
    }
    if (at === end) return values;
    if (text[at] !== ',') throw malformed('composite value');
    at += 1;
  }
}

/**
 * The rest of a text in double quotes and the place behind it. A backslash takes the next character as it is; in composite
 * values a quote is also written twice.
 *
 * @param {string} text @param {number} from behind the opening quote
 * @returns {[string, number]}
 */
function quoted(text, from) {
  let value = '';
  let plain = from;
  for (let at = from; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"' && text[at + 1] !== '"') return [value + text.slice(plain, at), at + 1];
    if (char === '\\' || char === '"') {
      value += text.slice(plain, at);
      at += 1;
      plain = at;
    }
  }
  throw malformed('quoted value');
}

/** @param {string} what */
function malformed(what) {
  return new Error(`the server sent a malformed ${what}`);
}

module.exports = { parseArray, parseRecord };
