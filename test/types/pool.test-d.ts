// The declared types of createPool, Pool and Transaction, checked by tsc alone.

import {
  type ClusterPoolOptions,
  createPool,
  type ClusterPool as Pool,
  type ClusterResult as QueryResult,
  type Rows,
  type Transaction,
} from '../../types/index.js';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(equal: Equal<A, B>): void;

type User = { id: bigint; name: string };

const pool = createPool({
  hosts: ['db:5432'],
  user: 'app',
  database: 'app',
  mode: 'rw',
  sslmode: 'require',
  types: { int8: Number, 1700: Number },
  retry: { maxAttempts: 5 },
  logger: ({ sql, durationMs, error }) => void [sql.length, durationMs.toFixed(), error?.message],
});
same<typeof pool, Pool>(true);
createPool('postgres://localhost/app');
createPool(process.env.DATABASE_URL);
const options: ClusterPoolOptions = { hosts: ['db'], poolSize: 5 };
createPool(options);

// @ts-expect-error misspelt
createPool({ poolsize: 3 });
createPool({ mode: 'read-only', hosts: ['a', 'b'], loadBalance: 'round-robin' });
// @ts-expect-error no such mode
createPool({ mode: 'writable' });
// @ts-expect-error a number
createPool({ port: '5432' });
// @ts-expect-error options are needed
createPool();

export async function use(): Promise<void> {
  const rows = await pool.query<User>('select * from users where id = $1', [1n], { timeoutMs: 50 });
  same<typeof rows, Rows<User>>(true);
  same<(typeof rows)['rowCount'], number | null>(true);
  same<(typeof rows)[number], User>(true);
  // @ts-expect-error read only
  rows.command = 'SELECT';

  const result = await pool.queryResult<User>('select 1');
  same<typeof result, QueryResult<User>>(true);

  for await (const user of pool.stream<User>('select', [], { batchSize: 10 }))
    same<typeof user, User>(true);

  const count = await pool.transaction(
    async (tx) => {
      same<typeof tx, Transaction>(true);
      await tx.query('update users set name = $1', ['x']);
      return 5;
    },
    { isolation: 'serializable', maxAttempts: 2 },
  );
  same<typeof count, number>(true);

  const placed = await pool.insert<User>('users', { name: 'x' }, { lsn: true });
  same<typeof placed.lsn, string | null>(true);
  same<(typeof placed)[number], User>(true);
  const plain = await pool.insert<User>('users', { name: 'x' });
  // @ts-expect-error only with lsn: true
  plain.lsn;

  await using tx = await pool.begin({ accessMode: 'read only' });
  await tx.commit({ timeoutMs: 5 });
  // @ts-expect-error only pools begin
  tx.begin();
  // @ts-expect-error no such level
  await pool.begin({ isolation: 'snapshot' });
  // @ts-expect-error an AbortSignal
  await pool.query('select 1', [], { signal: new AbortController() });
  // @ts-expect-error a blocked thread cannot abort
  pool.querySync('select 1', [], { signal: AbortSignal.abort() });
  // @ts-expect-error params are an array
  await pool.query('select 1', { timeoutMs: 5 });

  same<ReturnType<Pool['status']>['inUse'], number>(true);
  await pool.end({ timeoutMs: 100 });
}
