// Strings of the text of a frame, and what is said of a text that is longer than any string of JavaScript.
'use strict';

const { constants } = require('node:buffer');

/** A value came whole, but no string can hold it. */
class TextTooLongError extends Error {
  /** @param {number} characters @param {unknown} cause what the runtime said */
  constructor(characters, cause) {
    const limit = constants.MAX_STRING_LENGTH;
    super(
      `a value of the result has ${characters} characters, and a string of JavaScript at most ${limit}; ` +
        'ask for it in pieces with substr(), or as bytea',
      { cause },
    );
  }
}

/**
 * @param {Buffer & { latin1Slice: (start: number, end: number) => string }} buffer
 * @param {number} start @param {number} end
 */
function latinText(buffer, start, end) {
  try {
    return buffer.latin1Slice(start, end);
  } catch (error) {
    throw new TextTooLongError(end - start, error);
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
    throw new TextTooLongError((end - start) / 2, error);
  }
}

module.exports = { TextTooLongError, latinText, wideText };
