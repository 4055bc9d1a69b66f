// Turns parameter values that are objects into text or bytes, running all user code there is (getters, toJSON, toPostgres).
'use strict';

const { isDate, isPromise } = require('node:util/types');
const { lazy } = require('../lazy.js');
const errors = lazy(() => require('../error-classes.js'));

const dates = lazy(() => require('./date-text.js'));
const json = lazy(() => require('./json-text.js'));
const elements = lazy(() => require('./element-text.js'));
const pgValues = lazy(() => require('./pg-value.js'));
const temporal = lazy(() => require('./temporal-text.js'));

/** @typedef {'lossless' | 'pg'} Encoding */

/** Arrays may be nested so deeply; PostgreSQL takes 6 dimensions, JSON more. Deeper is taken for a cycle. */
const MAX_DEPTH = 1000;

/** @type {readonly unknown[]} */
const NONE = Object.freeze([]);

/** A parameter, mostly an array, in more than one spelling; the engine picks by the server's type. */
class ArrayText {
  /**
   * @param {string} literal @param {string} json
   * @param {string} [elements] for arrays of json, where that is not the literal
   */
  constructor(literal, json, elements) {
    this.literal = literal;
    this.json = json;
    this.elements = elements;
  }
}

/**
 * Replaces what has to be computed: afterwards there are only null, undefined, booleans, numbers, bigints, strings, byte
 * arrays and `ArrayText`s, and no user code runs any more. Returns the same array when there is nothing to do. Must be
 * called before a place in the outbox is chosen, because user code may send statements of its own.
 *
 * @param {readonly unknown[] | null | undefined} values
 * @param {Encoding} encoding `'lossless'` for createPool, `'pg'` for what `pg` does
 * @param {boolean} [utcDates] `parseInputDatesAsUTC` of the pg encoding
 * @returns {readonly unknown[]}
 * @throws {TypeError} when a value has no text form; names the 1-based position and the type, never the value
 */
function prepareParams(values, encoding, utcDates = false) {
  if (values === null || values === undefined) return NONE;
  if (!Array.isArray(values))
    throw errors().wrongArgument(`params must be an array, got ${typeof values}`);
  const count = values.length;
  for (let i = 0; i < count; i++) {
    const value = values[i];
    const type = typeof value;
    if (type === 'string' || type === 'number' || type === 'boolean') continue;
    if (value === null || type === 'undefined' || type === 'bigint') continue;
    if (!(value instanceof Uint8Array)) return prepareAll(values, count, encoding, utcDates);
  }
  return values;
}

/**
 * @param {readonly unknown[]} values @param {number} count
 * @param {Encoding} encoding @param {boolean} utcDates
 */
function prepareAll(values, count, encoding, utcDates) {
  const prepared = [];
  for (let i = 0; i < count; i++) {
    const value = values[i];
    const type = typeof value;
    if ((type !== 'object' || value === null) && type !== 'function' && type !== 'symbol') {
      prepared.push(value);
    } else if (ArrayBuffer.isView(value)) {
      prepared.push(bytesOf(value, i));
    } else {
      prepared.push(
        encoding === 'pg' ? pgValues().prepareValue(value, utcDates) : prepareLossless(value, i),
      );
    }
  }
  return prepared;
}

/**
 * @param {unknown} value no primitive but a symbol, and no view
 * @param {number} index
 */
function prepareLossless(value, index) {
  if (isDate(value)) return dates().dateText(value, index);
  if (Array.isArray(value)) {
    const text = new ArrayText('', '');
    appendArray(text, value, index, 1);
    return text;
  }
  return temporalText(value) ?? objectText(value, index);
}

/**
 * By the name that its class gives it, so that those of polyfills and other realms are known too.
 * @param {any} value no primitive but a symbol
 * @returns {string | undefined} undefined when it is none of Temporal's
 */
function temporalText(value) {
  const tag = value[Symbol.toStringTag];
  const isTemporal = typeof tag === 'string' && tag.startsWith('Temporal.');
  return isTemporal ? temporal().temporalText(value) : undefined;
}

/**
 * Exactly the window of a view, without a copy.
 * @param {ArrayBufferView} view @param {number} index
 */
function bytesOf(view, index) {
  if (view instanceof Uint8Array) return view;
  try {
    // The length of a DataView throws where other views say 0.
    if (view.byteLength === 0 && !(view instanceof DataView)) assertAttached(view, index);
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  } catch {
    throw detached(index);
  }
}

/**
 * An attached buffer, also an empty one, can be looked at through its view; one that is detached, or has become too short
 * for the view, throws.
 * @param {ArrayBufferView} view of any class but DataView @param {number} index
 */
function assertAttached(view, index) {
  try {
    Uint8Array.prototype.at.call(view, 0);
  } catch {
    throw detached(index);
  }
}

/** @param {number} index */
function detached(index) {
  return errors().parameterError(index, 'is a view of a detached ArrayBuffer');
}

/**
 * @param {unknown} value @param {number} index
 * @returns {string}
 */
function objectText(value, index) {
  if (typeof value === 'symbol' || typeof value === 'function') {
    throw errors().parameterError(index, `is a ${typeof value}, which has no SQL form`);
  }
  const { jsonText, lostInJson } = json();
  const lost = lostInJson(value);
  if (lost !== undefined && (isPromise(value) || !('toJSON' in /** @type {object} */ (value)))) {
    throw errors().parameterError(index, `is ${lost}`);
  }
  const text = jsonText(value);
  if (typeof text !== 'string') throw errors().parameterError(index, text.problem);
  return text;
}

/**
 * Appends both spellings in one pass, so that user code in elements runs once. NaN and infinities are legal in an array
 * literal; in the JSON text they stay bare words, which the server refuses if it comes to that.
 * @param {ArrayText} text @param {readonly unknown[]} array @param {number} index @param {number} depth
 */
function appendArray(text, array, index, depth) {
  if (depth > MAX_DEPTH) {
    throw errors().parameterError(index, `is over ${MAX_DEPTH} arrays deep, or cyclic`);
  }
  const { quoteElement } = elements();
  let literal = text.literal;
  let json = text.json;
  let separator = '';
  literal += '{';
  json += '[';
  for (let i = 0; i < array.length; i++) {
    const item = array[i];
    literal += separator;
    json += separator;
    separator = ',';
    if (item === null || item === undefined) {
      literal += 'NULL';
      json += 'null';
    } else if (typeof item === 'number') {
      literal += numberText(item);
      json += String(item);
    } else if (typeof item === 'string') {
      literal += quoteElement(item);
      json += JSON.stringify(item);
    } else if (typeof item === 'boolean' || typeof item === 'bigint') {
      literal += String(item);
      json += String(item);
    } else if (Array.isArray(item)) {
      text.literal = literal;
      text.json = json;
      appendArray(text, item, index, depth + 1);
      literal = text.literal;
      json = text.json;
    } else if (ArrayBuffer.isView(item)) {
      literal += bytesElement(bytesOf(item, index), index);
      json += JSON.stringify(item);
    } else if (isDate(item)) {
      literal += quoteElement(dates().dateText(item, index));
      json += JSON.stringify(item);
    } else {
      const date = temporalText(item);
      const object = date === undefined ? objectText(item, index) : JSON.stringify(item);
      literal += quoteElement(date ?? object);
      json += object;
    }
  }
  text.literal = `${literal}}`;
  text.json = `${json}]`;
}

/** @param {Uint8Array} bytes @param {number} index */
function bytesElement(bytes, index) {
  if (bytes.length === 0) assertAttached(bytes, index);
  return `"\\\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}"`;
}

/**
 * The lossless text of a number. Integers beyond ±(2⁵³ − 1) may already have lost digits: they are written with an
 * exponent (`9.007199254740994e15`), which `int8` refuses and `float8` and `numeric` take.
 * @param {number} value
 */
function numberText(value) {
  return Number.isInteger(value) && !Number.isSafeInteger(value)
    ? value.toExponential().replace('+', '')
    : String(value);
}

module.exports = {
  ArrayText,
  MAX_DEPTH,
  assertAttached,
  bytesElement,
  bytesOf,
  numberText,
  prepareLossless,
  prepareParams,
  temporalText,
};
