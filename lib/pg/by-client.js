// Queries of a pool that only a client can run, by its own `query`: of another class, with a function in its place, or
// with something that is no text or config.
'use strict';

const { Client, query } = require('./client.js');
const { note } = require('./callbacks.js');
const { ACQUIRE } = require('./for-pools.js');
const { heldQuery, heldValues } = require('./held-values.js');
const { isVerdict } = require('./pool-failures.js');

/**
 * Text, or a config that asks for nothing but a result, of clients whose `query` is ours.
 * @param {any} text @param {any} Maker class of the clients
 */
function isPlain(text, Maker) {
  if (Maker !== Client || Client.prototype.query !== query) return false;
  if (typeof text === 'string') return true;
  return Boolean(text) && !text.submit && !text.callback && !text.signal;
}

/** Has a program put a `query` of its own on this very client? @param {any} client */
function hasOwnQuery(client) {
  return client.query !== query;
}

/**
 * Tells what was given to a pool that no client could be had for it: who reads it would wait for ever.
 * @param {any} given @param {any} error
 */
function turnAway(given, error) {
  if (typeof given?.submit !== 'function' || typeof given.handleError !== 'function') return;
  // A COPY that nobody listens to would end the process; whoever gave it to the pool has the error.
  const isCopy = typeof given.destroy === 'function' && given.cursor === undefined;
  if (isCopy && given.listenerCount('error') === 0) return;
  process.nextTick(() => given.handleError(error));
}

/**
 * @param {any} pool @param {any} text what only a client can run @param {any} values
 * @param {(error: any, result?: any) => void} answered
 */
function runByPool(pool, text, values, answered) {
  const signal = text?.signal instanceof AbortSignal ? text.signal : undefined;
  const [query, held] = [heldQuery(text), heldValues(values)];
  pool[ACQUIRE]((/** @type {any} */ error, /** @type {any} */ client) => {
    if (client === undefined) {
      turnAway(text, error);
      answered(error);
    } else {
      note(pool, 'dispatching query');
      runByClient(client, query, held, (failure, result) => {
        note(pool, 'query dispatched');
        answered(failure, result);
      });
    }
  }, signal);
}

/**
 * @param {any} client lent by the pool, given back afterwards @param {any} text @param {any} values
 * @param {(error: any, result?: any) => void} done
 */
function runByClient(client, text, values, done) {
  let isOver = false;
  const onError = (/** @type {any} */ lost) => {
    if (isOver) return;
    isOver = true;
    client.release(lost);
    done(lost);
  };
  client.once('error', onError);
  const answered = (/** @type {any} */ failure, /** @type {any} */ result) => {
    client.removeListener('error', onError);
    if (isOver) return;
    isOver = true;
    client.release(isVerdict(failure) ? undefined : failure);
    done(failure || undefined, result);
  };
  try {
    client.query(text, values, answered);
  } catch (thrown) {
    client.removeListener('error', onError);
    isOver = true;
    client.release();
    done(thrown);
  }
}

/**
 * A promise in the caller's chain, so that the stack of a failure is his.
 * @param {(done: (error: any, value?: any) => void) => void} start
 */
async function settled(start) {
  try {
    return await new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(error) : resolve(value)));
    });
  } catch (error) {
    // Leads to whoever awaits, in place of the turn of the event loop in which the answer came.
    if (error instanceof Error) Error.captureStackTrace(error, settled);
    throw error;
  }
}

/**
 * @param {any} pool @param {(client: any) => Promise<any>} work @param {AbortSignal} [signal] gives up the wait for a client
 * @param {(error: unknown) => any} [givenUp] what comes of it then; without it the error
 * @returns {Promise<any>}
 */
async function withClient(pool, work, signal, givenUp) {
  /** @type {any} */
  let client;
  try {
    client = await (signal === undefined ? pool.connect() : acquired(pool, signal));
  } catch (error) {
    if (givenUp !== undefined && signal?.aborted) return givenUp(error);
    throw error;
  }
  try {
    return await work(client);
  } finally {
    client.release();
  }
}

/** @param {any} pool @param {AbortSignal} signal */
function acquired(pool, signal) {
  return new Promise((resolve, reject) => {
    pool[ACQUIRE]((/** @type {any} */ error, /** @type {any} */ client) => {
      if (client === undefined) reject(error);
      else resolve(client);
    }, signal);
  });
}

module.exports = { hasOwnQuery, isPlain, runByClient, runByPool, settled, withClient };
