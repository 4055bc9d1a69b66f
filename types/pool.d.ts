// createPool, Pool and Transaction: the cluster face.

import type { CopyFromStream, CopyOptions, CopyToStream } from './copy.js';
import type {
  BatchOptions,
  BatchStatement,
  InsertManyOptions,
  InsertOptions,
  LogEvent,
  PasswordFunction,
  PoolEventMap,
  PoolLease,
  PoolStatus,
  PoolToken,
  QueryHooks,
  SingleOptions,
  StreamOptions,
  UpkeepOptions,
} from './pool-extras.js';
import type { NativeFigures, PoolStats } from './pool-figures.js';
import type { SslOptions } from './ssl.js';

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

/**
 * Options of `createPool`. Times are whole milliseconds from 1, or from 0 where 0 is said to mean something, to
 * 2 147 483 647 (24.8 days); names have at most 255 bytes. Unknown names, wrong values and contradictions throw a `TypeError`
 * (`ERR_CONFIG`) that has the name as `option`; `undefined` counts as not given.
 */
export interface PoolOptions extends QueryHooks, UpkeepOptions {
  /** `postgres://…` or `key=value …`, in the words of libpq. Options beside it win. */
  connectionString?: string;
  /** One entry per node, at most 64: `'name'`, `'name:port'`, `'[v6]:port'` or the folder of a socket. Not beside `host`. */
  hosts?: readonly string[];
  /** Instead of `hosts`. Default: `PGHOST`, else `localhost`. */
  host?: string;
  /** For entries without their own: 1 to 65 535. Default: `PGPORT`, else 5432. */
  port?: number;
  /** Default: `PGUSER`, else the name of the system's user. */
  user?: string;
  /** Never appears in errors, logs or `inspect`. A function is asked for each connection whose server wants a password. */
  password?: string | PasswordFunction;
  /** Default: `PGDATABASE`, else the user's name. */
  database?: string;
  /**
   * Which nodes the pool uses; it follows them through failovers.
   *
   * - `'read-write'` (also `'rw'`, `'readwrite'`; the default): the primary that takes writes
   * - `'read-only'` (`'ro'`, `'readonly'`), `'standby'`: standbys
   * - `'prefer-standby'` (`'preferstandby'`): standbys, and the primary while there is none
   * - `'primary'`: the node out of recovery, even when it refuses writes
   * - `'any'`: whichever answers
   *
   * The default is weaker than `target_session_attrs` of the connection string.
   */
  mode?:
    | 'read-write'
    | 'readwrite'
    | 'rw'
    | 'read-only'
    | 'readonly'
    | 'ro'
    | 'prefer-standby'
    | 'preferstandby'
    | 'primary'
    | 'standby'
    | 'any';
  /** Which of several standbys gets a connection. Default for modes that read `'least-in-use'`, random where equal. */
  loadBalance?: 'random' | 'round-robin' | 'least-in-use';
  /** How long an attempt to connect is alone before the next node is tried beside it. Default 250; 0: all at once. */
  raceDelayMs?: number;
  /** Connections opened at the same time: 1 to 1000. Default 4. */
  maxConnecting?: number;
  /**
   * How it is noticed that a primary was demoted while its connections stayed open. `'auto'`: a bare Sync in front of a
   * read, in the same packet, or `SHOW transaction_read_only` there where the server does not report its role;
   * `'inband'`, `'query'`: always this or that; `'off'`: only what servers report by themselves. Default `'auto'`.
   */
  fenceCheck?: 'auto' | 'inband' | 'query' | 'off';
  /** A connection that was answered less than this long ago is not checked; 0: all are. Default 5, much less than a promotion takes. */
  validationIntervalMs?: number;
  /**
   * For modes that read from standbys, an error in others: one that replays further behind is not read from. Asked in the packet of a read, at most
   * ten times in that time. A standby that has replayed all it has received counts as not behind. Default: no limit.
   */
  maxLagMs?: number;
  /** May a fenced primary serve a `'read-only'` pool, as libpq allows? Default `'retry'`: no, its rows may be stale. */
  fencedReads?: 'retry' | 'allow';
  /** `application_name`, as `pg_stat_activity` shows it; the server cuts it at 63 bytes. Default: `PGAPPNAME`. */
  applicationName?: string;
  /** Start-up options, for example `-c search_path=app`. Must not set `default_transaction_read_only`. Default: `PGOPTIONS`. */
  options?: string;
  /** As in `pg`: true = a certificate that names the host and that Node's roots have signed. Not beside `sslmode` and its companions. */
  ssl?: boolean | SslOptions;
  /** As libpq: `'require'` encrypts, and checks who has signed only where there are roots. Default `'prefer'`. */
  sslmode?: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** `'direct'` starts with the TLS handshake, which saves a round trip: PostgreSQL 17 or newer, `sslmode` from `'require'`. Default `'postgres'`. */
  sslnegotiation?: 'postgres' | 'direct';
  /** Trusted roots: a path, PEM text, a Buffer, or `'system'` for those of the operating system. Default `~/.postgresql/root.crt` if it exists. */
  sslrootcert?: string | Uint8Array;
  /** Revocation lists. Default `~/.postgresql/root.crl` if it exists. */
  sslcrl?: string | Uint8Array;
  /** A folder of revocation lists. */
  sslcrldir?: string;
  /** Certificate to show. Default `~/.postgresql/postgresql.crt` if it exists. */
  sslcert?: string | Uint8Array;
  /** Its private key; a file must not be open to group or others. Default `~/.postgresql/postgresql.key`. */
  sslkey?: string | Uint8Array;
  /** Password of an encrypted `sslkey`. */
  sslpassword?: string;
  /** `'require'`: a server that does not ask for the certificate is left. Default `'allow'`. */
  sslcertmode?: 'disable' | 'allow' | 'require';
  /** Send the host's name in the handshake. Default true. */
  sslsni?: boolean;
  /** Default `'TLSv1.2'`. */
  ssl_min_protocol_version?: 'TLSv1.2' | 'TLSv1.3';
  /** Default `'TLSv1.3'`. */
  ssl_max_protocol_version?: 'TLSv1.2' | 'TLSv1.3';
  /** `'require'`: a login that is not bound to the TLS connection (SCRAM-SHA-256-PLUS) fails. Default `'prefer'`. */
  channelBinding?: 'disable' | 'prefer' | 'require';
  /** Methods the server may ask for, for example `'scram-sha-256'` or `'!password,!md5'`; `'none'` for no question. Default: all. */
  requireAuth?: string;
  /** Send a password in clear text without TLS when the server asks for it. Default false. */
  allowCleartext?: boolean;
  /** A server that asks for more SCRAM iterations is refused; from 1. Default 100 000. */
  scramMaxIterations?: number;
  /** Default `'3.0'`. Above `maxProtocolVersion`: an error. */
  minProtocolVersion?: '3.0' | '3.2';
  /** `'3.2'` (also `'latest'`) has longer cancel keys: PostgreSQL 18 or newer, older ones agree on 3.0. Default `minProtocolVersion`. */
  maxProtocolVersion?: '3.0' | '3.2' | 'latest';
  /** Password file. Default `~/.pgpass`; ignored with a warning if group or others can read it. */
  passfile?: string;
  /** Section of the service file, whose settings count behind those given here. Default `PGSERVICE`. */
  service?: string;
  /** Default `PGSERVICEFILE`, else `~/.pg_service.conf`, else that of the system. */
  servicefile?: string;
  /** Address to dial instead of looking `host` up; certificates are still compared with `host`. */
  hostaddr?: string;
  /** Most connections: 1 to 262 143. Default 10. */
  poolSize?: number;
  /** Connections kept open when idle: 0 to `poolSize`. Default 0. */
  minIdle?: number;
  /** Idle connections above `minIdle` are closed after this; 0 = never. Default 30 000. */
  idleTimeoutMs?: number;
  /** Connections are replaced after this, ±10 %; 0 = never. Default 1 800 000. */
  maxLifetimeMs?: number;
  /** Connections are replaced after so many uses, from 1. Default: no limit. */
  maxUses?: number;
  /** Most time to get a usable connection: waiting, connecting and trying again together. Default 5000. */
  acquireTimeoutMs?: number;
  /** Most time of one attempt to connect: name, TCP, TLS and authentication together. Default 2000. */
  connectTimeoutMs?: number;
  /**
   * The server's own `statement_timeout`. Default: the server's. Behind a pooler that refuses it in the startup packet the pool
   * keeps the limit, as with `maxStatementMs`: a `SET` would stay with a connection that others use next.
   */
  statementTimeoutMs?: number;
  /** `timeoutMs` for every statement that has none, and 2 s more for COMMIT: a guard against a frozen server, as `aliveTimeoutMs`. Default: none. */
  maxStatementMs?: number;
  /**
   * A COMMIT whose answer is lost: `'xid'` asks the primary of then for the transaction (after a crash or a failover too); it
   * costs some 20 µs a statement and no round trip. `'marker'`: transactions that write leave a row in `commitMarkerTable` in
   * the packet of their COMMIT, which decides on any topology, after any number of failovers; in modes that may lead to a
   * standby only those with `accessMode: 'read-write'`, others as `'xid'`. `'off'`: `OutcomeUnknownError` at once. Default `'xid'`.
   */
  commitResolution?: 'xid' | 'marker' | 'off';
  /** How long that is tried. Default 10 000. */
  resolveTimeoutMs?: number;
  /** The same for statements that stand for themselves, see `SingleOptions`. Default false. */
  exactlyOnce?: boolean;
  /**
   * A server that owes an answer, has not sent a byte for half of this, and does not answer a new connection in the other half, is
   * given up with all its connections: it may be frozen. One that only takes its time is not. Default: none.
   */
  aliveTimeoutMs?: number;
  /**
   * TCP keep-alive: silence before the first probe and time between probes, each from 1000, and unanswered probes that end the
   * connection, 1 to 127. Defaults 5000, 1000, 3.
   */
  keepalive?: { idleMs?: number; intervalMs?: number; count?: number };
  /** Sent data must be acknowledged within this; 0 = the system's default. Default 8000. */
  tcpUserTimeoutMs?: number;
  /**
   * Who reads answers. `'auto'`: the event loop, and while that is late the engine's thread; `'engine'`: always that, which
   * takes more work off the JS thread; `'loop'`: an error where none can be used. Default `PG_BERTH_DRIVER`, else `'auto'`.
   */
  driver?: 'auto' | 'loop' | 'engine';
  /** `'unnamed'` for poolers that lose prepared statements. Default `'named'`. */
  preparedStatements?: 'named' | 'unnamed';
  /** Prepared statements kept per connection: 0 to 65 536, 0 = none. Default 256. */
  statementCacheSize?: number;
  /**
   * When connections are lost, as many of their most used statements are prepared on those that replace them, before anybody
   * has them; 0 to 256, 0 = none. Default 8. The event `warm` tells of it.
   */
  warmStatements?: number;
  /** Default `'lossless'`. */
  types?: Types;
  /** Default `'object'`. */
  rowMode?: 'object' | 'array';
  /**
   * A statement whose rows have more bytes is cancelled and rejects with a `ResultError`; a row that is not taken is not
   * kept in memory either. One that the server has finished before the cancel came is an `OutcomeUnknownError` with the
   * `ResultError` as `cause`. Of a stream each batch is counted for itself. From 1. Default: no limit.
   */
  maxResultBytes?: number;
  /**
   * Of whatever is run again: total tries from 1, and the delay between them from base to max, each from 0. `'half'` doubles it and takes between half
   * and all of that; `'decorrelated'` takes between the base and three times the delay before. Defaults 3, 50, 1000, `'half'`.
   */
  retry?: {
    maxAttempts?: number;
    baseDelayMs?: number;
    maxDelayMs?: number;
    jitter?: 'half' | 'decorrelated';
  };
  /**
   * Signs every connection with a lease in its `application_name`, renews it while the process runs, and ends
   * connections of the same service whose lease has expired, as `ServerlessClient` does.
   */
  lease?: PoolLease;
  /** Called after each try of a statement. What it throws is swallowed. */
  logger?: (event: LogEvent) => void;
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
export function createPool(options: PoolOptions | string | undefined): Pool;
