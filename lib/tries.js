// Statements that are tried again; what one try has left open stays open, whatever becomes of the later ones.
'use strict';

const { Backoff } = require('./backoff.js');
const {
  AcquireTimeoutError,
  CancelledError,
  NotReplicatedError,
  OutcomeUnknownError,
  TimeoutError,
} = require('./errors.js');

const { inFull } = require('./whole-limit.js');

/** @import { Policy } from './backoff.js' */

/**
 * @typedef {{
 *   retry: Policy & { maxAttempts: number },
 *   signal: AbortSignal | undefined,
 *   onRetry: () => void,
 *   mayTwice: boolean,
 *   isHarmless: (error: any) => boolean,
 *   waitsOnce: boolean,
 *   timeoutMs: number | undefined,
 * }} Terms `mayTwice`: its effect is welcome twice, or there is none the second time; `isHarmless`: this try has changed nothing,
 *   though its answer was lost; `waitsOnce`: whoever waited for a connection in vain gives up;
 *   `timeoutMs`: of all tries together
 */

/**
 * May a statement that does nothing the second time be sent again? Not when its caller gave up; and not when its row is
 * there without a standby: the second one would find it, write nothing, and be acknowledged at once.
 * @param {any} error
 */
function mayTryAgain(error) {
  if (error instanceof NotReplicatedError) return false;
  const cause = error?.outcomeUnknown ? error.cause : error;
  if (cause instanceof TimeoutError || cause instanceof CancelledError) return false;
  return error?.outcomeUnknown === true || error?.transient === true || error?.code === '25006';
}

/**
 * The error of the last try, unless an earlier one may have taken effect.
 * @param {any} last @param {any} open
 */
function verdict(last, open) {
  if (open === undefined || last?.outcomeUnknown === true) return last;
  const message = `${open.message}; tried again: ${last?.message ?? last}`;
  const cause = new AggregateError(
    [open, last],
    'a try whose outcome is unknown, and the last one',
  );
  return new OutcomeUnknownError(message, { code: 'IN_DOUBT', host: open.host, cause });
}

/**
 * @template T
 * @param {(attempt: number, timeoutMs: number | undefined) => Promise<T>} ask within what is left of the time
 * @param {Terms} terms
 * @returns {Promise<T>}
 */
async function tryUntilDone(ask, terms) {
  const { retry, signal, onRetry, mayTwice, isHarmless, waitsOnce, timeoutMs } = terms;
  const backoff = new Backoff(retry);
  const until = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY);
  let left = timeoutMs;
  /** @type {unknown} */
  let open;
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask(attempt, left);
    } catch (/** @type {any} */ error) {
      const isOpen = error?.outcomeUnknown === true && !isHarmless(error);
      if (isOpen) open ??= error;
      const isLast = attempt >= retry.maxAttempts || (isOpen && !mayTwice);
      const hasWaited = waitsOnce && error instanceof AcquireTimeoutError;
      const delay = backoff.delay(attempt);
      const isLate = performance.now() + delay >= until;
      if (isLast || isLate || hasWaited || !mayTryAgain(error))
        throw verdict(inFull(error, timeoutMs), open);
      onRetry();
      await backoff.sleep(delay, signal).catch((reason) => {
        throw verdict(reason, open);
      });
    }
    if (timeoutMs !== undefined) left = Math.max(1, Math.ceil(until - performance.now()));
  }
}

module.exports = { tryUntilDone };
