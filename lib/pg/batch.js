// Several queries in one go on one client: each for itself, or all or nothing.
'use strict';

const { setImmediate } = require('node:timers');
const { hearAbort } = require('../abort-hearers.js');
const { carriedOut, endDecides, withIndex } = require('../batch-error.js');
const { TransactionRolledBackError, argumentError, wrongArgument } = require('../error-classes.js');
const { oneOf, readOptions } = require('../option-rules.js');
const { recaptured } = require('./failures.js');
const { endOf } = require('../transaction-ends.js');
const { withClient } = require('./by-client.js');
const { AHEAD } = require('./for-pools.js');
const { heldQuery } = require('./held-values.js');
const { readQuery } = require('./query.js');
const { limitOf } = require('./settings.js');

const OPTIONS = Object.freeze({ errors: oneOf('isolated', 'all-or-nothing') });

/**
 * @param {unknown} queries @param {unknown} given
 * @returns {{ asked: import('./query.js').Asked[], isTogether: boolean }}
 */
function readBatch(queries, given) {
  if (!Array.isArray(queries)) {
    throw new TypeError(
      `queries must be an array, got ${queries === null ? 'null' : typeof queries}`,
    );
  }
  const { errors = 'isolated' } = readOptions(OPTIONS, given);
  const asked = queries.map((query, index) => {
    const isConfig = typeof query === 'object' && query !== null;
    if (typeof query === 'string' || (isConfig && !query.submit && !query.callback)) {
      return readQuery(query, undefined, undefined);
    }
    const problem = `query ${index} of the batch must be a text or a config without a callback`;
    throw argumentError(new TypeError(problem), { code: 'ERR_CONFIG' });
  });
  const isTogether = errors === 'all-or-nothing';
  const end = isTogether ? asked.findIndex(({ text }) => endOf(text) !== undefined) : -1;
  if (end < 0) return { asked, isTogether };
  // What stands behind it would not be part of the batch.
  throw wrongArgument(`query ${end} of the batch ends its transaction, which the batch does`);
}

/**
 * @param {any} client @param {unknown} queries @param {unknown} given
 * @returns {Promise<any[]>}
 */
async function runBatch(client, queries, given) {
  const { asked, isTogether } = readBatch(queries, given);
  if (asked.length === 0) return [];
  if (isTogether) return together(client, asked);
  return Promise.allSettled(asked.map((one) => client[AHEAD](one)));
}

/**
 * On a client of a pool, unless none is wanted any more before there is one: of a batch of all or nothing that is so as soon as one
 * query is given up, otherwise when all are.
 * @param {any} pool @param {unknown} queries @param {unknown} given
 * @returns {Promise<any[]>}
 */
async function runOnPool(pool, queries, given) {
  const { asked, isTogether } = readBatch(queries, given);
  const signals = asked.flatMap(({ signal }) => (signal instanceof AbortSignal ? signal : []));
  const isPatient = signals.length < (isTogether ? 1 : Math.max(asked.length, 1));
  const { signal, stop } = isPatient ? PATIENT : firedBy(signals, isTogether ? 1 : signals.length);
  const held = /** @type {any[]} */ (queries).map(heldQuery);
  const run = (/** @type {any} */ client) => client.batch(held, given);
  const givenUp = () => {
    if (!isTogether) return signals.map(({ reason }) => ({ status: 'rejected', reason }));
    const index = asked.findIndex((one) => one.signal?.aborted);
    throw withIndex(asked[index]?.signal.reason, index);
  };
  try {
    return await withClient(pool, run, signal, givenUp);
  } finally {
    stop();
  }
}

/** Nobody gives the wait up. @type {{ signal: AbortSignal | undefined, stop: () => void }} */
const PATIENT = Object.freeze({ signal: undefined, stop: () => {} });

/** @param {AbortSignal[]} signals @param {number} count fires when so many of them have */
function firedBy(signals, count) {
  const controller = new AbortController();
  let fired = 0;
  const hear = () => {
    if (++fired === count) controller.abort();
  };
  /** @type {(() => void)[]} */
  const stops = [];
  for (const signal of signals) {
    if (signal.aborted) hear();
    else stops.push(hearAbort(signal, () => hear()));
  }
  const stop = () => {
    for (const one of stops) one();
  };
  return { signal: controller.signal, stop };
}

/**
 * BEGIN, the queries and COMMIT travel without waiting for one another: behind one that failed the server refuses the
 * rest, and COMMIT rolls back. Inside a transaction of the caller's it is a savepoint.
 * @param {any} client @param {import('./query.js').Asked[]} asked
 */
async function together(client, asked) {
  const run = (/** @type {string} */ text) => client[AHEAD](readQuery(text, undefined, undefined));
  const isInside = client.getTransactionStatus() === 'T';
  /** @type {{ index: number, error: any } | undefined} */
  let first;
  const begun = settled(run(isInside ? 'SAVEPOINT berth_batch' : 'BEGIN'));
  const answers = asked.map(async (one, index) => {
    try {
      return await client[AHEAD](one);
    } catch (error) {
      if (first === undefined || index < first.index) first = { index, error };
      throw error;
    }
  });
  const results = Promise.allSettled(answers);
  // What cannot be sent at all is known now, and the rest must not be committed without it.
  await new Promise((resolve) => setImmediate(resolve));
  // What can be given up before it is sent is known to be in it only with its answer.
  const { query_timeout } = client.connectionParameters;
  if (asked.some((one) => one.signal !== undefined || limitOf(one, query_timeout) > 0))
    await results;
  const isGood = first === undefined;
  const ended = settled(run(isInside ? endInside(isGood) : isGood ? 'COMMIT' : 'ROLLBACK'));
  const { error } = await begun;
  const all = await results;
  const end = await ended;
  if (isInside && isGood && end.error !== undefined) await settled(run(endInside(false)));
  if (error !== undefined) throw recaptured(error);
  const isDone = isGood && end.error === undefined && end.result.command !== 'ROLLBACK';
  if (first !== undefined && !(end.error !== undefined && endDecides(first, end.error))) {
    if (!isDone) throw withIndex(recaptured(first.error), first.index);
    throw isInside ? carriedOut(first, 'carried out') : carriedOut(first);
  }
  if (end.error !== undefined) throw recaptured(end.error);
  if (!isInside && end.result.command !== 'COMMIT') {
    const message = 'the batch was rolled back: the server answered COMMIT with ROLLBACK';
    throw new TransactionRolledBackError(message, { code: '25P02', outcome: 'failed' });
  }
  return all.map((one) => /** @type {PromiseFulfilledResult<any>} */ (one).value);
}

/** @param {boolean} isGood */
function endInside(isGood) {
  return isGood
    ? 'RELEASE SAVEPOINT berth_batch'
    : 'ROLLBACK TO SAVEPOINT berth_batch; RELEASE SAVEPOINT berth_batch';
}

/** @param {Promise<any>} promise @returns {Promise<{ result?: any, error?: any }>} */
function settled(promise) {
  return promise.then(
    (result) => ({ result }),
    (error) => ({ error }),
  );
}

module.exports = { runBatch, runOnPool };
