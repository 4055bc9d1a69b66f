// One statement on its way: parameters prepared, abort signal wired, and the promise the caller awaits.
'use strict';

const { StatementAnswer } = require('./answer.js');
const mailbox = require('./mailbox.js');
const { lazy } = require('./lazy.js');
const { isTraced } = require('./tracing/channels.js');

const { FLAG, OPERATION } = mailbox;
const wholeLimits = lazy(() => require('./whole-limit.js'));
const abortHearers = lazy(() => require('./abort-hearers.js'));
const tracing = lazy(() => require('./tracing/queries.js'));
const { ArrayText, prepareParams } = require('./rows/prepare.js');
const jsonValues = lazy(() => require('./rows/json-values.js'));
const { passingNumber, statementNumber } = require('./statements.js');

/** @typedef {InstanceType<typeof import('./decoders.js').Decoders>} Decoders */
/** @import { Answer, Target } from '../types/internal.js' */

/**
 * How a statement is asked for.
 * @typedef {{
 *   operation?: number,
 *   flags?: number,
 *   begin?: string | undefined,
 *   onAsked?: () => void,
 *   batch?: number,
 *   portal?: number,
 *   timeoutMs?: number | undefined,
 *   wholeMs?: number | undefined,
 *   signal?: AbortSignal | undefined,
 *   utcDates?: boolean,
 *   name?: string,
 *   attempt?: number,
 *   readsOnly?: boolean,
 * }} Manner `wholeMs`: the limit that `timeoutMs` is the rest of; `readsOnly`: whoever asks has asked for no writes
 */

/** @type {Manner} */
const PLAIN = Object.freeze({});

/**
 * Asks for a statement and hands its answer to `answer`.
 *
 * @param {Target} target
 * @param {string | undefined} sql undefined for operations without a text
 * @param {readonly unknown[] | null | undefined} params
 * @param {Decoders} decoders
 * @param {Manner} manner
 * @param {Answer} answer
 * @returns {number} the request's number
 * @throws {TypeError | RangeError | Error} what is wrong with text or parameters; then nothing was asked
 */
function send(target, sql, params, decoders, manner, answer) {
  if (!isTraced() && target.about.told === undefined)
    return hand(target, sql, params, decoders, manner, answer, 0);
  const hands = () => hand(target, sql, params, decoders, manner, answer, FLAG.TOLD);
  return tracing().traced(target, sql, params?.length ?? 0, manner, answer, hands);
}

/**
 * @param {Target} target @param {string | undefined} sql @param {readonly unknown[] | null | undefined} params
 * @param {Decoders} decoders @param {Manner} manner @param {Answer} answer @param {number} more flags
 */
function hand(target, sql, params, decoders, manner, answer, more) {
  const { encoding, jsonParams, profile } = decoders;
  const values =
    jsonParams === undefined
      ? prepareParams(params, encoding, manner.utcDates)
      : jsonValues().prepareJsonParams(params, encoding, manner.utcDates, jsonParams);
  let flags = (manner.flags ?? 0) | (manner.operation ?? OPERATION.EXECUTE) | more;
  if (manner.signal !== undefined) flags |= FLAG.EXCLUSIVE;
  // The same array comes back when nothing had to be prepared, and then there is no array among the values.
  if (values !== params && values.some((value) => value instanceof ArrayText)) flags |= FLAG.EITHER;
  let statement = 0;
  // A statement with a name is prepared once; an empty text says nothing.
  const comment = sql && manner.name === undefined ? target.about.comment?.() : undefined;
  if (comment) {
    // A text of its own for every call: nothing of it is kept.
    statement = passingNumber(sql + comment);
    flags = (flags | FLAG.UNNAMED) & ~FLAG.OUTSIDE;
  } else if (sql !== undefined) {
    statement = statementNumber(sql);
  }
  const begin = manner.begin === undefined ? 0 : statementNumber(manner.begin);
  const name = manner.name === undefined ? 0 : statementNumber(manner.name);
  const { timeoutMs = 0, batch = 0, portal = 0 } = manner;
  manner.onAsked?.();
  return mailbox.ask(
    target,
    statement,
    flags,
    timeoutMs,
    profile,
    values,
    encoding,
    begin,
    batch,
    portal,
    answer,
    name,
  );
}

/**
 * Runs a statement.
 *
 * @param {Target} target
 * @param {string | undefined} sql
 * @param {readonly unknown[] | null | undefined} params
 * @param {Decoders} decoders
 * @param {Manner} [manner]
 * @returns {Promise<InstanceType<typeof StatementAnswer>>} rejects with the engine's fields or with what a parser threw
 */
function execute(target, sql, params, decoders, manner = PLAIN) {
  if (manner.wholeMs !== undefined) return executeInTime(target, sql, params, decoders, manner);
  if (manner.signal !== undefined) return executeAbortable(target, sql, params, decoders, manner);
  return new Promise((resolve, reject) => {
    ask(target, sql, params, decoders, manner, new StatementAnswer(decoders, resolve, reject));
  });
}

/**
 * In what is left of a limit.
 * @param {Target} target @param {string | undefined} sql @param {readonly unknown[] | null | undefined} params
 * @param {Decoders} decoders @param {Manner} manner
 */
async function executeInTime(target, sql, params, decoders, { wholeMs, ...manner }) {
  try {
    return await execute(target, sql, params, decoders, manner);
  } catch (reason) {
    throw wholeLimits().inFull(reason, wholeMs);
  }
}

/**
 * As `send`, for answers that look types up where the statement runs.
 * @param {Target} target @param {string | undefined} sql @param {readonly unknown[] | null | undefined} params
 * @param {Decoders} decoders @param {Manner | undefined} manner @param {InstanceType<typeof StatementAnswer>} answer
 */
function ask(target, sql, params, decoders, manner = PLAIN, answer) {
  if (manner !== PLAIN || target.about.isSession) answer.askedOf(target, manner);
  return send(target, sql, params, decoders, manner, answer);
}

/**
 * @param {Target} target @param {string | undefined} sql @param {readonly unknown[] | null | undefined} params
 * @param {Decoders} decoders @param {Manner} manner
 * @returns {Promise<InstanceType<typeof StatementAnswer>>}
 */
async function executeAbortable(target, sql, params, decoders, manner) {
  const signal = /** @type {AbortSignal} */ (manner.signal);
  const { hearAbort, throwIfAborted } = abortHearers();
  throwIfAborted(signal);
  let stopHearing = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const answer = new StatementAnswer(decoders, resolve, reject);
      const id = ask(target, sql, params, decoders, manner, answer);
      const giveUp = () => mailbox.cancel(target, id, answer);
      stopHearing = hearAbort(signal, giveUp);
      // By a toJSON among the parameters, which has just run.
      if (signal.aborted) giveUp();
    });
  } catch (error) {
    // The signal's own reason is thrown as it is, but a doubt about the outcome is never hidden by it.
    const { kind, outcome } = /** @type {{ kind?: string, outcome?: string }} */ (error ?? {});
    // And `end` cancels too.
    const isGivenUp = kind === 'cancelled' && outcome !== 'unknown' && signal.aborted;
    throw isGivenUp ? signal.reason : error;
  } finally {
    stopHearing();
  }
}

module.exports = { ask, execute, send };
