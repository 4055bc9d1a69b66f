// What `pg` makes of the server's text, type by type (its package pg-types).
'use strict';

const { parseDate } = require('./dates.js');
const { parseInterval } = require('./interval.js');
const { parseArray } = require('./literals.js');

/** @typedef {(text: string) => unknown} Parser */

/** @param {string} text */
const parseInteger = (text) => Number.parseInt(text, 10);
/** @param {string} text */
const parseFloating = (text) => Number.parseFloat(text);
/** @param {string} text */
const identity = (text) => text;
/** @param {string} text */
const parseJson = (text) => JSON.parse(text);

/** @param {string} text */
function parseBool(text) {
  return ['t', 'true', 'TRUE', 'y', 'yes', 'on', '1'].includes(text);
}

/** @param {string} text in the `hex` or the `escape` form of `bytea_output` */
function parseBytea(text) {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex');
  const bytes = text.replace(/\\(\\|[0-7]{3})/g, (_, code) =>
    code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
  );
  return Buffer.from(bytes, 'latin1');
}

/** @param {string} text */
function parsePoint(text) {
  if (!text.startsWith('(')) return null;
  const [x = '', y = ''] = text.slice(1, -1).split(',');
  return { x: Number.parseFloat(x), y: Number.parseFloat(y) };
}

/** @param {string} text */
function parseCircle(text) {
  const match = /^<\(([^,]*),([^)]*)\),(.*)>$/.exec(text);
  if (match === null) return null;
  const [, x = '', y = '', radius = ''] = match;
  return {
    x: Number.parseFloat(x),
    y: Number.parseFloat(y),
    radius: Number.parseFloat(radius),
  };
}

/** @param {Parser} element @returns {Parser} */
const arrayOf = (element) => (text) => (text ? parseArray(text, element) : null);

const strings = arrayOf(identity);
const integers = arrayOf(parseInteger);
const floats = arrayOf(parseFloating);
const dates = arrayOf(parseDate);
const jsons = arrayOf(parseJson);

/**
 * OID → parser; every type that is not here stays text. Source: pg-types 2.2, lib/textParsers.js.
 * @type {ReadonlyMap<number, Parser>}
 */
const TEXT_PARSERS = new Map(
  /** @type {[number, Parser][]} */ ([
    [16, parseBool],
    [17, parseBytea],
    [20, identity],
    [21, parseInteger],
    [23, parseInteger],
    [26, parseInteger],
    [114, parseJson],
    [199, jsons],
    [600, parsePoint],
    [651, strings],
    [700, parseFloating],
    [701, parseFloating],
    [718, parseCircle],
    [791, strings],
    [1000, arrayOf(parseBool)],
    [1001, arrayOf(parseBytea)],
    [1005, integers],
    [1007, integers],
    [1008, strings],
    [1009, strings],
    [1014, strings],
    [1015, strings],
    [1016, strings],
    [1017, arrayOf(parsePoint)],
    [1021, floats],
    [1022, floats],
    [1028, integers],
    [1040, strings],
    [1041, strings],
    [1082, parseDate],
    [1114, parseDate],
    [1115, dates],
    [1182, dates],
    [1183, strings],
    [1184, parseDate],
    [1185, dates],
    [1186, parseInterval],
    [1187, arrayOf(parseInterval)],
    [1231, floats],
    [1270, strings],
    [2951, strings],
    [3802, parseJson],
    [3807, jsons],
    [3907, strings],
  ]),
);

/** `types.arrayParser` of pg. */
const arrayParser = {
  /** @param {string} source @param {Parser} [transform] */
  create(source, transform = identity) {
    return { parse: () => parseArray(source, transform) };
  },
};

module.exports = {
  TEXT_PARSERS,
  arrayParser,
  identity,
  parseBool,
  parseBytea,
  parseCircle,
  parsePoint,
};
