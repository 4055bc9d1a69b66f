// The declared types of ServerlessClient and LeaseManager, checked by tsc alone.

import {
  type AequorClient,
  type Lease,
  LeaseManager,
  type PgClientLike,
  Reaper,
  ServerlessClient,
} from '../../types/index.js';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(equal: Equal<A, B>): void;

same<typeof AequorClient, typeof ServerlessClient>(true);

const client = new ServerlessClient({
  secret: 'x',
  host: 'h',
  port: '5432',
  password: async () => 'p',
  ssl: { rejectUnauthorized: true },
  hooks: { onConnect: ({ gen }) => same<typeof gen, number>(true) },
});
// @ts-expect-error not a mode
new ServerlessClient({ leaseMode: 'never' });
// @ts-expect-error misspelt
new ServerlessClient({ hooks: { onConect() {} } });
new ServerlessClient({ reaper: true, retryMode: 'never', reaperConnection: { user: 'admin' } });
// @ts-expect-error not a mode
new ServerlessClient({ heartbeatErrorMode: 'ignore' });
new ServerlessClient({
  password: async ({ host, user }) => `${host}/${user}`,
  ...{ query_timeout: false, lock_timeout: false, connectionTimeoutMillis: '300' },
  ...{ keepAliveInitialDelayMillis: '5000', defaultQueryTimeoutMs: '5', types: null },
});
// @ts-expect-error a password is a text
new ServerlessClient({ password: () => 5 });

export async function use(): Promise<void> {
  await client.connect();
  const { rows, rowCount } = await client.query<{ id: string }>('select 1', [1]);
  same<typeof rows, { id: string }[]>(true);
  same<typeof rowCount, number | null>(true);
  await client.query({ text: 'select 1', values: [], rowMode: 'array' });
  await client.query({ text: 'select 1', query_timeout: 500, queryMode: 'extended' });
  await client.query({ name: 'prepared before', values: [2] });
  await client.query({ text: 'select 1', types: 'lossless', queryMode: 'simple' });
  await client.query('select 1', null);
  // @ts-expect-error not a mode
  await client.query({ text: 'select 1', queryMode: 'fast' });
  // @ts-expect-error no callbacks
  await client.query('select 1', [], () => {});
  same<ReturnType<typeof client.getClient>, object | null>(true);
  const doubled = await client.transaction(
    async (tx) => (await tx.query<{ n: number }>('select 2 as n')).rows[0]?.n,
    { isolation: 'serializable' },
  );
  same<typeof doubled, number | undefined>(true);
  await client.clean();
  await client.end();

  const leases = new LeaseManager('svc', 'instance', 'secret');
  same<ReturnType<typeof leases.parseAndVerify>, Lease | null>(true);
  same<typeof LeaseManager.APP_NAME_MAX_LEN, 63>(true);
  leases.generateAppName(Date.now()).length;
  const driver = client.getClient<PgClientLike>();
  if (driver !== null) await Reaper.reap(driver, null, leases, null);
}
