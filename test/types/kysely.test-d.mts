// A program of ES modules, which sees other declarations of Kysely than ours do, checked by tsc alone.

import { Kysely, PostgresDialect } from 'kysely';
import { withDebug } from '../../types/debug.js';
import { checkDatabaseHealth, getMetrics, HealthMonitor } from '../../types/health.js';
import { createPool, Pool } from '../../types/index.js';
import { BerthDialect, readFromStandby } from '../../types/kysely.js';
import { createShutdownController, gracefulShutdown } from '../../types/shutdown.js';

interface Tables {
  visit: { id: number };
}

export const plain = new Kysely<Tables>({
  dialect: new BerthDialect({ connection: 'postgres://' }),
});
export const shared = new Kysely<Tables>({ dialect: new BerthDialect({ pool: createPool('') }) });
export const face = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: new Pool() }) });

export const standby: Kysely<Tables> = plain.withPlugin(readFromStandby());
const debugged = withDebug(plain, { maxMetrics: 5 });
export const ids: Promise<{ id: number }[]> = debugged.selectFrom('visit').selectAll().execute();
export const total: number | undefined = getMetrics(debugged).queries?.total;

export const monitor = new HealthMonitor(shared, { pool: createPool('') });
export const checks = [checkDatabaseHealth(plain), checkDatabaseHealth(face)];
export const shutdowns = [gracefulShutdown(plain), createShutdownController(shared).execute()];
