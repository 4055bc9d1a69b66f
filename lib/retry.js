// withRetry: calls a function again while its errors are transient.
'use strict';

const { aborted, settledOrAborted, throwIfAborted } = require('./abort-hearers.js');
const { argumentError } = require('./error-classes.js');
const { callHook, decided } = require('./hooks.js');
const { inRange, notBelowZero, number, timerMs } = require('./infra-options.js');
const { callback, flag, readOptions, signal } = require('./option-rules.js');
const { isOutcomeUnknown, isTransientError } = require('./transient.js');

/** @import { RetryOptions } from '../types/resilience.js' */

const DEFAULT_CAP_MS = 30_000;

const RETRY_OPTIONS = Object.freeze({
  maxAttempts: number,
  delayMs: number,
  maxDelayMs: number,
  backoff: flag,
  jitterFactor: number,
  shouldRetry: callback,
  onRetry: callback,
  signal,
  maxElapsedMs: number,
  idempotent: flag,
});

/** @param {unknown} given */
function readRetryOptions(given) {
  const read = readOptions(RETRY_OPTIONS, given);
  const {
    maxAttempts = 3,
    delayMs = 1000,
    maxDelayMs = Math.max(DEFAULT_CAP_MS, delayMs),
    backoff = true,
    jitterFactor = 0.25,
    maxElapsedMs = Number.POSITIVE_INFINITY,
    shouldRetry = isTransientError,
    onRetry,
    signal: abort,
    idempotent = false,
  } = read;
  checkAttempts(maxAttempts);
  notBelowZero('delayMs', delayMs);
  inRange('maxDelayMs', maxDelayMs, (ms) => ms >= 0, 'a number not below 0 (milliseconds)');
  if (maxDelayMs < delayMs) {
    throw refusal(
      'maxDelayMs',
      `maxDelayMs (${maxDelayMs}) must be greater than or equal to delayMs (${delayMs})`,
    );
  }
  inRange('jitterFactor', jitterFactor, (share) => share >= 0 && share <= 1, 'from 0 to 1');
  inRange('maxElapsedMs', maxElapsedMs, (ms) => ms >= 0, 'a number not below 0 (milliseconds)');
  return {
    ...{ maxAttempts, delayMs, maxDelayMs, backoff, jitterFactor, maxElapsedMs },
    ...{ shouldRetry, onRetry, signal: abort, idempotent },
  };
}

/** @param {number} value */
function checkAttempts(value) {
  if (value >= 1 && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY)) return;
  const wanted = value >= 1 ? 'a whole number' : 'at least 1';
  throw refusal('maxAttempts', `maxAttempts must be ${wanted}, got ${value}`);
}

/** @param {string} option @param {string} message */
function refusal(option, message) {
  return argumentError(new RangeError(message), { code: 'ERR_CONFIG', option });
}

/**
 * @template T
 * @param {() => Promise<T>} fn
 * @param {RetryOptions} [options]
 * @returns {Promise<T>}
 */
async function withRetry(fn, options) {
  if (typeof fn !== 'function') throw new TypeError(`fn must be a function, got ${typeof fn}`);
  const read = readRetryOptions(options);
  const { shouldRetry, onRetry, maxAttempts, maxElapsedMs, idempotent } = read;
  const start = performance.now();
  // Waits are added up too, so that simulated timers count like real ones.
  let waited = 0;
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(read.signal);
    try {
      return await settledOrAborted(fn, read.signal);
    } catch (error) {
      throwIfAborted(read.signal);
      const isOpen = !idempotent && isOutcomeUnknown(error);
      if (attempt >= maxAttempts || isOpen || !decided(shouldRetry, [error], false)) throw error;
      const delay = delayAfter(attempt, read);
      const elapsed = Math.max(waited, performance.now() - start);
      if (elapsed + delay > maxElapsedMs) throw error;
      callHook(onRetry, [attempt, error]);
      await pause(delay, read.signal);
      waited += delay;
      // A blocked event loop, or a frozen process, has made it longer than it was meant.
      if (performance.now() - start > maxElapsedMs) throw error;
    }
  }
}

/** @param {number} attempt from 1 @param {ReturnType<typeof readRetryOptions>} options */
function delayAfter(attempt, { delayMs, maxDelayMs, backoff, jitterFactor }) {
  // Doubled a thousand times it is infinite, and no time at all times infinity would be no number.
  const factor = backoff ? Math.min(2 ** (attempt - 1), Number.MAX_VALUE) : 1;
  const plain = delayMs * factor;
  const capped = Math.min(plain, maxDelayMs, Number.MAX_VALUE);
  const jitter = capped * jitterFactor * (Math.random() * 2 - 1);
  return Math.min(capped + jitter, maxDelayMs);
}

/** @param {number} ms @param {AbortSignal | undefined} signal */
async function pause(ms, signal) {
  const { promise, dispose } =
    signal === undefined ? { promise: undefined, dispose: undefined } : aborted(signal);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const time = new Promise((resolve) => {
    timer = setTimeout(resolve, timerMs(ms), undefined);
  });
  try {
    await (promise ? Promise.race([time, promise]) : time);
  } finally {
    clearTimeout(timer);
    dispose?.();
  }
}

/**
 * @template {unknown[]} A
 * @template T
 * @param {(...args: A) => Promise<T>} fn
 * @param {RetryOptions} [options]
 * @returns {(...args: A) => Promise<T>}
 */
function createRetryWrapper(fn, options) {
  return (...args) => withRetry(() => fn(...args), options);
}

module.exports = { createRetryWrapper, withRetry };
