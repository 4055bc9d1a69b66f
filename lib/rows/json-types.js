// The options `json` and `jsonNumbers`, laid over what reads the types of a statement.
'use strict';

const { lazy } = require('../lazy.js');

const literals = lazy(() => require('./literals.js'));
const numbers = lazy(() => require('./json-numbers.js'));

/** @import { JsonOptions, ResolvedTypes, TextParser } from '../../types/rows.js' */

/** `json`, `jsonb`, and their arrays. */
const JSON_OIDS = [114, 3802];
const ARRAY_OIDS = [199, 3807];

/** What was laid over types that do not change, by the two words. @type {WeakMap<ResolvedTypes, Map<string, ResolvedTypes>>} */
const known = new WeakMap();

/** One parser of each kind. @type {Map<string, TextParser>} */
const parsers = new Map();

/** @param {'bigint' | 'string'} wanted */
function parserOf(wanted) {
  let parser = parsers.get(wanted);
  if (parser === undefined) {
    parser = numbers().jsonParser(wanted);
    parsers.set(wanted, parser);
  }
  return parser;
}

/**
 * The user's own parsers of these types come first.
 * @param {ResolvedTypes} base @param {JsonOptions | undefined} options
 * @returns {ResolvedTypes} the same object for the same arguments, unless it is volatile
 */
function withJson(base, options) {
  const { json = 'text', jsonNumbers = 'number' } = options ?? {};
  if (json === 'text' && jsonNumbers === 'number') return base;
  if (base.volatile) return layOver(base, json, jsonNumbers);
  let byWords = known.get(base);
  if (byWords === undefined) {
    byWords = new Map();
    known.set(base, byWords);
  }
  const words = `${json} ${jsonNumbers}`;
  let types = byWords.get(words);
  if (types === undefined) {
    types = layOver(base, json, jsonNumbers);
    byWords.set(words, types);
  }
  return types;
}

/**
 * @param {ResolvedTypes} base @param {NonNullable<JsonOptions['json']>} json
 * @param {NonNullable<JsonOptions['jsonNumbers']>} jsonNumbers @returns {ResolvedTypes}
 */
function layOver(base, json, jsonNumbers) {
  const jsonParams = { values: json === 'value', bigints: jsonNumbers === 'bigint' };
  if (jsonNumbers === 'number') return Object.freeze({ ...base, jsonParams });
  const parser = parserOf(jsonNumbers);
  const own = new Map(JSON_OIDS.map((oid) => [oid, parser]));
  for (const oid of ARRAY_OIDS) own.set(oid, (text) => literals().parseArray(text, parser));
  const custom = [...new Set([...base.custom, ...own.keys()])].sort((a, b) => a - b);
  return Object.freeze({
    ...base,
    custom: Object.freeze(custom),
    parserFor: (/** @type {number} */ oid) => base.parserFor(oid) ?? own.get(oid),
    jsonParser: parser,
    jsonParams,
  });
}

module.exports = { withJson };
