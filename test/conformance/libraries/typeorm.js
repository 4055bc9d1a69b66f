// TypeORM: schema, repository, streams, a transaction that fails.
'use strict';

require('reflect-metadata');
const { DataSource, EntitySchema } = require('typeorm');

const Person = new EntitySchema({
  name: 'person',
  columns: {
    id: { type: Number, primary: true, generated: true },
    name: { type: String, unique: true },
    data: { type: 'jsonb', nullable: true },
    seen: { type: 'timestamptz', nullable: true },
  },
});

module.exports = async ({ pg, url, isInjected }) => {
  const source = new DataSource({
    type: 'postgres',
    url,
    entities: [Person],
    synchronize: true,
    ...(isInjected ? { driver: pg } : {}),
  });
  await source.initialize();
  const people = source.getRepository('person');
  await people.save([{ name: 'a', data: { x: 1 }, seen: new Date(0) }, { name: 'b' }]);
  const failed = await source
    .transaction(async (manager) => {
      await manager.save('person', { name: 'c' });
      await manager.save('person', { name: 'a' });
    })
    .catch(({ code, driverError }) => ({ code, constraint: typeof driverError.constraint }));
  const rows = await people.find({ order: { id: 'ASC' } });
  const updated = await people.update({ name: 'b' }, { name: 'z' });
  const streamed = [];
  for await (const { person_name } of await people.createQueryBuilder('person').stream()) {
    streamed.push(person_name);
  }
  const raw = await source.query('select $1::int as n', [3]);
  await source.destroy();
  return { failed, rows, affected: updated.affected, streamed: streamed.sort(), raw };
};
