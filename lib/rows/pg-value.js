// One parameter value as node-postgres' utils.prepareValue would send it.
'use strict';

const { deprecate } = require('node:util');
const { isDate } = require('node:util/types');
const { quoteElement } = require('./element-text.js');

const warnInvalidDate = deprecate(
  () => {},
  'Sending an invalid date to Postgres is deprecated and will throw an error in the next major version of pg. ' +
    'Ensure any Date object passed as a query parameter is valid.',
  'PG_INVALID_DATE',
);

/**
 * @param {any} value
 * @param {boolean} utcDates `defaults.parseInputDatesAsUTC`
 * @param {object[]} [seen] objects whose `toPostgres` is being asked
 * @param {(value: any) => string | undefined} [stringify]
 * @returns {string | Buffer | null | undefined} undefined, from a `toJSON`, counts as NULL
 */
function prepareValue(value, utcDates, seen, stringify = JSON.stringify) {
  if (value === null || value === undefined) return null;
  if (typeof value !== 'object') return value.toString();
  if (ArrayBuffer.isView(value)) return bytesOf(value);
  if (isDate(value)) {
    if (Number.isNaN(value.getTime())) warnInvalidDate();
    return utcDates ? utcText(value) : localText(value);
  }
  if (Array.isArray(value)) return arrayText(value, utcDates, stringify);
  if (typeof value.toPostgres !== 'function') return stringify(value);
  const asked = seen ?? [];
  if (asked.includes(value)) {
    throw new Error(`circular reference detected while preparing "${value}" for query`);
  }
  asked.push(value);
  return prepareValue(
    value.toPostgres((/** @type {unknown} */ inner) =>
      prepareValue(inner, utcDates, undefined, stringify),
    ),
    utcDates,
    asked,
    stringify,
  );
}

/** @param {ArrayBufferView} view */
function bytesOf(view) {
  return Buffer.isBuffer(view) ? view : Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/**
 * Elements are separated by commas, so types with another separator (`box`) need a text of the caller's.
 * @param {readonly unknown[]} array @param {boolean} utcDates @param {(value: any) => string | undefined} stringify
 */
function arrayText(array, utcDates, stringify) {
  let text = '{';
  for (let i = 0; i < array.length; i++) {
    if (i > 0) text += ',';
    const item = array[i];
    // Has nothing to escape: most elements by far.
    if (typeof item === 'number' || typeof item === 'boolean') text += `"${item}"`;
    else if (Array.isArray(item)) text += arrayText(item, utcDates, stringify);
    else text += elementText(prepareValue(item, utcDates, undefined, stringify));
  }
  return `${text}}`;
}

/** @param {string | Buffer | null | undefined} prepared */
function elementText(prepared) {
  if (prepared === null || prepared === undefined) return 'NULL';
  if (typeof prepared === 'string') return quoteElement(prepared);
  return `\\\\x${prepared.toString('hex')}`;
}

/** @param {number} number @param {number} [width] */
function pad(number, width = 2) {
  return String(number).padStart(width, '0');
}

/**
 * Year 0 of JavaScript is 1 BC.
 * @param {number} year @param {string} rest
 */
function withYear(year, rest) {
  return year < 1 ? `${pad(Math.abs(year) + 1, 4)}${rest} BC` : `${pad(year, 4)}${rest}`;
}

/**
 * Local time with its offset in whole minutes. Historic zones with seconds in their offset come out as the engine
 * rounds them, in `pg` too.
 * @param {Date} date
 */
function localText(date) {
  const offset = -date.getTimezoneOffset();
  const minutes = Math.abs(offset);
  const day = `-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const seconds = `${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${seconds}`;
  const zone = `${offset < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
  return withYear(date.getFullYear(), `${day}T${time}${zone}`);
}

/** @param {Date} date */
function utcText(date) {
  const day = `-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}`;
  const seconds = `${pad(date.getUTCSeconds())}.${pad(date.getUTCMilliseconds(), 3)}`;
  const time = `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${seconds}`;
  return withYear(date.getUTCFullYear(), `${day}T${time}+00:00`);
}

module.exports = { prepareValue };
