// createPool, Pool and Transaction: the cluster face.

/** A row: column name → value. Of two columns with the same name the later wins; `rowMode: 'array'` keeps both. */
// biome-ignore lint/suspicious/noExplicitAny: what a column holds depends on the statement; give `query` a type argument.
export type Row = Record<string, any>;

/** Rows in server order. The two extras are not enumerable, so rows compare, print and serialise as a plain array. */
export type Rows<T> = T[] & {
  /** First words of the command tag, for example `SELECT`, `INSERT`, `CREATE TABLE`. */
  readonly command: string;
  /** Rows returned or affected; null when the command counts none. */
  readonly rowCount: number | null;
};

/** A column of a result. */
export interface Field {
  readonly name: string;
  /** OID of the table, 0 if the column is computed. */
  readonly tableID: number;
  /** Number of the column in its table from 1, or 0. */
  readonly columnID: number;
  /** OID of the type. */
  readonly dataTypeID: number;
  /** Bytes of a value, −1 if it varies. */
  readonly dataTypeSize: number;
  /** Meaning depends on the type, for example the length of `varchar(n)` plus 4; −1 for none. */
  readonly dataTypeModifier: number;
  /** How values crossed the wire. */
  readonly format: 'text' | 'binary';
}

/** What `queryResult` gives. */
export interface QueryResult<T = Row> {
  rows: T[];
  fields: Field[];
  command: string;
  rowCount: number | null;
}

/** Makes a JavaScript value of the text the server sends. Never called for NULL. If it throws, that query rejects. */
// biome-ignore lint/suspicious/noExplicitAny: a parser may return anything.
export type TypeParser = (text: string) => any;

/**
 * How column values become JavaScript values.
 *
 * | | `'lossless'` | `'pg'` |
 * | --- | --- | --- |
 * | int8 | BigInt | string |
 * | numeric | string | string |
 * | timestamptz | ISO 8601 string with microseconds | Date |
 * | bytea | Buffer | Buffer |
 * | json, jsonb | parsed | parsed |
 *
 * Or own parsers by OID or type name, over the default of the face.
 * @example { int8: Number, 1700: Number }
 */
export type Types = 'lossless' | 'pg' | { readonly [oidOrName: string | number]: TypeParser };

/**
 * Values of parameters `$1`, `$2`, … (at most 65 535).
 *
 * - `null`, `undefined`: NULL. Booleans, strings: as they are. BigInt: decimal digits of any length.
 * - Numbers: as JavaScript prints them, so `3.7` for an `int4` is refused by the server. Integers beyond ±(2⁵³ − 1) may
 *   have lost digits already; they are sent with an exponent (`9.007199254740994e15`), which `float8` and `numeric` take
 *   and `int8` refuses. Use BigInt for those.
 * - Buffer, typed array, DataView: bytes of exactly that window, copied before the call returns.
 * - Date: that instant in UTC. Invalid dates are refused.
 * - Arrays, nested too: an array for an array type, JSON for `json` and `jsonb`.
 * - Other objects: `JSON.stringify`, with BigInt as a number; NaN and infinities inside are refused, as are Map, Set,
 *   Promise and ArrayBuffer, of which JSON would keep nothing.
 *
 * A value that cannot be sent rejects with a `TypeError` or `RangeError` that names its position (see `ArgumentError`).
 */
export type Params = readonly unknown[];

/** Options of one statement. */
export interface QueryOptions {
  /** Most milliseconds from the call to the last row, acquiring included; then the server is asked to stop. Default: none. */
  timeoutMs?: number;
  /**
   * Cancels the statement. The signal's reason is thrown unchanged. If the server finishes first, the result is
   * returned; if what happened cannot be known, `OutcomeUnknownError` is thrown. One signal may serve any number of calls.
   */
  signal?: AbortSignal;
  /** `'array'`: rows are arrays of values in column order. Default: that of the pool. */
  rowMode?: 'object' | 'array';
  /** Default: those of the pool. */
  types?: Types;
}

/** Options of `stream`. */
export interface StreamOptions extends QueryOptions {
  /** Rows fetched at a time: a positive integer. */
  batchSize?: number;
  /** Another name of `batchSize`. */
  fetchSize?: number;
}

/** Options of `begin`. */
export interface BeginOptions {
  /** Default: the server's `default_transaction_isolation`. */
  isolation?: 'read-committed' | 'repeatable-read' | 'serializable';
  /** Default: the server's `default_transaction_read_only`. */
  accessMode?: 'read-write' | 'read-only' | 'read write' | 'read only';
  /** Waits for a moment without serialization risk; of use with `'serializable'` and `'read-only'` only. */
  deferrable?: boolean;
  /** Most milliseconds for the whole transaction. Default: none. */
  timeoutMs?: number;
  /** Ends the transaction with a rollback. */
  signal?: AbortSignal;
}

/** Options of `transaction`. */
export interface TransactionOptions extends BeginOptions {
  /** Total tries; 1 = none is repeated. Default: `retry.maxAttempts` of the pool. */
  maxAttempts?: number;
}

/** Options of `end`, `commit` and `rollback`. */
export interface EndOptions {
  /** Most milliseconds to wait. `Pool.end`: default 5000, then statements in flight are cancelled. */
  timeoutMs?: number;
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

/** Options of `createPool`. All times in milliseconds. Unknown names and wrong values throw a `TypeError` naming them. */
export interface PoolOptions {
  /** `postgres://…` or `key=value …`. Options beside it win. */
  connectionString?: string;
  /** `'name'`, `'name:port'`, `'[v6]:port'` or the folder of a socket. Exactly one entry in this version. */
  hosts?: readonly [string];
  /** Instead of `hosts`. Default: `PGHOST`, else `localhost`. */
  host?: string;
  /** For entries without their own. Default: `PGPORT`, else 5432. */
  port?: number;
  /** Default: `PGUSER`, else the name of the system's user. */
  user?: string;
  /** Never appears in errors, logs or `inspect`. */
  password?: string;
  /** Default: `PGDATABASE`, else the user's name. */
  database?: string;
  /** `'read-write'` (also `'rw'`, `'readwrite'`): only a server that takes writes. Default `'read-write'`. */
  mode?: 'read-write' | 'readwrite' | 'rw' | 'any';
  /** `application_name`, as `pg_stat_activity` shows it. */
  applicationName?: string;
  /** Start-up options, for example `-c search_path=app`. Must not set `default_transaction_read_only`. */
  options?: string;
  /** true = `sslmode: 'require'`, false = `'disable'`. */
  ssl?: boolean;
  /** As libpq: `'require'` encrypts and does not check who the server is. Default `'prefer'`. */
  sslmode?: 'disable' | 'prefer' | 'require';
  /** Most connections. Default 10. */
  poolSize?: number;
  /** Connections kept open when idle. Default 0. */
  minIdle?: number;
  /** Idle connections above `minIdle` are closed after this; 0 = never. Default 30 000. */
  idleTimeoutMs?: number;
  /** Connections are replaced after this, ±10 %; 0 = never. Default 1 800 000. */
  maxLifetimeMs?: number;
  /** Connections are replaced after so many uses. Default: no limit. */
  maxUses?: number;
  /** Most time to get a usable connection: waiting, connecting and trying again together. Default 5000. */
  acquireTimeoutMs?: number;
  /** Most time of one attempt to connect: name, TCP, TLS and authentication together. Default 2000. */
  connectTimeoutMs?: number;
  /** The server's own `statement_timeout`. Default: the server's. */
  statementTimeoutMs?: number;
  /** `timeoutMs` for every statement that has none: the only guard against a frozen server. Default: none. */
  maxStatementMs?: number;
  /** TCP keep-alive. Defaults: 5000, 1000, 3 probes. */
  keepalive?: { idleMs?: number; intervalMs?: number; count?: number };
  /** Sent data must be acknowledged within this; 0 = the system's default. Default 8000. */
  tcpUserTimeoutMs?: number;
  /** `'unnamed'` for poolers that lose prepared statements. Default `'named'`. */
  preparedStatements?: 'named' | 'unnamed';
  /** Prepared statements kept per connection; 0 = none. Default 256. */
  statementCacheSize?: number;
  /** Default `'lossless'`. */
  types?: Types;
  /** Default `'object'`. */
  rowMode?: 'object' | 'array';
  /** A result with more bytes rejects. Default: no limit. */
  maxResultBytes?: number;
  /** Of `transaction`: total tries, and the delay that doubles from base to max. Defaults 3, 50, 1000. */
  retry?: { maxAttempts?: number; baseDelayMs?: number; maxDelayMs?: number };
  /** Called after each try of a statement. What it throws is swallowed. */
  logger?: (event: LogEvent) => void;
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
}

/** What pools and transactions have in common. */
export interface Queryable {
  /**
   * Runs one statement.
   * @throws {ServerError} the server refused it
   * @throws {OutcomeUnknownError} it was sent and the answer never came
   * @throws {AcquireTimeoutError} no connection in time (pool only)
   * @throws {TypeError | RangeError} an option or parameter is wrong; nothing was sent
   */
  query<T = Row>(sql: string, params?: Params, options?: QueryOptions): Promise<Rows<T>>;
  /** As `query`, with the description of the columns. */
  queryResult<T = Row>(
    sql: string,
    params?: Params,
    options?: QueryOptions,
  ): Promise<QueryResult<T>>;
  /**
   * Rows one after the other, fetched `batchSize` at a time; the server waits while you do. Leaving the loop early ends
   * the statement and gives the connection back.
   */
  stream<T = Row>(sql: string, params?: Params, options?: StreamOptions): AsyncIterableIterator<T>;
}

/** A pool of connections. Made by `createPool`. */
export interface Pool extends Queryable, AsyncDisposable {
  /**
   * Starts a transaction on a connection of its own; end it with `commit` or `rollback`, or let `await using` roll back.
   * @example
   * await using tx = await pool.begin();
   * await tx.query('update …');
   * await tx.commit();
   */
  begin(options?: BeginOptions): Promise<Transaction>;
  /**
   * Runs `fn` in a transaction and commits; if `fn` throws, rolls back and throws that. The whole is tried again after
   * serialization failures and losses before COMMIT, so `fn` must have no effects outside the transaction.
   * @throws {OutcomeUnknownError} COMMIT was sent and not answered; never tried again
   */
  transaction<T>(fn: (tx: Transaction) => T | Promise<T>, options?: TransactionOptions): Promise<T>;
  /** The counts of this moment. */
  status(): PoolStatus;
  /**
   * Refuses new work, waits for statements in flight, closes all connections. Safe to call twice: the same promise.
   */
  end(options?: EndOptions): Promise<void>;
  /**
   * Blocks the thread until the result is there: for scripts, migrations and start-up code, never for servers. Give it a
   * `timeoutMs`.
   */
  querySync<T = Row>(sql: string, params?: Params, options?: Omit<QueryOptions, 'signal'>): Rows<T>;
  /** `end()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A transaction. After `commit` or `rollback` everything rejects with `ClosedError`. */
export interface Transaction extends Queryable, AsyncDisposable {
  /**
   * @throws {TransactionRolledBackError} an earlier statement had failed; nothing was committed
   * @throws {OutcomeUnknownError} COMMIT was sent and not answered
   * @throws {TransactionLostError} the connection had been lost; nothing was committed
   */
  commit(options?: EndOptions): Promise<void>;
  /** Also resolves when the connection is lost, because then nothing was committed either. */
  rollback(options?: EndOptions): Promise<void>;
  /** Rolls back unless the transaction has ended. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a pool. Opens nothing yet.
 * @throws {TypeError} an option is wrong; the message names it and never shows a secret
 * @example
 * const pool = createPool({ host: 'localhost', user: 'app', database: 'app' });
 * const [user] = await pool.query('select * from users where id = $1', [1]);
 */
export function createPool(options: PoolOptions | string): Pool;
