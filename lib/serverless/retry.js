// What is tried again, and after how long: the predecessor's table, the finer decision, and one budget per call.
'use strict';

const { hearAbort } = require('../abort-hearers.js');
const { effectsOf, firstWord } = require('../sql-effects.js');

/** @import { NativeError } from '../../types/native-error.js' */

/** Source: pg-aequor 0.1.4; test/vectors/retry.json. */
const RETRYABLE = new Set(
  [
    'ECONNRESET EPIPE ETIMEDOUT ECONNREFUSED ENETUNREACH EHOSTUNREACH EAI_AGAIN ECONNABORTED EADDRINUSE',
    '57P01 57P02 57P03 53300',
  ].flatMap((codes) => codes.split(' ')),
);
const CONNECTION_FAILURE = /^08[0-9A-Z]{3}$/;
const MESSAGES = ['Connection terminated unexpectedly', 'sorry, too many clients already'];

/** Said by poolers under 08P01 for what no later attempt can mend (rule SC-13). */
const SET_UP_WRONG =
  /config error|no such (database|user)|database .* (does not exist|not found)|authentication|password|unsupported|not allowed|not support/i;

/** First words of statements that may be repeated where nothing can be written (rule SC-1). */
const READS = new Set(['SELECT', 'WITH', 'VALUES', 'TABLE', 'SHOW', 'EXPLAIN']);

// biome-ignore lint/complexity/noStaticOnlyClass: the predecessor's programs know it as a class.
class RetryStrategy {
  /** The predecessor's answer, which knows nothing of the statement. @param {any} err */
  static isRetryable(err) {
    if (err === null || err === undefined) return false;
    for (const code of [err.code, err.sqlstate]) {
      if (RETRYABLE.has(code) || CONNECTION_FAILURE.test(code)) return true;
    }
    const message = String(err.message ?? '');
    return MESSAGES.some((text) => message.includes(text));
  }

  /**
   * Decorrelated jitter: a uniform integer from `base` to three times the previous delay, at most `cap`.
   * @param {number} baseMs @param {number} capMs @param {number} [previousDelayMs] of the same call
   */
  static getBackoff(baseMs, capMs, previousDelayMs) {
    const most = 3 * (previousDelayMs || baseMs);
    const drawn = baseMs + Math.floor(Math.random() * (most - baseMs + 1));
    return Math.min(capMs, Math.max(drawn, baseMs));
  }
}

/** What drivers under `library` say, without a code, of a server that did not answer in time. */
const CONNECT_TIMEOUT = /^(timeout expired|Connection terminated due to connection timeout)$/;

/** May connecting be tried again after this error? @param {any} err */
function mayConnectAgain(err) {
  if (err?.code === '08P01') return !SET_UP_WRONG.test(String(err.message));
  if (err?.phase === 'connect' || CONNECT_TIMEOUT.test(String(err?.message))) return true;
  // Of several hosts none was there.
  if (err?.code === 'ERR_ACQUIRE_TIMEOUT' && err.cause) return mayConnectAgain(err.cause);
  return err?.code === '57P05' || err?.code === '25P03' || RetryStrategy.isRetryable(err);
}

/** What the server says to a repeated read that would write (rule SC-1). */
const WROTE = new Set(['25006', '25001', '42601']);

/** @param {any} error of the repetition */
function hasWritten(error) {
  return WROTE.has(error?.code);
}

/**
 * What is done about a statement that failed (the phases of rule SC-1).
 * @param {NativeError | Error} cause what the engine said
 * @param {Error} error what the caller would hear
 * @param {{ text: string, isWithin: boolean }} request
 * @param {{ mode: 'safe' | 'legacy' | 'never', isIdempotent: boolean }} wish
 * @returns {'no' | 'again' | 'read-only'}
 */
function decide(cause, error, request, { mode, isIdempotent }) {
  const { kind, outcome } = /** @type {Partial<NativeError>} */ (cause ?? {});
  if (cause instanceof Error || request.isWithin || kind === 'doubt') return 'no';
  if (kind === 'lost' || kind === 'closed' || kind === 'protocol') {
    if (outcome === 'not-sent') return 'again';
    if (mode === 'never' || outcome === 'failed') return 'no';
    if (mode === 'legacy') return RetryStrategy.isRetryable(error) ? 'again' : 'no';
    if (effectsOf(request.text).some((effect) => effect !== 'other')) return 'no';
    if (isIdempotent) return 'again';
    // As far as it tells: the server has the last word.
    return READS.has(firstWord(request.text)) ? 'read-only' : 'no';
  }
  return mode === 'legacy' && RetryStrategy.isRetryable(error) ? 'again' : 'no';
}

/** Attempts and time of one call (rule SC-20), which ends with its client. */
class Budget {
  #options;
  #closing;
  #started = performance.now();
  #limitMs;
  #delay = 0;
  #connects = 0;
  #sends = 0;

  /**
   * @param {{ retries: number, runs?: number, minBackoff: number, maxBackoff: number }} options `runs`: for sendings, where
   *   these have a number of their own
   * @param {number} limitMs 0: no limit
   * @param {AbortSignal} closing fires when the client is closed under the call
   */
  constructor(options, limitMs, closing) {
    this.#options = options;
    this.#closing = closing;
    this.#limitMs = limitMs || Number.POSITIVE_INFINITY;
  }

  get isClosed() {
    return this.#closing.aborted;
  }

  get leftMs() {
    return this.isClosed ? 0 : this.#limitMs - (performance.now() - this.#started);
  }

  /** Waits, but not for a client that is closed. @param {number} ms @returns {Promise<void>} */
  pause(ms) {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(over, ms);
      const stopHearing = hearAbort(this.#closing, over);
      function over() {
        clearTimeout(timer);
        stopHearing();
        resolve();
      }
    });
  }

  /** Attempts of its own in the time that is left. */
  rest() {
    return new Budget(this.#options, Math.max(1, this.leftMs), this.#closing);
  }

  countConnect() {
    this.#connects++;
  }

  /** @param {'connects' | 'sends'} what @returns {boolean} */
  allows(what) {
    const { retries, runs = retries } = this.#options;
    const isLeft = what === 'connects' ? this.#connects <= retries : this.#sends <= runs;
    return isLeft && this.leftMs > 0;
  }

  /** A sending failed: may there be another, for which a connection has to be opened if there is none? @param {boolean} [isConnected] */
  allowsAnother(isConnected = false) {
    this.#sends++;
    return this.allows('sends') && (isConnected || this.allows('connects'));
  }

  /** Attempts to connect, or sendings, that failed so far. @param {'connects' | 'sends'} what */
  count(what) {
    return what === 'connects' ? this.#connects : this.#sends;
  }

  /** The next delay, cut to what is left. @param {number} [leftMs] of who has most, where several wait */
  delay(leftMs = this.leftMs) {
    const { minBackoff, maxBackoff } = this.#options;
    this.#delay = RetryStrategy.getBackoff(minBackoff, maxBackoff, this.#delay);
    return Math.max(0, Math.min(this.#delay, Math.ceil(leftMs)));
  }
}

module.exports = { Budget, RetryStrategy, decide, hasWritten, mayConnectAgain };
