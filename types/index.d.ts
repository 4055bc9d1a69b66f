// The public contract of pg-berth.

export type * from './copy.js';
export * from './debug.js';
export * from './errors.js';
export * from './health.js';
export type * from './listener.js';
export { createListener } from './listener.js';
export type { Logger } from './logger.js';
export * from './pg.js';
export { Pool, type QueryResult } from './pg.js';
export * from './pg-companions.js';
export type * from './pg-names.js';
// Names that both faces have belong to pg's; those of createPool are these.
export type {
  Field as RowField,
  Pool as ClusterPool,
  QueryResult as ClusterResult,
} from './pool.js';
export * from './pool.js';
export type * from './pool-extras.js';
export { joinPool } from './pool-extras.js';
export type * from './pool-figures.js';
export * from './pool-metrics.js';
export type * from './pool-options.js';
export * from './resilience.js';
export * from './serverless.js';
export * from './shutdown.js';
export * from './ssl.js';
export type * from './tracing.js';
