// pg-berth/debug: withDebug, which logs and times what a Kysely instance runs.

import type { DatabaseWithMetrics } from './health.js';
import type { Logger } from './logger.js';

export type { QueryMetrics } from './health.js';

export interface DebugOptions {
  /** Log `[SQL] …` and `[Duration] …ms` at `debug`. Default true. */
  logQuery?: boolean;
  /** Add the parameters to the first line. Default false: they may be secrets. */
  logParams?: boolean;
  /** Keep parameters in the samples; what is over 1 KiB as a note of its size. Default true. */
  captureParams?: boolean;
  /** Milliseconds from 0; strictly above is slow. Default 100. */
  slowQueryThreshold?: number;
  /** Called for slow queries; without it they are logged at `warn`. */
  onSlowQuery?: (sql: string, duration: number) => void;
  logger?: Logger;
  /** Samples kept, from 1; the oldest is overwritten. Default 1000. */
  maxMetrics?: number;
}

/** What `withDebug` asks of a database: a Kysely instance has it. */
export interface DebuggableDatabase {
  // biome-ignore lint/suspicious/noExplicitAny: Kysely's own type is not needed to be installed.
  withPlugin(plugin: any): any;
}

/** A database of type `D` that collects samples. */
export type DebugDatabase<D extends object = object> = D & DatabaseWithMetrics;

/**
 * A copy of the Kysely instance that times every statement: failed ones, streams to their end, each execution of a
 * compiled query. Instances and transactions made from it share the samples.
 * @example
 * const db = withDebug(new Kysely({ dialect }), { slowQueryThreshold: 50 });
 * getMetrics(db).queries?.p95Duration;
 */
export function withDebug<D extends DebuggableDatabase>(
  db: D,
  options?: DebugOptions,
): DebugDatabase<D>;
