// ServerlessClient and LeaseManager: the drop-in for pg-aequor.

import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { Field, Row } from './pool.js';
import type { QueryHooks } from './pool-extras.js';

/** Looks up the parser of a type; `pg`'s `types` and `TypeOverrides` are such objects. */
export interface TypeParsers {
  // biome-ignore lint/suspicious/noExplicitAny: a parser may return anything.
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: any) => any;
}

/** Facts about the error that ended a connection. */
export interface DeathMeta {
  code: string | undefined;
  sqlstate: string | undefined;
  errno: number | undefined;
  syscall: string | undefined;
  address: string | undefined;
  port: number | undefined;
  severity: string | undefined;
  routine: string | undefined;
}

/** What one pass of the reaper did. */
export interface Reaping {
  gen: number;
  /** Did it have the fleet's lock? If not, only an expired holder of it may have been ended. */
  locked: boolean;
  /** Connections ended. */
  killed: number;
  durationMs: number;
  /** Expired, and idle for long enough. */
  candidates: number;
  /** Of these: this role may not end them; it needs the same role or `pg_signal_backend`. */
  denied: number;
  /** Of this service by name, but this role may not see their state; it needs `pg_read_all_stats`. */
  hidden: number;
  /** The pass failed. */
  err?: Error;
}

/** Called synchronously; what they throw is swallowed, what they return ignored. Times in milliseconds. */
export interface ServerlessHooks {
  /** A connection is usable. `gen` counts the attempts of this client; `reconnected` from the second one on. */
  onConnect?: (event: { gen: number; reconnected?: true }) => void;
  /** An attempt to connect failed and will be repeated; `retries` starts at 1. */
  onReconnect?: (event: { gen: number; retries: number; delay: number; err: Error }) => void;
  /** Once per `query()`. */
  onQueryStart?: (event: { args: unknown[]; startedAt: number }) => void;
  /** Before the wait. */
  onQueryRetry?: (event: { retries: number; delay: number; err: Error }) => void;
  onQueryEnd?: (event: { args: unknown[]; res: ServerlessResult; duration: number }) => void;
  /** Only for the failure that is thrown. */
  onQueryError?: (event: { args: unknown[]; err: Error; duration: number }) => void;
  /** The lease was renewed. */
  onHeartbeat?: (event: { gen: number }) => void;
  onHeartbeatFail?: (event: { gen: number; err: Error }) => void;
  /** A pass of the reaper is over. */
  onReap?: (event: Reaping) => void;
  /**
   * The connection was lost; exactly once per loss, never for `clean()`. A server that hangs up without a word is an `'error'` too
   * (`ECONNRESET`); `'end'` is the end of a `library`'s connection of which it gives no error.
   */
  onClientDead?: (event: { source: 'error' | 'end'; err?: Error; meta?: DeathMeta }) => void;
}

/**
 * Options of `ServerlessClient`. Connection options have the names, meanings and environment defaults of `pg`. What is null
 * counts as not given.
 */
export interface ServerlessConfig extends ServerlessConnection, QueryHooks {
  /** Signs leases: at least 16 bytes of UTF-8. Required unless `leaseMode: 'optional'`. Never shown anywhere. */
  secret?: string | null;
  /** Another name of `secret`. Both given and different: `TypeError`. */
  coordinationSecret?: string | null;
  /** `'optional'`: without a secret the client works without leases. Default `'required'`. */
  leaseMode?: 'required' | 'optional';
  /** How long a lease lasts, milliseconds from 1, rounded. Default 90 000. */
  leaseTtlMs?: number;
  /** Default: `AWS_LAMBDA_FUNCTION_NAME`, else `sls_pg`. */
  serviceName?: string | null;
  /** Name of the connection while leases are off, cut to 63 bytes. Default: `serviceName`. */
  application_name?: string | null;
  /** Another name of `application_name`, which wins. */
  applicationName?: string | null;
  /** Milliseconds; `query_timeout` unless that is set. Default 0: off. */
  defaultQueryTimeoutMs?: number | string | false | null;
  /**
   * A string given for `json` or `jsonb` is the text of a document (`'text'`, the default) or a string (`'value'`), as with
   * `createPool`; arrays given for these are JSON then. Not with `library`.
   */
  json?: 'text' | 'value';
  /**
   * What numbers of `json` and `jsonb` beyond ±(2⁵³ − 1) become, as with `createPool`; with `'bigint'` BigInts inside documents
   * are sent as numbers. Default `'number'`: the nearest double. Not with `library`.
   */
  jsonNumbers?: 'number' | 'bigint' | 'string';
  /** With so much left, milliseconds, a lease is renewed. Default: 30 000, at most a third of `leaseTtlMs`. */
  heartbeatSoftRemainingMs?: number;
  /** With less left a statement waits for the renewal. Default: 5000, at most an eighteenth of `leaseTtlMs`. */
  heartbeatHardWaitRemainingMs?: number;
  /** Longest wait for a renewal, milliseconds. Default 2000. */
  heartbeatTimeoutMs?: number;
  /**
   * When a renewal fails: `'reconnect'` (default) gives the connection up and goes on over a new one, `'swallow'` does
   * nothing, `'throw'` fails the statement that waited for it, or else the next one.
   */
  heartbeatErrorMode?: 'reconnect' | 'swallow' | 'throw';
  /**
   * A pooler in transaction mode lends connections that are not ours to lease: behind one there is no lease, no renewal
   * and no reaper. `'auto'` (default) finds out on each connection by its process number, and takes a pooler in session mode
   * for one as well; `'off'` signs all the same, which is right there.
   */
  pooler?: 'auto' | 'on' | 'off';
  /** False: never ends expired connections of the same service. Default true. */
  reaper?: boolean;
  /** Chance that a new connection begins with a pass: 0 to 1. Default 1. */
  reaperRunProbability?: number;
  /** Another name of `reaperRunProbability`. */
  connUtilization?: number;
  /** Least milliseconds between passes of this process on one database and service. Default 30 000. */
  reaperCooldownMs?: number;
  /** `'throw'`: a failed pass fails the statement that waited for it, or else the next call. Default `'swallow'`. */
  reaperErrorMode?: 'swallow' | 'throw';
  /** Longest time of one statement of a pass, milliseconds. Default 2000. */
  reaperTimeoutMs?: number;
  /** Connection options, or a string, of a role that may use reserved slots: makes room on a server that is full. */
  reaperConnection?: string | ServerlessConnection | null;
  /** Only what was idle for so long is ended. Default 180. */
  minConnectionIdleTimeSec?: number;
  /** False: connections idle inside a transaction are left alone. Default true. */
  reapIdleInTransaction?: boolean;
  /** Default: `minConnectionIdleTimeSec`. */
  minIdleInTransactionSec?: number;
  /** Most connections ended by one pass. Default 10; 0: none. */
  maxIdleConnectionsToKill?: number;
  /** Milliseconds that a lease must be expired for. Default 0. */
  leaseGraceMs?: number;
  /** Further tries: of connecting, and of the statement or transaction; so many of each for one call. 0: none. Default 3. */
  retries?: number;
  /** Bounds of the delay between tries, milliseconds. Defaults 100 and 2000. */
  minBackoff?: number;
  maxBackoff?: number;
  /** Milliseconds for `connect()`, tries and delays together. Default 15 000; 0: no limit. */
  maxConnectRetryTimeMs?: number;
  /**
   * The same for `query()`, connecting included; and how long a transaction waits behind one of the same client that runs
   * no statement: one that was begun inside another would wait for itself. Default 15 000; 0: no limit.
   */
  maxQueryRetryTimeMs?: number;
  /**
   * What is tried again after a loss. `'safe'` (default): what certainly was not sent, what is declared `idempotent`, and
   * reads, inside a read-only transaction. `'never'`: only what was not sent. `'legacy'`: everything, as pg-aequor does,
   * which may apply a write twice.
   */
  retryMode?: 'safe' | 'legacy' | 'never';
  /** What `exactlyOnce` of a query is when the query does not say: for statements outside transactions. Default false. */
  exactlyOnce?: boolean;
  hooks?: ServerlessHooks;
  /**
   * A module whose `Client` carries the traffic in place of the engine, with the same leases, retries and hooks: a captured
   * `pg`, for example. What only the engine does is refused: `exactlyOnce`, and finding out about a COMMIT without an answer.
   */
  library?: ServerlessLibrary | null;
  /** Prints what happens, never the secret or the password. Default false. */
  debug?: boolean;
}

/** Whose password is asked for, as far as the options say. */
export interface ServerlessLogin {
  user?: string | undefined;
  database?: string | undefined;
  host?: string | undefined;
  port?: number | undefined;
}

/** Connection options under the names of `pg`. */
export interface ServerlessConnection {
  /** `postgres://…`, or the folder of a socket; its parts win over the options beside it, as in `pg`. */
  connectionString?: string | null;
  /** A name, an address, or the folder of a socket. */
  host?: string | null;
  port?: number | string | null;
  user?: string | null;
  /**
   * A function is asked for every new connection. It has `connectionTimeoutMillis` where that is given, else what is left of
   * the limits of the call.
   */
  password?: string | ((asked: ServerlessLogin) => string | Promise<string>) | null;
  database?: string | null;
  ssl?: boolean | TlsOptions | null;
  /** Start-up options, for example `-c search_path=app`. */
  options?: string | null;
  /** Milliseconds, as the two below; limits of the server. */
  statement_timeout?: number | string | false | null;
  lock_timeout?: number | string | false | null;
  idle_in_transaction_session_timeout?: number | string | false | null;
  /** Milliseconds; limit of the client. Default 0: none. */
  query_timeout?: number | string | false | null;
  /** Milliseconds for the whole of one attempt to connect; 0: no limit. Default 2000, with `library` that driver's. */
  connectionTimeoutMillis?: number | string | false | null;
  /** Default true. */
  keepAlive?: boolean;
  /** Silence before the first probe, milliseconds; less than 1000 counts as 1000. Default 5000. */
  keepAliveInitialDelayMillis?: number | string | false | null;
  /** UTF-8 under one of its names; anything else is an error. */
  client_encoding?: string | null;
  fallback_application_name?: string | null;
  /** Default `'pg'`. */
  types?: 'pg' | 'lossless' | TypeParsers | null;
}

// biome-ignore lint/suspicious/noExplicitAny: drivers have options, values and results of their own.
type Anything = any;

/** Has a `Client` like that of `pg`. */
export interface ServerlessLibrary {
  Client: new (...args: Anything[]) => Anything;
}

/** What passes of the reaper ask of a client. */
export interface PgClientLike {
  query(text: string, values?: Anything[]): Promise<Anything>;
  processID?: number | null;
}

/** What a connection through `library` asks of a client. */
export interface LibraryClient extends PgClientLike {
  query(query: Anything, values?: Anything[]): Promise<Anything>;
  connect(): Promise<unknown>;
  end(): Promise<unknown>;
  /** Of `pg`: a socket that does not end by itself is destroyed. */
  connection?: { stream?: { destroy?(): unknown } };
  on(event: string, listener: (...args: Anything[]) => void): unknown;
}

/** A statement with its values. */
export interface ServerlessQuery {
  /** May be left out of a statement that was prepared under `name` before. */
  text?: string;
  values?: readonly unknown[] | null;
  /** Milliseconds, in place of the client's `query_timeout`. */
  query_timeout?: number;
  /** `'extended'`: also without values one statement at a time. */
  queryMode?: 'extended' | 'simple';
  /** Prepares the statement under this name. */
  name?: string;
  rowMode?: 'array';
  types?: 'pg' | 'lossless' | TypeParsers;
  /** The statement may run twice: its loss is no reason not to repeat it. Default false. */
  idempotent?: boolean;
  /**
   * Applied exactly once: it runs in a transaction of its own (one round trip more), is run again after a loss that
   * certainly left nothing behind, and a COMMIT without an answer is looked up on the server (13 or newer). Only where that
   * cannot tell, after a crash for example, `OutcomeUnknownError` is thrown. Statements of other callers wait meanwhile.
   * Not for what cannot run in a transaction. Default: the client's.
   */
  exactlyOnce?: boolean;
}

/** Options of `ServerlessClient.transaction`. */
export interface ServerlessTransactionOptions {
  /** Further runs of the function. Default, and for connecting: those of the client. */
  retries?: number;
  isolation?: 'read-committed' | 'repeatable-read' | 'serializable';
  readOnly?: boolean;
}

/**
 * What `transaction` hands to its function. Once that has returned or thrown, `query` rejects with a `ClosedError`
 * (`ERR_CLOSED`) and sends nothing. A text that would end the transaction, COMMIT or ROLLBACK, is refused.
 */
export interface ServerlessTransaction {
  query<T = Row>(text: string, values?: readonly unknown[] | null): Promise<ServerlessResult<T>>;
  query<T = Row>(
    query: ServerlessQuery,
    values?: readonly unknown[] | null,
  ): Promise<ServerlessResult<T>>;
}

/** The result in the shape of `pg`. */
export interface ServerlessResult<T = Row> {
  rows: T[];
  rowCount: number | null;
  /** Null, as in `pg`, where the text was empty. */
  command: string;
  fields: Field[];
  oid: number | null;
}

/**
 * One connection that knows it may be frozen: for functions that are stopped and thawed. It is opened by the first
 * `query`, opened again after a loss, and signed with a lease, so that what a frozen function left behind can be told
 * from what is alive.
 * @example
 * const db = new ServerlessClient({ secret: process.env.DB_LEASE_SECRET, host: 'db', user: 'app' });
 * export const handler = async ({ id }) => (await db.query('select * from users where id = $1', [id])).rows[0];
 */
export class ServerlessClient implements AsyncDisposable {
  /**
   * Connects to nothing yet.
   * @throws {Error} the secret is missing or too short
   * @throws {TypeError} an option is wrong
   */
  constructor(config?: ServerlessConfig);
  /** Resolves only when there is a usable connection. Concurrent calls share one attempt. */
  connect(): Promise<void>;
  /**
   * Runs a statement, connecting first if needed. Values are sent as `pg` sends them. A text of several statements resolves to
   * an array with the result of each, which this type does not say, nor that of `pg`.
   * @throws {TypeError} a callback was given
   */
  query<T = Row>(text: string, values?: readonly unknown[] | null): Promise<ServerlessResult<T>>;
  query<T = Row>(
    query: ServerlessQuery,
    values?: readonly unknown[] | null,
  ): Promise<ServerlessResult<T>>;
  /**
   * Runs a function in a transaction: COMMIT when it returns, ROLLBACK when it throws. It runs again from the start after
   * a conflict (40001, 40P01) and after a loss that certainly left nothing behind. A COMMIT without an answer is looked
   * up on the server; only where that cannot tell, `OutcomeUnknownError` is thrown. Transactions of one client follow
   * one another; `client.query` meanwhile runs inside the present one, as on any single connection. `end()` meanwhile ends
   * it: what it asks for afterwards, its COMMIT included, rejects with a `ClosedError` (`ERR_CLIENT_CLOSED`).
   */
  transaction<T>(
    fn: (tx: ServerlessTransaction) => T | Promise<T>,
    options?: ServerlessTransactionOptions,
  ): Promise<T>;
  /**
   * Closes the connection behind the statements that were asked before, which have two seconds and are not tried again. What
   * still waits then rejects with a `ClosedError` (`ERR_CLIENT_CLOSED`), what runs is ended. Never rejects, safe to call
   * twice, and not final: the next `query` opens a new one.
   */
  clean(): Promise<void>;
  /** The same as `clean()`. */
  end(): Promise<void>;
  /** The live low-level connection, or null; with `library` that module's client, which `Reaper.reap` takes. */
  getClient<C extends object = object>(): C | null;
  /** `end()`. */
  [Symbol.asyncDispose](): Promise<void>;
}
/** The same class under the name of the predecessor. */
export { ServerlessClient as AequorClient };

/** What a verified lease says. */
export interface Lease {
  /** Service token. */
  svc: string;
  /** Instance id. */
  inst: string;
  /** End of the lease: Unix time in milliseconds. */
  exp: number;
  /** `now > exp`, by the clock of this machine. */
  isExpired: boolean;
  isValidSignature: true;
}

/** Signs and verifies leases: `s=<service>;i=<instance>;e=<expiry>;g=<signature>` in `application_name`. */
export class LeaseManager {
  /** Most bytes of a lease. */
  static readonly APP_NAME_MAX_LEN: 63;
  /** Characters of a signature. */
  static readonly SIG_LEN: 11;
  /** @throws {Error} the secret is empty */
  constructor(serviceName: string, instanceId: string, secret: string);
  readonly serviceName: string;
  readonly instanceId: string;
  readonly secret: string;
  /**
   * The signed name for a lease that ends at `expMs` (Unix time in milliseconds).
   * @throws {LeaseError} it would not fit into 63 bytes
   * @throws {RangeError} `expMs` is no such time
   */
  generateAppName(expMs: number): string;
  /** Null unless the text is a lease with a right signature. */
  parseAndVerify(text: string): Lease | null;
}

/** Limits of one pass; defaults as in `ServerlessConfig`. */
export interface ReaperStrategy {
  minConnIdleTimeSec?: number;
  minIdleInTransactionSec?: number;
  reapIdleInTransaction?: boolean;
  maxIdleConnectionsToKill?: number;
  leaseGraceMs?: number;
  reaperTimeoutMs?: number;
  /** `'throw'`: a pass that fails rejects. Default `'swallow'`: it resolves with `error`. */
  reaperErrorMode?: 'swallow' | 'throw';
}

/** What one pass of `Reaper` did; the counts are those of `Reaping`. */
export interface ReaperOutcome {
  locked: boolean;
  killed: number;
  candidates: number;
  denied: number;
  hidden: number;
  /** The server's clock: Unix time in milliseconds. */
  serverNow?: number | undefined;
  error?: Error;
}

/** Passes of the reaper over a client of the caller's, by hand: `ServerlessClient` makes its own. */
// biome-ignore lint/complexity/noStaticOnlyClass: the predecessor's programs know it as a class.
export class Reaper {
  /** First key of the fleet's advisory lock; the second one is `hashtext(service)`. */
  static readonly LOCK_NS: 0x50474151;
  /**
   * One pass: ends idle connections of the service of `leases` whose lease has expired. `client` is connected and outside
   * a transaction; `config` is not needed. The instance id of `leases` must have eight characters, as those of clients
   * have: how a long name of a service is shortened depends on it.
   * @throws {TypeError} a limit is wrong
   */
  static reap(
    client: PgClientLike,
    config: object | null | undefined,
    leases: LeaseManager,
    strategy?: ReaperStrategy | null,
    logger?: (...words: Anything[]) => void,
  ): Promise<ReaperOutcome>;
}

/** Which errors are worth another try, and when: the predecessor's rules. The client itself decides by what is known. */
// biome-ignore lint/complexity/noStaticOnlyClass: the predecessor's programs know it as a class.
export class RetryStrategy {
  static isRetryable(err: unknown): boolean;
  /** A delay in milliseconds: decorrelated jitter. `previousDelayMs` belongs to the same call. */
  static getBackoff(baseMs: number, capMs: number, previousDelayMs?: number): number;
}
