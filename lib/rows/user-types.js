// Types the server's users made (arrays of enums and domains, composites): their text into values of the lossless preset.
'use strict';

const { TYPE_NAMES } = require('./builtins.js');
const { parseArray, parseRecord } = require('./literals.js');
const { isoInterval } = require('./iso-interval.js');
const { isoDate, isoInstant, isoTime } = require('./iso-text.js');
const { identity, parseBool, parseBytea } = require('./pg-types.js');
const { StaleTypeError } = require('./failures.js');
const { FIRST_USER_OID } = require('./user-oids.js');

/** @import { TypeInfo } from '../../types/rows.js' */

/** @typedef {(text: string) => unknown} Parser */

/** Types may contain types; deeper than this is taken for a cycle (rule W07). */
const MAX_DEPTH = 64;

/** @param {string} text */
const toNumber = (text) => Number(text);
/** @param {string} text */
const toJson = (text) => JSON.parse(text);

/**
 * Text of a built-in type as the lossless preset has it; what is not here stays text.
 * @type {ReadonlyMap<number, Parser>}
 */
const BUILTIN = new Map(
  /** @type {[number, Parser][]} */ ([
    [16, parseBool],
    [17, parseBytea],
    [20, BigInt],
    [21, toNumber],
    [23, toNumber],
    [26, toNumber],
    [700, toNumber],
    [701, toNumber],
    [1083, isoTime],
    [1114, isoDate],
    [1184, isoInstant],
    [1186, isoInterval],
  ]),
);

/** Built-in array → type of its elements. @type {ReadonlyMap<number, number>} */
const ELEMENTS = new Map([...TYPE_NAMES.values()].map(([element, array]) => [array, element]));
const BOX = 603;
const JSON_OID = 114;
const JSONB_OID = 3802;

/**
 * What turns the text of a user's type into a value; undefined when it stays text.
 *
 * @param {number} oid
 * @param {TypeInfo} typeInfo
 * @param {Parser} [json] what reads json and jsonb
 * @returns {Parser | undefined}
 */
function parserOfUserType(oid, typeInfo, json = toJson) {
  if (oid < FIRST_USER_OID) return undefined;
  const parser = parserOf(oid, typeInfo, json, 0);
  return parser === identity ? undefined : parser;
}

/** @param {number} oid @param {TypeInfo} typeInfo @param {Parser} json @param {number} depth @returns {Parser} */
function parserOf(oid, typeInfo, json, depth) {
  if (oid === JSON_OID || oid === JSONB_OID) return json;
  const builtin = BUILTIN.get(oid);
  if (builtin !== undefined) return builtin;
  const member = ELEMENTS.get(oid);
  if (member !== undefined) {
    const element = parserOf(member, typeInfo, json, depth + 1);
    return (text) => parseArray(text, element, member === BOX ? ';' : ',');
  }
  const info = depth < MAX_DEPTH ? typeInfo(oid) : undefined;
  if (info?.base !== undefined) return parserOf(info.base, typeInfo, json, depth + 1);
  if (info?.array !== undefined) {
    const element = parserOf(info.array, typeInfo, json, depth + 1);
    const { delimiter } = info;
    return (text) => parseArray(text, element, delimiter);
  }
  if (info?.attributes !== undefined) {
    const attributes = info.attributes.map(
      ([name, type]) => /** @type {const} */ ([name, parserOf(type, typeInfo, json, depth + 1)]),
    );
    return (text) => composite(attributes, parseRecord(text));
  }
  return identity;
}

/** @param {readonly (readonly [string, Parser])[]} attributes @param {readonly (string | null)[]} values */
function composite(attributes, values) {
  // `()` is one attribute that is NULL as well as none.
  const isOneNull = values.length === 0 && attributes.length === 1;
  if (values.length !== attributes.length && !isOneNull) {
    throw new StaleTypeError(
      `a composite value of ${values.length} parts where ${attributes.length} are known`,
    );
  }
  // `fromEntries` defines properties, so an attribute called __proto__ is one like any other.
  return Object.fromEntries(
    attributes.map(([name, parse], i) => {
      const value = values[i] ?? null;
      return [name, value === null ? null : parse(value)];
    }),
  );
}

module.exports = { parserOfUserType };
