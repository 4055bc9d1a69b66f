// The limit that a shutdown sets to the end of a pool of pg, however many layers lie between.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { carryBy } = require('../shutdown-patience.js');

/** When what still runs is cut off, on the clock of `performance.now`. @type {AsyncLocalStorage<number>} */
const limits = new AsyncLocalStorage();

carryBy((patienceMs, end) => limits.run(performance.now() + patienceMs, end));

/**
 * @param {() => void} cut called when the limit of the shutdown in which this runs has come; never without one
 * @param {(error?: Error) => void} done told the end, in a tick of its own
 * @returns {() => void} to be called when the pool has ended
 */
function endingWithin(cut, done) {
  const limit = limits.getStore();
  const timer =
    limit === undefined ? undefined : setTimeout(cut, Math.max(0, limit - performance.now()));
  return () => {
    clearTimeout(timer);
    process.nextTick(done, undefined);
  };
}

module.exports = { endingWithin };
