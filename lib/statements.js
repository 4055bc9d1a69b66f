// SQL texts by number: a text crosses to the engine once, afterwards only its number.
'use strict';

const { lazy } = require('./lazy.js');
const native = require('./native.js');
const { OPERATION, REQUEST_HEADER } = require('./operations.js');

const errors = lazy(() => require('./error-classes.js'));

/** Texts held at the same time, and their characters; the oldest are let go. */
const MAX_TEXTS = 10_000;
const MAX_CHARACTERS = 16 * 1024 * 1024;

/** Texts longer than this are not worth keeping: generated inserts, scripts. */
const MAX_KEPT_LENGTH = 100_000;

/** Texts in the order they were last moved to the end. @type {Map<string, number>} */
const numbers = new Map();
let characters = 0;

/** Was the statement of a number quick when it ran last, and does it leave the session as it was? @type {boolean[]} */
const quick = [];

/** May the statement of a number leave something in its session? Found out when somebody wants to know. @type {(boolean | undefined)[]} */
const lasting = [];

/** Numbers that are let go once the requests that carry them are submitted. @type {number[]} */
let dropped = [];

/**
 * @param {string} text
 * @returns {number} valid for requests made before the next turn
 */
function statementNumber(text) {
  const known = numbers.get(text);
  if (known !== undefined) return known;
  if (text.length > MAX_KEPT_LENGTH) return passingNumber(text);
  const number = register(text);
  quick[number] = false;
  lasting[number] = undefined;
  characters += text.length;
  if (numbers.size >= MAX_TEXTS || characters > MAX_CHARACTERS) evict();
  numbers.set(text, number);
  return number;
}

/**
 * Of a text that does not come again.
 * @param {string} text
 * @returns {number} valid for requests made before the next turn
 */
function passingNumber(text) {
  const number = register(text);
  dropped.push(number);
  return number;
}

/**
 * The oldest tenth goes at once, so that the order need not be kept up to date on every use: a text that is used again
 * costs one crossing.
 */
function evict() {
  for (const [text, number] of numbers) {
    if (numbers.size <= 0.9 * MAX_TEXTS && characters <= 0.9 * MAX_CHARACTERS) break;
    numbers.delete(text);
    characters -= text.length;
    dropped.push(number);
  }
}

/** @param {string} text */
function register(text) {
  // The engine reads UTF-8, which would turn half of a surrogate pair into another character without a word.
  if (!text.isWellFormed()) {
    const problem = new TypeError('the SQL text contains a lone surrogate');
    throw errors().argumentError(problem, { code: '22021' });
  }
  try {
    return native.statement(text);
  } catch (error) {
    const { fields } = /** @type {{ fields?: string }} */ (error);
    if (fields === undefined) throw error;
    throw require('./errors.js').fromNative(JSON.parse(fields), 'cluster');
  }
}

/** May it travel among others? Only what was asked before can. @param {string} text */
function isQuick(text) {
  const number = numbers.get(text);
  return number !== undefined && quick[number] === true;
}

/** Does it certainly leave nothing in its session? Asked of what is quick, and so known. @param {string} text */
function isPassing(text) {
  const number = Number(numbers.get(text));
  lasting[number] ??= native.leavesResidue(text);
  return lasting[number] === false;
}

/** @param {string} text @param {boolean} was */
function noteQuick(text, was) {
  const number = numbers.get(text);
  if (number !== undefined) quick[number] = was;
}

/** Statements are let go in line with the requests, behind those that use them. */
function submitDropped() {
  if (dropped.length === 0) return;
  const records = new Uint32Array((dropped.length * REQUEST_HEADER) / 4);
  for (const [i, number] of dropped.entries()) {
    records[(i * REQUEST_HEADER) / 4 + 3] = number;
    records[(i * REQUEST_HEADER) / 4 + 4] = OPERATION.DROP;
  }
  dropped = [];
  native.submit(new Uint8Array(records.buffer), records.byteLength, false);
}

module.exports = { isPassing, isQuick, noteQuick, passingNumber, statementNumber, submitDropped };
