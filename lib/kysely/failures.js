// What goes wrong on a connection of the dialect: what it means, and how it is told.
'use strict';

const {
  CancelledError,
  ClosedError,
  ConnectError,
  NotReplicatedError,
  OutcomeUnknownError,
  ResultError,
  ServerError,
  TransactionLostError,
  TransactionRolledBackError,
} = require('../errors.js');

/**
 * The server has refused BEGIN, and with it the place on the server was given up; the connection lives.
 * @param {any} error
 */
function isRefusedBegin({ cause }) {
  return cause instanceof ServerError && cause.severity === 'ERROR';
}

/**
 * What the loss of a transaction means for a statement, by what the statement was part of.
 * @param {Error} error @param {boolean} isWithin a transaction
 */
function meantFor(error, isWithin) {
  if (!(error instanceof TransactionLostError)) return error;
  if (!isWithin) return sessionLost(error);
  if (!isRefusedBegin(error)) return error;
  const { cause, outcome } = error;
  const message = `the transaction was never begun: ${/** @type {Error} */ (cause).message}`;
  return new TransactionRolledBackError(message, { code: '25P02', outcome, cause });
}

/**
 * Of a connection that is held without a transaction: what it ran before was committed by itself.
 * @param {Error} error
 */
function sessionLost(error) {
  const { cause } = error;
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  const what = isRefusedBegin(error) ? 'given up when BEGIN was refused' : 'lost';
  return new ClosedError(`the connection was ${what} before the statement was sent${why}`, {
    code: '08006',
    outcome: 'not-sent',
    transient: true,
    cause,
  });
}

/** For what is asked of something that is over. @param {string} message */
function tooLate(message) {
  return new ClosedError(message, { code: 'ERR_CLOSED', outcome: 'not-sent' });
}

/** By cancelQuery or killSession, not by the end of the pool. @param {InstanceType<typeof CancelledError>} error */
function stoppedHere({ code, outcome, transient }) {
  const message = 'query: cancelled through its connection';
  return new CancelledError(message, { code, outcome, transient });
}

function stopped() {
  return Object.assign(new Error('canceling statement due to user request'), { code: '57014' });
}

const HARMLESS = [TransactionLostError, TransactionRolledBackError, ClosedError];

/** The server rolls back what it loses the connection of, and what was never begun. @param {Promise<unknown>} rollback */
async function pardonLoss(rollback) {
  try {
    await rollback;
  } catch (error) {
    if (!HARMLESS.some((harmless) => error instanceof harmless)) throw error;
  }
}

/**
 * Did it cost the connection? One that lives may leave a statement in doubt as well: for want of a standby, or because its
 * result cannot be read. What broke the connection knows no more of the statement.
 * @param {unknown} error
 */
function isLoss(error) {
  if (error instanceof NotReplicatedError) return false;
  if (!(error instanceof OutcomeUnknownError)) {
    // One that could not be opened has another code: of that, its statement tells.
    const isBroken = error instanceof ConnectError && error.code === '08006';
    return isBroken || (error instanceof TransactionLostError && !isRefusedBegin(error));
  }
  const cause = /** @type {any} */ (error.cause);
  return cause?.outcome === 'unknown' && !(cause instanceof ResultError);
}

/** @param {unknown} error @param {(AbortSignal | undefined)[]} signals */
function isReasonOf(error, signals) {
  return signals.some((signal) => signal?.aborted && signal.reason === error);
}

/**
 * Appends the caller's stack, as Kysely's own dialects do; not to what is the program's: the reason of a signal is told to
 * many.
 * @param {any} error @param {(AbortSignal | undefined)[]} signals
 */
function withCaller(error, ...signals) {
  if (typeof error?.stack !== 'string' || Object.isFrozen(error)) return error;
  if (isReasonOf(error, signals)) return error;
  const { stack = '' } = new Error();
  error.stack += `\n${stack.split('\n').slice(1).join('\n')}`;
  return error;
}

module.exports = {
  isLoss,
  isReasonOf,
  meantFor,
  pardonLoss,
  stopped,
  stoppedHere,
  tooLate,
  withCaller,
};
