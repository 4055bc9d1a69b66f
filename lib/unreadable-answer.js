// Stands in for an answer that could not be read to its end: the rest passes unread, then its caller hears why.
'use strict';

/** @import { Answer } from '../types/internal.js' */
/** @import { NativeError } from '../types/native-error.js' */

class UnreadableAnswer {
  #reason;

  /** @param {Answer} answer @param {unknown} problem what was thrown while it was read */
  constructor(answer, problem) {
    this.of = answer;
    this.#reason = unreadable(problem);
  }

  frame() {}

  tag() {}

  complete() {}

  /** Its portal is still open, whatever became of these rows. @param {number} shape */
  suspended(shape) {
    this.of.suspended(shape);
  }

  copy() {}

  placed() {}

  done() {
    this.of.fail(this.#reason);
  }

  /** @param {NativeError} fields the server's own error says more */
  fail(fields) {
    this.of.fail(fields);
  }
}

/** @param {unknown} problem what was thrown while an answer was read @returns {NativeError} */
function unreadable(problem) {
  // Anything may have been thrown, and not everything has a text.
  const why = problem instanceof Error ? `${problem.name}: ${problem.message}` : typeof problem;
  return {
    kind: 'internal',
    code: 'ERR_INTERNAL',
    message: `the answer could not be read: ${why}`,
    outcome: 'unknown',
    transient: false,
  };
}

module.exports = { UnreadableAnswer, unreadable };
