// pg-berth/kysely: a Kysely dialect on the native pool. Needs kysely 0.28 or later.

import type {
  DatabaseConnection,
  DatabaseIntrospector,
  Dialect,
  DialectAdapter,
  Driver,
  KyselyPlugin,
  MigrationLockOptions,
  QueryCompiler,
} from 'kysely';
import type { Pool } from './pool.js';
import type { ClusterPoolOptions } from './pool-options.js';

/** What Kysely hands to hooks, from 0.29 on. */
export interface AbortOptions {
  signal?: AbortSignal;
}

export interface BerthDialectConfig {
  /**
   * A pool of `createPool`, or a function that makes one at the first query. `destroy()` closes it as `pool.end()` does: it waits five
   * seconds for statements under way, then cancels them. `gracefulShutdown` of `pg-berth/shutdown` waits as long as you say.
   */
  pool?: Pool | ((options?: AbortOptions) => Pool | Promise<Pool>);
  /** Instead of `pool`: options of `createPool`, or a connection string. `types` is `'pg'` by default here. */
  connection?: ClusterPoolOptions | string;
  /** Runs once per connection, before its first use. If it throws, the connection is closed. */
  onCreateConnection?: (connection: DatabaseConnection, options?: AbortOptions) => Promise<void>;
  /** Runs at each acquisition. */
  onReserveConnection?: (connection: DatabaseConnection, options?: AbortOptions) => Promise<void>;
  /**
   * Told when a connection is lost under its user, and when `idleInTransactionMs` closes one. Of an idle one that is lost, of which
   * Kysely's own dialect is told, the pool's `retire` tells: the next query has another one.
   */
  onConnectionError?: (error: Error) => void;
  /**
   * A transaction without a statement for so many milliseconds is closed with its connection, and reported with the
   * stack of where it was begun. From 1. Default: no limit.
   */
  idleInTransactionMs?: number;
  /**
   * Where transactions with access mode `read only` run. `'standby'`: on a standby, and on the primary while there is none, by
   * a second pool of the same `connection` with `mode: 'prefer-standby'`. A standby may be behind: what was just written may
   * not be there yet. Serializable ones run on the primary: no standby has that level. Default `'primary'`. Not together with the two
   * hooks, which take a connection before anybody knows what it is for.
   */
  readOnlyTransactions?: 'primary' | 'standby';
}

/**
 * Single queries from standbys, with `readOnlyTransactions: 'standby'`: selects and raw SQL outside of transactions, whose
 * connection was not used before. What would write is refused by the standby (25006).
 * @example
 * const reports = db.withPlugin(readFromStandby());
 * await reports.selectFrom('orders').selectAll().execute(); // perhaps a little behind
 */
export function readFromStandby(): KyselyPlugin;

/**
 * Kysely's classes have private members, and there is one class per module format: naming it here would shut out the
 * programs that import the other one.
 */
// biome-ignore lint/suspicious/noExplicitAny: either of them.
type AnyKysely = any;

/** Locks out other migrations with an advisory lock. */
export interface BerthAdapter
  extends Omit<DialectAdapter, 'acquireMigrationLock' | 'releaseMigrationLock'> {
  acquireMigrationLock(db: AnyKysely, options: MigrationLockOptions): Promise<void>;
  releaseMigrationLock(db: AnyKysely, options: MigrationLockOptions): Promise<void>;
}

/**
 * Kysely on the native pool: statements are prepared once per connection, BEGIN travels with the first statement,
 * streams need no cursor class, and a cancel can only hit its own statement. `'kill session'` of Kysely 0.29 cancels, waits two seconds at
 * most, and closes the connection, where Kysely's own dialect calls `pg_terminate_backend`. What a cancel does not stop, a function that
 * catches `query_canceled`, runs to its end, unless the server looks for its client: `options: '-c client_connection_check_interval=1s'`
 * of `connection` (PostgreSQL 14 or newer) ends its session within that time.
 * @example
 * const db = new Kysely<Database>({ dialect: new BerthDialect({ connection: process.env.DATABASE_URL }) });
 */
export class BerthDialect implements Dialect {
  constructor(config: BerthDialectConfig);
  createDriver(): Driver;
  createQueryCompiler(): QueryCompiler;
  createAdapter(): BerthAdapter;
  createIntrospector(db: AnyKysely): DatabaseIntrospector;
}
