// Bulk insert of pg: rows by one COPY on a client, in its turn among the client's queries.
'use strict';

const { setImmediate } = require('node:timers');
const { hearAbort } = require('../abort-hearers.js');
const { StatementAnswer } = require('../answer.js');
const { Decoders } = require('../decoders.js');
const { load, readRequest } = require('../insert-many.js');
const { FLAG, OPERATION, cancel } = require('../mailbox.js');
const { PRESETS, resolveTypes } = require('../rows/types.js');
const { withClient } = require('./by-client.js');
const { defaults } = require('./defaults.js');
const { describe, recaptured } = require('./failures.js');
const { OCCUPY, placeOf } = require('./submittable.js');

/** @import { Lane } from './submittable.js' */

/** The use of a client, and a promise that rejects when it is lost. @typedef {{ lane: Lane, lost: Promise<never> }} Turn */

/** What the program has set for its own results does not count. */
const decoders = new Decoders(resolveTypes(undefined, PRESETS.lossless), 'object', undefined);

/** Types of columns are asked for once per call, and leave nothing on the server. */
const MANNER = Object.freeze({ operation: OPERATION.EXECUTE, flags: FLAG.UNNAMED });

/**
 * @param {any} client @param {string | readonly string[]} table
 * @param {Iterable<any> | AsyncIterable<any>} rows @param {unknown} given
 * @returns {Promise<number>} rows inserted
 */
async function insertMany(client, table, rows, given) {
  const request = readRequest(table, rows, given);
  /** @type {Turn | undefined} */
  let turn;
  try {
    turn = await turnOf(client, request.options.signal);
    return await loadIn(turn, request);
  } catch (error) {
    if (turn === undefined) await request.source.leave();
    throw recaptured(describe(error));
  } finally {
    turn?.lane.leave();
  }
}

/**
 * On a client of a pool.
 * @param {any} pool @param {string | readonly string[]} table
 * @param {Iterable<any> | AsyncIterable<any>} rows @param {any} given
 * @returns {Promise<number>} rows inserted
 */
async function insertManyOnPool(pool, table, rows, given) {
  const signal = given?.signal instanceof AbortSignal ? given.signal : undefined;
  const load = (/** @type {any} */ client) => client.insertMany(table, rows, given);
  return withClient(pool, load, signal, async (error) => {
    // As on a client, nobody reads the rows of what was given up. Those of what found no client may be given once more.
    await readRequest(table, rows, given).source.leave();
    throw error;
  });
}

/**
 * The client to itself, in the order of the calls.
 * @param {any} client @param {AbortSignal | undefined} signal
 * @returns {Promise<Turn>}
 */
function turnOf(client, signal) {
  return new Promise((resolve, reject) => {
    /** @type {(error: Error) => void} */
    let lose = reject;
    const onAbort = () => reject(/** @type {AbortSignal} */ (signal).reason);
    const stopHearing = signal && hearAbort(signal, onAbort);
    client.query({
      submit() {},
      /** @param {Lane} lane */
      [OCCUPY](lane) {
        stopHearing?.();
        if (signal?.aborted) lane.leave();
        else {
          const lost = new Promise((_, notSo) => {
            // Behind what a statement that runs says of it.
            lose = (error) => setImmediate(notSo, error);
          });
          lost.catch(() => {});
          resolve({ lane, lost: /** @type {Promise<never>} */ (lost) });
        }
      },
      /** @param {Error} error */
      handleError(error) {
        stopHearing?.();
        lose(error);
      },
    });
    if (signal?.aborted) onAbort();
  });
}

/**
 * @param {Lane} lane @param {string} sql @param {unknown[]} values
 * @param {{ timeoutMs?: number, signal?: AbortSignal }} limits
 * @returns {Promise<any[]>}
 */
async function ask(lane, sql, values, { timeoutMs, signal }) {
  let stopHearing = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const answer = new StatementAnswer(decoders, ({ result }) => resolve(result.rows), reject);
      const id = lane.ask(sql, values, decoders, { ...MANNER, timeoutMs }, answer);
      if (signal) stopHearing = hearAbort(signal, () => cancel(lane.target, id, answer));
    });
  } finally {
    stopHearing();
  }
}

/** @param {Turn} turn @param {ReturnType<typeof readRequest>} request */
function loadIn({ lane, lost }, request) {
  return load(request, {
    query: (sql, values, limits) => ask(lane, sql, values, limits),
    place: () => ({ ...placeOf(lane), onEnd: () => {} }),
    encoding: 'pg',
    lost,
    utcDates: defaults.parseInputDatesAsUTC,
  });
}

module.exports = { insertMany, insertManyOnPool };
