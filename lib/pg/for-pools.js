// What pools and batches ask of clients beside what programs do.
'use strict';

/**
 * Calls back when nothing runs any more and no transaction is open: one that is left open is rolled back, unless transactions
 * are kept. What was left in the session is removed, if the pool has a statement for that.
 * @type {unique symbol}
 */
const SETTLE = Symbol('pg-berth.settle');

/** The pool ends it, not the program: a loss that is on its way is told all the same. @type {unique symbol} */
const GIVEN_UP = Symbol('pg-berth.givenUp');

/** Runs one query of a pool. @type {unique symbol} */
const RUN = Symbol('pg-berth.run');

/** Runs one query ahead of the answers to others that are. @type {unique symbol} */
const AHEAD = Symbol('pg-berth.ahead');

/** A client of a pool, given up when a signal fires. @type {unique symbol} */
const ACQUIRE = Symbol('pg-berth.acquire');

/** What the pool of a client has its session reset with. @type {unique symbol} */
const RESET = Symbol('pg-berth.reset');

/** What a client or pool says that it is, through whatever stands for it. @type {unique symbol} */
const REAL = Symbol('pg-berth.real');

/** @param {object} self */
function keepReal(self) {
  Object.defineProperty(self, REAL, { value: self });
}

/** The client or pool behind a Proxy, or behind an object made from it: private members are not seen through either. @param {any} stand */
function realOf(stand) {
  return stand[REAL];
}

/** A client of somebody else's may not say. @param {any} client */
function hostOf(client) {
  return client.host && `${client.host}:${client.port}`;
}

module.exports = { ACQUIRE, AHEAD, GIVEN_UP, RESET, RUN, SETTLE, hostOf, keepReal, realOf };
