// Calls of what the program has given a pool: what that throws is an uncaught exception, and stops nothing of ours.
'use strict';

/** @param {unknown} error */
function uncaught(error) {
  process.nextTick(() => {
    throw error;
  });
}

/** Tells listeners. @param {import('node:events').EventEmitter} emitter @param {string} name @param {any[]} told */
function tell(emitter, name, ...told) {
  try {
    emitter.emit(name, ...told);
  } catch (error) {
    uncaught(error);
  }
}

/** Tells the option `log`. @param {{ log: (...words: any[]) => void }} pool @param {any[]} words */
function note(pool, ...words) {
  try {
    pool.log(...words);
  } catch (error) {
    uncaught(error);
  }
}

/**
 * Asks the option `verify` about a client. One that throws has refused it.
 * @param {(client: any, callback: (error?: any) => void) => void} verify @param {any} client
 * @param {(error?: any) => void} answered called once
 */
function ask(verify, client, answered) {
  let isAnswered = false;
  const answer = (/** @type {any} */ error = undefined) => {
    if (isAnswered) return;
    isAnswered = true;
    answered(error);
  };
  try {
    verify(client, answer);
  } catch (error) {
    if (isAnswered) uncaught(error);
    else answer(error || new Error('verify has thrown', { cause: error }));
  }
}

module.exports = { ask, note, tell, uncaught };
