// Prepared statements against `pg`: names of the program's, and what may happen to a table between two executions.
'use strict';

const { pair } = require('../support/pg-pair.js');

const { compareAll } = pair(`
  create table t (id int, v text);
  insert into t values (1, 'one'), (2, 'two');
`);

/** Without itself, which stays prepared here when it comes again. */
const VIEW = `select name, statement from pg_prepared_statements
  where statement not like '%pg_prepared_statements%' order by name`;

/** Asks one after the other on one client; what each comes to, errors too. */
const asking =
  (...steps) =>
  async (_, { connect, observer }) => {
    const client = await connect();
    const read = [];
    for (const step of steps) {
      const args = Array.isArray(step) ? step : [step];
      const where = args[0] === observer ? observer : client;
      read.push(
        await where.query(...(where === observer ? args.slice(1) : args)).catch((error) => error),
      );
    }
    return read;
  };

const BY_ID = ['select * from t where id = $1', [1]];
const NAMED = [{ name: 'mine', text: 'select * from t where id = $1', values: [1] }];

const row = (name, ...steps) => ({ name, run: asking(...steps) });

compareAll([
  row('a name is seen by the server', NAMED, NAMED, VIEW),
  row(
    'a name over 63 bytes',
    [{ name: 'n'.repeat(70), text: 'select 1 as a' }],
    [{ name: 'n'.repeat(70), text: 'select 1 as a' }],
  ),
  ...[
    ['a\0b', 'U+0000'],
    ['\ud800', 'a lone surrogate'],
  ].map(([name, what]) => ({
    name: `a name that no message can hold: ${what}`,
    differs: 'pg sends it as it is, or as another one',
    run: async (_, { connect }) => {
      const client = await connect();
      const failure = await client
        .query({ name, text: 'select 1 as a' })
        .catch(({ message }) => message);
      const { rows } = await client
        .query('select 2 as b')
        .catch(({ message }) => ({ rows: message }));
      return [typeof failure === 'string' ? failure : 'sent', rows];
    },
    expect: { value: [`the name of a statement cannot contain ${what}`, [{ b: 2 }]] },
  })),
  row('a name with another text', NAMED, [{ name: 'mine', text: 'select 2 as a' }], NAMED),
  row(
    'a name whose execution failed',
    [{ name: 'f', text: 'select 1/$1::int as a', values: [0] }],
    [{ name: 'f', text: 'select 1/$1::int as a', values: [1] }],
  ),
  row(
    'a name whose Parse failed',
    [{ name: 'p', text: 'selec' }],
    [{ name: 'p', text: 'select 1 as a' }],
    VIEW,
  ),
  row(
    'a named statement and ALTER TABLE',
    NAMED,
    'alter table t add w int',
    NAMED,
    'select 1 as ok',
  ),
  row('a named statement and DEALLOCATE ALL', NAMED, 'deallocate all', NAMED, 'select 1 as ok'),
  row('a named statement inside a transaction', 'begin', NAMED, 'rollback', NAMED, VIEW),
  ...[
    ['ALTER TABLE adds a column', 'alter table t add w int default 7'],
    ['ALTER TABLE drops a column', 'alter table t drop v'],
    ['a column gets another type', 'alter table t alter v type varchar(9)'],
    ['the column of the parameter gets another type', 'alter table t alter id type bigint'],
    ['the column of the parameter becomes text', 'alter table t alter id type text'],
    [
      'the table is replaced',
      'drop table t; create table t (id int, x int); insert into t values (1, 5)',
    ],
    ['the table is gone', 'drop table t'],
    ['DEALLOCATE ALL', 'deallocate all'],
    ['DISCARD ALL', 'discard all'],
    [
      'another search_path',
      'drop schema if exists s cascade; create schema s; create table s.t (id int, z int); insert into s.t values (1, 8); set search_path = s',
    ],
  ].flatMap(([name, change]) => [
    row(`without a name: ${name}`, BY_ID, BY_ID, change, BY_ID, BY_ID, 'select 1 as ok'),
    row(
      `without a name, inside a transaction: ${name}`,
      BY_ID,
      BY_ID,
      ...(change === 'discard all' ? [change, 'begin'] : ['begin', change]),
      BY_ID,
      'commit',
      BY_ID,
    ),
    {
      name: `without a name, changed by somebody else while a transaction is open: ${name}`,
      run: async (_, { connect, observer }) => {
        const client = await connect();
        const read = [await client.query(...BY_ID), await client.query(...BY_ID)];
        await client.query('begin');
        if (!/discard|deallocate|search_path/i.test(change)) await observer.query(change);
        read.push(await client.query(...BY_ID).catch((error) => error));
        await client.query('rollback');
        read.push(await client.query(...BY_ID).catch((error) => error));
        return read;
      },
    },
  ]),
  ...[{}, { pipeline: true }].map((config) => ({
    name: `names that a program deallocates and deletes from parsedStatements ${JSON.stringify(config)}`,
    run: async (_, { connect }) => {
      const client = await connect(config);
      const { parsedStatements } = client.connection;
      const one = { name: 'mine', text: 'select 1 as a, $1::int[] as b', values: [[1]] };
      const other = { ...one, text: 'select 2 as a, $1::int[] as b' };
      const read = [];
      const ask = async (...asked) =>
        read.push(await client.query(...asked).catch((error) => error), { ...parsedStatements });
      await ask(one);
      await ask('deallocate mine');
      await ask(one);
      delete parsedStatements.mine;
      await ask(one);
      await ask(one);
      await ask('begin');
      await ask('deallocate mine');
      delete parsedStatements.mine;
      await ask(one);
      await ask('commit');
      await ask('deallocate mine');
      delete parsedStatements.mine;
      await ask(other);
      await ask({ name: 'mine', values: [[2]] });
      await ask(one);
      await ask({ name: 'wrong', text: 'selec' });
      return read;
    },
  })),
  {
    name: 'the few statements that PostGraphile keeps prepared, the oldest given up',
    run: async (_, { connect }) => {
      const client = await connect();
      const { parsedStatements } = client.connection;
      const kept = [];
      for (const n of [1, 2, 3, 1, 4, 3, 1]) {
        const name = `s${n}`;
        if (!kept.includes(name) && kept.push(name) > 2) {
          const oldest = kept.shift();
          delete parsedStatements[oldest];
          await client.query(`deallocate ${oldest}`);
        }
        await client.query({ name, text: `select ${n} as n where $1`, values: [true] });
      }
      return [
        (await client.query('select name from pg_prepared_statements order by name')).rows,
        parsedStatements,
      ];
    },
  },
  {
    name: 'what statements without a name leave in pg_prepared_statements',
    run: async (_, { connect }) => {
      const client = await connect();
      await client.query('begin');
      await client.query(...BY_ID);
      await client.query('commit');
      const inside = (await client.query(VIEW)).rowCount;
      await client.query(...BY_ID);
      await client.query(...BY_ID);
      return [inside, (await client.query(VIEW)).rowCount];
    },
    differs: 'outside transactions statements stay prepared',
    expect: { value: [0, 1] },
  },
  {
    name: 'preparedStatements: unnamed leaves nothing',
    run: async (_, { connect }) => {
      const client = await connect({ preparedStatements: 'unnamed' });
      await client.query(...BY_ID);
      await client.query(...BY_ID);
      return (await client.query(VIEW)).rowCount;
    },
  },
]);
