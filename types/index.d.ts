// The public contract of pg-berth.

export * from './errors.js';
export type * from './listener.js';
export { createListener } from './listener.js';
export * from './pool.js';
export * from './serverless.js';
