// Calls what users hand over, so that what it throws or rejects with stays with it.
'use strict';

/**
 * @param {unknown} hook nothing happens unless it is a function
 * @param {readonly unknown[]} args
 * @param {(error: unknown) => void} [onError] told what was thrown, at once or later
 */
function callHook(hook, args, onError = () => {}) {
  if (typeof hook !== 'function') return;
  try {
    const result = hook(...args);
    // A hook may be an async function: its rejection must not become an unhandled one.
    if (typeof result?.then === 'function') result.then(undefined, onError);
  } catch (error) {
    onError(error);
  }
}

/**
 * What a hook decides; one that throws, or gives a promise, decides nothing.
 * @param {(...args: any[]) => unknown} hook @param {readonly unknown[]} args @param {boolean} otherwise
 * @param {(error: unknown) => void} [onError] as of `callHook`
 */
function decided(hook, args, otherwise, onError) {
  let decision = otherwise;
  const ask = (/** @type {unknown[]} */ ...given) => {
    const said = hook(...given);
    // Which a promise always is, whatever it comes to.
    if (typeof (/** @type {any} */ (said)?.then) === 'function') onError?.(noDecision());
    else decision = Boolean(said);
    return said;
  };
  callHook(ask, args, onError);
  return decision;
}

function noDecision() {
  return new TypeError('it gave a promise, and what it decides is wanted at once');
}

/**
 * The text of an error, whatever was thrown.
 * @param {unknown} error
 */
function messageOf(error) {
  if (error instanceof Error) return error.message;
  try {
    return String(error);
  } catch {
    return 'unknown error';
  }
}

module.exports = { callHook, decided, messageOf };
