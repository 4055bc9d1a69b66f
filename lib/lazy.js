// Loading a module when it, or one of its exports, is first used: a process that starts pays only for what it needs.
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
 * Turns exports that say where they are loaded from into those themselves, each loaded when it is first read.
 * @param {Record<string, any>} names functions that load the module that has an export of that name
 * @param {readonly string[]} [hidden] names that are not enumerable
 */
function lazyExports(names, hidden = []) {
  for (const [name, load] of Object.entries(names)) {
    const enumerable = !hidden.includes(name);
    const become = (/** @type {unknown} */ value) => {
      Object.defineProperty(names, name, { enumerable, value, writable: true });
    };
    Object.defineProperty(names, name, {
      configurable: true,
      enumerable,
      get() {
        const value = Reflect.get(load(), name);
        become(value);
        return value;
      },
      // As the plain property it stands for: a test may put something else there.
      set: become,
    });
  }
}

module.exports = { lazy, lazyExports };
