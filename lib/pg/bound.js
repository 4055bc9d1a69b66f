// Callbacks that run where they were given: answers come from native code, which has no context of its own.
'use strict';

const { AsyncResource } = require('node:async_hooks');

/**
 * @param {(...args: any[]) => any} callback
 * @returns {(...args: any[]) => void}
 */
function bound(callback) {
  const { domain } = /** @type {any} */ (process);
  if (domain) return domain.bind(callback);
  // Not `AsyncResource.bind`: it costs ten times as much for members that nobody here needs.
  const context = new AsyncResource('pg-berth.callback');
  return (...args) => context.runInAsyncScope(callback, undefined, ...args);
}

module.exports = { bound };
