// Objection: models over Knex with relations, graphs, transactions, and its classes of database errors.
'use strict';

const makeKnex = require('knex');
const PostgresClient = require('knex/lib/dialects/postgres');
const { ForeignKeyViolationError, Model, UniqueViolationError } = require('objection');

module.exports = async ({ pg, url, isInjected }) => {
  class Injected extends PostgresClient {
    _driver() {
      return pg;
    }
  }
  const knex = makeKnex({ client: isInjected ? Injected : 'pg', connection: url });
  class Person extends Model {
    static tableName = 'person';
    static get relationMappings() {
      return {
        reports: {
          relation: Model.HasManyRelation,
          modelClass: Person,
          join: { from: 'person.id', to: 'person.boss' },
        },
      };
    }
  }
  Person.knex(knex);
  await knex.schema.createTable('person', (table) => {
    table.increments();
    table.string('name').unique();
    table.integer('boss').references('person.id');
    table.jsonb('data');
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
  const orphan = await Person.query()
    .insert({ name: 'orphan', boss: 999 })
    .catch((error) => [error instanceof ForeignKeyViolationError, error.constraint]);
  const rolled = await Person.transaction(async (trx) => {
    await Person.query(trx).insert({ name: 'gone' });
    throw new Error('rolled back');
  }).catch(({ message }) => message);
  await Person.query().insertGraph({
    name: 'root',
    data: { tags: ['x'], deep: { n: 1 } },
    reports: [{ name: 'left' }, { name: 'right', reports: [{ name: 'leaf' }] }],
  });
  const tree = await Person.query()
    .findOne({ name: 'root' })
    .withGraphFetched('reports.reports')
    .modifyGraph('reports', (query) => query.orderBy('name'));
  const counted = await Person.query().whereNotNull('boss').resultSize();
  const page = await Person.query().orderBy('id').page(1, 2);
  await knex.destroy();
  return { failed, orphan, rolled, rows, all, tree, counted, page };
};
