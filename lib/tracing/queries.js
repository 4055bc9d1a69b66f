// Statements on their way, told of from being asked for to the last row.
'use strict';

const { fromNative } = require('../errors.js');
const { FLAG, OPERATION } = require('../mailbox.js');
const { channels, isHeard } = require('./channels.js');
const { begin, finish, past } = require('./telling.js');
const { AcquireTrace, QueryTrace, now } = require('./traces.js');

/** @import { Answer, Target } from '../../types/internal.js' */
/** @import { LogEvent } from '../../types/pool-extras.js' */
/** @import { Manner } from '../request.js' */
/** @typedef {InstanceType<typeof import('./traces.js').TransactionTrace>} TransactionTrace */
/** @typedef {InstanceType<typeof QueryTrace>} OneTrace */

const { query, acquire } = channels;

/** What each operation is a statement of; the others go on with one. */
const KINDS = /** @type {Record<number, OneTrace['kind']>} */ ({
  [OPERATION.EXECUTE]: 'query',
  [OPERATION.SIMPLE]: 'query',
  [OPERATION.COPY]: 'copy',
  [OPERATION.OPEN]: 'stream',
  [OPERATION.CURSOR_OPEN]: 'stream',
});
/** @type {Set<number>} */
const GOING_ON = new Set([OPERATION.FETCH, OPERATION.CURSOR_FETCH]);
/** @type {Set<number>} */
const CLOSING = new Set([OPERATION.CLOSE, OPERATION.CURSOR_CLOSE]);

/** Transactions that are told of, by their session. @type {WeakMap<Target, TransactionTrace>} */
const transactions = new WeakMap();
/** Rows that come in batches, by where they come from and their portal. @type {WeakMap<Target, Map<number, OneTrace>>} */
const open = new WeakMap();
/** Sessions that have their connection. @type {WeakSet<Target>} */
const placed = new WeakSet();

/**
 * As `work`, which asks for the statement, and tells of it.
 * @param {Target} target @param {string | undefined} sql @param {number} parameterCount @param {Manner} manner
 * @param {Answer} answer @param {() => number} work
 */
function traced(target, sql, parameterCount, manner, answer, work) {
  const operation = manner.operation ?? OPERATION.EXECUTE;
  const kind = KINDS[operation];
  const portals = open.get(target);
  if (((manner.flags ?? 0) & FLAG.FINISH) !== 0 && portals !== undefined) {
    for (const left of portals.values()) over(left);
    open.delete(target);
  }
  const portal = manner.portal ?? 0;
  if (kind === undefined) {
    const trace = portals?.get(portal);
    if (trace === undefined) return work();
    if (CLOSING.has(operation)) {
      portals?.delete(portal);
      over(trace);
    } else if (GOING_ON.has(operation)) {
      watch(answer, trace, target, portal, undefined);
    }
    return work();
  }
  // An empty text is how a connection is given back.
  if (!sql) return work();
  const trace = new QueryTrace(target.about, sql, kind, parameterCount);
  trace.transaction = transactions.get(target);
  hear(target, trace, manner.attempt);
  watch(answer, trace, target, portal, manner.signal);
  try {
    return begin(query, trace, work);
  } catch (error) {
    QueryTrace.told(trace);
    throw error;
  }
}

/**
 * A promise, because what follows on one runs in the context of whoever is asking now.
 * @param {Target} target @param {OneTrace} trace @param {number} [attempt]
 */
function hear({ about }, trace, attempt = 1) {
  const { told } = about;
  if (told === undefined) return;
  new Promise((resolve) => {
    QueryTrace.tell(trace, resolve);
  }).then(() => told(eventOf(trace, attempt)));
}

/** @param {OneTrace} trace @param {number} attempt */
function eventOf(trace, attempt) {
  const { sql, durationMs = 0, waitMs = 0, host, port, command, rowCount, error } = trace;
  const executeMs = Math.max(0, durationMs - waitMs);
  /** @type {{ -readonly [K in keyof LogEvent]: LogEvent[K] }} */
  const event = { sql, durationMs: Math.round(durationMs), attempt, acquireMs: waitMs, executeMs };
  // Only what is known is there: one by one, because spreading costs microseconds.
  if (host !== undefined) event.host = port === undefined ? host : `${host}:${port}`;
  if (command !== undefined) event.command = command;
  if (error !== undefined) event.error = error;
  if (rowCount !== null) event.rowCount = rowCount;
  return event;
}

/** @param {OneTrace} trace @param {unknown} [error] @param {() => void} [settle] */
function over(trace, error, settle) {
  if (trace.durationMs !== undefined) {
    settle?.();
    return;
  }
  trace.end(error);
  QueryTrace.told(trace);
  finish(query, trace, settle);
}

/**
 * Ends what had more rows to come on a connection that is gone.
 * @param {Target} target @param {any} [reason] why it is
 */
function abandon(target, reason) {
  const portals = open.get(target);
  if (portals === undefined) return;
  open.delete(target);
  const error = reason ? fromNative(reason, target.about.face) : undefined;
  for (const trace of portals.values()) over(trace, error);
}

/**
 * Has the answer tell its trace what comes. Its own methods do their work all the same.
 * @param {any} answer @param {OneTrace} trace @param {Target} target @param {number} portal
 * @param {AbortSignal | undefined} signal
 */
function watch(answer, trace, target, portal, signal) {
  const { complete, done, fail, refuse, settle } = answer;
  const face = target.about?.face ?? 'cluster';
  answer.placed = (/** @type {number} */ waitMs, /** @type {string} */ place) => {
    trace.at(place);
    if (target.about?.isPool && !placed.has(target)) {
      if (target.about.isSession) placed.add(target);
      trace.waitMs ??= waitMs;
      tellAcquired(trace, target, undefined);
    }
  };
  answer.complete = (
    /** @type {number} */ shape,
    /** @type {string | undefined} */ command,
    /** @type {number} */ affected,
  ) => {
    complete.call(answer, shape, command, affected);
    trace.command = command ?? answer.result?.command;
    // The tag of a portal counts its last batch, and of several statements each has its own.
    if (!Number.isNaN(affected)) trace.rowCount = (trace.rowCount ?? 0) + affected;
  };
  const ended = (/** @type {unknown} */ reason, /** @type {() => void} */ settled) => {
    const error = reason === undefined ? undefined : errorOf(reason, face, signal);
    if (isUnplaced(reason)) tellAcquired(trace, target, error);
    open.get(target)?.delete(portal);
    over(trace, error, settled);
  };
  if (settle === undefined) {
    answer.done = () => ended(undefined, () => done.call(answer));
    answer.fail = (/** @type {unknown} */ fields) => ended(fields, () => fail.call(answer, fields));
    return;
  }
  answer.refuse = (/** @type {unknown} */ reason) =>
    ended(reason ?? new Error('a type parser threw nothing'), () => refuse.call(answer, reason));
  answer.settle = () => {
    if (!answer.isSuspended) {
      ended(undefined, () => settle.call(answer));
      return;
    }
    // There are more rows: it goes on with the next batch.
    trace.rowCount = (trace.rowCount ?? 0) + answer.result.rows.length;
    const portals = open.get(target) ?? new Map();
    open.set(target, portals.set(portal, trace));
    settle.call(answer);
  };
}

/**
 * What the caller gets, who is given the signal's own reason (lib/request.js).
 * @param {any} reason @param {import('../../types/native-error.js').Face} face @param {AbortSignal | undefined} signal
 * @returns {Error}
 */
function errorOf(reason, face, signal) {
  const isGivenUp = reason?.kind === 'cancelled' && reason.outcome !== 'unknown' && signal?.aborted;
  return isGivenUp && signal.reason instanceof Error ? signal.reason : fromNative(reason, face);
}

/** Did it get no connection in time? @param {any} reason */
function isUnplaced(reason) {
  return reason?.kind === 'acquire' || (reason?.kind === 'timeout' && reason.phase === 'acquire');
}

/** @param {OneTrace} trace @param {Target} target @param {Error | undefined} error */
function tellAcquired(trace, target, error) {
  if (!isHeard(acquire)) return;
  const acquired = new AcquireTrace(target.about);
  acquired.startTime = trace.startTime;
  acquired.durationMs = error === undefined ? trace.waitMs : now() - trace.startTime;
  acquired.error = error;
  acquired.query = trace;
  const { host, port, address } = trace;
  if (error === undefined) Object.assign(acquired, { host, port, address });
  past(acquire, acquired);
}

module.exports = { abandon, traced, transactions };
