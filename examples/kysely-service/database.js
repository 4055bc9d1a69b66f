// The database of the notes service: a pool, Kysely on it, and what watches both.
'use strict';

const { Kysely } = require('kysely');
const { createPool } = require('pg-berth');
const { withDebug } = require('pg-berth/debug');
const { getMetrics, HealthMonitor } = require('pg-berth/health');
const { BerthDialect } = require('pg-berth/kysely');
const { CircuitBreaker, isTransientError, withRetry } = require('pg-berth/resilience');
const { statusHandler } = require('pg-berth/status');

/** @param {string} url @param {{ intervalMs: number, resetTimeMs: number, acquireTimeoutMs: number }} times */
function openDatabase(url, { intervalMs, resetTimeMs, acquireTimeoutMs }) {
  const pool = createPool({ connectionString: url, types: 'pg', poolSize: 10, acquireTimeoutMs });
  const db = withDebug(new Kysely({ dialect: new BerthDialect({ pool }) }), { logQuery: false });

  const monitor = new HealthMonitor(db, { pool, intervalMs, timeoutMs: acquireTimeoutMs });
  monitor.start();
  const breaker = new CircuitBreaker({ threshold: 3, resetTimeMs });
  // Live charts, a health check and metrics for the people who look after this service.
  const page = statusHandler(
    { notes: pool },
    { title: 'Notes', basePath: '/admin', breakers: { database: breaker } },
  );

  return {
    db,
    /**
     * Everything a request asks of the database goes through here. What may have taken effect is not repeated.
     * @template T @param {(db: Kysely<any>) => Promise<T>} work
     */
    ask: (work) =>
      breaker.execute(() =>
        withRetry(() => work(db), {
          maxAttempts: 2,
          delayMs: 50,
          // What was certainly not sent the pool has repeated itself.
          shouldRetry: (error) => isTransientError(error) && error.safeToRetry !== true,
        }),
      ),
    health: () => monitor.getLastCheck(),
    status: () => ({
      circuit: breaker.getState().state,
      pool: pool.getMetrics(),
      queries: getMetrics(db, { period: '5m' }).queries,
      health: monitor.getLastCheck()?.status,
    }),
    page,
    stopWatching() {
      monitor.stop();
      page.close();
    },
  };
}

module.exports = { openDatabase };
