// The error classes; types/errors.d.ts says what each one means to a user.
'use strict';

/** @import * as api from '../types/errors.js' */
/** @import { Counts, Details } from '../types/native-error.js' */

/** @implements {api.PgError} */
class PgError extends Error {
  /** @type {api.Outcome} */
  #outcome;
  /** @type {boolean} */
  #transient;

  /** @param {string} message @param {Details} [details] */
  constructor(message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.#outcome = details.outcome ?? 'not-sent';
    this.#transient = details.transient ?? false;
    if (details.code !== undefined) this.code = details.code;
    if (details.host !== undefined) this.host = details.host;
  }

  // Accessors of the prototype, so that snapshots of errors made for `pg` still match.
  get outcome() {
    return this.#outcome;
  }

  get outcomeUnknown() {
    return this.#outcome === 'unknown';
  }

  get safeToRetry() {
    return this.#outcome === 'not-sent';
  }

  get transient() {
    return this.#transient;
  }
}

/**
 * Its own enumerable properties are those of `pg`'s DatabaseError, in the same order; absent ones are undefined.
 * @implements {api.ServerError}
 */
class ServerError extends PgError {
  length = 0;
  /** @override */ name = 'error';
  /** @type {string | undefined} */ severity;
  /** @override @type {string | undefined} */ code = undefined;
  /** @type {string | undefined} */ detail;
  /** @type {string | undefined} */ hint;
  /** @type {string | undefined} */ position;
  /** @type {string | undefined} */ internalPosition;
  /** @type {string | undefined} */ internalQuery;
  /** @type {string | undefined} */ where;
  /** @type {string | undefined} */ schema;
  /** @type {string | undefined} */ table;
  /** @type {string | undefined} */ column;
  /** @type {string | undefined} */ dataType;
  /** @type {string | undefined} */ constraint;
  /** @type {string | undefined} */ file;
  /** @type {string | undefined} */ line;
  /** @type {string | undefined} */ routine;

  /** @param {string} message @param {number} [length] @param {string} [name] @param {Details} [details] */
  constructor(message, length = 0, name = 'error', details = {}) {
    const { outcome = 'failed', transient, host, cause } = details;
    super(message, { outcome, transient, cause });
    this.length = length;
    this.name = name;
    if (host !== undefined) Object.defineProperty(this, 'host', { value: host, writable: true });
  }
}

/** @implements {api.ConnectError} */
class ConnectError extends PgError {}

/** @implements {api.TlsError} */
class TlsError extends ConnectError {}

/** @implements {api.AuthError} */
class AuthError extends ConnectError {}

/** @implements {api.AcquireTimeoutError} */
class AcquireTimeoutError extends PgError {
  /** @param {string} message @param {Details} [details] */
  constructor(message, details = {}) {
    super(message, { transient: true, ...details });
    /** @type {number | undefined} */
    this.waitedMs = details.waitedMs;
    /** @type {Counts | undefined} */
    this.counts = details.counts;
  }
}

/** @implements {api.NoNodeError} */
class NoNodeError extends AcquireTimeoutError {
  /** @param {string} message @param {Details} [details] */
  constructor(message, details = {}) {
    super(message, details);
    /** @type {api.NodeFailure[]} */
    this.nodes = details.nodes ?? [];
  }
}

/** @implements {api.NoPrimaryError} */
class NoPrimaryError extends NoNodeError {}

/** @implements {api.NoStandbyError} */
class NoStandbyError extends NoNodeError {}

/** @implements {api.ClosedError} */
class ClosedError extends PgError {}

/** @implements {api.CancelledError} */
class CancelledError extends PgError {}

/** @implements {api.TimeoutError} */
class TimeoutError extends PgError {
  /** @param {string} message @param {Details} [details] */
  constructor(message, details = {}) {
    super(message, { transient: true, ...details });
    this.phase = details.phase;
    this.afterMs = details.afterMs;
  }
}

/** @implements {api.ProtocolError} */
class ProtocolError extends PgError {}

/** @implements {api.LeaseError} */
class LeaseError extends PgError {}

/** @implements {api.OutcomeUnknownError} */
class OutcomeUnknownError extends PgError {
  /** @param {string} message @param {Details} [details] */
  constructor(message, details = {}) {
    super(message, { ...details, outcome: 'unknown' });
    /** @type {api.CommitTrace | undefined} */
    this.resolution = details.resolution;
  }
}

/** @implements {api.NotReplicatedError} */
class NotReplicatedError extends OutcomeUnknownError {
  committedLocally = /** @type {const} */ (true);
}

/** @implements {api.TransactionLostError} */
class TransactionLostError extends PgError {
  /** @param {string} message @param {Details} [details] */
  constructor(message, details = {}) {
    super(message, { outcome: 'failed', transient: true, ...details });
    this.transactionLost = /** @type {const} */ (true);
  }
}

/** @implements {api.TransactionRolledBackError} */
class TransactionRolledBackError extends PgError {}

/** @implements {api.CommitAbortedError} */
class CommitAbortedError extends PgError {}

/** @implements {api.FencedError} */
class FencedError extends PgError {}
/** @implements {api.ResultError} */
class ResultError extends PgError {}

/** @implements {api.InternalError} */
class InternalError extends PgError {}

const classes = {
  PgError,
  ServerError,
  ConnectError,
  TlsError,
  AuthError,
  AcquireTimeoutError,
  NoNodeError,
  NoPrimaryError,
  NoStandbyError,
  ClosedError,
  CancelledError,
  TimeoutError,
  ProtocolError,
  LeaseError,
  OutcomeUnknownError,
  NotReplicatedError,
  TransactionLostError,
  TransactionRolledBackError,
  CommitAbortedError,
  FencedError,
  ResultError,
  InternalError,
};

// `instanceof` holds across several copies of this package in one process, because instances are known by a registered
// symbol. Classes that users derive keep the ordinary rule.
for (const [name, Class] of Object.entries(classes)) {
  const key = Symbol.for(`pg-berth.${name}`);
  Object.defineProperty(Class.prototype, key, { value: true });
  Object.defineProperty(Class.prototype, 'name', {
    value: name,
    writable: true,
    configurable: true,
  });
  Object.defineProperty(Class, Symbol.hasInstance, {
    /** @this {Function} @param {any} value */
    value(value) {
      if (this !== Class) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === 'object' && value !== null && value[key] === true;
    },
  });
}

// Programs written for `pg` ask for the name of the class.
Object.defineProperty(ServerError, 'name', { value: 'DatabaseError' });

/**
 * Gives a built-in error the properties of the family, none of them enumerable.
 * @template {Error} E
 * @param {E} error
 * @param {{ code: string, position?: number, option?: string }} details
 * @returns {E & api.ArgumentError}
 */
function argumentError(error, details) {
  return /** @type {E & api.ArgumentError} */ (
    markNotSent(error, { ...details, transient: false })
  );
}

/**
 * Says of an error of somebody else's that nothing was sent, and adds what else is known; none of it is enumerable.
 * @template {Error} E
 * @param {E} error @param {Record<string, unknown>} details
 * @returns {E}
 */
function markNotSent(error, details) {
  const known = { outcome: 'not-sent', outcomeUnknown: false, safeToRetry: true };
  for (const [name, value] of Object.entries({ ...details, ...known })) {
    Object.defineProperty(error, name, { value, writable: true, configurable: true });
  }
  return error;
}

/** What a method was called with is no such thing. @param {string} message must not contain a value */
function wrongArgument(message) {
  return argumentError(new TypeError(message), { code: 'ERR_CONFIG' });
}

/**
 * @param {number} index 0-based place among the parameters
 * @param {string} problem completes `parameter $n …`; must not contain the value
 */
function parameterError(index, problem) {
  const position = index + 1;
  return argumentError(new TypeError(`parameter $${position} ${problem}`), {
    code: '22P02',
    position,
  });
}

module.exports = {
  ...classes,
  DatabaseError: ServerError,
  argumentError,
  markNotSent,
  parameterError,
  wrongArgument,
};
