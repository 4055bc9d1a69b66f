// Figures of the native pool, counted in the engine where statements run.

import type { PoolMetrics } from './pool-metrics.js';

/** Figures of one moment, taken together: `total` is `idle + active + connecting`. */
export interface NativePoolMetrics extends PoolMetrics {
  max: number;
  /** Connections kept although idle. */
  min: number;
  /** Connections being opened. */
  connecting: number;
}

/** Times in milliseconds; the engine counts microseconds. */
export interface Histogram {
  /** What was added since an earlier look at the same pool; `min` and `max` are within 3 % then. */
  since(earlier: Histogram): Histogram;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  /** 0 to 100; within 3 %. 0 when nothing was counted. */
  percentile(percent: number): number;
  /** How many took longer than so many milliseconds, within 3 % of that time. */
  countAbove(ms: number): number;
}

/** Counted since the pool was made. */
export interface PoolStats {
  /** Connections opened. */
  opened: number;
  /** Connections closed. `error`: lost, given up in an unknown state, or to a primary that was left behind. */
  closed: { idle: number; lifetime: number; error: number; shutdown: number };
  /** Connections handed out. */
  acquisitions: number;
  acquisitionTimeouts: number;
  /** Statements that have ended, whoever asked: failed ones, those of transactions, BEGIN and COMMIT too. */
  queries: number;
  /** Failed ones by class of SQLSTATE, `other` for classes PostgreSQL does not have, `lost` without an answer. */
  errors: Record<string, number>;
  /** Rows received. */
  rows: number;
  bytesReceived: number;
  bytesSent: number;
  /** Waits for a connection. */
  acquireTime: Histogram;
  /** From sending a statement, or its turn on a shared connection, to the end of its answer. */
  statementTime: Histogram;
  /** From sending a statement, while its connection is quiet, to the first of its answer. */
  roundTripTime: Histogram;
}

/** Options of `metricsText` and `promMetrics`. */
export interface MetricsTextOptions {
  /** Begins every name. Default `'pgberth'`. */
  prefix?: string;
  /** Added to every sample, for example `{ pool: 'orders' }`. */
  labels?: Record<string, string | number>;
}

/** A family of metrics in the form of prom-client: an argument of its `registry.registerMetric`. */
export interface PromMetric {
  name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  readonly aggregator: 'sum';
  /** What the engine has counted so far; all metrics of one collection are of the same moment. */
  get(): {
    name: string;
    type: string;
    help: string;
    aggregator: string;
    values: { metricName?: string; labels: Record<string, string | number>; value: number }[];
  };
  /** Does nothing: the engine counts over the life of the pool. */
  reset(): void;
}

/** What the native pool tells of itself. */
export interface NativeFigures {
  /** Figures of this moment. Waits for nothing. */
  getMetrics(): NativePoolMetrics;
  /** Figures since the pool was made; they stay after `end`. */
  getStats(): PoolStats;
  /** All of them in Prometheus' text format. Labels come from the options only. */
  metricsText(options?: MetricsTextOptions): string;
  /**
   * The same for a registry of prom-client, in either of its formats and with its default labels:
   * `for (const metric of pool.promMetrics()) register.registerMetric(metric)`. Its own types want a cast.
   */
  promMetrics(options?: MetricsTextOptions): PromMetric[];
}
