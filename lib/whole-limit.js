// Names the time limit that the caller has set, where a request had only the rest of it and ran out of that.
'use strict';

/**
 * @template F
 * @param {F} failure of the engine, or the error made of it @param {number | undefined} limitMs the whole limit
 * @returns {F}
 */
function inFull(failure, limitMs) {
  /** @type {any} */
  const given = failure;
  const late = given?.outcomeUnknown === true ? given.cause : given;
  if (limitMs === undefined || !(late?.afterMs < limitMs)) return failure;
  const rest = late.afterMs;
  const told = (/** @type {string} */ text) => text.replace(`${rest}ms`, `${limitMs}ms`);
  if (!(given instanceof Error)) {
    return { ...given, message: told(given.message), afterMs: limitMs };
  }
  for (const error of new Set([given, late])) {
    error.message = told(error.message);
    error.stack = told(error.stack);
  }
  late.afterMs = limitMs;
  return failure;
}

module.exports = { inFull };
