// Parameters of statements with `json: 'value'`, where what JSON has as a string is one, and of those whose JSON has BigInts.
'use strict';

const { isDate } = require('node:util/types');
const { parameterError } = require('../error-classes.js');
const { quoteElement } = require('./element-text.js');
const { jsonText, stringifyBigInts } = require('./json-text.js');
const { prepareValue } = require('./pg-value.js');
const prepare = require('./prepare.js');

const { ArrayText, MAX_DEPTH, bytesElement, bytesOf, numberText, prepareParams } = prepare;

/** @import { JsonParams } from '../../types/rows.js' */
/** @typedef {import('./prepare.js').Encoding} Encoding */

/** How the values of one statement are sent. @typedef {{ encoding: Encoding, utcDates: boolean, json: JsonParams }} How */

/**
 * As `prepareParams`. What the server's type is decides the engine, when it knows it: a string that is given to JSON is not
 * the same as one that is given to text.
 * @param {readonly unknown[] | null | undefined} values @param {Encoding} encoding @param {boolean | undefined} utcDates
 * @param {JsonParams} json
 * @returns {readonly unknown[]}
 */
function prepareJsonParams(values, encoding, utcDates, json) {
  if (!Array.isArray(values)) return prepareParams(values, encoding);
  const how = { encoding, utcDates: utcDates ?? false, json };
  const list = [];
  for (let i = 0; i < values.length; i++) list.push(prepared(values[i], i, how));
  return list;
}

/** @param {unknown} value @param {number} index @param {How} how */
function prepared(value, index, how) {
  if (typeof value === 'string') {
    return how.json.values ? new ArrayText(value, JSON.stringify(value)) : value;
  }
  if (value === null || (typeof value !== 'object' && !isStrange(value))) return value;
  if (ArrayBuffer.isView(value)) return bytesOf(value, index);
  if (!how.json.values) return plain(value, index, how);
  if (Array.isArray(value)) {
    const text = new ArrayText('', '', '');
    append(text, value, index, 1, how);
    return text;
  }
  const json = jsonString(value, how);
  const text = plain(value, index, how);
  return json === undefined ? text : new ArrayText(/** @type {string} */ (text), json);
}

/** What is sent as something else than its own text. @param {unknown} value */
function isStrange(value) {
  return typeof value === 'function' || typeof value === 'symbol';
}

/**
 * As it goes to a type that is not JSON, and objects to any.
 * @param {unknown} value @param {number} index @param {How} how
 * @returns {any} a text; of the pg encoding also bytes, or null or undefined for NULL
 */
function plain(value, index, { encoding, utcDates, json }) {
  if (encoding !== 'pg') return prepare.prepareLossless(value, index);
  const stringify = json.bigints ? stringifyBigInts : JSON.stringify;
  return prepareValue(value, utcDates, undefined, stringify);
}

/**
 * The JSON of what is a string in JSON, although it is an object: dates, and those of Temporal.
 * @param {any} value no view and no array @param {How} how
 * @returns {string | undefined} undefined: whatever it is sent as is its JSON
 */
function jsonString(value, { encoding }) {
  if (isDate(value)) {
    const json = jsonText(value);
    // Of an invalid date the server refuses the text.
    return typeof json === 'string' ? json : undefined;
  }
  const text = encoding === 'pg' ? undefined : prepare.temporalText(value);
  return text === undefined ? undefined : JSON.stringify(text);
}

/**
 * Appends all three spellings in one pass, so that user code in elements runs once.
 * @param {InstanceType<typeof ArrayText>} text @param {readonly unknown[]} array @param {number} index
 * @param {number} depth @param {How} how
 */
function append(text, array, index, depth, how) {
  if (depth > MAX_DEPTH) {
    throw parameterError(index, `is over ${MAX_DEPTH} arrays deep, or cyclic`);
  }
  add(text, '{', '[', '{');
  for (let i = 0; i < array.length; i++) {
    if (i > 0) add(text, ',', ',', ',');
    const item = array[i];
    if (Array.isArray(item)) append(text, item, index, depth + 1, how);
    else addElement(text, item, index, how);
  }
  add(text, '}', ']', '}');
}

/** @param {InstanceType<typeof ArrayText>} text @param {string} literal @param {string} json @param {string} [elements] */
function add(text, literal, json, elements = literal) {
  text.literal += literal;
  text.json += json;
  text.elements += elements;
}

/** @param {InstanceType<typeof ArrayText>} text @param {unknown} item @param {number} index @param {How} how */
function addElement(text, item, index, how) {
  if (item === null || item === undefined) {
    add(text, 'NULL', 'null');
  } else if (typeof item === 'string') {
    const json = JSON.stringify(item);
    add(text, quoteElement(item), json, quoteElement(json));
  } else if (typeof item === 'number') {
    add(text, how.encoding === 'pg' ? String(item) : numberText(item), String(item));
  } else if (typeof item === 'boolean' || typeof item === 'bigint') {
    add(text, String(item), String(item));
  } else if (ArrayBuffer.isView(item)) {
    add(text, bytesElement(bytesOf(item, index), index), JSON.stringify(item));
  } else {
    addObject(text, item, index, how);
  }
}

/** @param {InstanceType<typeof ArrayText>} text @param {any} item @param {number} index @param {How} how */
function addObject(text, item, index, how) {
  const string = jsonString(item, how);
  const sent = plain(item, index, how);
  if (sent === null || sent === undefined) {
    add(text, 'NULL', 'null');
  } else if (typeof sent !== 'string') {
    add(text, bytesElement(sent, index), JSON.stringify(sent));
  } else if (string !== undefined) {
    add(text, quoteElement(sent), string, quoteElement(string));
  } else {
    // What it is in SQL says nothing of what it is in JSON.
    const isOwn = isStrange(item) || typeof item.toPostgres === 'function';
    const json = how.encoding === 'pg' && isOwn ? (JSON.stringify(item) ?? 'null') : sent;
    add(text, quoteElement(sent), json);
  }
}

module.exports = { prepareJsonParams };
