// Kysely: queries, a transaction that fails, streaming by a cursor.
'use strict';

const { Kysely, PostgresDialect, sql } = require('kysely');

module.exports = async ({ pg, url }) => {
  const db = new Kysely({
    dialect: new PostgresDialect({
      pool: new pg.Pool({ connectionString: url }),
    }),
  });
  await db.schema
    .createTable('person')
    .addColumn('id', 'serial', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.unique())
    .execute();
  const inserted = await db
    .insertInto('person')
    .values([{ name: 'a' }, { name: 'b' }])
    .returningAll()
    .execute();
  const updated = await db.updateTable('person').set({ name: 'c' }).where('id', '=', 1).execute();
  const failed = await db
    .transaction()
    .execute(async (trx) => {
      await trx.insertInto('person').values({ name: 'd' }).execute();
      await trx.insertInto('person').values({ name: 'c' }).execute();
    })
    .catch(({ code, constraint }) => ({ code, constraint }));
  const rows = await db.selectFrom('person').selectAll().orderBy('id').execute();
  const raw = await sql`select ${1}::int + 1 as two`.execute(db);
  await db.destroy();
  return {
    inserted,
    updated: updated.map(({ numUpdatedRows }) => numUpdatedRows),
    failed,
    rows,
    raw: raw.rows,
  };
};
