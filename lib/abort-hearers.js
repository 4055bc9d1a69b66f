// Who waits for an abort: one listener on each signal, because adding and removing one is a walk past all others; and which
// reasons were heard of.
'use strict';

/** @typedef {{ hears: Set<() => void>, listener: () => void }} Hearers */

/** Those of signals that have not fired. @type {WeakMap<AbortSignal, Hearers>} */
const waiting = new WeakMap();

/** Reasons of signals that callers gave: they are thrown as they are, and say nothing of the server. @type {WeakSet<object>} */
const reasons = new WeakSet();

/**
 * Calls `hear` once when the signal fires; not if it has fired already.
 * @param {AbortSignal} signal
 * @param {() => void} hear a function of its own for every call; what it throws is an uncaught exception
 * @returns {() => void} takes it back
 */
function hearAbort(signal, hear) {
  const hearers = waiting.get(signal) ?? listen(signal);
  const { hears, listener } = hearers;
  hears.add(hear);
  return () => {
    if (!hears.delete(hear) || hears.size > 0 || waiting.get(signal) !== hearers) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}

/** @param {AbortSignal} signal */
function listen(signal) {
  /** @type {Hearers} */
  const hearers = { hears: new Set(), listener: () => fire(signal, hearers) };
  waiting.set(signal, hearers);
  signal.addEventListener('abort', hearers.listener, { once: true });
  return hearers;
}

/** @param {AbortSignal} signal @param {Hearers} hearers */
function fire(signal, { hears }) {
  waiting.delete(signal);
  note(signal.reason);
  for (const hear of hears) {
    hears.delete(hear);
    try {
      hear();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** @param {AbortSignal | undefined} signal */
function throwIfAborted(signal) {
  if (!signal?.aborted) return;
  note(signal.reason);
  throw signal.reason;
}

/** @param {unknown} reason */
function note(reason) {
  if (typeof reason === 'object' && reason !== null) reasons.add(reason);
}

/** Was this the reason of a signal that somebody here waited for? @param {any} error */
function isAbortReason(error) {
  return reasons.has(error);
}

/**
 * What `fn` gives, or the signal's reason as soon as it fires; what `fn` does later is nobody's business then.
 * @template T
 * @param {() => Promise<T>} fn @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
async function settledOrAborted(fn, signal) {
  if (signal === undefined) return fn();
  const { promise, dispose } = aborted(signal);
  try {
    return await Promise.race([fn(), promise]);
  } finally {
    dispose();
  }
}

/**
 * A promise that rejects with the signal's reason, and what takes its listener away.
 * @param {AbortSignal} signal
 */
function aborted(signal) {
  let dispose = () => {};
  const promise = /** @type {Promise<never>} */ (
    new Promise((_, reject) => {
      const fire = () => reject(signal.reason);
      dispose = hearAbort(signal, fire);
      if (signal.aborted) fire();
    })
  );
  // The race may be over before it rejects.
  promise.catch(() => {});
  return { promise, dispose };
}

module.exports = { aborted, hearAbort, isAbortReason, settledOrAborted, throwIfAborted };
