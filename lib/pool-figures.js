// The figures of a native pool: those of a moment, and those counted over its life.
'use strict';

const native = require('./native.js');
const { Histogram } = require('./histogram.js');

/** @import * as api from '../types/pool-figures.js' */
/** @import { Target } from '../types/internal.js' */
/** @import { PoolStatus } from '../types/pool-extras.js' */

const NOTHING = Object.freeze({ max: 0, min: 0, size: 0, available: 0, opening: 0, waiting: 0 });
const NO_TIMES = Object.freeze({ count: 0, sum: 0, min: 0, max: 0, buckets: [] });
const NO_FIGURES = Object.freeze({
  ...{ opened: 0, closed: { idle: 0, lifetime: 0, error: 0, shutdown: 0 }, acquired: 0 },
  ...{ acquireTimeouts: 0, statements: 0, errors: {}, rows: 0, received: 0, sent: 0 },
  ...{ waits: NO_TIMES, times: NO_TIMES, trips: NO_TIMES },
});

/** The status of a pool that has ended. */
const NOTHING_OPEN = Object.freeze({
  max: 0,
  size: 0,
  available: 0,
  waiting: 0,
  nodes: Object.freeze([]),
  primary: null,
  driver: 'engine',
});
/** @param {Target} pool @returns {api.NativePoolMetrics} */
function metricsOf(pool) {
  const text = native.poolStatus(pool.slot, pool.generation);
  const { max, min, size, available, opening, waiting } =
    text === null ? NOTHING : JSON.parse(text);
  return {
    total: size + opening,
    idle: available,
    active: size - available,
    waiting,
    max,
    min,
    connecting: opening,
  };
}

/** What the engine has counted; undefined once the pool has ended. @param {Target} pool */
function figuresOf(pool) {
  const text = native.poolFigures(pool.slot, pool.generation);
  return text === null ? undefined : JSON.parse(text);
}

/** @param {any} counted by the engine @returns {api.PoolStats} */
function statsOf(counted) {
  const figures = counted ?? NO_FIGURES;
  return {
    opened: figures.opened,
    closed: figures.closed,
    acquisitions: figures.acquired,
    acquisitionTimeouts: figures.acquireTimeouts,
    queries: figures.statements,
    errors: figures.errors,
    rows: figures.rows,
    bytesReceived: figures.received,
    bytesSent: figures.sent,
    acquireTime: new Histogram(figures.waits),
    statementTime: new Histogram(figures.times),
    roundTripTime: new Histogram(figures.trips),
  };
}

/** A node as users see it, out of what the engine says. @param {any} node @returns {import('../types/pool-extras.js').PoolNode} */
function toNode({ host, address, role, open, heardMs, tookMs, lagMs, code, problem, failedMs }) {
  const at = (/** @type {number} */ ago) => new Date(Date.now() - ago).toISOString();
  const error = code === null ? null : { code, message: problem, at: at(failedMs) };
  const seenAt = heardMs === null ? null : at(heardMs);
  return { host, address, role, open, seenAt, tookMs, lagMs, error };
}

/**
 * @param {Target} pool @param {PoolStatus['counters']} tally with what the engine had counted when the pool was ended
 * @returns {PoolStatus}
 */
function statusOf(pool, tally) {
  const text = native.poolStatus(pool.slot, pool.generation, true);
  const { max, size, available, waiting, nodes, primary, driver, cancels } =
    text === null ? NOTHING_OPEN : JSON.parse(text);
  const inUse = size - available;
  const counts = { maxSize: max, size, available, inUse, waiting };
  const evictions = { ...tally.evictions };
  const counters = { ...tally, evictions, cancels: cancels ?? tally.cancels };
  return { ...counts, driver, primary, nodes: nodes.map(toNode), counters };
}

module.exports = { figuresOf, metricsOf, statsOf, statusOf };
