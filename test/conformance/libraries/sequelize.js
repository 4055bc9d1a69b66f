// Sequelize: schema, models, its error classes, a transaction, types read by its own parsers.
'use strict';

const { DataTypes, Sequelize, UniqueConstraintError } = require('sequelize');

module.exports = async ({ pg, url, isInjected }) => {
  const db = new Sequelize(url, { logging: false, ...(isInjected ? { dialectModule: pg } : {}) });
  const Person = db.define(
    'person',
    {
      name: { type: DataTypes.STRING, unique: true },
      age: DataTypes.BIGINT,
      tags: DataTypes.ARRAY(DataTypes.TEXT),
      data: DataTypes.JSONB,
      seen: DataTypes.DATE,
      span: DataTypes.RANGE(DataTypes.INTEGER),
      while: DataTypes.RANGE(DataTypes.DATE),
    },
    { timestamps: false },
  );
  await db.sync();
  const made = await Person.create({
    name: 'a',
    age: 5,
    tags: ['x', 'y'],
    data: { k: 1 },
    seen: new Date(0),
    span: [1, 5],
    while: [new Date(0), new Date(1_700_000_000_123)],
  });
  const failed = await Person.create({ name: 'a' }).catch((error) => [
    error instanceof UniqueConstraintError,
    error.fields,
  ]);
  const rolled = await db
    .transaction(async (transaction) => {
      await Person.create({ name: 'b' }, { transaction });
      throw new Error('rolled back');
    })
    .catch(({ message }) => message);
  const [count] = await Person.update({ age: 6 }, { where: { name: 'a' } });
  const rows = (await Person.findAll({ order: ['id'] })).map((one) => one.toJSON());
  const version = (await db.databaseVersion()).split('.')[0];
  await db.close();
  return { made: made.toJSON(), failed, rolled, count, rows, version };
};
