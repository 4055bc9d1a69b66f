// The declared types of health, resilience, pool figures, shutdown and debug, checked by tsc alone.

import { type Generated, Kysely, PostgresDialect } from 'kysely';
import { withDebug } from '../../types/debug.js';
import {
  checkDatabaseHealth,
  getMetrics,
  HealthMonitor,
  type HealthStatus,
  hasDatabaseMetrics,
  type MetricsResult,
  performHealthCheck,
} from '../../types/health.js';
import { createPool, Pool } from '../../types/index.js';
import { createMetricsPool, isMetricsPool } from '../../types/pool-metrics.js';
import {
  CircuitBreaker,
  type CircuitBreakerError,
  type CircuitState,
  createRetryWrapper,
  withRetry,
} from '../../types/resilience.js';
import {
  type createShutdownController,
  gracefulShutdown,
  registerShutdownHandlers,
  type ShutdownReport,
} from '../../types/shutdown.js';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(equal: Equal<A, B>): void;

interface Schema {
  person: { id: Generated<number>; name: string };
}

const pgPool = new Pool({ max: 3, onSlowQuery: ({ durationMs }) => durationMs.toFixed() });
const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: pgPool }) });
const native = createPool({ slowQueryMs: 5, onQueryError: ({ error }) => error?.message });

export async function health(): Promise<void> {
  const { status, metrics } = await checkDatabaseHealth(db, createMetricsPool(pgPool), {
    degradedMs: 50,
  });
  same<typeof status, HealthStatus>(true);
  same<NonNullable<typeof metrics>['eventLoopLagMs'], number | undefined>(true);
  await checkDatabaseHealth(native);
  await checkDatabaseHealth<{ users: { id: number } }>(db, createMetricsPool(pgPool));
  await performHealthCheck<{ users: { id: number } }>(db);
  await performHealthCheck(db, { verbose: true, logger: { warn: (line) => line.length } });
  // @ts-expect-error misspelt
  await performHealthCheck(db, { timeout: 5 });
  using monitor = new HealthMonitor(native, {
    intervalMs: 1000,
    onStatusChange: (now, before) => same<typeof now, typeof before>(true),
  });
  monitor.start(({ checks }) => checks.map(({ name }) => name.length));
  same<ReturnType<typeof monitor.getStats>, { checks: number; skipped: number }>(true);
}

export function figures(): void {
  const debug = withDebug(db, { maxMetrics: 10, onSlowQuery: (sql, ms) => sql.length + ms });
  // What it wraps stays what it is.
  same<ReturnType<typeof debug.getMetrics>[number]['duration'], number>(true);
  debug.selectFrom('person').select('name');
  // @ts-expect-error no such table
  debug.selectFrom('people');
  if (hasDatabaseMetrics(db)) db.clearMetrics();
  same<ReturnType<typeof getMetrics>, MetricsResult>(true);
  getMetrics(debug, { period: '5m', pool: native });

  const counted = createMetricsPool(pgPool);
  same<ReturnType<typeof counted.getMetrics>['max'], number | undefined>(true);
  counted.totalCount.toFixed();
  createMetricsPool({ open: true, memory: true, close() {} }).getMetrics();
  // @ts-expect-error not a pool
  createMetricsPool({ query() {} });
  const unknown: unknown = pgPool;
  if (isMetricsPool(unknown)) unknown.getMetrics().waiting.toFixed();

  const [metric] = native.promMetrics({ prefix: 'db', labels: { pool: 'main' } });
  same<NonNullable<typeof metric>['type'], 'gauge' | 'counter' | 'histogram'>(true);
  // @ts-expect-error labels are texts and numbers
  native.metricsText({ labels: { pool: true } });
}

export async function resilience(): Promise<void> {
  const breaker = new CircuitBreaker({ threshold: 3, onStateChange: (now) => now.length });
  new CircuitBreaker(5, 1000);
  const n = await withRetry(() => breaker.execute(async () => 7), { maxAttempts: 2 });
  same<typeof n, number>(true);
  const wrapped = createRetryWrapper(async (id: number, name: string) => `${id}${name}`);
  same<typeof wrapped, (id: number, name: string) => Promise<string>>(true);
  // @ts-expect-error an argument is missing
  await wrapped(1);
  same<ReturnType<typeof breaker.getState>['state'], CircuitState>(true);
  const error = new Error() as CircuitBreakerError;
  same<typeof error.retryAfterMs, number>(true);
}

export async function shutdown(): Promise<void> {
  const report = await gracefulShutdown(native, { timeout: 1000, onShutdown: async () => {} });
  same<typeof report, ShutdownReport | undefined>(true);
  const unregister = registerShutdownHandlers(db, { signals: ['SIGTERM'], exit: false });
  same<typeof unregister, () => void>(true);
  // @ts-expect-error no such signal
  registerShutdownHandlers(db, { signals: ['SIGNOTHING'] });
  same<ReturnType<ReturnType<typeof createShutdownController>['isShuttingDown']>, boolean>(true);
}
