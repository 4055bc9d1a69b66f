// A closure as one transaction, run again from its begin while that is harmless.
'use strict';

const { lazy } = require('./lazy.js');
const { TimeoutError } = require('./error-classes.js');
const { Transaction } = require('./transaction.js');
const { deadlineOf } = require('./transaction-limits.js');

const backoffs = lazy(() => require('./backoff.js'));

/** @import { Reading } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */
/** @typedef {InstanceType<typeof Transaction>} Tx */

/**
 * May the whole closure run again? Serialization failures, a read-only server, and everything that certainly neither
 * committed nor is the statement's own fault.
 * @param {any} error
 */
function mayRunAgain(error) {
  // What took longer than its caller allowed would again.
  if (error instanceof TimeoutError) return false;
  if (typeof error?.code !== 'string' || error.outcome === undefined || error.outcome === 'unknown')
    return false;
  if (['40001', '40P01', '25006', '26000'].includes(error.code)) return true;
  return error.transient === true && error.name !== 'error';
}

/**
 * @template T
 * @param {{ target: Target, reading: Reading, retry: { maxAttempts: number, baseDelayMs: number, maxDelayMs: number, jitter: any } }} pool
 * @param {(tx: Tx) => T | Promise<T>} fn
 * @param {Record<string, any>} read checked options
 * @param {() => void} onRetry
 * @returns {Promise<T>} what the closure has given, behind its COMMIT
 */
async function runTransaction({ target, reading, retry }, fn, read, onRetry) {
  const { maxAttempts = retry.maxAttempts } = read;
  // All attempts together.
  const begin = { ...read, until: deadlineOf(read.timeoutMs) };
  /** @type {InstanceType<typeof import('./backoff.js').Backoff> | undefined} */
  let backoff;
  for (let attempt = 1; ; attempt++) {
    const tx = new Transaction(target, reading, begin);
    try {
      const value = await Transaction.run(tx, fn);
      if (!Transaction.isOver(tx)) await tx.commit();
      return value;
    } catch (error) {
      // Whatever the rollback says, the caller wants to know why it was needed.
      if (!Transaction.isOver(tx)) await tx.rollback().catch(() => {});
      const isLast =
        attempt >= maxAttempts || Transaction.mayHaveCommitted(tx) || !Transaction.hasTime(tx);
      if (isLast || !mayRunAgain(error)) throw error;
      onRetry();
      backoff ??= new (backoffs().Backoff)(retry);
      await backoff.pause(attempt, read.signal);
    }
  }
}

module.exports = { runTransaction };
