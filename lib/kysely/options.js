// The options of the Kysely dialect.
'use strict';

const { callback, isObject, ms, oneOf, readOptions, wrong } = require('../option-rules.js');

const DIALECT_OPTIONS = Object.freeze({
  pool: {
    accepts: (/** @type {unknown} */ value) => isObject(value) || typeof value === 'function',
    says: 'a pool of createPool, or a function that makes one',
  },
  connection: {
    accepts: (/** @type {unknown} */ value) => isObject(value) || typeof value === 'string',
    says: 'options of createPool, or a connection string',
    secret: true,
  },
  onCreateConnection: callback,
  onReserveConnection: callback,
  onConnectionError: callback,
  idleInTransactionMs: ms,
  readOnlyTransactions: oneOf('primary', 'standby'),
});

/**
 * @param {unknown} given
 * @returns {Record<string, any>}
 */
function readDialectOptions(given) {
  const read = readOptions(DIALECT_OPTIONS, given);
  if ((read.pool === undefined) === (read.connection === undefined)) {
    throw wrong('pool', 'or "connection" must be given, and not both');
  }
  if (read.readOnlyTransactions === 'standby') {
    if (read.connection === undefined) throw wrong('readOnlyTransactions', 'needs "connection"');
    const hook = ['onCreateConnection', 'onReserveConnection'].find((name) => read[name]);
    // A hook takes the connection before anybody knows what it is for.
    if (hook) throw wrong('readOnlyTransactions', `"standby" and "${hook}" exclude each other`);
  }
  return read;
}

module.exports = { readDialectOptions };
