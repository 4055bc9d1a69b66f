// getMetrics: sums up the samples of withDebug and the figures of a pool.
'use strict';

const { callHook } = require('./hooks.js');
const { notBelowZero, number, pool } = require('./infra-options.js');
const { readOptions } = require('./option-rules.js');

/** @import * as api from '../types/health.js' */

/** Of any form: one that nobody knows filters nothing. @type {import('./option-rules.js').Rule} */
const period = { accepts: (value) => typeof value === 'string', says: 'a string' };

const METRICS_OPTIONS = Object.freeze({ period, pool, slowQueryThreshold: number });

/** Programs match on it. */
const NOT_AVAILABLE =
  'Database metrics are not available. To collect query metrics, wrap your database with the debug plugin using ' +
  'withDebug() from @kysera/debug. Example: const debugDb = withDebug(db, { maxMetrics: 1000 });';

const UNITS = /** @type {Record<string, number>} */ ({
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
});

/** @param {any} db @returns {db is api.DatabaseWithMetrics} */
function hasDatabaseMetrics(db) {
  return typeof db?.getMetrics === 'function';
}

/**
 * @param {any} db
 * @param {api.GetMetricsOptions} [options]
 * @returns {api.MetricsResult}
 */
function getMetrics(db, options) {
  const {
    period = '1h',
    pool: given,
    slowQueryThreshold = 100,
  } = readOptions(METRICS_OPTIONS, options);
  notBelowZero('slowQueryThreshold', slowQueryThreshold);
  // Statistics of a native pool, which may stand in the place of the database as well.
  const counted = countedBy(given) ?? countedBy(db);
  const samples = counted === undefined && hasDatabaseMetrics(db) ? db.getMetrics() : undefined;
  if (counted === undefined && !Array.isArray(samples)) throw new Error(NOT_AVAILABLE);
  /** @type {api.MetricsResult} */
  const result = { period, timestamp: new Date().toISOString() };
  const connections = connectionsOf(given ?? (counted && db));
  if (connections) result.connections = connections;
  // A native pool has counted every statement, whoever asked; samples are the last thousand of one instance.
  const queries = counted
    ? fromPool(counted, slowQueryThreshold)
    : summary(within(samples ?? [], period), slowQueryThreshold);
  if (queries) {
    result.queries = queries;
    result.recommendations = recommend(queries, connections, slowQueryThreshold);
  }
  return result;
}

/**
 * Pools of others may have a `getStats` of their own.
 * @param {any} given
 * @returns {import('../types/pool-figures.js').PoolStats | undefined}
 */
function countedBy(given) {
  /** @type {any} */
  let stats;
  const read = () => {
    stats = given?.getStats?.();
    return stats;
  };
  callHook(read, []);
  return typeof stats?.statementTime?.percentile === 'function' ? stats : undefined;
}

/**
 * @param {import('../types/pool-figures.js').PoolStats} stats @param {number} threshold
 * @returns {api.QueryFigures | undefined}
 */
function fromPool({ statementTime, errors }, threshold) {
  const { count, sum, min, max } = statementTime;
  if (count === 0) return undefined;
  const failed = Object.values(errors).reduce((total, one) => total + one, 0);
  return {
    total: count,
    avgDuration: round(sum / count),
    minDuration: round(min),
    maxDuration: round(max),
    p95Duration: round(statementTime.percentile(95)),
    p99Duration: round(statementTime.percentile(99)),
    slowCount: statementTime.countAbove(threshold),
    ...(failed > 0 && { errors: failed }),
  };
}

/** @param {any} given @returns {api.ConnectionFigures | undefined} */
function connectionsOf(given) {
  if (typeof given?.getMetrics !== 'function') return undefined;
  const { total, active, idle, max = total } = given.getMetrics();
  return { total, active, idle, max };
}

/**
 * The samples of the period; a form nobody knows filters nothing.
 * @param {api.QueryMetrics[]} samples @param {string} period
 */
function within(samples, period) {
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(period) ?? [];
  if (count === undefined) return samples;
  const since = Date.now() - Number(count) * (UNITS[unit] ?? 0);
  return samples.filter(({ timestamp }) => timestamp >= since);
}

/**
 * @param {api.QueryMetrics[]} samples @param {number} threshold
 * @returns {api.QueryFigures | undefined}
 */
function summary(samples, threshold) {
  const durations = Float64Array.from(samples, ({ duration }) => duration).sort();
  const total = durations.length;
  if (total === 0) return undefined;
  let sum = 0;
  let slowCount = 0;
  for (const duration of durations) {
    sum += duration;
    if (duration > threshold) slowCount++;
  }
  let errors = 0;
  for (const sample of samples) if (sample.failed === true) errors++;
  return {
    total,
    avgDuration: round(sum / total),
    minDuration: round(durations[0] ?? 0),
    maxDuration: round(durations[total - 1] ?? 0),
    p95Duration: round(nearestRank(durations, 95)),
    p99Duration: round(nearestRank(durations, 99)),
    slowCount,
    // Only there when a query failed, so that results compare as before.
    ...(errors > 0 && { errors }),
  };
}

/** @param {Float64Array} sorted @param {number} percent */
function nearestRank(sorted, percent) {
  return sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? 0;
}

/** @param {number} value milliseconds */
const round = (value) => Math.round(value * 100) / 100;

/**
 * @param {api.QueryFigures} queries @param {api.ConnectionFigures | undefined} connections @param {number} threshold
 */
function recommend(queries, connections, threshold) {
  const { total, slowCount, avgDuration } = queries;
  const found = [];
  if (slowCount / total > 0.1) {
    found.push(
      `High number of slow queries detected (${slowCount}/${total}). Consider adding indexes or rewriting them.`,
    );
  }
  if (avgDuration > threshold / 2) {
    found.push(
      `Average query duration (${avgDuration.toFixed(2)}ms) is more than half of the slow query threshold.`,
    );
  }
  const use = connections && connections.max > 0 ? connections.active / connections.max : 0;
  if (use > 0.8) {
    found.push(
      `Connection pool utilization is high (${(use * 100).toFixed(1)}%). Consider raising the maximum of the pool.`,
    );
  }
  return found;
}

module.exports = { getMetrics, hasDatabaseMetrics };
