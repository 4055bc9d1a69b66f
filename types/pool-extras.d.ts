// What a pool offers beside plain statements: options of single statements, and events.

import type { Params, Pool, QueryOptions } from './pool.js';
import type { ClusterPoolOptions } from './pool-options.js';
import type { ServerlessConfig } from './serverless.js';

/** The option `lease` of a pool; all but the first two mean what they mean for `ServerlessClient`. */
export interface PoolLease
  extends Pick<
    ServerlessConfig,
    | 'leaseTtlMs'
    | 'heartbeatSoftRemainingMs'
    | 'heartbeatTimeoutMs'
    | 'pooler'
    | 'reaper'
    | 'reaperRunProbability'
    | 'reaperCooldownMs'
    | 'reaperTimeoutMs'
    | 'minConnectionIdleTimeSec'
    | 'minIdleInTransactionSec'
    | 'reapIdleInTransaction'
    | 'maxIdleConnectionsToKill'
    | 'leaseGraceMs'
  > {
  /** At least 16 bytes of UTF-8; one secret for the whole fleet. Never shown anywhere. */
  secret: string;
  /** Default: `AWS_LAMBDA_FUNCTION_NAME`, else `sls_pg`. */
  serviceName?: string;
}

/**
 * Gives the password for one connection, now or later; the deadline of the connection holds for it too. When the server
 * refuses the password, the function is asked once more with `refused: true`. It cannot run while `querySync` blocks.
 */
export type PasswordFunction = (
  /** Name or address as configured. */
  host: string,
  question: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
    /** The server has just refused the last answer. */
    readonly refused: boolean;
  },
) => string | Promise<string>;

/** Options of a pool about what it looks after. */
export interface UpkeepOptions {
  /**
   * As `maxLagMs`, from 0, in bytes of log behind the primary, which is asked on a connection of its own. Needs `mode`. While no primary answers, the last
   * that was known counts. `'prefer-standby'` reads from the primary when no standby is near enough, on up to `poolSize` more
   * connections. A transaction, a stream and a batch are looked at once, in front of their first statement. `querySync` and
   * Kysely refuse such a pool. Default: no limit.
   */
  maxLagBytes?: number;
  /**
   * A COMMIT that a primary has answered while it was being fenced stands, and `commit-while-fenced` tells of it. True: it is
   * looked into on the primary of then, as if its answer were lost, because a failover may have left it behind. Default false.
   */
  strictFence?: boolean;
  /**
   * How often a `'prefer-standby'` pool that uses the primary looks for a standby to move to, and a listener whether its primary
   * still takes writes; 0 = never. Default 5000.
   */
  rebalanceMs?: number;
  /** How often names are looked up again; connections to addresses a name has left are retired. 0 = never. Default 30 000. */
  dnsRecheckMs?: number;
  /** Does an idle pool let the process end? Default true. */
  unref?: boolean;
  /**
   * A name, or schema and name: `create table … (id uuid primary key, committed boolean not null default true, at timestamptz not
   * null default now())`, which the pool's role may read, write and delete from (see `pruneCommitMarkers`).
   */
  commitMarkerTable?: string | readonly string[];
}

/** Options of one statement of a pool. */
export interface SingleOptions extends QueryOptions {
  /**
   * For SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH: if the answer is lost, the primary of then is asked whether the
   * statement took effect. It did: its result is returned; it did not: `CommitAbortedError`. Costs some 20 µs. Default: that of
   * the pool.
   */
  exactlyOnce?: boolean;
  /**
   * Run it again, as `retry` of the pool says, when it failed for a reason that may go away: also when its answer was lost, so
   * only for what may have its effect twice. Default for modes `'read-only'` and `'prefer-standby'`: true, but where its answer was
   * lost only if a standby was asked; for others false.
   */
  retry?: boolean;
  /** In place of the pool's, for this statement. */
  acquireTimeoutMs?: number;
  /**
   * A position in the log (`lsn: true` of `transaction` and `insert`): read from a standby that has come as far, and wait for one up
   * to `acquireTimeoutMs`. So a pool of standbys sees what was written.
   */
  after?: string;
}

/** Options of `insert`. */
export interface InsertOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
  /** A row that is there already is no error, the result is empty; so it is tried again as `retry` says. Default false. */
  idempotency?: boolean;
  /**
   * The rows get a property `lsn`, for `after`; `null` when no primary could say it although the row is stored. Costs a round
   * trip. Default false.
   */
  lsn?: boolean;
  /** The columns of the unique index by which a row is known. Default `'_id'`. */
  conflictTarget?: string | readonly string[];
}

/** A COMMIT without an answer was looked into. */
export interface CommitResolved {
  /** `'committed'`, `'aborted'`, or why that could not be found out. */
  readonly status: string;
  /** Of the transaction; with `commitResolution: 'marker'` its marker. */
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
  /** The timeline that the new one writes; null where it was not asked for. */
  readonly timeline: number | null;
}

/** A primary began or ceased to refuse writes. */
export interface Fence {
  readonly host: string;
  readonly address: string;
  readonly isFenced: boolean;
}

/** An attempt to connect is over. */
export interface Search {
  readonly host: string;
  readonly address: string;
  readonly tookMs: number;
  /** null when the server let us in. */
  readonly error: Error | null;
}

/** A connection is not used any more. */
export interface Retirement {
  readonly host: string;
  /** `'role'`: its server is not what the pool needs. */
  readonly reason: 'idle' | 'lifetime' | 'role' | 'reset' | 'error' | 'shutdown';
  /** What has become of `resetQuery`, if that is the reason; else null. */
  readonly error: Error | null;
}

/** A transaction of `begin` was forgotten without an end: it was rolled back with its connection. */
export interface LeakedTransaction {
  /** Since it began. */
  readonly openMs: number;
  /** Where it began, with `NODE_DEBUG=pg-berth` in the environment when the pool was made; else null. */
  readonly stack: string | null;
}

/** Statements of lost connections were prepared on a connection that replaces one of them: see `warmStatements`. */
export interface WarmUp {
  readonly host: string;
  readonly address: string;
  /** How many the server has taken. */
  readonly statements: number;
  /** What the server has refused to prepare, a temporary table's statement perhaps: told once, and not tried on the others. */
  readonly refused: readonly { readonly sql: string; readonly error: Error }[];
  readonly tookMs: number;
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
  /** How far it replayed behind when it was last asked, in milliseconds; null: not asked (`maxLagMs` does), or no standby. */
  readonly lagMs: number | null;
  /** The last failure, or why a primary is not used that the cluster has left. */
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
  /** Another name of `hostChange`. */
  node: HostChange;
  failover: Failover;
  /** Another name of `failover`. */
  primary: Failover;
  fence: Fence;
  search: Search;
  retire: Retirement;
  warm: WarmUp;
  'leaked-transaction': LeakedTransaction;
  'commit-resolved': CommitResolved;
  /** A COMMIT was answered by a primary that had been fenced meanwhile: see `strictFence`. */
  'commit-while-fenced': { readonly address: string };
}

/** A statement of a batch: a text, or one with parameters. */
export type BatchStatement = string | { sql: string; params?: Params };

/** Options of `batch`. With `timeoutMs` or `signal` each statement waits for the one before, so that a cancel hits the right one. */
export interface BatchOptions extends QueryOptions {
  /**
   * `'isolated'` (default): each statement for itself, and the outcome of each is given. `'all-or-nothing'`: in one
   * transaction, which none of them may end; the first error is thrown, with the number of its statement as `index`, and
   * nothing was done. If it was committed all the same, an `OutcomeUnknownError` says so, with that error as its cause: a type
   * parser threw, or the batch has savepoints of its own.
   */
  errors?: 'isolated' | 'all-or-nothing';
}

/** Options of `insertMany`. */
export interface InsertManyOptions {
  /** Default: the keys of the first row. */
  columns?: readonly string[];
  /** Most milliseconds for the COPY. Default: `maxStatementMs`. */
  timeoutMs?: number;
  /** Gives it up: nothing is stored. */
  signal?: AbortSignal;
}

/** Options of `stream`. `timeoutMs` is for each batch; on a pool for the COMMIT behind the last one too. */
export interface StreamOptions extends QueryOptions {
  /** Rows fetched at a time, from 1. Default 500. */
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
  /** Which try of this statement it was, from 1. */
  readonly attempt: number;
  /** Where it ran, as configured; absent when it got no connection. */
  readonly host?: string;
  /** Milliseconds of waiting for the connection, and of all that followed. */
  readonly acquireMs: number;
  readonly executeMs: number;
  /** Of the server's tag, for example `'UPDATE'`. */
  readonly command?: string;
  /** Like what the caller gets; not the same object. */
  readonly error?: Error;
}

/** Options of createPool, Client, Pool and ServerlessClient: who hears of single statements, and what goes along with them. */
export interface QueryHooks {
  /** Called after statements that took longer than `slowQueryMs`. What it throws is swallowed. */
  onSlowQuery?: ((event: LogEvent) => void) | undefined;
  /** Milliseconds from 0. Default 1000; another one needs `onSlowQuery`. */
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

/** What happened to a pool so often. */
export interface PoolCounters {
  readonly connects: number;
  readonly failedConnects: number;
  /** Connections that are not used any more, by reason. */
  readonly evictions: Readonly<Partial<Record<Retirement['reason'], number>>>;
  /** Statements and transactions that were run again. */
  readonly retries: number;
  /** Statements given up while they ran, by a time limit or a signal, in whatever way they were run; of all who share the pool. */
  readonly cancels: number;
  /** Commits without an answer that were looked into, and those whose end was found out. */
  readonly inDoubt: number;
  readonly resolved: number;
  /** Times that `logger`, `onSlowQuery` or `onQueryError` threw. */
  readonly failedLoggers: number;
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
  /**
   * Every address that was tried, by address. One that its name does not lead to any more and that no connection leads to is
   * forgotten 10 minutes after it was heard of last, earlier where there are more than 32 of a host.
   */
  readonly nodes: readonly PoolNode[];
  /** What happened so often since the pool was made. */
  readonly counters: PoolCounters;
}

/** Stands for a pool in other threads of the process; goes through `postMessage` and `workerData`. Holds no secret. */
export interface PoolToken {
  readonly kind: 'pg-berth.pool';
  readonly pid: number;
  readonly slot: number;
  readonly generation: number;
  readonly described: {
    readonly database: string;
    readonly user: string;
    readonly hosts: readonly string[];
  };
  /** What a joining thread does not choose itself. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Options of `joinPool`: what each thread has for itself. By default as the pool was made, but for functions. */
export type JoinOptions = Pick<
  ClusterPoolOptions,
  | 'types'
  | 'rowMode'
  | 'json'
  | 'jsonNumbers'
  | 'retry'
  | 'commitResolution'
  | 'exactlyOnce'
  | 'logger'
  | 'onSlowQuery'
  | 'slowQueryMs'
  | 'onQueryError'
  | 'sqlComment'
>;

/**
 * Joins a pool that another thread of the process has made, by what its `share()` returned. Limits, connections and figures
 * are those of the one pool; each thread's answers are read on its own event loop. Passwords given as a function are asked
 * for on the thread that made the pool.
 * @throws {TypeError} the token is of another process, or none; @throws {ClosedError} the pool has ended
 */
export function joinPool(token: PoolToken, options?: JoinOptions): Pool;
