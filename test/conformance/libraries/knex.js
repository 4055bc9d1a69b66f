// Knex: schema, queries, transactions, errors, streams, a timeout that cancels.
'use strict';

const makeKnex = require('knex');
const PostgresClient = require('knex/lib/dialects/postgres');

module.exports = async ({ pg, url, isInjected }) => {
  class Injected extends PostgresClient {
    _driver() {
      return pg;
    }
  }
  const knex = makeKnex({ client: isInjected ? Injected : 'pg', connection: url });
  await knex.schema.createTable('person', (table) => {
    table.increments();
    table.string('name').unique();
    table.jsonb('data');
  });
  const inserted = await knex('person')
    .insert([{ name: 'a', data: { x: [1] } }, { name: 'b' }])
    .returning('*');
  const updated = await knex('person').where({ id: 1 }).update({ name: 'c' });
  const failed = await knex
    .transaction(async (trx) => {
      await trx('person').insert({ name: 'd' });
      await trx('person').insert({ name: 'c' });
    })
    .catch(({ code, detail }) => ({ code, detail }));
  const late = await knex
    .select(knex.raw('pg_sleep(5)'))
    .timeout(100, { cancel: true })
    .catch(({ name }) => name);
  const rows = await knex('person').orderBy('id');
  const streamed = [];
  for await (const { n } of knex.raw('select n from generate_series(1, 300) n').stream()) {
    streamed.push(n);
  }
  const kept = await knex.transaction(async (outer) => {
    await outer('person').insert({ name: 'kept' });
    await outer
      .transaction(async (inner) => {
        await inner('person').insert({ name: 'lost' });
        throw new Error('rolled back to the savepoint');
      })
      .catch(() => {});
    return outer('person').whereIn('name', ['kept', 'lost']).pluck('name');
  });
  const many = Array.from({ length: 250 }, (_, n) => ({ name: `many ${n}` }));
  const batch = (await knex.batchInsert('person', many, 100).returning('id')).length;
  const { rows: raw } = await knex.raw('select ?::int as n', [7]);
  await knex.destroy();
  return { inserted, updated, failed, late, rows, streamed, kept, batch, raw };
};
