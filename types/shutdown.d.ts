// pg-berth/shutdown: closes databases in time, once, and in the right order.

import type { Logger } from './logger.js';

/** What a shutdown asks of a database: Kysely instances have `destroy`, pools `end`. */
export type DestroyableDatabase =
  | { destroy(): Promise<unknown> | unknown }
  | { end(): Promise<unknown> | unknown };

/** What became of the users of a pool of `createPool`. */
export interface ShutdownReport {
  /** Statements under way that came to their end. */
  drained: number;
  /** Callers in the queue that were turned away. */
  rejected: number;
  /** Statements that still ran shortly before the time limit, and were cancelled on the server. */
  cancelled: number;
  /**
   * Transactions and streams that nobody had ended by then, and in which no statement ran: their connections were closed,
   * so the server has rolled them back. Until then they may still commit.
   */
  open: number;
  elapsedMs: number;
}

export interface ShutdownOptions {
  /** Milliseconds for everything, above 0. Default 30 000. */
  timeout?: number;
  /**
   * Runs first and may still use the database, and so may everybody else until it has ended: it is for `server.close()`, and
   * requests under way need the database to their end. From then on new work is refused. It has `timeout` less a reserve for closing: the smaller of 5 s and 30 %.
   * If it throws or takes longer, the database is closed all the same. It must not wait for a shutdown of the same database, which is
   * the one that waits for it.
   */
  onShutdown?: () => void | Promise<void>;
  logger?: Logger;
}

/** The options of registration may also be given to `gracefulShutdown`, where they have nothing to decide. */
export interface RegisterShutdownOptions extends ShutdownOptions {
  /** At least one that a process can catch; naming one twice changes nothing. Default `['SIGTERM', 'SIGINT']`. */
  signals?: readonly NodeJS.Signals[];
  /** false: the process goes on, until a second signal. Default true. */
  exit?: boolean;
  /** The status to end with; by default 0, or 1 when the shutdown failed or ran out of time. */
  exitCode?: (error: unknown, signal: NodeJS.Signals) => number;
}

export interface ShutdownController {
  /** Shuts down once; every call gives the same promise. */
  execute(): Promise<ShutdownReport | undefined>;
  /** As `registerShutdownHandlers`. */
  registerSignals(): () => void;
  /** True from the first moment on, whoever began it, and after the end, well or not. */
  isShuttingDown(): boolean;
}

/**
 * Runs `onShutdown`, then `db.destroy()`, or `end()` where there is no `destroy`. What still runs on a pool of `createPool` or
 * a `Pool` of the pg face shortly before the limit is cancelled on the server, and what stands open is closed, whoever ends the
 * pool: Kysely's dialects and ORMs too. Gives a report for pools of `createPool` and for `BerthDialect`.
 * Calls for the same database, controllers and signals share one shutdown.
 * @throws {Error} `Shutdown timeout after <n>ms`, what `onShutdown` threw, or what `destroy` rejected with
 */
export function gracefulShutdown(
  db: DestroyableDatabase,
  options?: RegisterShutdownOptions,
): Promise<ShutdownReport | undefined>;

/**
 * `db.destroy()`, or `end()` where there is no `destroy`.
 * @throws {TypeError} it has neither
 */
export function shutdownDatabase(db: DestroyableDatabase): Promise<void>;

/**
 * On the first of the signals shuts the database down and ends the process, when all registered databases have ended. A
 * second signal ends it at once with 128 plus its number. In a worker thread nothing is registered, with a warning.
 * @returns takes the registration back
 */
export function registerShutdownHandlers(
  db: DestroyableDatabase,
  options?: RegisterShutdownOptions,
): () => void;

export function createShutdownController(
  db: DestroyableDatabase,
  options?: RegisterShutdownOptions,
): ShutdownController;
