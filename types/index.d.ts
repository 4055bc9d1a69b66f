// The public contract of pg-berth.

export * from './errors.js';
export * from './pool.js';
export * from './serverless.js';
