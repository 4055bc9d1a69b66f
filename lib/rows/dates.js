// Dates from milliseconds and from the server's text, with the rules of `postgres-date`, which `pg` uses.
'use strict';

const ISO =
  /^(\d+)-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-]\d\d)(?::?(\d\d))?(?::?(\d\d))?)?)?( BC)?$/;

/** A moment as a bound of a range, which libraries cut out and have read: with the quotes that its space asks for. */
const QUOTED = /^"(\d+-[^" ]+ [^"]+)"$/;

/**
 * A moment. The infinities have no Date and stay numbers.
 * @param {number} ms since 1970 UTC
 */
function dateOf(ms) {
  return Number.isFinite(ms) ? new Date(ms) : ms;
}

/**
 * The moment at which clocks in the time zone of the process show what the server's text says.
 * @param {number} ms the fields of the text read as UTC, since 1970
 */
function localDateOf(ms) {
  // The constructor's own arithmetic resolves gaps and overlaps of daylight saving time, as it does for `pg`; it takes any
  // number of milliseconds, and 1970 avoids its two-digit years.
  return Number.isFinite(ms) ? new Date(1970, 0, 1, 0, 0, 0, ms) : ms;
}

/**
 * A `date`, `timestamp` or `timestamptz`; microseconds are cut off. Text of another `DateStyle` gives null, as in `pg`.
 * @param {string} text
 * @returns {Date | number | null}
 */
function parseDate(text) {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  const match = ISO.exec(text) ?? ISO.exec(text.replace(QUOTED, '$1'));
  if (match === null) return null;
  const [, year = '', month = '', day = '', hour, minute, second, fraction, ...rest] = match;
  const [zoneHour, zoneMinute, zoneSecond, era] = rest;
  const utc = new Date(0);
  utc.setUTCFullYear(
    era === undefined ? Number(year) : 1 - Number(year),
    Number(month) - 1,
    Number(day),
  );
  if (hour === undefined) return localDateOf(finite(utc));
  utc.setUTCHours(
    Number(hour),
    Number(minute),
    Number(second),
    Math.trunc(1000 * Number(fraction ?? 0)),
  );
  if (zoneHour === undefined && !text.includes('Z')) return localDateOf(finite(utc));
  const sign = zoneHour?.startsWith('-') ? -1 : 1;
  const offset =
    Math.abs(Number(zoneHour ?? 0)) * 3600 + Number(zoneMinute ?? 0) * 60 + Number(zoneSecond ?? 0);
  return new Date(utc.getTime() - sign * offset * 1000);
}

/**
 * A year that Date cannot hold gives an invalid Date, not the number NaN.
 * @param {Date} date
 */
function finite(date) {
  const ms = date.getTime();
  return Number.isNaN(ms) ? Number.MAX_VALUE : ms;
}

module.exports = { dateOf, localDateOf, parseDate };
