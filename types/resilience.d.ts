// pg-berth/resilience: retry and circuit breaker, for any driver.

import type { PgError } from './errors.js';
import type { Logger } from './logger.js';

/** Options of `withRetry`. Times in milliseconds. */
export interface RetryOptions {
  /** All attempts, the first included: a whole number of at least 1, or `Infinity`. Default 3. */
  maxAttempts?: number;
  /** The first delay, from 0. Default 1000. */
  delayMs?: number;
  /** No delay is longer; not below `delayMs`, perhaps `Infinity`. Default: the larger of 30 000 and `delayMs`. */
  maxDelayMs?: number;
  /** true: the delay doubles; false: it is always `delayMs`. Default true. */
  backoff?: boolean;
  /** The delay is spread evenly over plus or minus this share, 0 to 1. Default 0.25. */
  jitterFactor?: number;
  /** May this error go away? Default `isTransientError`. What throws, or gives a promise, says no. */
  shouldRetry?: (error: unknown) => boolean;
  /** Before a wait; `attempt` is the number of the one that failed, from 1. What it throws is dropped. */
  onRetry?: (attempt: number, error: unknown) => void;
  /** Rejects at once with its reason and starts no further attempt. */
  signal?: AbortSignal;
  /** No attempt begins later than this after the first, not even when a wait took longer than planned. Default: no limit. */
  maxElapsedMs?: number;
  /**
   * true: an error with `outcomeUnknown` may be retried, because doing `fn` twice is harmless. Default false: what may
   * have taken effect is not done again, whatever `shouldRetry` says.
   */
  idempotent?: boolean;
}

/**
 * Calls `fn`, and again after errors that may go away. An error that is not retried, and that of the last attempt, is
 * rethrown as the same object.
 *
 * Serialization failures (`40001`) and deadlocks (`40P01`) concern the whole transaction: retry the function that runs
 * the transaction, never a statement inside it.
 * @example
 * const total = await withRetry(() => pool.transaction(async (tx) => move(tx, 100)), { maxAttempts: 5 });
 */
export function withRetry<T>(fn: () => Promise<T>, options?: RetryOptions): Promise<T>;

/** A function that calls `fn` with its arguments through `withRetry`. */
export function createRetryWrapper<A extends unknown[], T>(
  fn: (...args: A) => Promise<T>,
  options?: RetryOptions,
): (...args: A) => Promise<T>;

/**
 * May waiting help? For errors of this package: what they say in `transient`. For others: a known `code` or `number` of
 * PostgreSQL, MySQL, SQLite, SQL Server or the network, also behind `cause`, and in `errors` when all of them are.
 */
export function isTransientError(error: unknown): boolean;

export type CircuitState = 'closed' | 'open' | 'half-open';

export interface CircuitBreakerState {
  state: CircuitState;
  /** Consecutive failures, at most `threshold`. */
  failures: number;
  /** Milliseconds since 1970. */
  lastFailureTime: number | undefined;
  /** A probe is under way. */
  isTestingHalfOpen: boolean;
}

/** Options of `CircuitBreaker`. Times in milliseconds. */
export interface CircuitBreakerOptions {
  /** Consecutive failures that open it: a whole number of at least 1. Default 5. */
  threshold?: number;
  /** How long it stays open after the last failure, from 0. Default 60 000. */
  resetTimeMs?: number;
  /** A probe that has not settled by then gives its place to the next call. Default: `resetTimeMs`, or 60 000 when that is 0. */
  probeTimeoutMs?: number;
  /**
   * Does this error speak against the server? Default: of errors with an SQLSTATE only those of classes 08, 53, 57, 58,
   * F0 and XX; an abort by the caller's own signal does not; every other error does. An error that does not count is an
   * answer: it clears the count, and closes a half-open breaker. An abort is known by the name `AbortError`, by the codes of
   * this package, and by the signal's own reason, if that is an object and this package waited for the signal. What throws, or gives a
   * promise, counts the error, and is logged when there is a `logger`.
   */
  isFailure?: (error: unknown) => boolean;
  /** Only when the state really changes. What it throws is dropped, and logged when there is a `logger`. */
  onStateChange?: (newState: CircuitState, previousState: CircuitState) => void;
  logger?: Logger;
}

/** The breaker did not let a call through; `fn` was not called. */
export class CircuitBreakerError extends PgError {
  constructor(message: string, details?: { retryAfterMs?: number; detail?: string });
  /** `'DB_CONNECTION_FAILED'`. */
  code: string;
  detail: string | undefined;
  /** Milliseconds until the next call may get through. */
  retryAfterMs: number;
  toJSON(): { name: string; message: string; code: string; detail: string | undefined };
}

/**
 * Stops calling what keeps failing, and lets one call through after a while to see.
 * @example
 * const breaker = new CircuitBreaker({ threshold: 5, resetTimeMs: 30_000 });
 * const rows = await breaker.execute(() => pool.query('select …'));
 */
export class CircuitBreaker {
  constructor(threshold?: number, resetTimeMs?: number);
  constructor(options: CircuitBreakerOptions);
  /** @throws {CircuitBreakerError} it is open, or a probe is under way */
  execute<T>(fn: () => Promise<T>): Promise<T>;
  getState(): CircuitBreakerState;
  isOpen(): boolean;
  isClosed(): boolean;
  /** Closes and clears, at once; the promise is resolved. */
  reset(): Promise<void>;
  /** Opens as if `threshold` calls had just failed, at once; the promise is resolved. */
  forceOpen(): Promise<void>;
}
