// Kysely: queries, a transaction that fails, streaming by a cursor.
'use strict';

const { Kysely, PostgresDialect, sql } = require('kysely');

module.exports = async ({ pg, url, isInjected }) => {
  const db = new Kysely({
    dialect: new PostgresDialect({
      pool: new pg.Pool({ connectionString: url }),
      cursor: isInjected ? pg.Cursor : require('pg-cursor'),
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
  const streamed = [];
  for await (const { id } of db.selectFrom('person').select('id').orderBy('id').stream(1)) {
    streamed.push(id);
  }
  const numbers = sql`(select n from generate_series(1, 1000) n)`;
  for await (const { n } of db.selectFrom(numbers.as('numbers')).selectAll().stream(100)) {
    if (n === 250) break;
  }
  const raw = await sql`select ${1}::int + 1 as two`.execute(db);
  await db.destroy();
  return {
    inserted,
    updated: updated.map(({ numUpdatedRows }) => numUpdatedRows),
    failed,
    rows,
    streamed,
    raw: raw.rows,
  };
};
