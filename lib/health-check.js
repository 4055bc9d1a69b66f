// Health checks: one ping of the database, and what the pool says of itself.
'use strict';

const { callHook, messageOf } = require('./hooks.js');
const { aboveZero, logger, notBelowZero, number, pool, timerMs } = require('./infra-options.js');
const { loggerOf } = require('./infra-logger.js');
const { lifecycleOf } = require('./lifecycle.js');
const { flag, readOptions } = require('./option-rules.js');

/** @import * as api from '../types/health.js' */
/** @import { PoolMetrics } from '../types/pool-metrics.js' */

const LIMIT_OPTIONS = Object.freeze({ timeoutMs: number, degradedMs: number, unhealthyMs: number });
const CHECK_OPTIONS = Object.freeze({ ...LIMIT_OPTIONS, pool, verbose: flag, logger });

/** A pool of createPool is probed by the engine, beside its callers and the event loop. */
const PROBE = Symbol.for('pg-berth.probe');

/** @param {any} db @param {any} given pool @returns {any} the first that can be probed, also the one that Kysely is on */
function nativeOf(db, given) {
  const candidates = [db, given, lifecycleOf(db)?.pool];
  return candidates.find(isNative);
}

/** What throws when it is looked at, as a stand-in for a database that is not there yet, is for the ping to tell of. @param {any} one */
function isNative(one) {
  try {
    return typeof one?.[PROBE] === 'function';
  } catch {
    return false;
  }
}

/** @param {number} timeoutMs */
const timedOut = (timeoutMs) => new Error(`Health check timed out after ${timeoutMs}ms`);

/** From best to worst. @type {api.HealthStatus[]} */
const STATUSES = ['healthy', 'degraded', 'unhealthy'];

/** @typedef {{ timeoutMs: number, degradedMs: number, unhealthyMs: number }} Limits */

/**
 * @param {Record<string, any>} read
 * @returns {Limits}
 */
function limitsOf({ timeoutMs = 5000, degradedMs = 100, unhealthyMs = 500 }) {
  return {
    timeoutMs: aboveZero('timeoutMs', timeoutMs),
    degradedMs: notBelowZero('degradedMs', degradedMs),
    unhealthyMs: notBelowZero('unhealthyMs', unhealthyMs),
  };
}

/**
 * @param {any} db
 * @param {any} [givenPool]
 * @param {api.HealthLimits} [options]
 * @returns {Promise<api.HealthCheckResult>}
 */
async function checkDatabaseHealth(db, givenPool, options) {
  return check(db, givenPool, limitsOf(readOptions(LIMIT_OPTIONS, options)), false);
}

/**
 * @param {any} db
 * @param {api.HealthCheckOptions} [options]
 * @returns {Promise<api.HealthCheckResult>}
 */
async function performHealthCheck(db, options) {
  const read = readOptions(CHECK_OPTIONS, options);
  const result = await check(db, read.pool, limitsOf(read), read.verbose === true);
  if (result.status !== 'healthy') loggerOf(read.logger).debug(`Health check: ${result.status}`);
  return result;
}

/**
 * Never rejects.
 * @param {any} db @param {any} givenPool @param {Limits} limits @param {boolean} isVerbose
 * @returns {Promise<api.HealthCheckResult>}
 */
async function check(db, givenPool, limits, isVerbose) {
  const native = nativeOf(db, givenPool);
  if (native !== undefined) {
    return judged(await native[PROBE](limits.timeoutMs), native, limits, isVerbose);
  }
  /** @type {api.HealthMetrics} */
  const metrics = {};
  /** @type {api.HealthCheck} */
  let connection;
  /** @type {string[] | undefined} */
  let errors;
  try {
    const probe = await ping(db, limits.timeoutMs);
    Object.assign(metrics, probe);
    connection = connected(probe.checkLatency, limits);
    if (isVerbose) metrics.databaseVersion = await versionOf(db, limits.timeoutMs);
  } catch (error) {
    connection = unreachable(error);
    errors = [messageOf(error)];
  }
  return summed(metrics, connection, errors, givenPool);
}

/**
 * What came of a probe of the engine.
 * @param {any} report lib/pool-probes.js, `Report`
 * @param {any} givenPool @param {Limits} limits @param {boolean} isVerbose
 * @returns {api.HealthCheckResult}
 */
function judged(report, givenPool, limits, isVerbose) {
  const { error, waitedMs, roundTripMs, version, lagMs } = report;
  /** @type {api.HealthMetrics} */
  const metrics = { eventLoopLagMs: hundredths(lagMs) };
  if (error !== undefined) {
    // Of a connection that could not be opened in its time the error says more.
    const isLate = error.name === 'TimeoutError' && error.phase !== 'connect';
    const shown = isLate ? timedOut(limits.timeoutMs) : error;
    return summed(metrics, unreachable(shown), [messageOf(shown)], givenPool);
  }
  const checkLatency = hundredths(roundTripMs);
  Object.assign(metrics, {
    checkLatency,
    acquireWaitMs: hundredths(waitedMs),
    roundTripMs: checkLatency,
  });
  if (isVerbose) metrics.databaseVersion = version ?? 'Unknown';
  return summed(metrics, connected(checkLatency, limits), undefined, givenPool);
}

/** @param {number} ms */
const hundredths = (ms) => Math.round(ms * 100) / 100;

/** @param {number} latency @param {Limits} limits @returns {api.HealthCheck} */
function connected(latency, limits) {
  return {
    name: 'Database Connection',
    status: statusOf(latency, limits),
    message: `Connected successfully (${latency}ms)`,
  };
}

/** @param {unknown} error @returns {api.HealthCheck} */
function unreachable(error) {
  return { name: 'Database Connection', status: 'unhealthy', message: messageOf(error) };
}

/**
 * @param {api.HealthMetrics} metrics @param {api.HealthCheck} connection @param {string[] | undefined} errors
 * @param {any} givenPool
 * @returns {api.HealthCheckResult}
 */
function summed(metrics, connection, errors, givenPool) {
  const checks = [connection];
  const figures = figuresOf(givenPool);
  if (figures) {
    metrics.poolMetrics = {
      totalConnections: figures.total,
      activeConnections: figures.active,
      idleConnections: figures.idle,
      waitingRequests: figures.waiting,
    };
    const exhausted = exhaustion(figures);
    if (exhausted) checks.push(exhausted);
  }
  return {
    status: worst(checks),
    checks,
    ...(errors && { errors }),
    metrics,
    timestamp: new Date(),
  };
}

/**
 * Resolves to the time one statement took, or rejects after the limit.
 * @param {any} db @param {number} timeoutMs
 * @returns {Promise<{ checkLatency: number }>}
 */
async function ping(db, timeoutMs) {
  const start = Date.now();
  const tick = performance.now();
  await withLimit(
    db.selectNoFrom((/** @type {any} */ eb) => eb.val(1).as('ping')).execute(),
    timeoutMs,
  );
  const wall = Date.now() - start;
  // The wall clock, because simulated timers move it, unless it was set back meanwhile.
  return { checkLatency: wall >= 0 ? wall : Math.round(performance.now() - tick) };
}

/**
 * @template T
 * @param {Promise<T>} work @param {number} timeoutMs
 * @returns {Promise<T>}
 */
async function withLimit(work, timeoutMs) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const limit = /** @type {Promise<never>} */ (
    new Promise((_, reject) => {
      const expire = () => reject(timedOut(timeoutMs));
      timer = setTimeout(expire, timerMs(timeoutMs));
    })
  );
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The server's version; a database that cannot say is no less healthy.
 * @param {any} db @param {number} timeoutMs
 */
async function versionOf(db, timeoutMs) {
  try {
    const query = db.selectNoFrom((/** @type {any} */ eb) =>
      eb.fn('current_setting', [eb.val('server_version')]).as('version'),
    );
    const [row] = await withLimit(query.execute(), timeoutMs);
    return typeof row?.version === 'string' && row.version !== '' ? row.version : 'Unknown';
  } catch {
    return 'Unknown';
  }
}

/**
 * @param {any} givenPool
 * @returns {PoolMetrics | undefined} undefined as well when the pool cannot say
 */
function figuresOf(givenPool) {
  /** @type {PoolMetrics | undefined} */
  let figures;
  const read = () => {
    if (typeof givenPool?.getMetrics !== 'function') return;
    const given = givenPool.getMetrics();
    // A promise holds no figures now; whoever calls takes care that its rejection harms nobody.
    if (typeof given?.then === 'function') return given;
    figures = given;
  };
  callHook(read, []);
  return typeof figures === 'object' && figures !== null ? figures : undefined;
}

/**
 * @param {PoolMetrics} figures
 * @returns {api.HealthCheck | undefined}
 */
function exhaustion({ total, idle, active, waiting, max = total }) {
  if (idle > 0 || active < max || !(waiting > 0)) return undefined;
  return {
    name: 'Connection Pool',
    status: 'degraded',
    message: `All ${max} connections are in use and ${waiting} callers wait`,
    details: { total, idle, active, waiting, max },
  };
}

/**
 * @param {number} latency @param {Limits} limits
 * @returns {api.HealthStatus}
 */
function statusOf(latency, { degradedMs, unhealthyMs }) {
  if (latency >= unhealthyMs) return 'unhealthy';
  return latency >= degradedMs ? 'degraded' : 'healthy';
}

/** @param {api.HealthCheck[]} checks */
function worst(checks) {
  const at = Math.max(...checks.map(({ status }) => STATUSES.indexOf(status)));
  return STATUSES[at] ?? 'unhealthy';
}

module.exports = {
  LIMIT_OPTIONS,
  check,
  checkDatabaseHealth,
  judged,
  limitsOf,
  nativeOf,
  performHealthCheck,
};
