// What a failed statement of a ServerlessClient rejects with, and what is found out about a COMMIT without an answer.
'use strict';

const { resolveCommit } = require('../commit-resolver.js');
const errors = require('../errors.js');
const { Connection } = require('./connection.js');
const { mayCommit, mayOutliveTransaction } = require('../sql-effects.js');

/** @import { CommitTrace } from '../../types/errors.js' */
/** @import { NativeError } from '../../types/native-error.js' */
/** @import { AnyConnection } from './connection.js' */
/** @import { Request } from './loss.js' */
/** @typedef {InstanceType<typeof import('./retry.js').Budget>} CallBudget */

/** Between two attempts to find out what became of a COMMIT. */
const ASK_AGAIN_MS = 50;
/** One attempt. */
const LONGEST_ASK_MS = 10_000;
/** What the resolver says of a transaction that may still be found out about (native/src/pool/resolve.rs). */
const NOT_YET = new Set([
  'in progress',
  'nobody could be asked in time',
  'closed before it was known',
]);

/**
 * What became of a COMMIT without an answer, asked over another connection until that is known or the time is over.
 * @param {(budget: CallBudget) => Promise<AnyConnection>} open @param {CommitTrace} trace @param {CallBudget} budget
 */
async function findOut(open, trace, budget) {
  let status = 'nobody could be asked in time';
  while (budget.leftMs > 0) {
    try {
      const connection = /** @type {InstanceType<typeof Connection>} */ (await open(budget.rest()));
      const patienceMs = Math.min(budget.leftMs, LONGEST_ASK_MS);
      const found = await resolveCommit(Connection.targetOf(connection), trace, patienceMs);
      if (!NOT_YET.has(found.status)) return found;
      status = found.status;
    } catch {
      // No connection now; that is told if it stays so.
    }
    await budget.pause(Math.max(0, Math.min(ASK_AGAIN_MS, budget.leftMs)));
  }
  return { fate: 'unknown', status: budget.isClosed ? 'closed before it was known' : status };
}

function closed() {
  return new errors.ClosedError('the client was closed while it was connecting', {
    code: 'ERR_CLIENT_CLOSED',
  });
}

/**
 * The connection of a transaction, and no other: the client may have been closed inside it, and the server rolls back what
 * it loses the connection of.
 * @param {import('./transaction.js').Scope} scope @param {AnyConnection | undefined} present
 */
function stillWithin({ connection }, present) {
  if (present !== undefined && present === connection) return present;
  throw closedWithin(undefined);
}

/** @param {unknown} cause what the statement failed with that the end of the client has cut off */
function closedWithin(cause) {
  const details = { code: 'ERR_CLIENT_CLOSED', transient: false, cause };
  return new errors.ClosedError(
    'the client was closed inside this transaction, and nothing of it was committed',
    { ...details, outcome: /** @type {const} */ ('failed') },
  );
}

/** @param {Error | undefined} error what ended the connection */
function transactionLost(error) {
  const why = error === undefined ? '' : ` (${error.message})`;
  return new errors.TransactionLostError(
    `the connection of this transaction was lost${why} and nothing of it was committed; end it with ROLLBACK`,
    { code: '08006', cause: error },
  );
}

/** A loss under another driver: what that driver said of it. @typedef {{ kind: 'lost', outcome: 'not-sent' | 'failed' | 'unknown', phase?: undefined, origin: Error & { code?: string } }} ForeignLoss */

/** @param {ForeignLoss} loss @returns {Error & { cause?: unknown }} */
function foreign({ outcome, origin }) {
  const details = { code: origin.code, transient: true, cause: origin };
  if (outcome === 'not-sent') {
    const isTold = origin instanceof errors.PgError && origin.outcome === outcome;
    return isTold ? origin : new errors.ConnectError(origin.message, { ...details, outcome });
  }
  if (outcome === 'failed') {
    const message = 'the client was closed while this statement ran, and the server cancelled it';
    const known = { code: 'ERR_CLIENT_CLOSED', outcome, transient: false, cause: origin };
    return new errors.ClosedError(message, known);
  }
  return new errors.OutcomeUnknownError(origin.message, details);
}

/**
 * What a failed statement rejects with.
 * @param {NativeError | ForeignLoss | Error} cause @param {Request} request
 * @param {boolean} [isClosed] the client was closed meanwhile
 * @returns {Error}
 */
function verdict(cause, request, isClosed = false) {
  // What a parser threw, which may be anything.
  if (!Object.hasOwn(Object(cause), 'kind') || cause instanceof Error) {
    return /** @type {Error} */ (cause);
  }
  const error = 'origin' in cause ? foreign(cause) : errors.fromNative(cause, 'pg');
  const { kind, outcome, phase } = cause;
  // The one code of this class, whoever of it turned the statement away.
  if (kind === 'closed') Object.assign(error, { code: 'ERR_CLIENT_CLOSED' });
  if (kind === 'doubt') return Object.assign(error, { phase: 'commit' });
  if (kind === 'timeout' && phase === 'statement') {
    return Object.assign(error, { code: 'ERR_QUERY_TIMEOUT' });
  }
  const isKept = !request.isWithin || mayOutliveTransaction(request.text);
  const isCut = outcome === 'unknown' || ('origin' in cause && outcome === 'failed');
  if (isClosed && isCut && !isKept) return closedWithin(error);
  const isGone = kind === 'lost' || kind === 'closed';
  if (outcome === 'unknown' && mayCommit(request.text)) Object.assign(error, { phase: 'commit' });
  if (!isGone || outcome === 'failed') return error;
  // Of what was closed there is nothing to be ended.
  if (request.isWithin && !isClosed && (outcome === 'not-sent' || !isKept)) {
    return transactionLost(/** @type {Error} */ (error.cause ?? error));
  }
  return error;
}

/**
 * What a call rejects with: about an earlier try that may have taken effect, the last one says nothing.
 * @param {any} last @param {Error | undefined} open
 */
function final(last, open) {
  return open === undefined || last?.outcomeUnknown ? last : open;
}

/**
 * The connection for another try. The first one waits no longer than it must, so that statements keep their order.
 * @param {Promise<AnyConnection>} opening @param {Error | undefined} open
 */
function again(opening, open) {
  if (open === undefined) return opening;
  return opening.catch((last) => {
    throw final(last, open);
  });
}

module.exports = {
  again,
  closed,
  final,
  findOut,
  stillWithin,
  transactionLost,
  verdict,
};
