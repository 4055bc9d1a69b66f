// What the channels of `node:diagnostics_channel` tell: `tracingChannel('pg-berth:query')` and its companions.

/** Under the names of OpenTelemetry's stable semantic conventions for databases. */
export type Attributes = Record<string, string | number>;

/**
 * What goes on, or went on. One object for all events of the same thing: fields are filled when they are known. Never
 * with the value of a parameter or a secret.
 *
 * `start`, `end`, `asyncStart`, `asyncEnd` and `error` come as from `tracePromise`. What the engine does beside the
 * event loop is told of afterwards, its events right behind one another: `startTime` and `durationMs` are the engine's.
 */
export interface Trace {
  /** `'cluster'` of createPool, `'pg'` of Client, Pool and ServerlessClient. */
  readonly face: 'cluster' | 'pg';
  readonly database: string | undefined;
  readonly user: string | undefined;
  /** Of createPool: its hosts and its database. */
  readonly pool: string | undefined;
  /** As configured; with several hosts, once one was chosen. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  /** The address behind the host, with its port. */
  readonly address: string | undefined;
  /** Milliseconds since 1970, with fractions. */
  readonly startTime: number;
  /** Once it is over. */
  readonly durationMs: number | undefined;
  /** Like what the caller gets; not the same object. */
  readonly error: Error | undefined;
  /** `db.system.name`, `db.namespace`, `server.address`, `error.type` and so on; made when it is read. */
  readonly attributes: Attributes;
}

/** `pg-berth:query`: a statement, from being asked for to its last row; of streams and cursors to the last batch. */
export interface QueryTrace extends Trace {
  /** As given. It may hold values; `text` does not. */
  readonly sql: string;
  /** As given when its values travel as parameters, else with `?` for its literals. */
  readonly text: string;
  /** Operations and relations, for example `SELECT users`. */
  readonly summary: string;
  readonly kind: 'query' | 'stream' | 'copy';
  readonly parameterCount: number;
  /** First word of the command tag. */
  readonly command: string | undefined;
  /** Rows returned or affected. */
  readonly rowCount: number | null;
  /** How long it waited for a connection of its pool. */
  readonly waitMs: number | undefined;
  /** The transaction it belongs to, when that is traced. */
  readonly transaction: TransactionTrace | undefined;
}

/** `pg-berth:connect`: an attempt to open a connection. */
export interface ConnectTrace extends Trace {}

/** `pg-berth:acquire`: a wait for a connection of a pool, however short. */
export interface AcquireTrace extends Trace {
  /** The statement it was for. */
  readonly query?: QueryTrace | undefined;
}

/**
 * `pg-berth:transaction`: from its beginning to its end. Of `transaction` and `begin` of createPool, `transaction` of
 * ServerlessClient, and transactions of BerthDialect; a program that sends BEGIN itself is told of by its statements.
 */
export interface TransactionTrace extends Trace {
  /** Text of its BEGIN. */
  readonly begin: string;
  readonly outcome: 'committed' | 'rolled-back' | 'failed' | 'unknown' | undefined;
}

/** `pg-berth:failover`: another node became the primary; `durationMs` since the former one was lost, 0 if it was not. */
export interface FailoverTrace extends Trace {
  /** Address of the former primary. */
  readonly from: string;
  /** Address of the new one. */
  readonly to: string;
}

/** `pg-berth:lease`: what is done with a lease. */
export interface LeaseTrace extends Trace {
  /** `'renew'`: signed anew on its connection; `'reap'`: what others left behind was ended; `'give up'`: there is a pooler. */
  readonly action: 'renew' | 'reap' | 'give up';
  /** Of `'reap'`. */
  readonly pass?: { locked: boolean; killed: number; candidates: number } | undefined;
}
