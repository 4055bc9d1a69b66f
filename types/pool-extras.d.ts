// What a pool offers beside plain statements: options of single statements, and events.

import type { Params, QueryOptions } from './pool.js';

/** Options of one statement of a pool. */
export interface SingleOptions extends QueryOptions {
  /**
   * For SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH: if the answer is lost, the primary of then is asked whether the
   * statement took effect. It did: its result is returned; it did not: `CommitAbortedError`. Costs some 20 µs. Default: that of
   * the pool.
   */
  exactlyOnce?: boolean;
}

/** Options of `insert`. */
export interface InsertOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
  /** A row that is there already is no error, the result is empty; so it is tried again as `retry` says. Default false. */
  idempotency?: boolean;
  /** The columns of the unique index by which a row is known. Default `'_id'`. */
  conflictTarget?: string | readonly string[];
}

/** A COMMIT without an answer was looked into. */
export interface CommitResolved {
  /** `'committed'`, `'aborted'`, or why that could not be found out. */
  readonly status: string;
  readonly xid: string;
  readonly tookMs: number;
}

/** The primary is another node than before. */
export interface Failover {
  /** The address of the former one. */
  readonly from: string;
  readonly to: string;
  /** Milliseconds since the former one was lost; null when it never was. */
  readonly tookMs: number | null;
}

/** What a pool tells, by name. */
export interface PoolEventMap {
  failover: Failover;
  'commit-resolved': CommitResolved;
}

/** A statement of a batch: a text, or one with parameters. */
export type BatchStatement = string | { sql: string; params?: Params };

/** Options of `batch`. With `timeoutMs` or `signal` each statement waits for the one before, so that a cancel hits the right one. */
export interface BatchOptions extends QueryOptions {
  /**
   * `'isolated'` (default): each statement for itself, and the outcome of each is given. `'all-or-nothing'`: in one
   * transaction; the first error is thrown, with the number of its statement as `index`, and nothing was done.
   */
  errors?: 'isolated' | 'all-or-nothing';
}

/** Options of `insertMany`. */
export interface InsertManyOptions {
  /** Default: the keys of the first row. */
  columns?: readonly string[];
  /** Most milliseconds for the COPY. Default: none. */
  timeoutMs?: number;
  /** Gives it up: nothing is stored. */
  signal?: AbortSignal;
}

/** Options of `stream`. */
export interface StreamOptions extends QueryOptions {
  /** Rows fetched at a time: a positive integer. */
  batchSize?: number;
  /** Another name of `batchSize`. */
  fetchSize?: number;
}

/** One try of a statement, for `logger`. */
export interface LogEvent {
  readonly sql: string;
  /** Whole milliseconds, acquiring included. */
  readonly durationMs: number;
  /** On success: rows returned or affected. */
  readonly rowCount?: number;
  readonly error?: Error;
}
