// Several statements in one go on one connection: each for itself, or all or nothing.
'use strict';

const { setImmediate: nextTurn } = require('node:timers/promises');
const { throwIfAborted } = require('./abort-hearers.js');
const { carriedOut, endDecides, withIndex } = require('./batch-error.js');
const { argumentError, wrongArgument } = require('./error-classes.js');
const { leave, openSession, release } = require('./handles.js');
const { lazy } = require('./lazy.js');
const { FLAG, OPERATION } = require('./mailbox.js');
const { BATCH_OPTIONS, readOptions } = require('./options.js');
const { endOwn, insideOf } = require('./own-transactions.js');
const queryable = require('./queryable.js');
const { execute } = require('./request.js');
const { endOf } = require('./transaction-ends.js');
const { deadlineOf } = require('./transaction-limits.js');

const effects = lazy(() => require('./sql-effects.js'));

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Rows } from '../types/pool.js' */
/** @import { Target } from '../types/internal.js' */

/** @typedef {{ sql: string, params: readonly unknown[] | undefined }} Statement */

/**
 * @param {unknown} given @param {number} index
 * @returns {Statement}
 */
function readStatement(given, index) {
  if (typeof given === 'string') return { sql: given, params: undefined };
  const { sql, params, ...others } = /** @type {any} */ (given ?? {});
  const [other] = Object.keys(others);
  const problem =
    typeof sql !== 'string'
      ? 'must be a text, or an object with sql and perhaps params'
      : other !== undefined
        ? `has the unknown member ${JSON.stringify(other)}`
        : undefined;
  if (problem === undefined) return { sql, params };
  throw argumentError(new TypeError(`statement ${index} of the batch ${problem}`), {
    code: 'ERR_CONFIG',
  });
}

/** What stands behind the end of the transaction would not be part of it. @param {Statement[]} asked */
function checkEnds(asked) {
  const index = asked.findIndex(({ sql }) => endOf(sql) !== undefined);
  if (index < 0) return;
  throw wrongArgument(`statement ${index} of the batch ends its transaction, which the batch does`);
}

/**
 * @param {Target} pool @param {Reading} reading @param {unknown} statements @param {unknown} given options
 * @param {number | undefined} maxStatementMs of the pool
 * @returns {Promise<Rows<any>[] | PromiseSettledResult<Rows<any>>[]>}
 */
async function runBatch(pool, reading, statements, given, maxStatementMs) {
  if (!Array.isArray(statements)) {
    throw wrongArgument(`statements must be an array, got ${typeof statements}`);
  }
  const { errors = 'isolated', ...options } = readOptions(BATCH_OPTIONS, given);
  const asked = statements.map(readStatement);
  if (errors !== 'isolated') checkEnds(asked);
  if (asked.length === 0) return [];
  throwIfAborted(options.signal);
  const deadline = errors === 'isolated' ? undefined : deadlineOf(options.timeoutMs);
  const { near } = reading;
  const session = near === undefined ? openSession(pool, 'cluster') : await near(options);
  try {
    if (errors === 'isolated') return await isolated(session, reading, asked, options);
    const isLimited = (options.timeoutMs ?? options.signal ?? maxStatementMs) !== undefined;
    return await together(session, reading, asked, options, isLimited, deadline);
  } finally {
    release(session);
  }
}

/** @param {string} sql */
function begins(sql) {
  return effects().effectsOf(sql).includes('begin');
}

/** @param {Target} session @param {Reading} reading @param {Statement[]} asked @param {StatementOptions} options */
async function isolated(session, reading, asked, options) {
  // In a transaction of the program's own a statement alone has no end to be asked for.
  const isProbed = reading.exactlyOnce && !asked.some(({ sql }) => begins(sql));
  const manner = { flags: isProbed ? FLAG.PROBE : 0 };
  const answers = asked.map(async ({ sql, params }) =>
    queryable.toRows(await queryable.run(session, sql, params, options, reading, manner)),
  );
  const settled = Promise.allSettled(answers);
  // The last request of a session gives its connection back.
  const finish = { operation: OPERATION.SIMPLE, flags: FLAG.FINISH };
  const finished = execute(session, '', undefined, reading.decoders, finish);
  await finished.catch(() => {});
  return settled;
}

/** @param {StatementOptions} options @param {number | undefined} deadline @returns {StatementOptions} what is left of them */
function leftOf(options, deadline) {
  if (deadline === undefined) return options;
  const timeoutMs = Math.max(1, Math.ceil(deadline - performance.now()));
  return { ...options, timeoutMs, wholeMs: options.timeoutMs };
}

/**
 * BEGIN travels with the first statement, and the others follow without waiting for one another: behind one that failed
 * the server refuses the rest, and COMMIT rolls back.
 * @param {Target} session @param {Reading} reading @param {Statement[]} asked @param {StatementOptions} options
 * @param {boolean} isLimited they may be given up before they are sent @param {number | undefined} deadline of all
 */
async function together(session, reading, asked, options, isLimited, deadline) {
  /** @type {{ index: number, error: any } | undefined} */
  let first;
  let sent = 0;
  const manner = { flags: insideOf(reading), begin: 'BEGIN', onAsked: () => void sent++ };
  const answers = asked.map(async ({ sql, params }, index) => {
    try {
      return queryable.toRows(await queryable.run(session, sql, params, options, reading, manner));
    } catch (error) {
      if (first === undefined || index < first.index) first = { index, error };
      throw error;
    }
  });
  const settled = Promise.allSettled(answers);
  // What cannot be sent at all is known now, and the rest must not be committed without it.
  // What is given up is known only with its answer.
  await (isLimited ? settled : nextTurn());
  let isCommitted = false;
  const known = first;
  // It never got a connection: there is nothing to be rolled back, and one may be far away.
  if (known !== undefined && leave(session, 0)) throw withIndex(known.error, known.index);
  if (sent > 0) {
    const word = first === undefined ? 'COMMIT' : 'ROLLBACK';
    const { markers } = reading;
    const mayMark = asked.every(({ sql }) => markers?.behind(sql) !== undefined);
    const ended = mayMark ? reading : { ...reading, markers: undefined };
    try {
      await endOwn(session, ended, word, leftOf(options, deadline));
      isCommitted = word === 'COMMIT';
    } catch (cause) {
      await settled;
      if (endDecides(first, cause)) throw cause;
    }
  }
  const results = await settled;
  if (first !== undefined) {
    throw isCommitted ? carriedOut(first) : withIndex(first.error, first.index);
  }
  return results.map((result) => /** @type {PromiseFulfilledResult<Rows<any>>} */ (result).value);
}

module.exports = { runBatch };
