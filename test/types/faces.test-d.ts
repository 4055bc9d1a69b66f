// The declared types of the pg face, the Kysely dialect and what watches them, checked by tsc alone.

import { createServer } from 'node:http';
import { Kysely } from 'kysely';
import { Registry } from 'prom-client';
import {
  CircuitBreaker,
  Client,
  type ClientBase,
  type ConnectionConfig,
  Cursor,
  createPool,
  type DatabaseError,
  defaults,
  Pool,
  type PoolClient,
  type QueryConfigValues,
  type ResultBuilder,
  type TransactionStatus,
  types,
} from '../../types/index.js';
import { BerthDialect, readFromStandby } from '../../types/kysely.js';
import { PgBerthInstrumentation, traceContext } from '../../types/opentelemetry.js';
import { statusHandler } from '../../types/status.js';
import type { LeaseTrace, QueryTrace, TransactionTrace } from '../../types/tracing.js';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(equal: Equal<A, B>): void;

export async function pgFace(): Promise<void> {
  const pool = new Pool({ max: 5, idleTimeoutMillis: 1000, sqlComment: traceContext });
  new Client({ enableChannelBinding: true });
  pool.on('error', (error, client) => same<typeof client, PoolClient>(true) ?? error.message);
  const { rows, rowCount, fields } = await pool.query<{ id: string }>('select $1::int8 as id', [1]);
  same<typeof rows, { id: string }[]>(true);
  same<typeof rowCount, number | null>(true);
  fields.map(({ dataTypeID }) => dataTypeID.toFixed());
  const arrays = await pool.query<[number, string]>({ text: 'select 1, 2', rowMode: 'array' });
  arrays.rows[0]?.[1]?.toString();
  const client = await pool.connect();
  client.query('select 1', (error, result) => error ?? result.rows);
  const cursor = client.query(new Cursor<{ n: number }>('select 1 as n'));
  const read = await cursor.read(10);
  same<typeof read, { n: number }[]>(true);
  client.release(true);
  types.setTypeParser(20, (text) => BigInt(text));
  types.getTypeParser(types.builtins.INT8)('1');
  defaults.parseInt8 = true;
  const error = new Error() as DatabaseError;
  same<typeof error.constraint, string | undefined>(true);
  // @ts-expect-error what the engine refuses
  new Client({ ssl: { pfx: Buffer.of() } });
  // @ts-expect-error no such option of ours is a number
  new Pool({ onSlowQuery: 5 });
  same<typeof pool.totalCount, number>(true);
  await pool.end();
}

/** Names that programs have of `@types/pg`. */
export function named(
  client: ClientBase,
  config: ConnectionConfig,
  values: QueryConfigValues<[number]>,
  lent: PoolClient,
  result: ResultBuilder<{ n: number }>,
): TransactionStatus {
  new Client(config).end((error) => error?.message);
  new Pool(config).end((error) => error?.message);
  client.query('select $1', values, () => named(lent, config, values, lent, result));
  result.addRow({ n: 1 });
  return client.getTransactionStatus();
}

export async function kysely(): Promise<void> {
  interface Schema {
    person: { id: number; name: string | null };
  }
  const dialect = new BerthDialect({
    connection: { connectionString: 'postgres://localhost', slowQueryMs: 5, onSlowQuery() {} },
    readOnlyTransactions: 'standby',
    onConnectionError: (error) => error.message,
  });
  const db = new Kysely<Schema>({ dialect });
  const [person] = await db.selectFrom('person').selectAll().execute();
  same<typeof person, { id: number; name: string | null } | undefined>(true);
  new BerthDialect({ pool: createPool('postgres://localhost') });
  same<ReturnType<typeof db.withPlugin>, typeof db>(true);
  db.withPlugin(readFromStandby());
  new BerthDialect({ pool: async () => createPool('postgres://localhost') });
  // @ts-expect-error not a place
  new BerthDialect({ connection: '', readOnlyTransactions: 'replica' });
}

export function watching(): void {
  const pool = createPool('postgres://localhost');
  const handler = statusHandler(
    { main: pool, other: new Pool() },
    { breakers: { main: new CircuitBreaker() }, basePath: '/status' },
  );
  createServer(handler);
  handler.close();
  // @ts-expect-error misspelt
  statusHandler(pool, { intervall: 5 });

  const register = new Registry();
  type Collected = Parameters<typeof register.registerMetric>[0];
  for (const metric of pool.promMetrics()) register.registerMetric(metric as unknown as Collected);

  const instrumentation = new PgBerthInstrumentation({
    spans: ['query', 'transaction'],
    spanHook: (span, trace) => span.setAttribute('face', trace.face),
    pools: { main: pool },
  });
  instrumentation.disable();

  const trace = {} as QueryTrace;
  same<typeof trace.transaction, TransactionTrace | undefined>(true);
  same<TransactionTrace['outcome'], 'committed' | 'rolled-back' | 'failed' | 'unknown' | undefined>(
    true,
  );
  same<LeaseTrace['action'], 'renew' | 'reap' | 'give up'>(true);
  // @ts-expect-error traces are told, not changed
  trace.sql = '';
}
