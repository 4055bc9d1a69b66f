// JSON text of a parameter: as JSON.stringify, but BigInt is a number and NaN is not quietly null.
'use strict';

/** What marks a BigInt until its quotes are taken off. @type {{ text: string, quoted: RegExp } | undefined} */
let marker;

const NOT_FINITE = Symbol('not finite');

/** Random, so that no string of a user can look like it; made when it is first needed, because crypto is slow to load. */
function mark() {
  if (marker === undefined) {
    const text = `bigint:${require('node:crypto').randomUUID()}:`;
    marker = { text, quoted: new RegExp(`"${text}(-?\\d+)"`, 'g') };
  }
  return marker;
}

/**
 * @param {unknown} value
 * @returns {string | undefined | null} undefined when the value has no JSON form, null when it holds NaN or an infinity
 * @throws whatever a getter or `toJSON` throws, and a TypeError for a cycle
 */
function jsonText(value) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    // V8 and JavaScriptCore both name the type.
    if (error instanceof TypeError && error.message.includes('BigInt')) return carefulText(value);
    throw error;
  }
  // A number that is not finite turns into null; without any null there was none.
  return text?.includes('null') ? carefulText(value) : text;
}

/**
 * Looks at each value, which is some five times slower. User code runs once more; what it says now is what counts.
 * @param {unknown} value
 */
function carefulText(value) {
  let marked = false;
  try {
    const text = JSON.stringify(value, (_key, item) => {
      if (typeof item === 'bigint') {
        marked = true;
        return mark().text + item;
      }
      if (typeof item === 'number' && !Number.isFinite(item)) throw NOT_FINITE;
      return item;
    });
    return marked ? text.replace(mark().quoted, '$1') : text;
  } catch (error) {
    if (error === NOT_FINITE) return null;
    throw error;
  }
}

module.exports = { jsonText };
