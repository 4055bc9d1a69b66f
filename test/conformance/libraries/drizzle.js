// Drizzle: typed queries by arrays of rows, own parsers per query, a transaction rolled back.
'use strict';

const { eq, sql } = require('drizzle-orm');
const { drizzle } = require('drizzle-orm/node-postgres');
const { integer, numeric, pgTable, serial, text, timestamp } = require('drizzle-orm/pg-core');

const person = pgTable('person', {
  id: serial().primaryKey(),
  name: text().notNull(),
  age: integer(),
  score: numeric(),
  seen: timestamp({ withTimezone: true }),
});

module.exports = async ({ pg, url, isInjected }) => {
  const pool = new pg.Pool({ connectionString: url });
  const db = isInjected ? drizzle({ client: pool }) : drizzle(url);
  await db.execute(
    sql`create table person (id serial primary key, name text, age int, score numeric, seen timestamptz)`,
  );
  const seen = new Date('2024-05-06T07:08:09.123Z');
  const inserted = await db
    .insert(person)
    .values([{ name: 'a', age: 1, score: '1.50', seen }, { name: 'b' }])
    .returning();
  const found = await db.select().from(person).where(eq(person.name, 'a'));
  const failed = await db
    .transaction(async (tx) => {
      await tx.insert(person).values({ name: 'c' });
      throw new Error('rolled back');
    })
    .catch(({ message }) => message);
  const { rows, rowCount, command, fields } = await db.execute(
    sql`select count(*) as n from person`,
  );
  await pool.end();
  if (!isInjected) await db.$client.end();
  return {
    inserted,
    found,
    failed,
    rows,
    rowCount,
    command,
    fields: fields.map(({ name }) => name),
  };
};
