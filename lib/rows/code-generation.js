// Whether code may be made from strings, and the names that such code puts into objects.
'use strict';

/** @type {boolean | undefined} */
let allowed;

/** May this process make code from strings? (`--disallow-code-generation-from-strings` and some runtimes forbid it.) */
function canGenerate() {
  if (allowed === undefined) {
    try {
      allowed = new Function('return true')() === true;
    } catch {
      allowed = false;
    }
  }
  return allowed;
}

/**
 * Names made by native code or `JSON.parse` may not be interned; with such keys V8 leaves its fast path for every property
 * (measured: 588 instead of 7 ns per four-column row). A round trip through an object interns them.
 *
 * @param {string} name
 */
function interned(name) {
  return /** @type {string} */ (Object.keys({ [name]: 0 })[0]);
}

/** @param {Record<string, unknown>} object @param {string} name @param {unknown} value */
function put(object, name, value) {
  if (name === '__proto__') {
    // Assigning would change the prototype.
    const property = { value, writable: true, enumerable: true, configurable: true };
    Object.defineProperty(object, name, property);
  } else {
    object[name] = value;
  }
}

module.exports = { canGenerate, interned, put };
