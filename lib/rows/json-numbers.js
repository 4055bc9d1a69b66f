// JSON whose numbers beyond ±(2⁵³ − 1) become BigInts or texts instead of the nearest doubles: the option `jsonNumbers`.
'use strict';

/** Every number beyond has one of these in it; most texts have neither. */
const SUSPECT = /(?<!\d)\d{16}|\d[eE]\+?\d/g;

/** What is a number by the grammar of JSON; the rest is left to `JSON.parse`, which refuses it. Source: RFC 8259, chapter 6. */
const NUMBER = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** The digits that `numeric`, and with it `jsonb`, has before its point at most. Source: PostgreSQL documentation, "Numeric Types". */
const MOST_DIGITS = 131_072;

/** What stands for a BigInt until its text is parsed. Random, so that no string of the server's can look like it. */
let mark = '';

/**
 * @param {'bigint' | 'string'} wanted what numbers beyond become
 * @returns {(text: string) => unknown}
 */
function jsonParser(wanted) {
  return wanted === 'string' ? (text) => parse(text, undefined) : (text) => parse(text, []);
}

/**
 * Puts other words in the place of numbers beyond, in one pass over the text, and leaves the rest to `JSON.parse`.
 * @param {string} text @param {bigint[] | undefined} found takes the integers; undefined: they become texts
 */
function parse(text, found) {
  SUSPECT.lastIndex = 0;
  let suspect = SUSPECT.exec(text);
  if (suspect === null) return JSON.parse(text);
  let out = '';
  let copied = 0;
  /** What is before is over: it is not in the middle of a string or a number. */
  let over = 0;
  let quote = text.indexOf('"');
  for (; suspect !== null; suspect = SUSPECT.exec(text)) {
    const at = suspect.index;
    while (quote !== -1 && quote < at) {
      over = endOfString(text, quote);
      quote = text.indexOf('"', over);
    }
    // In a string.
    if (over <= at) {
      const start = startOfNumber(text, at, over);
      over = endOfNumber(text, at);
      const word = wordFor(text.slice(start, over), found);
      // A string in the place of a key would be one.
      if (word !== undefined && !isKey(text, over)) {
        out += text.slice(copied, start) + word;
        copied = over;
      }
    }
    SUSPECT.lastIndex = over;
  }
  const value = JSON.parse(copied === 0 ? text : out + text.slice(copied));
  return found === undefined || found.length === 0 ? value : withIntegers(value, found);
}

/** @param {string} text @param {number} quote where it begins @returns {number} behind its closing quote */
function endOfString(text, quote) {
  for (let at = quote + 1; ; at += 1) {
    at = text.indexOf('"', at);
    // It does not end: `JSON.parse` says so.
    if (at === -1) return text.length;
    let slashes = at;
    while (text.charCodeAt(slashes - 1) === 0x5c) slashes -= 1;
    if ((at - slashes) % 2 === 0) return at + 1;
  }
}

/** Digits, signs, the point and the letter of an exponent. @param {number} code of a character, or NaN behind the text */
function isOfNumber(code) {
  const isDigit = code >= 0x30 && code <= 0x39;
  return isDigit || code === 0x2d || code === 0x2b || code === 0x2e || (code | 0x20) === 0x65;
}

/** @param {string} text @param {number} at @param {number} least */
function startOfNumber(text, at, least) {
  let start = at;
  while (start > least && isOfNumber(text.charCodeAt(start - 1))) start -= 1;
  return start;
}

/** @param {string} text @param {number} at */
function endOfNumber(text, at) {
  let end = at;
  while (isOfNumber(text.charCodeAt(end))) end += 1;
  return end;
}

/** @param {string} text @param {number} end behind a number */
function isKey(text, end) {
  let at = end;
  while (text.charCodeAt(at) <= 0x20) at += 1;
  return text[at] === ':';
}

/**
 * @param {string} number @param {bigint[] | undefined} found
 * @returns {string | undefined} undefined: it stays as it is
 */
function wordFor(number, found) {
  const value = Math.abs(Number(number));
  // Also what is no number at all.
  if (!(value > Number.MAX_SAFE_INTEGER)) return undefined;
  const parts = NUMBER.exec(number);
  if (parts === null) return undefined;
  if (found === undefined) return `"${number}"`;
  const integer = integerOf(parts, value);
  if (integer === undefined) return undefined;
  if (mark === '') mark = `integer:${require('node:crypto').randomUUID()}:`;
  return `"${mark}${found.push(integer) - 1}"`;
}

/**
 * A few characters of an exponent must not become a number that fills the memory, so that it counts only within the range
 * of a double. `jsonb` has no exponents.
 * @param {RegExpExecArray} parts of `NUMBER` @param {number} value
 * @returns {bigint | undefined} undefined for a fraction, and for what only `json` can hold
 */
function integerOf([number, sign, whole = '', fraction = '', exponent], value) {
  if (fraction === '' && exponent === undefined) {
    return whole.length > MOST_DIGITS ? undefined : BigInt(number);
  }
  if (!Number.isFinite(value)) return undefined;
  const digits = whole + fraction;
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === 0x30) end -= 1;
  const zeros = Number(exponent ?? 0) - fraction.length + digits.length - end;
  return zeros < 0 ? undefined : BigInt(sign + digits.slice(0, end) + '0'.repeat(zeros));
}

/**
 * Without recursion: values may be nested as deeply as `JSON.parse` reads them.
 * @param {unknown} value @param {bigint[]} integers what marks stand for
 */
function withIntegers(value, integers) {
  const root = [value];
  /** @type {any[]} */
  const left = [root];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    const keys = Array.isArray(node) ? node.keys() : Object.keys(node);
    for (const key of keys) {
      const item = node[key];
      if (typeof item === 'object') {
        if (item !== null) left.push(item);
      } else if (typeof item === 'string' && item.startsWith(mark)) {
        // Own properties, whatever their names: nothing else is written to.
        node[key] = integers[Number(item.slice(mark.length))];
      }
    }
  }
  return root[0];
}

module.exports = { jsonParser };
