// The interval object of `pg` (its package postgres-interval), read from text in the server's default style.
'use strict';

const POSTGRES =
  /(?:([+-]?\d+)\s+years?)?\s*(?:([+-]?\d+)\s+mons?)?\s*(?:([+-]?\d+)\s+days?)?\s*(?:([+-])?(\d*):(\d\d):(\d\d)\.?(\d{1,6})?)?/;

/** @typedef {'years' | 'months' | 'days' | 'hours' | 'minutes' | 'seconds' | 'milliseconds'} Unit */

/** In the order in which `toPostgres` writes them. */
const WRITTEN = /** @type {const} */ (['seconds', 'minutes', 'hours', 'days', 'months', 'years']);

/** @type {readonly (readonly [Unit, string])[]} */
const DATE_PARTS = [
  ['years', 'Y'],
  ['months', 'M'],
  ['days', 'D'],
];
/** @type {readonly (readonly [Unit, string])[]} */
const TIME_PARTS = [
  ['hours', 'H'],
  ['minutes', 'M'],
  ['seconds', 'S'],
];

/** Parts that are zero are absent; milliseconds have a fraction. */
class PostgresInterval {
  /** @param {string} text */
  constructor(text) {
    const match = POSTGRES.exec(text);
    if (match === null) return;
    const [, years, months, days, sign, hours, minutes, seconds, fraction] = match;
    const time = sign === '-' ? -1 : 1;
    set(this, 'years', Number(years ?? 0));
    set(this, 'months', Number(months ?? 0));
    set(this, 'days', Number(days ?? 0));
    set(this, 'hours', time * Number(hours ?? 0));
    set(this, 'minutes', time * Number(minutes ?? 0));
    set(this, 'seconds', time * Number(seconds ?? 0));
    set(this, 'milliseconds', (time * Number((fraction ?? '').padEnd(6, '0'))) / 1000);
  }

  /** As the server reads it: `6.7 seconds 5 minutes 1 years`. */
  toPostgres() {
    const units = WRITTEN.filter((unit) => Object.hasOwn(this, unit));
    if (partsOf(this).milliseconds && !units.includes('seconds')) units.push('seconds');
    if (units.length === 0) return '0';
    return units.map((unit) => `${amount(this, unit, /\.?0+$/)} ${unit}`).join(' ');
  }

  /** ISO 8601 with all parts: `P0Y0M1DT0H0M0S`. */
  toISOString() {
    /** @param {readonly [Unit, string]} part */
    const write = ([unit, letter]) => `${amount(this, unit, /0+$/)}${letter}`;
    return `P${DATE_PARTS.map(write).join('')}T${TIME_PARTS.map(write).join('')}`;
  }

  /** The same as `toISOString`. */
  toISO() {
    return this.toISOString();
  }
}

/** The properties of an interval. @param {object} interval @returns {Partial<Record<Unit, number>>} */
function partsOf(interval) {
  return interval;
}

/** @param {object} interval @param {Unit} unit @param {number} value */
function set(interval, unit, value) {
  if (value !== 0) partsOf(interval)[unit] = value;
}

/**
 * Seconds carry the milliseconds, without the trailing zeros of `surplus`.
 * @param {object} interval @param {Unit} unit @param {RegExp} surplus
 */
function amount(interval, unit, surplus) {
  const parts = partsOf(interval);
  const value = parts[unit] ?? 0;
  if (unit !== 'seconds' || !parts.milliseconds) return value;
  return (value + parts.milliseconds / 1000).toFixed(6).replace(surplus, '');
}

/** @param {string} text */
function parseInterval(text) {
  return new PostgresInterval(text);
}

module.exports = { parseInterval };
