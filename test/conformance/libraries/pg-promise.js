// pg-promise: its events, tasks, nested transactions, helpers, prepared statements, streams, and a lost connection.
'use strict';

const QueryStream = require('pg-query-stream');
const make = require('pg-promise');

/** What a program sees of a failure. */
const failure = (error) => [error.constructor.name, error.message, error.code, error.constraint];

async function asksOf(db) {
  const failures = [];
  for (const ask of [
    () => db.one('select * from users'),
    () => db.none('select 1'),
    () => db.none('insert into users (name) values ($1)', ['a']),
    () => db.any('selec'),
  ]) {
    failures.push(await ask().catch(failure));
  }
  return {
    failures,
    one: await db.one('select * from users where id = $<id>', { id: 1 }),
    none: await db.oneOrNone('select * from users where id = $1', 99),
    multi: await db.multi('select 1 as a; select 2 as b, 3 as c'),
    result: await db.result('update users set name = $1 where id = 1', ['z'], (result) => [
      result.rowCount,
      result.command,
    ]),
    mapped: await db.map('select id from users order by id', [], ({ id }) => id * 2),
    func: await db.func('pg_catalog.upper', ['abc']),
  };
}

async function transactionsOf(db, { txMode }) {
  const insert = (t, name) => t.none('insert into users (name) values ($1)', [name]);
  const nested = await db.tx(async (t) => {
    await insert(t, 'kept');
    const inner = t.tx(async (t2) => {
      await insert(t2, 'inner');
      throw new Error('inner');
    });
    return inner.catch(({ message }) => message);
  });
  const rolled = await db
    .tx(async (t) => {
      await insert(t, 'gone');
      throw new Error('outer');
    })
    .catch(({ message }) => message);
  const { TransactionMode, isolationLevel } = txMode;
  const mode = new TransactionMode({ tiLevel: isolationLevel.serializable, readOnly: true });
  const refused = await db
    .tx({ mode }, (t) => t.none('delete from users'))
    .catch(({ code }) => code);
  const task = await db.task('named', (t) =>
    t.batch([t.one('select 1 as x'), t.one('select $1::int as x', [2])]),
  );
  return { nested, rolled, refused, task };
}

async function connectionsOf(db) {
  const direct = await db.connect();
  await direct.none('listen news');
  const notified = new Promise((resolve) => direct.client.once('notification', resolve));
  await direct.none("notify news, 'hi'");
  const { channel, payload } = await notified;
  const version = /^\d+/.test(direct.client.serverVersion);
  await direct.done();
  let tellLost;
  const lost = new Promise((resolve) => {
    tellLost = resolve;
  });
  const dying = await db.connect({ onLost: ({ code }) => tellLost(code) });
  await db.any('select pg_terminate_backend($1)', [dying.client.processID]);
  const code = await lost;
  dying.done();
  return { channel, payload, version, code, after: await db.one('select 1 as a') };
}

module.exports = async ({ pg, url }) => {
  const heard = [];
  const pgp = make({
    noWarnings: true,
    query: ({ query }) => heard.push(['query', (query.text ?? query).replace(/\(\d+\)/, '')]),
    receive: ({ data, result }) => heard.push(['receive', data.length, result?.command]),
    transact: ({ ctx }) => heard.push(['transact', Boolean(ctx.finish), ctx.success]),
  });
  const db = pgp(url);
  await db.none('create table users (id serial primary key, name text unique, data jsonb)');
  const columns = new pgp.helpers.ColumnSet(['name', { name: 'data', mod: ':json' }], {
    table: 'users',
  });
  const users = [
    { name: 'a', data: { x: 1 } },
    { name: "b'c", data: [1] },
  ];
  const made = await db.many(`${pgp.helpers.insert(users, columns)} returning *`);
  const asked = await asksOf(db);
  const transactions = await transactionsOf(db, pgp);
  const find = new pgp.PreparedStatement({
    name: 'find',
    text: 'select name from users where id = $1',
  });
  const named = [await db.one(find, [1]), await db.one(find, [2])];
  const streamed = [];
  const { processed } = await db.stream(
    new QueryStream('select n from generate_series(1, 250) n', [], { batchSize: 50 }),
    (stream) => stream.on('data', ({ n }) => streamed.push(n)),
  );
  const connections = await connectionsOf(db);
  const names = await db.map('select name from users order by id', [], ({ name }) => name);
  await db.$pool.end();
  const late = await db.any('select 1').catch(({ message }) => message);
  return {
    ...{ made, asked, transactions, named, processed, streamed: streamed.length, connections },
    ...{ names, late, heard, isDriver: pgp.pg.Client === pg.Client },
  };
};
