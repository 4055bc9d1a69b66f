// pg-berth/status: one handler for a page of live charts, a health check and metrics.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HealthLimits } from './health.js';
import type { Pool as ClusterPool } from './pool.js';
import type { DatabasePool } from './pool-metrics.js';
import type { CircuitBreaker } from './resilience.js';

export interface StatusOptions extends HealthLimits {
  /** Heading of the page. Default `'pg-berth'`. */
  title?: string;
  /** Where the handler is, for example `'/status'`; no slash at the end. Default `''`. */
  basePath?: string;
  /** Shown by name, with their changes. */
  breakers?: Record<string, Pick<CircuitBreaker, 'getState'>>;
  /** Milliseconds between two samples, as the two below above 0. Default 1000. */
  intervalMs?: number;
  /** How far back the charts go: 15 minutes by default, 900 000. */
  historyMs?: number;
  /** Milliseconds between two health checks. Default 5000. */
  healthIntervalMs?: number;
}

/** For any server of Node: `http.createServer(handler)`, or `app.use('/status', handler)`. */
export interface StatusHandler {
  /** `next` is called for what is not here; without it that is answered with 404. */
  (request: IncomingMessage, response: ServerResponse, next?: () => void): void;
  /** Stops sampling and checking. The pools are yours. */
  close(): void;
}

/**
 * Answers `GET` and `HEAD`:
 *
 * | path | |
 * | --- | --- |
 * | `/` | one page: use of the pools, waiters, statement times, hosts and roles, health, breakers, leases; nothing is loaded from outside |
 * | `/health` | JSON, 200 when healthy or degraded, 503 otherwise; from the last check, so asking costs the database nothing |
 * | `/metrics` | Prometheus' text format, one label `pool` per pool |
 * | `/data` | what the page draws, as JSON |
 *
 * No SQL, no values, no secrets; it does show host names and error codes. It does not ask who is there: put it where only
 * your people and your load balancer reach it. Sampling keeps no process alive.
 *
 * @param pools one, or several by name: of createPool, or whatever `createMetricsPool` knows
 * @throws {TypeError | RangeError} an option is wrong
 * @example
 * http.createServer(statusHandler({ main: pool }, { breakers: { database: breaker } })).listen(9090);
 */
export function statusHandler(
  pools: ClusterPool | DatabasePool | Record<string, ClusterPool | DatabasePool>,
  options?: StatusOptions,
): StatusHandler;
