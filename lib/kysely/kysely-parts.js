// What the dialect takes from Kysely itself, of whichever version.
'use strict';

const kysely = require('kysely');

/** Kysely knows the error by it, from 0.29.8 on. */
const ABORTED = Symbol.for('kysely.AbortedTransactionError');

/**
 * The error for a COMMIT that the server answered with ROLLBACK: Kysely's own class where there is one.
 * @param {Error} cause
 */
function abortedTransaction(cause) {
  const { AbortedTransactionError } = /** @type {any} */ (kysely);
  const error = AbortedTransactionError
    ? new AbortedTransactionError({ cause })
    : new Error('Transaction was rolled back instead of committed', { cause });
  if (!AbortedTransactionError) error.name = 'AbortedTransactionError';
  return Object.assign(error, { code: '25P02', [ABORTED]: true });
}

/** @param {string} command @param {string} name @param {Function} compile */
function savepointCommand(command, name, compile) {
  const node = kysely.RawNode.createWithChildren([
    kysely.RawNode.createWithSql(`${command} `),
    kysely.IdentifierNode.create(name),
  ]);
  return compile(node, kysely.createQueryId());
}

module.exports = { abortedTransaction, savepointCommand };
