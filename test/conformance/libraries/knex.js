// Knex: schema, queries, transactions, errors, a timeout that cancels.
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
  const { rows: raw } = await knex.raw('select ?::int as n', [7]);
  await knex.destroy();
  return { inserted, updated, failed, late, rows, raw };
};
