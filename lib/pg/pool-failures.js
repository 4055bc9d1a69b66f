// What goes wrong at a pool of pg, in the words of `pg`.
'use strict';

const {
  AcquireTimeoutError,
  ClosedError,
  ResultError,
  TimeoutError,
} = require('../error-classes.js');

/** @typedef {InstanceType<typeof import('./holders.js').Holders>} Holders */

/**
 * Nobody gave a client back in time.
 * @param {number} waited in ms
 * @param {{ options: { max: number }, totalCount: number, idleCount: number, waitingCount: number }} pool
 * @param {Holders} holders
 */
function acquireTimeout(waited, { options, totalCount, idleCount, waitingCount }, holders) {
  const waitedMs = Math.round(waited);
  const counts = {
    max: options.max,
    size: totalCount,
    available: idleCount,
    opening: 0,
    waiting: waitingCount,
  };
  const details = { code: 'ERR_ACQUIRE_TIMEOUT', waitedMs, counts, transient: true };
  const message = `timeout exceeded when trying to connect${holders.describe()}`;
  return Object.assign(new AcquireTimeoutError(message, details), { holders: holders.list() });
}

/** To whoever waits when the pool is ended. */
function turnedAway() {
  const message = 'Cannot use a pool after calling end on the pool';
  return new ClosedError(message, { code: 'ERR_CLOSED' });
}

/** A client of somebody else's may have neither member. @param {any} client */
function isDead(client) {
  return client._queryable === false || client._ending === true;
}

/** Did the server answer, and stay? A result that cannot be read is an answer too. @param {any} error */
function isVerdict(error) {
  if (error?.name === 'error' && error.severity === 'ERROR') return true;
  return error instanceof ResultError || error?.cause instanceof ResultError;
}

/** @param {any} error */
function isTimeout(error) {
  return error?.code === 'ERR_TIMEOUT';
}

/** @param {Error} cause */
function connectTimeout(cause) {
  const phase = /** @type {const} */ ('connect');
  const details = { code: 'ERR_TIMEOUT', transient: true, phase, cause };
  return new TimeoutError('Connection terminated due to connection timeout', details);
}

module.exports = {
  acquireTimeout,
  connectTimeout,
  isDead,
  isTimeout,
  isVerdict,
  turnedAway,
};
