// The option `json`, laid over what reads the types of a statement.
'use strict';

/** @import { JsonOptions, ResolvedTypes } from '../../types/rows.js' */

/** What was laid over types that do not change. @type {WeakMap<ResolvedTypes, ResolvedTypes>} */
const known = new WeakMap();

/**
 * @param {ResolvedTypes} base @param {JsonOptions | undefined} options
 * @returns {ResolvedTypes} the same object for the same arguments, unless it is volatile
 */
function withJson(base, options) {
  if (options?.json !== 'value') return base;
  let types = known.get(base);
  if (types === undefined) {
    types = Object.freeze({ ...base, jsonParams: { values: true } });
    if (!base.volatile) known.set(base, types);
  }
  return types;
}

module.exports = { withJson };
