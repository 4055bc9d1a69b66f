// As modules import `pg`: by its default export. tsc reads it with the types of @types/pg and with ours.

import pg, { Pool } from 'pg';

const { Client, types } = pg;

export async function modules(pool: pg.Pool): Promise<pg.QueryResult> {
  types.setTypeParser(types.builtins.INT8, Number);
  const client: pg.PoolClient = await pool.connect();
  const config: pg.PoolConfig = { max: pg.defaults.poolSize, Client };
  const other: pg.ClientBase = new pg.Client(config);
  await Promise.all([other.query('select 1'), new Pool(config).end()]);
  client.release();
  if (pg.escapeIdentifier('a')) throw new pg.DatabaseError('failed', 6, 'error');
  return pool.query('select 1');
}
