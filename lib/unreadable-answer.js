// Stands in for an answer that could not be read to its end: the rest passes unread, then its caller hears why.
'use strict';

/** @import { Answer } from '../types/internal.js' */
/** @import { NativeError } from '../types/native-error.js' */

class UnreadableAnswer {
  #answer;
  /** @type {NativeError} */
  #reason;

  /** @param {Answer} answer @param {unknown} problem what was thrown while it was read */
  constructor(answer, problem) {
    this.#answer = answer;
    this.#reason = {
      kind: 'internal',
      code: 'ERR_INTERNAL',
      message: `the answer could not be read: ${problem}`,
      outcome: 'unknown',
      transient: false,
    };
  }

  frame() {}

  tag() {}

  complete() {}

  suspended() {}

  copy() {}

  placed() {}

  done() {
    this.#answer.fail(this.#reason);
  }

  /** @param {NativeError} fields the server's own error says more */
  fail(fields) {
    this.#answer.fail(fields);
  }
}

module.exports = { UnreadableAnswer };
