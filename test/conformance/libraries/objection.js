// Objection: models over Knex, and its classes of database errors.
'use strict';

const makeKnex = require('knex');
const PostgresClient = require('knex/lib/dialects/postgres');
const { Model, UniqueViolationError } = require('objection');

module.exports = async ({ pg, url, isInjected }) => {
  class Injected extends PostgresClient {
    _driver() {
      return pg;
    }
  }
  const knex = makeKnex({ client: isInjected ? Injected : 'pg', connection: url });
  class Person extends Model {
    static tableName = 'person';
  }
  Person.knex(knex);
  await knex.schema.createTable('person', (table) => {
    table.increments();
    table.string('name').unique();
    table.integer('boss').references('person.id');
  });
  const first = await Person.query().insert({ name: 'a' });
  await Person.query().insert({ name: 'b', boss: first.id });
  const failed = await Person.query()
    .insert({ name: 'a' })
    .catch((error) => [
      error instanceof UniqueViolationError,
      error.table,
      error.columns,
      error.constraint,
    ]);
  const rows = await Person.query().patch({ name: 'c' }).where('id', 1).returning('*');
  const all = await Person.query().orderBy('id');
  await knex.destroy();
  return { failed, rows, all };
};
