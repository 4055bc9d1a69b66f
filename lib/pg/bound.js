// Callbacks that run where they were given: answers come from native code, which has no context of its own.
'use strict';

const { AsyncResource } = require('node:async_hooks');

/**
 * @template {(...args: any[]) => any} F
 * @param {F} callback @returns {F}
 */
function bound(callback) {
  const { domain } = /** @type {any} */ (process);
  return domain ? domain.bind(callback) : AsyncResource.bind(callback);
}

module.exports = { bound };
