// Loading a module when it is first used: a process that starts pays only for what it needs.
'use strict';

/**
 * @template T
 * @param {() => T} load with a literal `require`, for bundlers
 * @returns {() => T}
 */
function lazy(load) {
  /** @type {T | undefined} */
  let loaded;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

/**
 * Loads something behind this turn, ahead of its use. A file that cannot be read now fails whoever needs it. The immediate
 * keeps its reference: without one the event loop would wait for sockets first.
 * @param {() => unknown} load
 */
function loadAhead(load) {
  setImmediate(() => {
    try {
      load();
    } catch {
      // Told by the next call.
    }
  });
}

module.exports = { lazy, loadAhead };
