// Promises of the class that a program has chosen, and when a refusal is told.
'use strict';

/**
 * @param {any} Own class @param {Promise<any>} promise
 * @returns {Promise<any>}
 */
function promiseOf(Own, promise) {
  if (!Own || Own === Promise) return promise;
  return new Own((/** @type {any} */ resolve, /** @type {any} */ reject) => {
    promise.then(resolve, reject);
  });
}

/**
 * Behind the events of a loss that is still to be told: a pool that hears them does not hand the client out again.
 * @param {{ _queryable: boolean, _ended: boolean }} client @param {() => void} tell
 */
function tellRefusal(client, tell) {
  if (client._queryable || client._ended) process.nextTick(tell);
  else setImmediate(tell);
}

module.exports = { promiseOf, tellRefusal };
