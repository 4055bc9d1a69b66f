// What a batch of all or nothing rejects with: the first error with its number, or that it was carried out all the same.
'use strict';

const { OutcomeUnknownError } = require('./error-classes.js');

/** @typedef {{ index: number, error: any }} First the first statement that failed */

/** Says which statement failed. @param {any} error @param {number} index */
function withIndex(error, index) {
  if (error instanceof Error && Object.isExtensible(error)) {
    Object.defineProperty(error, 'index', { value: index, configurable: true, writable: true });
  }
  return error;
}

/**
 * The end came, although a statement had failed: what failed was the reading of its result, or the batch has savepoints
 * or a COMMIT of its own. Whoever runs it again does it twice.
 * @param {First} first @param {string} [what] inside a transaction of the caller's it is not committed yet
 */
function carriedOut({ index, error }, what = 'committed') {
  const why = error instanceof Error ? error.message : typeof error;
  const message = `the batch was ${what}, although statement ${index} failed: ${why}`;
  return withIndex(new OutcomeUnknownError(message, { code: 'IN_DOUBT', cause: error }), index);
}

/**
 * Does the end say what became of the batch, rather than the first statement that failed? Behind one that the server refused
 * COMMIT rolls back; one that is lost with COMMIT behind it leaves that to what is found out about COMMIT.
 * @param {First | undefined} first @param {any} end why COMMIT failed
 */
function endDecides(first, end) {
  if (first === undefined) return true;
  const { outcome } = first.error ?? {};
  return outcome === 'unknown' || (end?.outcome === 'unknown' && outcome !== 'failed');
}

module.exports = { carriedOut, endDecides, withIndex };
