// How long a database may take to end, told to pools that others end for it: Kysely's own dialect and ORMs pass nothing on.
'use strict';

/** @typedef {<T>(patienceMs: number, end: () => T) => T} Carry */

/** Ends without a limit, until a pool is loaded that heeds one. @type {Carry} */
let carry = (_, end) => end();

/** Says how the limit reaches the pools: by means of Node, which this side does without. @param {Carry} how */
function carryBy(how) {
  carry = how;
}

/**
 * Whatever pool of the pg face is ended by `end`, at once or later, cuts off behind the limit what still runs.
 * @template T
 * @param {number} patienceMs @param {() => T} end
 * @returns {T}
 */
function endWithin(patienceMs, end) {
  return carry(patienceMs, end);
}

module.exports = { carryBy, endWithin };
