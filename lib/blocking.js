// A statement for which the thread is blocked until its answer is there.
'use strict';

const { BlockingAnswer } = require('./answer.js');
const { OutcomeUnknownError } = require('./error-classes.js');
const { FLAG, wait } = require('./mailbox.js');
const queryable = require('./queryable.js');
const { send } = require('./request.js');

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */

/** A blocking call without a time limit of its own ends after this. */
const DEFAULT_MS = 30_000;
/** How much longer than its statement a blocking call waits: the time a cancel may take. */
const GRACE_MS = 3000;

/**
 * @param {Target} target @param {Reading} reading @param {number | undefined} maxMs of statements that have no limit
 * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} read
 * @returns {InstanceType<typeof BlockingAnswer>}
 */
function block(target, reading, maxMs, sql, params, read) {
  const decoders = queryable.decodersOf(reading, read);
  const timeoutMs = read.timeoutMs ?? maxMs ?? DEFAULT_MS;
  /** @type {unknown} */
  let failure;
  let hasFailed = false;
  const answer = new BlockingAnswer(
    decoders,
    () => {},
    (reason) => {
      failure = reason;
      hasFailed = true;
    },
  );
  const until = performance.now() + timeoutMs;
  const manner = { timeoutMs, flags: reading.exactlyOnce ? FLAG.PROBE : 0 };
  const begin = () => send(target, sql, params, decoders, manner, answer);
  if (!wait(begin, () => answer.isDone, timeoutMs + GRACE_MS)) {
    const message = `querySync: the engine did not answer within ${timeoutMs + GRACE_MS}ms`;
    throw new OutcomeUnknownError(message, { code: 'IN_DOUBT' });
  }
  if (hasFailed) throw queryable.asError(failure, sql);
  answer.finish(() => {
    const left = Math.max(1, Math.ceil(until - performance.now()));
    const limits = /** @type {const} */ ({ types: 'lossless', rowMode: 'object', timeoutMs: left });
    const lookUp = (/** @type {string} */ text, /** @type {unknown[]} */ values) =>
      block(target, reading, maxMs, text, values, limits).result.rows;
    reading.catalog?.lookUpBlocking(decoders.unknown(answer.heldShapes()), lookUp);
  });
  if (hasFailed) throw queryable.asError(failure, sql);
  return answer;
}

module.exports = { block };
