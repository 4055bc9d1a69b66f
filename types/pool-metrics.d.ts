// pg-berth/pool: the figures of pools that other drivers made.

/** Figures of one moment. */
export interface PoolMetrics {
  /** Open connections; for pools of other drivers without any, the most there can be. */
  total: number;
  idle: number;
  active: number;
  /** Callers in the queue. */
  waiting: number;
  /** The most connections there can be, where the pool is of a known kind. */
  max?: number;
}

export interface DatabasePool {
  end(): Promise<void> | void;
  query?(sql: string, values?: unknown[]): Promise<unknown>;
}

export interface MetricsPool extends DatabasePool {
  getMetrics(): PoolMetrics;
}

/** What `createMetricsPool` can make something of: pools of pg and mysql2 (both kinds), databases of better-sqlite3. */
export type PoolLike =
  | DatabasePool
  | { close(): unknown; readonly open: boolean; readonly memory: boolean };

/**
 * The pool with `getMetrics` added; everything else is the pool's own, `instanceof` included. The argument is not
 * changed. A pool that has `getMetrics` already comes back as it is.
 * @example
 * const pool = createMetricsPool(new pg.Pool());
 * const { active, max } = pool.getMetrics();
 */
export function createMetricsPool<P extends PoolLike>(pool: P): P & MetricsPool;

/** Does it have `getMetrics`? */
export function isMetricsPool(pool: unknown): pool is MetricsPool;
