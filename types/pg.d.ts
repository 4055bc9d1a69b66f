// biome-ignore-all lint/suspicious/noExplicitAny: rows, parameters and parsers hold what a statement says.
// The pg face: what `require('pg')` gives, with the same names and shapes.

import type { EventEmitter } from 'node:events';
import type { CopyFromStream, CopyOptions, CopyToStream } from './copy.js';
import type { ServerError } from './errors.js';
import type { BuiltinType } from './pg-builtins.js';
import type { Defaults, PoolOptions, TransactionStatus } from './pg-names.js';
import type { InsertManyOptions, PoolLease, QueryHooks } from './pool-extras.js';
import type { SslOptions } from './ssl.js';

type Format = 'text' | 'binary';

/** Looks up the parser of a type. */
export interface CustomTypesConfig {
  getTypeParser(oid: number, format?: Format): (value: any) => any;
}

/** Called for every new connection. */
export type PgPasswordFunction = (parameters: ConnectionParameters) => string | Promise<string>;

/** Names, meanings and defaults are those of `pg`; other members are ignored, as there. */
export interface ClientConfig extends QueryHooks {
  user?: string | undefined;
  database?: string | undefined;
  password?: string | PgPasswordFunction | undefined;
  port?: number | string | undefined;
  /** A name, an address, or the folder of a Unix socket. */
  host?: string | undefined;
  /** Overrides the other members. */
  connectionString?: string | undefined;
  /** Start TCP keep-alive; default on. */
  keepAlive?: boolean | undefined;
  /** Silence before the first probe; less than 1000 counts as 1000. Default 5000. */
  keepAliveInitialDelayMillis?: number | undefined;
  /**
   * Milliseconds, sent at start-up; as the next two limits of the server. Default: the server's own. Connecting fails with
   * what is no number from 0 to 2147483647. `'0'` lifts it, the number 0 leaves it.
   */
  statement_timeout?: false | number | string | undefined;
  lock_timeout?: false | number | string | undefined;
  idle_in_transaction_session_timeout?: false | number | string | undefined;
  /** Milliseconds a query, or a read of a cursor, may take; a late one is cancelled on the server. Default: none. */
  query_timeout?: number | undefined;
  /** Milliseconds for all of connecting, login included; of a pool for waiting too. Default 0: no limit. */
  connectionTimeoutMillis?: number | undefined;
  /** Default false, or `PGSSLMODE`. */
  ssl?: boolean | string | SslOptions | undefined;
  sslnegotiation?: 'postgres' | 'direct' | undefined;
  types?: CustomTypesConfig | 'pg' | 'lossless' | Record<string, (text: string) => any> | undefined;
  application_name?: string | undefined;
  fallback_application_name?: string | undefined;
  /** Start-up options, for example `-c search_path=app`. */
  options?: string | undefined;
  /**
   * `'named'`, the default: statements with values stay prepared on the server, except inside transactions; one that
   * turns out to be stale is prepared anew. `'unnamed'`: they are parsed each time, as in `pg`.
   */
  preparedStatements?: 'named' | 'unnamed' | undefined;
  /** Signs it with a lease, as `ServerlessClient` does, keeps that while it is open, and ends expired ones of its service. */
  lease?: PoolLease | undefined;
  binary?: boolean | undefined;
  pipeline?: boolean | undefined;
  /** Binds the login to the TLS connection where the server offers SCRAM-SHA-256-PLUS. Default false. */
  enableChannelBinding?: boolean | undefined;
  client_encoding?: string | undefined;
  /** Refused when it connects: the engine does not speak replication. */
  replication?: string | undefined;
  /** Default 100 000; 0 = no limit. */
  scramMaxIterations?: number | undefined;
  Promise?: PromiseConstructorLike | undefined;
}

/** What a client connects with: its config over the environment over `defaults`. */
export interface ConnectionParameters {
  user: string;
  database: string;
  password: string | PgPasswordFunction | null;
  host: string;
  port: number;
  [name: string]: any;
}

export interface PoolConfig extends ClientConfig {
  /** Clients at most. Default 10. */
  max?: number | undefined;
  /** Idle clients are closed down to so many; nothing is opened in advance. Default 0. */
  min?: number | undefined;
  /** Milliseconds after which an idle client is closed; 0 or null = never. Default 10 000. */
  idleTimeoutMillis?: number | null | undefined;
  /** Checkouts after which a client is closed. Default: no limit. */
  maxUses?: number | undefined;
  /** Age after which a client is closed when it comes back. Default 0: no limit. */
  maxLifetimeSeconds?: number | undefined;
  /** Idle clients do not keep the process alive. Default false. */
  allowExitOnIdle?: boolean | undefined;
  /** Runs on every new client before it is lent; a failure closes the client. */
  onConnect?: ((client: Client) => unknown) | undefined;
  /** Asked about every new client; one that throws has refused it. */
  verify?: ((client: Client, callback: (error?: Error) => void) => void) | undefined;
  log?: ((...messages: any[]) => void) | undefined;
  /** Makes the clients. */
  Client?: (new (config?: any) => any) | undefined;
  /** Records where each client was asked for, so that an acquire timeout can name who holds them. Default false. */
  trackHolders?: boolean | undefined;
  /** When all are busy, `pool.query` sends what was quick ahead, at most so many on one client. Default 8; with 1 each waits. */
  pipelineDepth?: number | undefined;
  /** Whether a transaction that is open at `release` is rolled back. Default true, or `defaults.rollbackOnRelease`. Not in pg. */
  rollbackOnRelease?: boolean | undefined;
  /**
   * Runs at `release` if statements may have left something in the session: settings, temporary tables, locks of the session,
   * cursors `WITH HOLD`, `PREPARE`, `LISTEN`, or anything by a function that the server does not come with. One statement, for example
   * `'DISCARD ALL'`; a client on which it fails is closed. What a trigger, a view or an operator sets is not seen. With
   * `rollbackOnRelease: false` not inside a transaction; not with a `Client` of another package. Default: none. Not in pg.
   */
  resetQuery?: string | undefined;
}

/** Who had a client when an acquire timed out; the longest first. */
export interface Holder {
  /** What the program has set as `client.label`. */
  readonly label: string | undefined;
  readonly processID: number | undefined;
  readonly ageMs: number;
  /** With `trackHolders`. */
  readonly stack: string | undefined;
}

export interface QueryConfig<I = any[]> {
  text: string;
  values?: I | undefined;
  /** Prepared under this name on first use. */
  name?: string | undefined;
  types?: CustomTypesConfig | undefined;
  /** Overrides the client's. */
  query_timeout?: number | undefined;
  /**
   * Gives it up while it waits, for its turn or for a client of the pool, or cancels it on the server; the signal's reason is
   * thrown. Not in pg.
   */
  signal?: AbortSignal | undefined;
  queryMode?: 'extended' | undefined;
  binary?: boolean | undefined;
  /** Asks for the extended protocol, as in pg, and for nothing else: all rows come. */
  rows?: number | undefined;
  /** Not heeded: the engine names its portals. */
  portal?: string | undefined;
}

export interface QueryArrayConfig<I = any[]> extends QueryConfig<I> {
  rowMode: 'array';
}

export interface FieldDef {
  name: string;
  tableID: number;
  columnID: number;
  dataTypeID: number;
  dataTypeSize: number;
  dataTypeModifier: number;
  format: string;
}

export interface QueryResultBase {
  command: string;
  rowCount: number | null;
  oid: number;
  fields: FieldDef[];
}

export type QueryResultRow = Record<string, any>;

export interface QueryResult<R = any> extends QueryResultBase {
  rows: R[];
}

export interface QueryArrayResult<R extends any[] = any[]> extends QueryResultBase {
  rows: R[];
}

/** The constructor of every result. */
export class Result<R = any> implements QueryResult<R> {
  constructor(rowMode?: string, types?: CustomTypesConfig);
  command: string;
  rowCount: number | null;
  oid: number;
  fields: FieldDef[];
  rows: R[];
  rowAsArray: boolean;
  addRow(row: R): void;
  addFields(fields: FieldDef[]): void;
  parseRow(cells: (string | null)[]): any;
  addCommandComplete(message: { text?: string; command?: string }): void;
}

/** Something that has a client to itself while it runs: a cursor, a stream, a COPY. */
export interface Submittable {
  submit(connection: any): void;
}

/** NOTIFY of some session. `payload` is empty when none was given. */
export interface PgNotification {
  name: 'notification';
  length: number;
  processId: number;
  channel: string;
  payload: string;
}

/** A message below ERROR. */
export interface NoticeMessage {
  name: 'notice';
  length: number;
  message: string;
  severity: string;
  code: string;
  detail?: string;
  hint?: string;
  where?: string;
  [field: string]: any;
}

type Done<R> = (error: Error, result: R) => void;

/** Everything that a client and a pool can be asked. */
interface Queries {
  // Apart from the next: so Kysely's dialect takes a pool of this face.
  query<T extends Submittable>(submittable: T): T;
  query<T extends Submittable>(submittable: T, callback: Done<any>): T;
  query<R extends any[] = any[], I = any[]>(
    config: QueryArrayConfig<I>,
    values?: I,
  ): Promise<QueryArrayResult<R>>;
  query<R = any, I = any[]>(text: string | QueryConfig<I>, values?: I): Promise<QueryResult<R>>;
  query<R = any>(text: string | QueryConfig, callback: Done<QueryResult<R>>): void;
  query<R = any, I = any[]>(
    text: string | QueryConfig<I>,
    values: I,
    callback: Done<QueryResult<R>>,
  ): void;
  /** @throws what the first query that failed threw, with its `index`: nothing of the batch was carried out */
  batch(
    queries: readonly (string | QueryConfig<any[]>)[],
    options: { errors: 'all-or-nothing' },
  ): Promise<QueryResult[]>;
  batch(
    queries: readonly (string | QueryConfig<any[]>)[],
    options?: { errors?: 'isolated' },
  ): Promise<PromiseSettledResult<QueryResult>[]>;
  /**
   * Inserts any number of rows by one COPY, far faster than INSERT: all of them or none. Values are written as in `query`,
   * except that an array for a column of json or jsonb is JSON.
   * @param table a name, or schema and name; quoted as it is
   * @param rows objects with columns as keys, or arrays in the order of `columns`
   * @returns rows inserted
   * @throws what the server refused, with the line in `where`; `TypeError` for a row that cannot be sent, with its number from 0
   * as `row`
   */
  insertMany(
    table: string | readonly string[],
    rows:
      | Iterable<Record<string, unknown> | readonly unknown[]>
      | AsyncIterable<Record<string, unknown> | readonly unknown[]>,
    options?: InsertManyOptions,
  ): Promise<number>;
}

export interface ClientEvents {
  connect: [];
  drain: [];
  end: [];
  error: [error: Error];
  notice: [notice: NoticeMessage];
  notification: [notification: PgNotification];
}

/** One connection. */
export class Client extends EventEmitter<ClientEvents> implements Queries {
  constructor(config?: string | ClientConfig);
  static readonly Query: typeof Query;
  readonly connectionParameters: ConnectionParameters;
  /** Emits `parameterStatus`, `notice`, `notification`, `error` and `end`; there is no socket behind it. What ends or breaks it ends the client. */
  readonly connection: EventEmitter & {
    readonly stream: EventEmitter & { destroy(reason?: Error): unknown; end(): unknown };
    readonly parsedStatements: Record<string, string>;
  };
  user: string;
  database: string;
  host: string;
  port: number;
  password: string | PgPasswordFunction | null;
  ssl: boolean | string | SslOptions;
  binary: boolean;
  pipeline: boolean;
  enableChannelBinding: boolean;
  scramMaxIterations: number;
  readonly sslNegotiation: 'postgres' | 'direct';
  replication: string | undefined;
  /** Of the server process; null before login. */
  processID: number | null;
  /** Always null: the engine keeps the key that can cancel statements. */
  readonly secretKey: null;
  readonly activeQuery: Query | null;
  readonly queryQueue: readonly Query[];
  connect(): Promise<this>;
  connect(callback: (error: Error, client?: this) => void): void;
  query: Queries['query'];
  /**
   * Runs queries in order without waiting for one answer before the next is sent. With `errors: 'all-or-nothing'` they are
   * one transaction, or one savepoint inside the caller's, and an error has the `index` of its query.
   */
  batch: Queries['batch'];
  /** In its turn among the client's queries, and in the transaction that is open. */
  insertMany: Queries['insertMany'];
  /** Takes the data of a COPY … FROM STDIN; errors are the stream's. */
  copyFrom(text: string, options?: CopyOptions): CopyFromStream;
  /** Gives the data of a COPY … TO STDOUT. */
  copyTo(text: string, options?: CopyOptions): CopyToStream;
  /** Connects while JavaScript is blocked; a password function is refused. For scripts and start-up code. */
  connectSync(): this;
  /** Runs a statement while JavaScript is blocked, on a client where nothing else runs. Ends after 30 s by default. */
  querySync<R = any, I = any[]>(config: string | QueryConfig<I>, values?: I): QueryResult<R>;
  end(): Promise<void>;
  /** Never called with an error. */
  end(callback: (error: Error) => void): void;
  ref(): void;
  unref(): void;
  /** With the server's last answer; null before login. */
  getTransactionStatus(): TransactionStatus;
  isConnected(): boolean;
  setTypeParser(oid: number, parser: (text: string) => any): void;
  setTypeParser(oid: number, format: 'text', parser: (text: string) => any): void;
  setTypeParser(oid: number, format: 'binary', parser: (bytes: Buffer) => any): void;
  getTypeParser(oid: number, format?: Format): (value: any) => any;
  escapeIdentifier(text: string): string;
  escapeLiteral(text: string): string;
}

/** There to be imported; `new` throws, because the engine owns the socket. */
export class Connection extends EventEmitter {}

/** A client lent by a pool. */
export interface PoolClient extends Client {
  /** Gives it back; with an error or `true` it is closed. */
  release(error?: Error | boolean): void;
}

export interface PoolEvents {
  connect: [client: PoolClient];
  acquire: [client: PoolClient];
  release: [error: Error | undefined, client: PoolClient];
  remove: [client: PoolClient];
  error: [error: Error & { client: PoolClient }, client: PoolClient];
}

/** Clients, lent one at a time. */
export class Pool extends EventEmitter<PoolEvents> implements Queries {
  constructor(config?: string | PoolConfig, Client?: new (config?: any) => any);
  readonly options: PoolOptions;
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  readonly expiredCount: number;
  ending: boolean;
  ended: boolean;
  /** Told what the pool does: the option `log`. */
  log: (...words: any[]) => void;
  connect(): Promise<PoolClient>;
  connect(
    callback: (
      error: Error | undefined,
      client: PoolClient | undefined,
      release: (error?: any) => void,
    ) => void,
  ): void;
  query: Queries['query'];
  /**
   * As `batch` of a client, on one that is free. Signals give up the wait for it: that of one query with `'all-or-nothing'`, otherwise
   * those of all.
   */
  batch: Queries['batch'];
  /** As `insertMany` of a client, on one that is free; its signal gives up the wait too. */
  insertMany: Queries['insertMany'];
  end(): Promise<void>;
  /** With an error if the pool is being ended already. */
  end(callback: (error?: Error) => void): void;
}

export interface QueryEvents<R = any> {
  row: [row: R, result: Result<R>];
  end: [results: any];
  error: [error: Error];
}

/** A query that tells of its rows by events. */
export class Query<R = any, I extends any[] = any[]>
  extends EventEmitter<QueryEvents<R>>
  implements Submittable
{
  constructor(config: string | QueryConfig<I>, callback?: Done<Result<R>>);
  constructor(config: string | QueryConfig<I>, values?: I, callback?: Done<Result<R>>);
  text: string;
  values: I | undefined;
  name: string | undefined;
  rows: number | undefined;
  types: CustomTypesConfig | undefined;
  binary: boolean | undefined;
  portal: string;
  /** There if it was given. */
  signal?: AbortSignal;
  callback: Done<any> | undefined;
  submit(): void;
}

/** Parsers that can be replaced at run time. */
declare class ParserSet implements CustomTypesConfig {
  getTypeParser(oid: number, format?: Format): (value: any) => any;
  setTypeParser(oid: number, parser: (text: string) => any): void;
  setTypeParser(oid: number, format: 'text', parser: (text: string) => any): void;
  setTypeParser(oid: number, format: 'binary', parser: (bytes: Buffer) => any): void;
}

/** Parsers of one client, over those of the process. */
export class TypeOverrides extends ParserSet {
  constructor(types?: CustomTypesConfig);
}

/** The parsers of the process. */
export const types: ParserSet & {
  /** OIDs of the types that come with the server. */
  readonly builtins: Readonly<Record<BuiltinType, number>>;
  readonly arrayParser: {
    create(text: string, parse?: (element: string) => any): { parse(): any[] };
  };
};

/** Read whenever a client is made. */
export const defaults: Defaults;

export function escapeIdentifier(text: string): string;
export function escapeLiteral(text: string): string;

export const utils: {
  prepareValue(value: unknown): string | Buffer | null | undefined;
  /** A copy of the config with values and callback in it. */
  normalizeQueryConfig(
    config: string | QueryConfig,
    values?: any,
    callback?: Done<any>,
  ): QueryConfig;
  escapeIdentifier(text: string): string;
  escapeLiteral(text: string): string;
};

/** The functions of the package pg-connection-string. */
export const connectionString: {
  parse(text: string, options?: { useLibpqCompat?: boolean }): Record<string, any>;
  toClientConfig(config: Record<string, any>): ClientConfig;
  parseIntoClientConfig(text: string): ClientConfig;
};

/** There is no second implementation to choose. */
export const native: null;

/** An error of the server, as `pg` has it. */
export type PgDatabaseError = ServerError;

// biome-ignore lint/complexity/noUselessEmptyExport: without it all declarations of a .d.ts are exported
export {};
