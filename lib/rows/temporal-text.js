// The text of a Temporal object that is sent as a parameter.
'use strict';

const ISO = { calendarName: 'never' };

/**
 * What the server reads as the same date, time or duration, in the ISO calendar; finer than microseconds it rounds.
 * @param {any} value of a class that is named `Temporal.…`
 * @returns {string}
 */
function temporalText(value) {
  switch (value[Symbol.toStringTag]) {
    case 'Temporal.Instant':
      return ofYear(value.toString());
    case 'Temporal.ZonedDateTime':
      // Its own text has the zone's name, and rounds offsets to minutes, which is another instant where zones were young.
      return ofYear(`${value.toPlainDateTime().toString(ISO)}${value.offset}`);
    case 'Temporal.PlainDate':
    case 'Temporal.PlainDateTime':
      return ofYear(value.toString(ISO));
    case 'Temporal.Duration':
      return ofSign(value.toString());
    default:
      // a time of day, and what the server has no type for
      return value.toString();
  }
}

/** Years beyond 9999 without a sign, those before 1 as BC. @param {string} iso */
function ofYear(iso) {
  const [, digits = '', rest = ''] = /^([+-]\d{6}|\d{4})(.*)$/.exec(iso) ?? [];
  const year = Number(digits);
  return year < 1
    ? `${String(1 - year).padStart(4, '0')}${rest} BC`
    : `${digits.replace(/^\+0*/, '')}${rest}`;
}

/** ISO 8601 has one sign in front, PostgreSQL one at each number. @param {string} iso */
function ofSign(iso) {
  return iso.startsWith('-') ? iso.slice(1).replace(/[\d.]+/g, '-$&') : iso;
}

module.exports = { temporalText };
