// Which errors may go away by themselves, whichever driver they come from.
'use strict';

/** Sources: Node's system errors, `errcodes.txt` of PostgreSQL, mysql2, SQLite's result codes, SQL Server's numbers. */
const TRANSIENT = new Set([
  ...['ECONNREFUSED', 'ETIMEDOUT', 'ECONNRESET', 'EPIPE'],
  ...['EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['08000', '08001', '08003', '08004', '08006', '40001', '40P01', '53300'],
  ...['57P01', '57P02', '57P03', '57P05'],
  ...['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_CON_COUNT_ERROR', 'PROTOCOL_CONNECTION_LOST'],
  ...['SQLITE_BUSY', 'SQLITE_LOCKED'],
  ...['-2', '-1', '233', '1205', '1222', '10053', '10054'],
]);

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === 'object' && value !== null;

/**
 * An error and what is behind it, the error first; loops end.
 * @param {unknown} error
 */
function* chain(error) {
  const seen = new Set();
  for (let at = error; isObject(at) && !seen.has(at); at = at.cause) {
    seen.add(at);
    yield at;
  }
}

/**
 * @param {unknown} error
 * @returns {boolean}
 */
function isTransientError(error) {
  return isTransient(error, new Set());
}

/** @param {unknown} error @param {Set<object>} above the errors whose parts are being looked at */
function isTransient(error, above) {
  for (const link of chain(error)) {
    if (above.has(link)) return false;
    if (TRANSIENT.has(String(link.code)) || TRANSIENT.has(String(link.number))) return true;
    // This driver's errors say it themselves, whatever caused them: what a failed transaction refuses stays refused.
    if (isOurs(link)) return link.transient === true;
    if (Array.isArray(link.errors) && link.errors.length > 0) {
      const within = new Set(above).add(link);
      if (link.errors.every((part) => isTransient(part, within))) return true;
    }
  }
  return false;
}

/** @param {Record<string, unknown>} error */
function isOurs(error) {
  return typeof error.transient === 'boolean' && typeof error.outcome === 'string';
}

/**
 * Does the error, or one behind it, leave open whether its statement took effect?
 * @param {unknown} error @param {Set<object>} [above]
 * @returns {boolean}
 */
function isOutcomeUnknown(error, above = new Set()) {
  for (const link of chain(error)) {
    if (above.has(link)) return false;
    if (link.outcomeUnknown === true) return true;
    const within = new Set(above).add(link);
    if (Array.isArray(link.errors) && link.errors.some((part) => isOutcomeUnknown(part, within))) {
      return true;
    }
  }
  return false;
}

module.exports = { chain, isOutcomeUnknown, isTransientError };
