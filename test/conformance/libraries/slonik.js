// slonik: typed queries, its error classes, nested transactions, streams, notices, limited and cancelled statements.
'use strict';

const { createPool, createTypeParserPreset, sql } = require('slonik');
const { z } = require('zod');

const failure = (error) => [error.constructor.name, error.constraint, error.cause?.code];

const nameOf = (error) => error.constructor.name;

async function endingsOf(pool) {
  const pidOf = (connection) => connection.oneFirst(sql.unsafe`select pg_backend_pid()`);
  const limited = pool.connect(async (connection) => {
    await connection.query(sql.unsafe`set statement_timeout = 20`);
    return connection.query(sql.unsafe`select pg_sleep(10)`);
  });
  const cancelled = pool.connect(async (connection) => {
    const pid = await pidOf(connection);
    const sleeps = connection.query(sql.unsafe`select pg_sleep(10)`).catch(nameOf);
    // Asked again until the statement is there.
    for (let isDone = false; !isDone; ) {
      isDone =
        await pool.oneFirst(sql.unsafe`select bool_or(pg_cancel_backend(pid)) from pg_stat_activity
        where pid = ${pid} and query like '%pg_sleep%'`);
    }
    return sleeps;
  });
  return [await limited.catch(nameOf), await cancelled];
}

async function transactionsOf(pool) {
  const insert = (on, name) => on.query(sql.unsafe`insert into item (name) values (${name})`);
  const nested = await pool.transaction(async (tx) => {
    await insert(tx, 'kept');
    const inner = tx.transaction(async (deep) => {
      await insert(deep, 'inner');
      throw new Error('inner');
    });
    return inner.catch(({ message }) => message);
  });
  const rolled = await pool
    .transaction(async (tx) => {
      await insert(tx, 'gone');
      throw new Error('rolled back');
    })
    .catch(({ message }) => message);
  return { nested, rolled };
}

module.exports = async ({ url }) => {
  const pool = await createPool(url, {
    maximumPoolSize: 3,
    typeParsers: [...createTypeParserPreset(), { name: 'point', parse: (text) => `point ${text}` }],
  });
  await pool.query(sql.unsafe`create table item (id serial primary key, name text unique, at timestamptz, day date,
    price numeric, big int8, span interval, data jsonb, place point)`);
  const rows =
    await pool.any(sql.unsafe`insert into item (name, at, day, price, big, span, data, place)
    values ('a', '2024-01-02 03:04:05Z', '2024-01-02', 1.5, 9, '1 day', ${sql.jsonb({ a: 1 })}, '(1,2)') returning *`);
  const asked = [
    await pool.oneFirst(sql.unsafe`select count(*) from item`),
    await pool.maybeOne(sql.unsafe`select 1 where false`),
    await pool.manyFirst(sql.unsafe`select n from ${sql.unnest([[1], [2]], ['int4'])} as x(n)`),
    await pool.query(sql.unsafe`select 1 as a, 2 as b`),
  ];
  const failures = [
    await pool.query(sql.unsafe`insert into item (name) values ('a')`).catch(failure),
    await pool.query(sql.unsafe`selec`).catch(failure),
    await pool.one(sql.unsafe`select 1 where false`).catch(failure),
  ];
  const transactions = await transactionsOf(pool);
  const streamed = [];
  const numbers = sql.type(z.object({ n: z.number() }))`select n from generate_series(1, 250) n`;
  await pool.stream(numbers, (stream) =>
    stream.on('data', ({ data, fields }) => streamed.push([data.n, fields.length])),
  );
  const { notices } = await pool.query(sql.unsafe`do $$ begin raise notice 'hello'; end $$`);
  const endings = await endingsOf(pool);
  const names = await pool.anyFirst(sql.unsafe`select name from item order by id`);
  await pool.end();
  const told = notices.map(({ message }) => message);
  return { rows, asked, failures, transactions, streamed, told, endings, names };
};
