// pg-berth/health: checks, a monitor and query figures, for any driver that Kysely can use.

import type { Logger } from './logger.js';
import type { Pool as ClusterPool } from './pool.js';
import type { PoolMetrics } from './pool-metrics.js';

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

export interface HealthCheck {
  name: string;
  status: HealthStatus;
  message?: string;
  details?: Record<string, unknown>;
}

export interface HealthCheckResult {
  /** The worst status in `checks`. */
  status: HealthStatus;
  /** `Database Connection`, and `Connection Pool` when every connection is in use and callers wait. */
  checks: HealthCheck[];
  errors?: string[];
  metrics?: HealthMetrics;
  timestamp: Date;
}

export interface HealthMetrics {
  /** Only when `verbose`. `'Unknown'` when the database does not say. */
  databaseVersion?: string;
  poolMetrics?: {
    totalConnections: number;
    activeConnections: number;
    idleConnections: number;
    waitingRequests: number;
  };
  queryMetrics?: {
    totalQueries?: number;
    avgResponseTime?: number;
    slowQueries?: number;
    errors?: number;
  };
  /** Milliseconds from the call to the answer; of a pool of createPool from sending the question, measured by the engine. */
  checkLatency?: number;
  /** Of a pool of createPool: how long it took to have the control connection, which is one beyond the pool's maximum. */
  acquireWaitMs?: number;
  /** Of a pool of createPool: from sending the question to its answer. */
  roundTripMs?: number;
  /** Of a pool of createPool: how long the event loop let the answer wait. */
  eventLoopLagMs?: number;
}

/**
 * What a check asks of a database: a Kysely instance has it. A pool of createPool is asked by the engine itself, and so is that of
 * BerthDialect as soon as there is one.
 */
export type HealthDatabase =
  // biome-ignore lint/suspicious/noExplicitAny: Kysely's own builder type is not needed to be installed.
  { selectNoFrom(selection: any): any } | ClusterPool;

/** What a check asks of a pool; one without `getMetrics` gives no figures. */
export interface HealthPool {
  getMetrics?(): PoolMetrics;
}

/** When a database counts as unwell. Milliseconds from 0, `timeoutMs` above 0; others are a `RangeError`. */
export interface HealthLimits {
  /** A check that takes longer fails. Default 5000. */
  timeoutMs?: number;
  /** From this latency on it is degraded. Default 100. */
  degradedMs?: number;
  /** From this latency on it is unhealthy. Default 500. */
  unhealthyMs?: number;
}

export interface HealthCheckOptions extends HealthLimits {
  pool?: HealthPool | null;
  /** Asks for the server's version too, with a second query. Default false. */
  verbose?: boolean;
  logger?: Logger;
}

export interface HealthMonitorOptions extends HealthCheckOptions {
  /** Milliseconds from one check to the next, above 0. Default 30 000. */
  intervalMs?: number;
  /** true: the monitor keeps the process alive. Default false. */
  keepAlive?: boolean;
  /** So many bad checks in a row, from 1, make a change of status. Default 1. */
  failureThreshold?: number;
  onStatusChange?: (
    newStatus: HealthStatus,
    previousStatus: HealthStatus,
    result: HealthCheckResult,
  ) => void;
}

export type HealthCheckCallback = (result: HealthCheckResult) => void;

/**
 * Runs `select 1` and says how long that took. Never rejects because of the database or the pool. The type parameter is that of
 * the original, a schema, and decides nothing.
 * @throws {TypeError | RangeError} an option is wrong
 * @example
 * const { status } = await checkDatabaseHealth(db, pool, { timeoutMs: 2000 });
 */
export function checkDatabaseHealth<_DB = unknown>(
  db: HealthDatabase,
  pool?: HealthPool | null,
  limits?: HealthLimits,
): Promise<HealthCheckResult>;

/** As `checkDatabaseHealth`, with the server's version when `verbose`. */
export function performHealthCheck<_DB = unknown>(
  db: HealthDatabase,
  options?: HealthCheckOptions,
): Promise<HealthCheckResult>;

/**
 * Checks at once and then every `intervalMs`, one check at a time.
 * @example
 * const monitor = new HealthMonitor(db, { pool, onStatusChange: (now) => report(now) });
 * monitor.start();
 */
export class HealthMonitor implements Disposable {
  constructor(db: HealthDatabase, options?: HealthMonitorOptions);
  /** Does nothing when running. `onCheck` is called once per check; what it throws is logged. */
  start(onCheck?: HealthCheckCallback): void;
  /** Stops; the last result stays. May be called any number of times. */
  stop(): void;
  /** `stop()`. */
  destroy(): void;
  [Symbol.dispose](): void;
  isRunning(): boolean;
  getLastCheck(): HealthCheckResult | undefined;
  /** Checks, or joins the check under way; does not call `onCheck` for a check of its own. */
  checkNow(): Promise<HealthCheckResult>;
  /** Checks made, and ticks that found one still under way. */
  getStats(): { checks: number; skipped: number };
}

/** One statement, as `withDebug` saw it. */
export interface QueryMetrics {
  sql: string;
  params?: unknown[];
  /** Milliseconds. */
  duration: number;
  /** Milliseconds since 1970. */
  timestamp: number;
  /** The statement was answered by an error, or not at all. */
  failed?: boolean;
}

/** A database made by `withDebug`. */
export interface DatabaseWithMetrics {
  /** A new array, oldest first. */
  getMetrics(): QueryMetrics[];
  clearMetrics(): void;
}

export interface GetMetricsOptions {
  /** A number with `ms`, `s`, `m`, `h` or `d`: older samples are left out. Default `'1h'`. */
  period?: string;
  pool?: HealthPool | null;
  /** Milliseconds; above it a query is slow. Default 100. */
  slowQueryThreshold?: number;
}

export interface ConnectionFigures {
  total: number;
  active: number;
  idle: number;
  max: number;
}

/** Durations in milliseconds, rounded to two places. Percentiles are nearest-rank. */
export interface QueryFigures {
  total: number;
  avgDuration: number;
  minDuration: number;
  maxDuration: number;
  p95Duration: number;
  p99Duration: number;
  slowCount: number;
  /** How many failed; absent when none did. */
  errors?: number;
}

export interface MetricsResult {
  period: string;
  /** ISO 8601. */
  timestamp: string;
  /** When `pool` has `getMetrics`. */
  connections?: ConnectionFigures;
  /** Absent without samples. */
  queries?: QueryFigures;
  recommendations?: string[];
}

/** Was it made by `withDebug`? */
export function hasDatabaseMetrics<D>(db: D): db is D & DatabaseWithMetrics;

/**
 * Sums up what `withDebug` collected. With a native pool as `pool`: what that pool has counted over its whole life, for
 * every statement it ran; then `db` needs no `withDebug`, may be that pool itself, and `period` is a label.
 * @throws {Error} `db` was not made by `withDebug`, and there is no native pool
 */
export function getMetrics(db: object, options?: GetMetricsOptions): MetricsResult;
