// The public contract of pg-berth.

export * from './debug.js';
export * from './errors.js';
export * from './health.js';
export type * from './listener.js';
export { createListener } from './listener.js';
export type { Logger } from './logger.js';
export * from './pool.js';
export * from './pool-metrics.js';
export * from './resilience.js';
export * from './serverless.js';
export * from './shutdown.js';
export * from './ssl.js';
