// The text of a Date that is sent as a parameter.
'use strict';

const { parameterError } = require('../error-classes.js');

const DAY_MS = 86_400_000;
/** From year 1 to year 9999. */
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;

/** 00 to 99. */
const PAIRS = Array.from({ length: 100 }, (_, n) => String(n).padStart(2, '0'));

/** The last date's day: the dates of one batch are often close together. */
const last = { day: Number.NaN, text: '' };

/**
 * UTC in PostgreSQL's spelling: years beyond 9999 without a sign, years before 1 as BC.
 * @param {Date} date @param {number} index of the parameter
 */
function dateText(date, index) {
  const ms = Date.prototype.getTime.call(date);
  if (Number.isNaN(ms)) throw parameterError(index, 'is an invalid Date');
  return ms >= FIRST_MS && ms <= LAST_MS ? usualText(ms) : farText(ms);
}

/** As `toISOString`, which takes four times as long (measured: 160 instead of 690 ns). @param {number} ms */
function usualText(ms) {
  const day = Math.floor(ms / DAY_MS);
  if (day !== last.day) {
    last.day = day;
    last.text = dayText(day);
  }
  const rest = ms - day * DAY_MS;
  const seconds = (rest / 1000) | 0;
  const milli = rest - seconds * 1000;
  const minutes = (seconds / 60) | 0;
  const hour = (minutes / 60) | 0;
  const zeros = milli < 10 ? '00' : milli < 100 ? '0' : '';
  return `${last.text}${PAIRS[hour]}:${PAIRS[minutes - hour * 60]}:${PAIRS[seconds - minutes * 60]}.${zeros}${milli}Z`;
}

/**
 * Year, month and day, counted in eras of 400 years that begin in March.
 * @param {number} day since 1970
 */
function dayText(day) {
  const shifted = day + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const leaps = ((ofEra / 1460) | 0) - ((ofEra / 36_524) | 0) + ((ofEra / 146_096) | 0);
  const yearOfEra = ((ofEra - leaps) / 365) | 0;
  const ofYear = ofEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0));
  const fromMarch = ((5 * ofYear + 2) / 153) | 0;
  const ofMonth = ofYear - (((153 * fromMarch + 2) / 5) | 0) + 1;
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${String(year).padStart(4, '0')}-${PAIRS[month]}-${PAIRS[ofMonth]}T`;
}

/** @param {number} ms */
function farText(ms) {
  const iso = new Date(ms).toISOString();
  const year = Number(iso.slice(0, -20));
  if (year > 9999) return iso.slice(1).replace(/^0+/, '');
  return `${String(1 - year).padStart(4, '0')}${iso.slice(-20)} BC`;
}

module.exports = { dateText };
