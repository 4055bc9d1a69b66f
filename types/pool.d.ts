// createPool, Pool and Transaction: the cluster face.

import type { CopyFromStream, CopyOptions, CopyToStream } from './copy.js';
import type {
  BatchOptions,
  BatchStatement,
  InsertManyOptions,
  InsertOptions,
  PoolEventMap,
  PoolStatus,
  PoolToken,
  SingleOptions,
  StreamOptions,
} from './pool-extras.js';
import type { NativeFigures, PoolStats } from './pool-figures.js';
import type { ClusterPoolOptions } from './pool-options.js';

/** A row: column name → value. Of two columns with the same name the later wins; `rowMode: 'array'` keeps both. */
// biome-ignore lint/suspicious/noExplicitAny: what a column holds depends on the statement; give `query` a type argument.
export type Row = Record<string, any>;

/** Rows in server order. The two extras are not enumerable, so rows compare, print and serialise as a plain array. */
export type Rows<T> = T[] & {
  /** First word of the command tag, for example `SELECT`, `INSERT`, `CREATE`. */
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
  /** Always `'text'`, as a result of `pg` has it; in which form the engine has asked for a value is not told. */
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
 * - `null`, `undefined`: NULL. Booleans, strings: as they are. BigInt: decimal digits of any length;
 *   the server alone knows the type, and rounds what a `float8` or `float4` cannot hold.
 * - Numbers: as JavaScript prints them, so `3.7` for an `int4` is refused by the server. Integers beyond ±(2⁵³ − 1) may
 *   have lost digits already; they are sent with an exponent (`9.007199254740994e15`), which `float8` and `numeric` take
 *   and `int8` refuses. Use BigInt for those.
 * - Buffer, typed array, DataView: bytes of exactly that window, copied before the call returns.
 * - Date: that instant in UTC. Invalid dates are refused.
 * - Arrays, nested too: an array for an array type, JSON for `json` and `jsonb`.
 * - Other objects: `JSON.stringify`, with BigInt as a number. NaN, infinities and invalid dates inside are refused, and so are
 *   Map, Set, Promise and ArrayBuffer, inside too: JSON would keep nothing of them.
 *
 * A value that cannot be sent rejects with a `TypeError` or `RangeError` that names its position (see `ArgumentError`).
 */
export type Params = readonly unknown[];

/** Options of one statement. */
export interface QueryOptions {
  /** Most milliseconds from the call to the last row, acquiring included, from 1; then the server is asked to stop. Default: `maxStatementMs`. */
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
  /** What numbers of JSON beyond ±(2⁵³ − 1) become. Default: that of the pool, whatever `types` says. */
  jsonNumbers?: 'number' | 'bigint' | 'string';
}

/** Options of `begin`. */
export interface BeginOptions {
  /** Default: the server's `default_transaction_isolation`. */
  isolation?: 'read-committed' | 'repeatable-read' | 'serializable';
  /**
   * Default: the server's `default_transaction_read_only`. What writes in a transaction that is `'read-only'` by this option fails with
   * 25006, which is not `transient` there; one that a text makes read-only (`SET TRANSACTION READ ONLY`) counts as a server that takes
   * no writes.
   */
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
  /** Total tries from 1; 1 = none is repeated. Default: `retry.maxAttempts` of the pool. */
  maxAttempts?: number;
  /**
   * Resolves to `{ value, lsn }`; the position is for `after`, `null` when no primary could say it although the transaction
   * is committed. Costs a round trip. Default false.
   */
  lsn?: boolean;
}

/** Options of `end`, `commit` and `rollback`. */
export interface EndOptions {
  /**
   * Most milliseconds to wait, from 1. `Pool.end`: default 5000, then statements in flight are cancelled, and transactions and
   * streams that nobody has ended are closed: the server rolls them back. `commit` and `rollback`: default the pool's
   * `maxStatementMs` and two seconds more, else none.
   */
  timeoutMs?: number;
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
   * Rows one after the other, fetched `batchSize` at a time; the server waits while you do. Leaving the loop early ends the
   * statement; on a pool it commits what that did so far, or throws what the batch read ahead failed with: it was rolled back.
   */
  stream<T = Row>(sql: string, params?: Params, options?: StreamOptions): AsyncIterableIterator<T>;
  /**
   * Takes the data of `COPY … FROM STDIN`. Nothing is stored before `finish`; destroying the stream gives the COPY up and
   * leaves the connection usable.
   * @example await pipeline(createReadStream('users.csv'), pool.copyFrom('copy users from stdin (format csv)'));
   */
  copyFrom(sql: string, options?: CopyOptions): CopyFromStream;
  /** Gives the data of `COPY … TO STDOUT`; the server waits while you do. */
  copyTo(sql: string, options?: CopyOptions): CopyToStream;
}

/** A pool of connections. Made by `createPool`. */
export interface Pool extends Queryable, NativeFigures, AsyncDisposable {
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
   * serialization failures and losses, unless it was committed, so `fn` must have no effects outside the transaction.
   * @throws {OutcomeUnknownError} COMMIT was not answered, and nobody could say what became of it; never tried again
   */
  transaction<T>(
    fn: (tx: Transaction) => T | Promise<T>,
    options: TransactionOptions & { lsn: true },
  ): Promise<{ value: T; lsn: string | null }>;
  transaction<T>(fn: (tx: Transaction) => T | Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Deletes commit markers older than this, 1000 at a time; gives how many. */
  pruneCommitMarkers(olderThanMs: number): Promise<number>;
  /**
   * Runs statements in order on one connection without waiting for one answer before the next is sent.
   * @example await pool.batch([{ sql: 'insert into a values ($1)', params: [1] }, 'delete from b'], { errors: 'all-or-nothing' });
   */
  batch(
    statements: readonly BatchStatement[],
    options: BatchOptions & { errors: 'all-or-nothing' },
  ): Promise<Rows<Row>[]>;
  batch(
    statements: readonly BatchStatement[],
    options?: BatchOptions,
  ): Promise<PromiseSettledResult<Rows<Row>>[]>;
  /**
   * Inserts any number of rows by one COPY, far faster than INSERT: all of them or none. Values as in `query`; a key that
   * is missing is NULL, one that is no column is refused.
   * @param table a name, or schema and name; quoted as it is
   * @param rows objects with columns as keys, or arrays in the order of `columns`
   * @returns rows inserted
   * @throws {ServerError} what the server refused, with the line in `where`
   * @throws {TypeError} a value cannot be sent; its row from 0 is in `row`
   * @example await pool.insertMany('users', [{ id: 1n, name: 'Ada', tags: ['x'] }]);
   */
  insertMany(
    table: string | readonly string[],
    rows: Iterable<Row | readonly unknown[]> | AsyncIterable<Row | readonly unknown[]>,
    options?: InsertManyOptions,
  ): Promise<number>;
  query<T = Row>(sql: string, params?: Params, options?: SingleOptions): Promise<Rows<T>>;
  queryResult<T = Row>(
    sql: string,
    params?: Params,
    options?: SingleOptions,
  ): Promise<QueryResult<T>>;
  /**
   * Inserts one row and returns it as it was stored.
   * @param table a name, or schema and name; quoted as it is
   * @example await pool.insert('orders', { _id: id, total: '12.50' }, { idempotency: true });
   */
  insert<T = Row>(
    table: string | readonly string[],
    row: Row,
    options: InsertOptions & { lsn: true },
  ): Promise<Rows<T> & { readonly lsn: string | null }>;
  insert<T = Row>(
    table: string | readonly string[],
    row: Row,
    options?: InsertOptions,
  ): Promise<Rows<T>>;
  /** Hears what happens to the pool; a listener keeps nothing alive. */
  on<E extends keyof PoolEventMap>(event: E, listener: (detail: PoolEventMap[E]) => void): this;
  once<E extends keyof PoolEventMap>(event: E, listener: (detail: PoolEventMap[E]) => void): this;
  off<E extends keyof PoolEventMap>(event: E, listener: (detail: PoolEventMap[E]) => void): this;
  /** The counts of this moment, and the nodes. */
  status(): PoolStatus;
  /** Another name of `getStats`. */
  stats(): PoolStats;
  /** Stands for the pool in other threads of the process (`joinPool`). The pool ends here, or with this thread. */
  share(): PoolToken;
  /**
   * Refuses new work, waits for statements in flight, closes all connections. Safe to call twice: the same promise.
   * Of a pool that was joined: leaves it at once; what is in flight is still answered, and the pool goes on.
   */
  end(options?: EndOptions): Promise<void>;
  /**
   * Blocks the thread until the result is there: for scripts, migrations and start-up code, never for servers. Without
   * `timeoutMs` and `maxStatementMs` it gives up after 30 s.
   * @throws {TypeError} a password or `checkServerIdentity` is a function, which cannot run meanwhile
   */
  querySync<T = Row>(sql: string, params?: Params, options?: Omit<QueryOptions, 'signal'>): Rows<T>;
  /** `end()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A transaction. After `commit` or `rollback` everything rejects with `ClosedError`. `COMMIT`, `END`, `ROLLBACK` or `ABORT` as the
 * text of a `query` is the same as these; PREPARE TRANSACTION and AND CHAIN are refused.
 */
export interface Transaction extends Queryable, AsyncDisposable {
  /**
   * Waits for what was asked for before and is not answered.
   * @throws {TransactionRolledBackError} an earlier statement had failed, or was given up before it was sent and nobody had heard
   * of it yet; nothing was committed
   * @throws {CommitAbortedError} COMMIT was not answered, and certainly did not happen
   * @throws {OutcomeUnknownError} COMMIT was not answered, and nobody could say what became of it
   * @throws {TransactionLostError} the connection had been lost; nothing was committed
   */
  commit(options?: EndOptions): Promise<void>;
  /** Also resolves when the connection is lost, because then nothing was committed either. Destroys COPYs that go on. */
  rollback(options?: EndOptions): Promise<void>;
  /** Runs `fn` behind a savepoint; if `fn` throws, what it did is undone, the transaction goes on, and that is thrown. */
  savepoint<T>(fn: (tx: Transaction) => T | Promise<T>): Promise<T>;
  /** The same: a transaction within. */
  transaction<T>(fn: (tx: Transaction) => T | Promise<T>): Promise<T>;
  /** Rolls back unless the transaction has ended. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a pool. Opens nothing yet. `undefined`, as of a variable that is not set, is no options: the environment decides.
 * @throws {TypeError} an option is wrong; the message names it and never shows a secret
 * @example
 * const pool = createPool({ host: 'localhost', user: 'app', database: 'app' });
 * const [user] = await pool.query('select * from users where id = $1', [1]);
 */
export function createPool(options: ClusterPoolOptions | string | undefined): Pool;
