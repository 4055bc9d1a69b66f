// The server's text of times and timestamps as the lossless preset writes them (the engine does the same for columns:
// native/src/frame/stamp.rs). Text of another `DateStyle` stays as it is.
'use strict';

const STAMP =
  /^(\d{4,})-(\d\d)-(\d\d) (\d\d:\d\d:\d\d)(\.\d{1,6})?(?:([+-]\d\d)(?::(\d\d))?(?::(\d\d))?)?( BC)?$/;

/** @param {string} text `HH:MM:SS[.f]` */
function isoTime(text) {
  const [clock = '', fraction] = text.split('.');
  return clock + sixDigits(fraction && `.${fraction}`);
}

/** @param {string} text of a `timestamp` */
function isoDate(text) {
  const match = STAMP.exec(text);
  if (match === null) return text;
  const [, year, month, day, clock, fraction, , , , era = ''] = match;
  return `${year}-${month}-${day}T${clock}${sixDigits(fraction)}${era}`;
}

/** @param {string} text of a `timestamptz`, with any offset */
function isoInstant(text) {
  const match = STAMP.exec(text);
  if (match === null) return text;
  const [, year = '', month, day, clock = '', fraction, hours, minutes, seconds, era] = match;
  const sign = hours?.startsWith('-') ? -1 : 1;
  const offset =
    Math.abs(Number(hours ?? 0)) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
  const [hour, minute, second] = clock.split(':').map(Number);
  // Date reaches 20 000 years less than the server; the calendar repeats every 400 years.
  const cycles = Math.floor(Number(year) / 400);
  const within = Number(year) - 400 * cycles;
  const utc = new Date(0);
  utc.setUTCFullYear(era === undefined ? within : 1 - within, Number(month) - 1, Number(day));
  utc.setUTCHours(hour ?? 0, minute ?? 0, (second ?? 0) - sign * offset);
  const full = utc.getUTCFullYear() + (era === undefined ? 400 : -400) * cycles;
  const printed = full > 0 ? full : 1 - full;
  const rest = utc.toISOString().slice(-20, -5);
  return `${String(printed).padStart(4, '0')}${rest}${sixDigits(fraction)}+00:00${full > 0 ? '' : ' BC'}`;
}

/** @param {string | undefined} fraction with its point */
function sixDigits(fraction) {
  return fraction === undefined || Number(fraction) === 0 ? '' : fraction.padEnd(7, '0');
}

module.exports = { isoDate, isoInstant, isoTime };
