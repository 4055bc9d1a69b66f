// CircuitBreaker: stops calling what keeps failing, and tries one call after a while.
'use strict';

const { isAbortReason } = require('./abort-hearers.js');
const { PgError } = require('./error-classes.js');
const { callHook, decided, messageOf } = require('./hooks.js');
const { aboveZero, inRange, logger, notBelowZero, number } = require('./infra-options.js');
const { loggerOf } = require('./infra-logger.js');
const { callback, readOptions } = require('./option-rules.js');
const { isTransientError } = require('./transient.js');

/** @import * as api from '../types/resilience.js' */

const BREAKER_OPTIONS = Object.freeze({
  threshold: number,
  resetTimeMs: number,
  probeTimeoutMs: number,
  isFailure: callback,
  onStateChange: callback,
  logger,
});

const DEFAULT_RESET_MS = 60_000;

/** Classes of SQLSTATE that speak of the server's state: connection, resources, operator, system, configuration, bug. */
const SERVER_TROUBLE = new Set(['08', '53', '57', '58', 'F0', 'XX']);
const SQLSTATE = /^[0-9A-Z]{5}$/;
const ABORT_CODES = new Set(['ABORT_ERR', 'ERR_CANCELLED']);

/** @implements {api.CircuitBreakerError} */
class CircuitBreakerError extends PgError {
  /** @override @type {string} */
  code = 'DB_CONNECTION_FAILED';

  /** @param {string} message @param {{ retryAfterMs?: number, detail?: string }} [details] */
  constructor(message, { retryAfterMs = 0, detail } = {}) {
    super(message);
    this.name = 'CircuitBreakerError';
    this.retryAfterMs = retryAfterMs;
    /** @type {string | undefined} */
    this.detail = detail;
  }

  toJSON() {
    const { name, message, code, detail } = this;
    return { name, message, code, detail };
  }
}

/**
 * An answer of the server about one statement says that the server works; everything else counts, bugs included.
 * @param {any} error
 */
function countsByDefault(error) {
  const code = error?.code;
  if (error?.name === 'AbortError' || ABORT_CODES.has(code)) return false;
  // Five letters that are a system error's (`EPIPE`) are no SQLSTATE.
  if (typeof code === 'string' && SQLSTATE.test(code) && !/^E[A-Z]{4}$/.test(code)) {
    return SERVER_TROUBLE.has(code.slice(0, 2));
  }
  // Programs stop the rest of their work with what a part of it failed with: that is no less a failure.
  return !isAbortReason(error) || error instanceof PgError || isTransientError(error);
}

/** @implements {api.CircuitBreaker} */
class CircuitBreaker {
  #threshold;
  #resetTimeMs;
  #probeTimeoutMs;
  #isFailure;
  #onStateChange;
  #logger;
  /** @type {api.CircuitState} */
  #state = 'closed';
  #failures = 0;
  /** @type {number | undefined} */
  #lastFailureTime;
  /** The same moment on the clock that nobody sets. */
  #lastFailureTick = 0;
  /** When the probe under way began; undefined without one. @type {number | undefined} */
  #probeSince;
  #probeTick = 0;
  /** Counts changes of state and of probe: a call speaks only for the period it began in. */
  #period = 0;

  /** @param {number | api.CircuitBreakerOptions} [given] @param {number} [resetTimeMs] */
  constructor(given, resetTimeMs) {
    const options =
      typeof given === 'object' && given !== null ? given : withReset(given, resetTimeMs);
    const read = readOptions(BREAKER_OPTIONS, options);
    this.#threshold = inRange(
      'threshold',
      read.threshold ?? 5,
      (value) => Number.isInteger(value) && value >= 1,
      'a whole number of at least 1',
    );
    this.#resetTimeMs = notBelowZero('resetTimeMs', read.resetTimeMs ?? DEFAULT_RESET_MS);
    this.#probeTimeoutMs =
      read.probeTimeoutMs === undefined
        ? this.#resetTimeMs || DEFAULT_RESET_MS
        : aboveZero('probeTimeoutMs', read.probeTimeoutMs);
    this.#isFailure = read.isFailure ?? countsByDefault;
    this.#onStateChange = read.onStateChange;
    this.#logger = read.logger && loggerOf(read.logger);
  }

  /**
   * @template T
   * @param {() => Promise<T>} fn
   * @returns {Promise<T>}
   */
  async execute(fn) {
    const period = this.#admit();
    let value;
    try {
      value = await fn();
    } catch (error) {
      if (period === this.#period) this.#settled(this.#counts(error));
      throw error;
    }
    if (period === this.#period) this.#settled(false);
    return value;
  }

  /** Lets a call through and says to which period it belongs, or throws. */
  #admit() {
    if (this.#state === 'closed') return this.#period;
    if (this.#state === 'open') {
      const left = this.#resetTimeMs - this.#since(this.#lastFailureTime, this.#lastFailureTick);
      if (left > 0)
        throw new CircuitBreakerError('Circuit breaker is open', { retryAfterMs: left });
      // The hook may call back: by then this call is the probe.
      return this.#change('half-open', true);
    }
    if (this.#probeSince !== undefined) {
      const left = this.#probeTimeoutMs - this.#since(this.#probeSince, this.#probeTick);
      if (left > 0) {
        const message = 'Circuit breaker is testing recovery';
        throw new CircuitBreakerError(message, { retryAfterMs: left });
      }
      this.#period++;
    }
    this.#beginProbe();
    return this.#period;
  }

  #beginProbe() {
    this.#probeSince = Date.now();
    this.#probeTick = performance.now();
  }

  /** @param {boolean} isFailure what the call of the present period came to */
  #settled(isFailure) {
    if (!isFailure) {
      this.#failures = 0;
      this.#change('closed');
      return;
    }
    this.#failures = Math.min(this.#failures + 1, this.#threshold);
    this.#stamp();
    if (this.#state === 'half-open' || this.#failures >= this.#threshold) this.#change('open');
  }

  /** @param {unknown} error */
  #counts(error) {
    return decided(this.#isFailure, [error], true, (problem) => {
      this.#logger?.error(`isFailure threw: ${messageOf(problem)}`);
    });
  }

  #stamp() {
    this.#lastFailureTime = Date.now();
    this.#lastFailureTick = performance.now();
  }

  /**
   * Milliseconds since then. The wall clock, because simulated timers move it, unless it was set back.
   * @param {number | undefined} time @param {number} tick
   */
  #since(time, tick) {
    return Math.max(Date.now() - (time ?? 0), performance.now() - tick);
  }

  /**
   * @param {api.CircuitState} state @param {boolean} [isProbing] whoever finds it changed is its probe
   * @returns {number} the period that began, whatever the hook makes of it
   */
  #change(state, isProbing = false) {
    const previous = this.#state;
    if (previous === state) return this.#period;
    this.#state = state;
    const period = ++this.#period;
    this.#probeSince = undefined;
    if (isProbing) this.#beginProbe();
    callHook(this.#onStateChange, [state, previous], (error) => {
      this.#logger?.error(`onStateChange threw: ${messageOf(error)}`);
    });
    return period;
  }

  getState() {
    return {
      state: this.#state,
      failures: this.#failures,
      lastFailureTime: this.#lastFailureTime,
      isTestingHalfOpen: this.#probeSince !== undefined,
    };
  }

  isOpen() {
    return this.#state === 'open';
  }

  isClosed() {
    return this.#state === 'closed';
  }

  reset() {
    this.#failures = 0;
    this.#lastFailureTime = undefined;
    this.#period++;
    this.#change('closed');
    return Promise.resolve();
  }

  forceOpen() {
    this.#failures = this.#threshold;
    this.#stamp();
    this.#change('open');
    return Promise.resolve();
  }
}

/** @param {number | undefined} threshold @param {number | undefined} resetTimeMs */
function withReset(threshold, resetTimeMs) {
  return { threshold, resetTimeMs };
}

module.exports = { CircuitBreaker, CircuitBreakerError };
