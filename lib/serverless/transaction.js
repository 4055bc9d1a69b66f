// transaction(fn): begins, commits, runs again what certainly left nothing behind, and resolves a COMMIT in doubt.
'use strict';

const { setImmediate: turnOfTheLoop } = require('node:timers/promises');
const errors = require('../errors.js');
const { FLAG } = require('../mailbox.js');
const { count, flag, oneOf, readOptions } = require('../option-rules.js');
const { endTransaction, within } = require('../tracing/index.js');
const { endOf } = require('../transaction-ends.js');
const { Unanswered, rolledBackFor } = require('../unanswered.js');
const { effectsOf } = require('../sql-effects.js');
const { wasHandedOver } = require('./query.js');
const { Budget } = require('./retry.js');

/** @import { CommitTrace } from '../../types/errors.js' */
/** @import { ServerlessTransaction } from '../../types/serverless.js' */
/** @typedef {{ retries: number, minBackoff: number, maxBackoff: number, maxQueryRetryTimeMs: number }} RetryOptions */
/** @typedef {InstanceType<typeof Budget>} CallBudget */

/**
 * One try: the connection that its BEGIN went over, which no statement of it may leave, whether there was none to be had,
 * whether its end was asked for, and what all tries of the transaction may take together (rule SC-20).
 * @typedef {{ connection: { refusesLate: boolean } | undefined, isUnreached: boolean, isBegun: boolean, isOver: boolean, budget: CallBudget }} Scope
 */

/**
 * What a transaction does with its client. `part`: flags of a statement of the transaction.
 * @typedef {{
 *   turns: InstanceType<typeof import('./turns.js').Turns>,
 *   run: (args: readonly any[], part: number, scope: Scope) => Promise<any>,
 *   closing: () => AbortSignal,
 *   drop: (scope: Scope) => void,
 *   isConnected: () => boolean,
 *   trace: (begin: string) => ReturnType<typeof import('../tracing/index.js').traceTransaction>,
 *   resolve: (trace: CommitTrace, budget: CallBudget) => Promise<{ fate: string, status: string }>,
 * }} Runner
 */

const OPTIONS = Object.freeze({
  retries: count,
  isolation: oneOf('read-committed', 'repeatable-read', 'serializable'),
  readOnly: flag,
});

const ENDS =
  'the text ends the transaction: it commits when its function returns, and rolls back when that throws';

/** Serialization failure and deadlock: the server rolled back and asks for another try. */
const CONFLICTS = new Set(['40001', '40P01']);

/** Errors of a BEGIN without an answer: it has written nothing. @type {WeakSet<object>} */
const harmless = new WeakSet();

/** Of a BEGIN that no try of ours helps: somebody has not ended a transaction that was lost, or there is no connection. @type {WeakSet<object>} */
const hindered = new WeakSet();

/** Statements of the transaction, with what their outcome can be found out by (CP-4). */
const INSIDE = FLAG.TRANSACTION | FLAG.PROBE;
const COMMIT = INSIDE | FLAG.COMMIT;

/** @param {readonly any[]} args of a query @returns {unknown} */
function textOf([query]) {
  return typeof query === 'string' ? query : query?.text;
}

/** Several statements in one text cannot bring a probe along. @param {unknown} text */
function maySeveral(text) {
  return typeof text === 'string' && text.includes(';');
}

/** Does it end the transaction, with its first statement or a later one? @param {unknown} text */
function ends(text) {
  if (endOf(text) !== undefined) return true;
  if (!maySeveral(text)) return false;
  const effects = effectsOf(/** @type {string} */ (text));
  return effects.includes('commit') || effects.includes('rollback');
}

/** @param {Record<string, any>} read */
function beginText({ isolation, readOnly }) {
  const level = isolation ? ` ISOLATION LEVEL ${isolation.replace('-', ' ').toUpperCase()}` : '';
  return `BEGIN${level}${readOnly ? ' READ ONLY' : ''}`;
}

/** Did it certainly leave nothing behind, and may another try help? @param {any} error */
function mayRunAgain(error) {
  if (hindered.has(error)) return false;
  if (CONFLICTS.has(error?.code) || error instanceof errors.CommitAbortedError) return true;
  return error?.transactionLost === true || error?.safeToRetry === true || harmless.has(error);
}

/**
 * What became of a COMMIT without an answer. Resolves when it committed.
 * @param {Runner} runner @param {any} error @param {boolean} isReadOnly @param {CallBudget} budget
 */
async function settle(runner, error, isReadOnly, budget) {
  if (!error?.outcomeUnknown) throw error;
  // Nothing was written, so there is nothing in doubt.
  if (isReadOnly) return;
  const trace = error.resolution;
  if (trace === undefined) throw error;
  const { fate, status } = await runner.resolve(trace, budget);
  if (fate === 'committed') return;
  if (fate === 'aborted') {
    const message = 'the COMMIT was lost, and the server says that it did not happen';
    const known = { outcome: /** @type {const} */ ('failed'), transient: true };
    throw new errors.CommitAbortedError(message, { ...known, code: '40000', cause: error });
  }
  throw Object.assign(error, { resolution: { ...trace, status } });
}

function over() {
  return new errors.ClosedError('transaction: already committed or rolled back', {
    code: 'ERR_CLOSED',
    outcome: 'not-sent',
    transient: false,
  });
}

/** Its turn came after the end of the client. */
function closedBefore() {
  return new errors.ClosedError('the client was closed before this transaction began', {
    code: 'ERR_CLIENT_CLOSED',
    outcome: 'not-sent',
    transient: false,
  });
}

/**
 * One try, told of from its BEGIN to its end.
 * @param {Runner} runner @param {(tx: ServerlessTransaction) => any} fn
 * @param {Record<string, any>} options @param {CallBudget} budget
 */
async function attempt(runner, fn, options, budget) {
  const begin = beginText(options);
  const trace = runner.trace(begin);
  let isLeft = false;
  const leave = () => {
    isLeft = true;
  };
  try {
    const value = await within(trace, () => through(runner, begin, fn, options, budget, leave));
    endTransaction(trace, 'committed');
    return value;
  } catch (error) {
    const { outcomeUnknown } = /** @type {any} */ (error ?? {});
    if (isLeft) endTransaction(trace, 'rolled-back');
    else endTransaction(trace, outcomeUnknown ? 'unknown' : 'failed', error);
    throw error;
  }
}

/**
 * @param {Runner} runner @param {string} begin @param {(tx: ServerlessTransaction) => any} fn
 * @param {Record<string, any>} options @param {CallBudget} budget @param {() => void} onLeft rolled back
 */
async function through(runner, begin, fn, options, budget, onLeft) {
  const begun = { isUnreached: false, isBegun: false, isOver: false };
  /** @type {Scope} */
  const scope = { connection: undefined, ...begun, budget };
  const { turns } = runner;
  const run = (/** @type {readonly any[]} */ args, part = 0) =>
    turns.during(() => runner.run(args, part, scope));
  try {
    await run([begin]);
    scope.isBegun = true;
  } catch (error) {
    const { outcomeUnknown, transactionLost } = /** @type {any} */ (error);
    // Connecting has tries of its own, and has given up.
    if (scope.isUnreached || (transactionLost && scope.connection === undefined)) {
      hindered.add(/** @type {Error} */ (error));
    } else if (outcomeUnknown || transactionLost) {
      harmless.add(/** @type {Error} */ (error));
      // The client forgets the transaction with this, or has forgotten it when it was closed.
      if (!budget.isClosed) await run(['ROLLBACK']).catch(() => {});
    }
    throw error;
  }
  /** @type {any} */
  let value;
  let isShown = true;
  const unanswered = new Unanswered();
  /** What was never sent, and nobody has heard of before the function's end. @type {{ cause: any } | undefined} */
  let missing;
  const ask = async (/** @type {any[]} */ args) => {
    const text = textOf(args);
    // What stands behind this would run, and commit, by itself.
    if (ends(text)) throw errors.wrongArgument(ENDS);
    isShown = !maySeveral(text);
    return run(args, options.readOnly ? 0 : INSIDE);
  };
  try {
    value = await fn({
      query: async (/** @type {any[]} */ ...args) => {
        // And so would this behind the end.
        if (scope.isOver) throw over();
        const isRefused = () => !wasHandedOver(args);
        return unanswered.note(ask(args), undefined, isRefused).catch((cause) => {
          if (scope.isOver && (cause?.outcome === 'not-sent' || isRefused())) missing ??= { cause };
          throw cause;
        });
      },
    });
    scope.isOver = true;
    // What is refused is told a turn later, by a library when it was its turn.
    if (scope.connection?.refusesLate) await unanswered.settled();
    else for (let turns = 0; turns < 2 && unanswered.size > 0; turns++) await turnOfTheLoop();
    // What the transaction has shown of itself must be here before its COMMIT is sent.
    if (!isShown && !options.readOnly) await run(['select'], INSIDE);
    if (missing !== undefined) throw rolledBackFor(missing.cause);
  } catch (error) {
    scope.isOver = true;
    // Whatever the rollback says, the caller wants to know why it was needed. Without one the connection must not be used.
    await run(['ROLLBACK']).catch(() => runner.drop(scope));
    onLeft();
    throw error;
  }
  try {
    await run(['COMMIT'], COMMIT);
  } catch (error) {
    // It waited behind another statement for too long, and the transaction is open still.
    if (/** @type {any} */ (error)?.outcome === 'not-sent') runner.drop(scope);
    await turns.during(() => settle(runner, error, options.readOnly === true, budget));
  }
  return value;
}

/**
 * @param {Runner} runner @param {(tx: ServerlessTransaction) => any} fn
 * @param {object | undefined} given @param {RetryOptions} retry
 */
async function runTransaction(runner, fn, given, retry) {
  if (typeof fn !== 'function') throw new TypeError(`fn must be a function, got ${typeof fn}`);
  const read = readOptions(OPTIONS, given);
  const closing = runner.closing();
  const run = () => repeat(runner, fn, read, retry, closing);
  return runner.turns.take(run, retry.maxQueryRetryTimeMs);
}

/**
 * @param {Runner} runner @param {(tx: ServerlessTransaction) => any} fn
 * @param {Record<string, any>} read @param {RetryOptions} retry @param {AbortSignal} closing of its client
 */
async function repeat(runner, fn, read, retry, closing) {
  // Its own number counts runs of the function: connecting has the client's.
  const limits = { ...retry, runs: read.retries ?? retry.retries };
  const budget = new Budget(limits, retry.maxQueryRetryTimeMs, closing);
  if (budget.isClosed) throw closedBefore();
  for (;;) {
    try {
      return await attempt(runner, fn, read, budget);
    } catch (error) {
      if (!mayRunAgain(error) || !budget.allowsAnother(runner.isConnected())) throw error;
      await budget.pause(budget.delay());
      if (budget.isClosed) throw error;
    }
  }
}

module.exports = { repeat, runTransaction };
