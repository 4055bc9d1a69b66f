// What reading a row can run into that is neither a parser's failure nor a defect.
'use strict';

/** A value does not fit what is known about its type, which was altered. */
class StaleTypeError extends Error {}

/** A value came whole, but no string can hold it. */
class TextTooLongError extends Error {}

module.exports = { StaleTypeError, TextTooLongError };
