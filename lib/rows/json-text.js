// JSON text of a parameter: as JSON.stringify, but BigInt is a number and NaN is not quietly null.
'use strict';

const { randomUUID } = require('node:crypto');

/** Marks a BigInt until its quotes are taken off. Random, so that no string of a user can look like it. */
const MARK = `bigint:${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, 'g');

const NOT_FINITE = Symbol('not finite');

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
        return MARK + item;
      }
      if (typeof item === 'number' && !Number.isFinite(item)) throw NOT_FINITE;
      return item;
    });
    return marked ? text.replace(MARKED, '$1') : text;
  } catch (error) {
    if (error === NOT_FINITE) return null;
    throw error;
  }
}

module.exports = { jsonText };
