// A closure as one transaction, run again from its begin while that is harmless.
'use strict';

const { throwIfAborted } = require('./abort-hearers.js');
const { lazy } = require('./lazy.js');
const { TimeoutError } = require('./error-classes.js');
const { Transaction } = require('./transaction.js');
const { Limits, deadlineOf } = require('./transaction-limits.js');

const backoffs = lazy(() => require('./backoff.js'));

/** @import { Reading } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */
/** @typedef {InstanceType<typeof Transaction>} Tx */

/** Conflicts, a connection that has lost its statements. */
const AGAIN = new Set(['40001', '40P01', '26000']);
/** What a server answers that cannot serve now, of itself or of another one that a statement asks (postgres_fdw, dblink). */
const UNSERVED = new Set([
  ...['08000', '08001', '08003', '08004', '08006', '08007'],
  ...['57P01', '57P02', '57P03', '53300', '53400'],
]);

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
  // Where the transaction itself asked for no writes, the server has nothing to do with it.
  if (error.code === '25006') return error.transient === true;
  if (AGAIN.has(error.code)) return true;
  // Of what a server answered, a lock that is not to be had (55P03) and a full disk (53100) are the statement's own.
  const isAnswer = error.name === 'error';
  return error.transient === true && (!isAnswer || UNSERVED.has(error.code));
}

/**
 * Where a transaction of a pool that bounds how far its standbys lag runs; that is looked for within the time of all attempts.
 * @param {Reading} reading @param {import('./transaction.js').Begin} begin
 */
function placeOf({ near }, begin) {
  return near?.(Limits.of(begin)?.narrow({}) ?? {});
}

/**
 * @param {Target} target @param {Reading} reading @param {Record<string, any>} read checked options
 * @returns {Promise<Tx>}
 */
async function beginTransaction(target, reading, read) {
  const begin = { ...read, until: deadlineOf(read.timeoutMs) };
  const place = placeOf(reading, begin);
  const session = place && (await place);
  return Transaction.start(new Transaction(target, reading, begin, session));
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
    throwIfAborted(read.signal);
    /** @type {Tx | undefined} */
    let tx;
    try {
      const place = placeOf(reading, begin);
      tx = new Transaction(target, reading, begin, place && (await place));
      const value = await Transaction.run(tx, fn);
      if (!Transaction.isOver(tx)) await tx.commit();
      return value;
    } catch (error) {
      // Whatever the rollback says, the caller wants to know why it was needed.
      if (tx && !Transaction.isOver(tx)) await tx.rollback().catch(() => {});
      const isEnd = tx && (Transaction.mayHaveCommitted(tx) || !Transaction.hasTime(tx));
      if (isEnd || attempt >= maxAttempts || !mayRunAgain(error)) throw error;
      onRetry();
      backoff ??= new (backoffs().Backoff)(retry);
      await backoff.pause(attempt, read.signal);
    }
  }
}

module.exports = { beginTransaction, runTransaction };
