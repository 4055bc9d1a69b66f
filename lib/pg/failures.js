// What failed, as an error of the pg face.
'use strict';

const { PgError } = require('../error-classes.js');
const errors = require('../errors.js');

/**
 * Call it in the promise chain of the caller, then the stack is his.
 * @param {any} reason the engine's fields, or what a value or a parser threw
 * @returns {any}
 */
function describe(reason) {
  if (reason instanceof Error || typeof reason?.kind !== 'string') return reason;
  const { kind, outcome, cause, message } = reason;
  // A statement of ours has no name to the caller.
  if (kind === 'server' && message.includes('"berth_')) {
    const shown = message.replace(/"berth_[0-9a-f]+_\d+"/, '""');
    return errors.fromNative({ ...reason, message: shown }, 'pg');
  }
  // It was asked before the client was ended.
  if (kind === 'closed') return terminated(true);
  if (kind === 'lost' && outcome === 'not-sent') {
    return terminated(cause?.kind === 'closed', cause ? errors.fromNative(cause, 'pg') : undefined);
  }
  // Nobody gave the statement up but whoever ended the client under it.
  if (kind === 'cancelled') {
    const ended = { ...reason, kind: 'closed', cause: null };
    return errors.fromNative({ ...reason, kind: 'lost', cause: ended }, 'pg');
  }
  const error = errors.fromNative(reason, 'pg');
  return kind === 'lost' && cause?.kind === 'server' ? withFieldsOf(error) : error;
}

/**
 * What the server said when it ended the session, where programs look for it: for them that is the statement's error.
 * @param {any} error with what the server said as its cause
 */
function withFieldsOf(error) {
  const { name, code, ...fields } = error.cause ?? {};
  return Object.assign(error, fields);
}

/**
 * An error of ours that was made where nobody waits, with the stack of whoever awaits; others keep their own.
 * @param {any} error
 */
function recaptured(error) {
  if (error instanceof PgError) Error.captureStackTrace(error, recaptured);
  return error;
}

/**
 * Where something was made that tells of errors later, by events: there is no promise of the caller's to follow.
 * @param {Function} below not in the stack, nor what it calls
 */
function originOf(below) {
  const origin = { stack: '' };
  Error.captureStackTrace(origin, below);
  return origin;
}

/**
 * @template E
 * @param {E} error with the stack of an origin, if it is ours @param {{ stack: string }} origin
 * @returns {E}
 */
function tracedTo(error, { stack }) {
  if (error instanceof PgError) {
    error.stack = `${error.name}: ${error.message}${stack.slice(stack.indexOf('\n'))}`;
  }
  return error;
}

/** Is it the end of the connection, also if nothing was heard of that yet? @param {any} reason fields of the engine */
function isFatal(reason) {
  switch (reason?.kind) {
    case 'server':
      return reason.severity === 'FATAL' || reason.severity === 'PANIC';
    case 'timeout':
    case 'cancelled':
      // Given up without an answer.
      return reason.outcome === 'unknown' && !reason.isAnswered;
    default:
      return reason?.kind === 'lost' || reason?.kind === 'protocol';
  }
}

/**
 * What the first one hears that was asked behind the end of the session, if the server has said why and nobody has heard that:
 * with pg, which reads it then, it is that one's error.
 * @param {any} reason fields of the engine
 */
function lastWordsOf(reason) {
  const { kind, outcome, cause } = reason ?? {};
  const isUnheard = kind === 'lost' && outcome === 'not-sent' && cause?.kind === 'server';
  return isUnheard ? { ...cause, outcome } : reason;
}

/** Nothing was sent. @param {boolean} isExpected did we end the connection? @param {Error} [cause] */
function terminated(isExpected, cause) {
  const message = isExpected ? 'Connection terminated' : 'Connection terminated unexpectedly';
  const transient = !isExpected;
  return new errors.ConnectError(message, { code: 'ERR_CONNECTION_LOST', transient, cause });
}

/** The same of what was on its way: the server may have carried it out. @param {Error} error */
function interrupted(error) {
  const { message, code, transient, cause } = /** @type {any} */ (error);
  return new errors.OutcomeUnknownError(message, { code, transient, cause });
}

/**
 * Why nothing can be asked any more. Until its loss is told of, a client of pg takes statements and fails them with that:
 * programs know by its words that trying again is worth it.
 * @param {boolean} isLost @param {boolean} [isToldOf]
 */
function unusable(isLost, isToldOf = true) {
  if (isLost && !isToldOf) return terminated(false);
  return isLost
    ? new errors.ConnectError('Client has encountered a connection error and is not queryable', {
        code: 'ERR_CONNECTION_LOST',
      })
    : new errors.ClosedError('Client was closed and is not queryable', {
        code: 'ERR_CLIENT_CLOSED',
      });
}

/** @param {'statement' | 'connect'} phase @param {number} afterMs */
function timedOut(phase, afterMs) {
  const message = phase === 'statement' ? 'Query read timeout' : 'timeout expired';
  return new errors.TimeoutError(message, { code: 'ERR_TIMEOUT', transient: true, phase, afterMs });
}

/**
 * What the loss of a connection is told with.
 * @param {any} cause fields of the engine @param {boolean} isKnown a statement was told why
 */
function lossOf(cause, isKnown) {
  if (!isKnown && (cause?.kind === 'server' || cause?.kind === 'protocol')) {
    return errors.fromNative(cause, 'pg');
  }
  const under = cause ? errors.fromNative(cause, 'pg') : undefined;
  return new errors.ConnectError('Connection terminated unexpectedly', {
    code: cause?.code ?? 'ERR_CONNECTION_LOST',
    transient: true,
    cause: under,
  });
}

module.exports = {
  describe,
  interrupted,
  isFatal,
  lastWordsOf,
  lossOf,
  originOf,
  recaptured,
  terminated,
  timedOut,
  tracedTo,
  unusable,
};
