// Libraries that are given what `pg` makes. tsc reads it with the types of @types/pg and with ours in their place.

import { PrismaPg } from '@prisma/adapter-pg';
import { drizzle } from 'drizzle-orm/node-postgres';
import { run, type TaskList } from 'graphile-worker';
import { Kysely, PostgresDialect } from 'kysely';
import { Client, Pool } from 'pg';

const pool = new Pool();

const taskList: TaskList = {
  greet: async (_payload, { query, withPgClient }) => {
    const { rows } = await query<{ name: string }>('select $1 as name', ['Ada']);
    await withPgClient((client) => client.query('select $1', [rows[0]?.name]));
  },
};

export const started = run({ pgPool: pool, taskList });
export const adapters = [new PrismaPg(pool), new PrismaPg({ max: 5, ssl: true })];
export const databases = [drizzle(pool), drizzle({ client: pool }), drizzle(new Client())];
export const dialect = new PostgresDialect({
  pool: async () => pool,
  onCreateConnection: async (connection) => void connection.executeQuery,
});
export const builder = new Kysely({ dialect: new PostgresDialect({ pool }) });
