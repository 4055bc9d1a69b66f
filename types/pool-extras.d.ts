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

/** What a node is: `'fenced'` is a primary that refuses writes; `'unknown'`: it answers and does not say. */
export type NodeRole = 'primary' | 'fenced' | 'standby' | 'unknown' | 'unreachable';

/** A node as a pool sees it. */
export interface PoolNode {
  /** As configured. */
  readonly host: string;
  readonly address: string;
  readonly role: NodeRole;
  /** Connections of this pool to the host. */
  readonly open: number;
  /** When it was heard of last by a new connection or with other news, in ISO 8601; null: never. */
  readonly seenAt: string | null;
  /** How long the last attempt took; 0 for news on an open connection. */
  readonly tookMs: number;
  /** The last failure. */
  readonly error: { readonly code: string; readonly message: string; readonly at: string } | null;
}

/** A node is something else than before. */
export interface HostChange {
  readonly host: string;
  readonly address: string;
  /** null when the pool hears of it for the first time. */
  readonly from: NodeRole | null;
  readonly to: NodeRole;
}

/** What a pool tells, by name. */
export interface PoolEventMap {
  hostChange: HostChange;
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

/** One try of a statement, for hooks, which are called where it was asked for. */
export interface LogEvent {
  readonly sql: string;
  /** Whole milliseconds, acquiring included. */
  readonly durationMs: number;
  /** On success: rows returned or affected. */
  readonly rowCount?: number;
  /** Like what the caller gets; not the same object. */
  readonly error?: Error;
}

/** Options of createPool, Client, Pool and ServerlessClient: who hears of single statements, and what goes along with them. */
export interface QueryHooks {
  /** Called after statements that took longer than `slowQueryMs`. What it throws is swallowed. */
  onSlowQuery?: ((event: LogEvent) => void) | undefined;
  /** Default 1000. */
  slowQueryMs?: number | undefined;
  /** Called after statements that failed. What it throws is swallowed. */
  onQueryError?: ((event: LogEvent) => void) | undefined;
  /**
   * Asked before each statement for pairs that go along as a comment in the format of sqlcommenter, for example
   * `{ traceparent }` (`traceContext` of `pg-berth/opentelemetry`). A statement with a
   * comment is not kept prepared, because its text never comes again; without pairs it is sent as it is, and so is one with
   * a name of its own. What it throws is swallowed.
   */
  sqlComment?: (() => Record<string, string | undefined> | undefined) | undefined;
}

/** Counts of a pool. */
export interface PoolStatus {
  readonly maxSize: number;
  /** Open connections. */
  readonly size: number;
  /** Open connections that nobody uses. */
  readonly available: number;
  /** `size - available`. */
  readonly inUse: number;
  /** Requests waiting for a connection. */
  readonly waiting: number;
  /** Who reads answers: the event loop of this thread, or the engine (asked for, or on other than Node on Linux). */
  readonly driver: 'loop' | 'engine';
  /** Address of the primary, as far as this pool knows; null while it knows none. */
  readonly primary: string | null;
  /** Every address that was tried, by address. */
  readonly nodes: readonly PoolNode[];
}
