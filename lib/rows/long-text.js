// Strings of the text of a frame, and what is said of a text that is longer than any string of JavaScript.
'use strict';

const { constants } = require('node:buffer');
const { TextTooLongError } = require('./failures.js');

/** @param {number} characters @param {unknown} cause what the runtime said */
function tooLong(characters, cause) {
  const limit = constants.MAX_STRING_LENGTH;
  const message =
    `a value of the result has ${characters} characters, and a string of JavaScript at most ${limit}; ` +
    'ask for it in pieces with substr(), or as bytea';
  return new TextTooLongError(message, { cause });
}

/**
 * @param {Buffer & { latin1Slice: (start: number, end: number) => string }} buffer
 * @param {number} start @param {number} end
 */
function latinText(buffer, start, end) {
  try {
    return buffer.latin1Slice(start, end);
  } catch (error) {
    throw tooLong(end - start, error);
  }
}

/**
 * @param {Buffer & { ucs2Slice: (start: number, end: number) => string }} buffer
 * @param {number} start @param {number} end
 */
function wideText(buffer, start, end) {
  try {
    return buffer.ucs2Slice(start, end);
  } catch (error) {
    throw tooLong((end - start) / 2, error);
  }
}

module.exports = { latinText, wideText };
