// JSON text of a parameter: as JSON.stringify, but BigInt is a number, and what JSON would lose without a word is refused.
'use strict';

const types = require('node:util/types');

const { isAnyArrayBuffer, isBigIntObject, isDate, isMap, isPromise, isSet } = types;

/** What marks a BigInt until its quotes are taken off. @type {{ text: string, quoted: RegExp } | undefined} */
let marker;

const NO_FORM = 'has no JSON form';

/** Says what is wrong with a value of a user. */
class Refusal {
  /** @param {string} problem what an error says behind the name of the parameter */
  constructor(problem) {
    this.problem = problem;
  }
}

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
 * @returns {string | Refusal}
 * @throws whatever a getter or `toJSON` throws
 */
function jsonText(value) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    // V8 and JavaScriptCore both name the type.
    if (error instanceof TypeError && error.message.includes('BigInt')) return carefulText(value);
    return refusalOf(error);
  }
  if (text === undefined) return new Refusal(NO_FORM);
  // Numbers and dates that are none turn into null, a Map into {}: without any of these there was none.
  return text.includes('null') || text.includes('{}') ? carefulText(value) : text;
}

/** Says what JSON.stringify itself has found; what user code throws is thrown on. @param {unknown} error */
function refusalOf(error) {
  const { message } = /** @type {Error} */ (error ?? {});
  if (error instanceof TypeError && /circular|cyclic/.test(message))
    return new Refusal('is cyclic');
  if (error instanceof RangeError && /call stack/.test(message)) {
    return new Refusal('is nested too deeply');
  }
  throw error;
}

/** What JSON would keep nothing of, in words. @param {unknown} item @returns {string | undefined} */
function lostInJson(item) {
  if (typeof item !== 'object' || item === null) return undefined;
  if (isPromise(item)) return 'a Promise; is an await missing?';
  const isLost = isMap(item) || isSet(item) || isAnyArrayBuffer(item);
  return isLost ? 'a Map, Set or ArrayBuffer, which JSON loses' : undefined;
}

/**
 * Looks at each value, which is some five times slower. User code runs once more; what it says now is what counts.
 * @param {unknown} value
 * @returns {string | Refusal}
 */
function carefulText(value) {
  let marked = false;
  try {
    const text = JSON.stringify(value, function (key, item) {
      if (typeof item === 'bigint' || isBigIntObject(item)) {
        marked = true;
        return mark().text + BigInt.prototype.toString.call(item);
      }
      let lost = lostInJson(item);
      if (typeof item === 'number' && !Number.isFinite(item))
        lost = 'NaN or Infinity, which JSON lacks';
      // The item is what `toJSON` has made of a date.
      else if (item === null && isDate(this[key])) lost = 'an invalid Date';
      if (lost !== undefined) throw new Refusal(`holds ${lost}`);
      return item;
    });
    if (text === undefined) return new Refusal(NO_FORM);
    return marked ? text.replace(mark().quoted, '$1') : text;
  } catch (error) {
    return error instanceof Refusal ? error : refusalOf(error);
  }
}

/**
 * As JSON.stringify, but for BigInts, which are numbers.
 * @param {unknown} value @returns {string | undefined}
 */
function stringifyBigInts(value) {
  let marked = false;
  const text = JSON.stringify(value, (_key, item) => {
    if (typeof item !== 'bigint' && !isBigIntObject(item)) return item;
    marked = true;
    return mark().text + BigInt.prototype.toString.call(item);
  });
  return marked ? text.replace(mark().quoted, '$1') : text;
}

module.exports = { jsonText, lostInJson, stringifyBigInts };
