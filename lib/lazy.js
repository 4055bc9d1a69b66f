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

module.exports = { lazy };
