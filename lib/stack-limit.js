// How many frames stacks have while something is done.
'use strict';

/**
 * @template T
 * @param {number} limit frames @param {() => T} work
 * @returns {T}
 */
function withStackLimit(limit, work) {
  const { stackTraceLimit } = Error;
  // An assignment would throw where intrinsics are frozen; there stacks are as long as they are.
  Reflect.set(Error, 'stackTraceLimit', limit);
  try {
    return work();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  }
}

module.exports = { withStackLimit };
