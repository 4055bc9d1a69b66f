// The server's text of an interval in ISO 8601, as the lossless preset has it (the engine does the same for columns:
// native/src/frame/interval.rs).
'use strict';

/** As the server abbreviates them, and as ISO 8601 does. @type {readonly (readonly [string, string])[]} */
const UNITS = [
  ['year', 'Y'],
  ['mon', 'M'],
  ['day', 'D'],
  ['hour', 'H'],
  ['min', 'M'],
  ['sec', 'S'],
];
const FIRST_OF_TIME = 3;

const NUMBER = /^([+-]?)0*(\d+(?:\.\d+)?)$/;
const YEARS = /^([+-]?)(\d+)-(\d+)$/;
const CLOCK = /^([+-]?)(\d+):(\d\d):(\d\d(?:\.\d+)?)$/;

/** One number for each unit, as text. @typedef {string[]} Amounts */

/**
 * From the styles `postgres`, `postgres_verbose` and `sql_standard`; other text (`iso_8601`, `infinity`) stays as it is.
 * @param {string} text
 */
function isoInterval(text) {
  const words = text.replace(/^@ /, '').split(' ');
  const isAgo = words.at(-1) === 'ago';
  if (isAgo) words.pop();
  const amounts = words.some((word) => /^[a-z]/i.test(word)) ? withUnits(words) : standard(words);
  return amounts === undefined ? text : iso(isAgo ? amounts.map(negated) : amounts);
}

/** `1 year 2 mons -3 days 04:05:06.7` and, with all units named, the verbose style. @param {string[]} words */
function withUnits(words) {
  const amounts = nothing();
  for (let i = 0; i < words.length; i += 2) {
    const [count = '', unit] = words.slice(i);
    const place = UNITS.findIndex(([name]) => unit === name || unit === `${name}s`);
    const [, sign, digits] = NUMBER.exec(count) ?? [];
    if (unit === undefined ? !setClock(amounts, count) : place < 0 || digits === undefined) return;
    if (unit !== undefined) amounts[place] = signed(sign, digits);
  }
  return amounts;
}

/**
 * `1-2 +3 -4:05:06`, `3 4:05:06`, `1-2`, `0`. One leading minus counts for all parts, unless every part has its sign.
 * @param {string[]} words
 */
function standard(words) {
  const haveSigns = words.length > 1 && words.every((word) => /^[+-]/.test(word));
  const isNegative = words[0]?.startsWith('-') && !haveSigns;
  const amounts = nothing();
  for (const word of words) {
    const bare = isNegative ? word.replace(/^[+-]/, '') : word;
    const [, sign, years, months] = YEARS.exec(bare) ?? [];
    const [, daysSign, days] = NUMBER.exec(bare) ?? [];
    if (years !== undefined) {
      amounts[0] = signed(sign, years);
      amounts[1] = signed(sign, months);
    } else if (days !== undefined) {
      amounts[2] = signed(daysSign, days);
    } else if (!setClock(amounts, bare)) {
      return;
    }
  }
  return isNegative ? amounts.map(negated) : amounts;
}

/** @param {Amounts} amounts @param {string} word `[±]HH:MM:SS[.ffffff]` with any number of hours */
function setClock(amounts, word) {
  const match = CLOCK.exec(word);
  if (match === null) return false;
  const [, sign, ...parts] = match;
  for (const [i, part] of parts.entries()) amounts[FIRST_OF_TIME + i] = signed(sign, part);
  return true;
}

/** @returns {Amounts} */
const nothing = () => UNITS.map(() => '0');

/** @param {string | undefined} sign @param {string | undefined} digits */
function signed(sign, digits = '0') {
  const bare = digits.replace(/^0+(?=\d)/, '');
  return sign === '-' && bare !== '0' ? `-${bare}` : bare;
}

/** @param {string} amount */
function negated(amount) {
  return amount.startsWith('-') ? amount.slice(1) : signed('-', amount);
}

/** @param {Amounts} amounts */
function iso(amounts) {
  const parts = amounts.map((amount, i) => (amount === '0' ? '' : `${amount}${UNITS[i]?.[1]}`));
  const time = parts.slice(FIRST_OF_TIME).join('');
  const text = parts.slice(0, FIRST_OF_TIME).join('') + (time && `T${time}`);
  return text === '' ? 'PT0S' : `P${text}`;
}

module.exports = { isoInterval };
