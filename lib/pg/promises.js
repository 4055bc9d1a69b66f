// Promises of the class that a program has chosen (the option `Promise`).
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

module.exports = { promiseOf };
