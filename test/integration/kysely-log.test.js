// Kysely's log with BerthDialect: transactions stand in it as with Kysely's own dialect.
'use strict';

const assert = require('node:assert/strict');
const { CompiledQuery, Kysely, sql } = require('kysely');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
require('../support/stray-errors.js');

const database = testDatabase('create table once (n int unique deferrable initially deferred)');

/** @returns {{ db: Kysely<any>, log: string[] }} a line for each event: its text, and the code of its error */
function open(t, { url = database.url, onEvent = () => {}, ...options } = {}) {
  const log = [];
  const db = new Kysely({
    dialect: new BerthDialect({ connection: { connectionString: url, poolSize: 1, ...options } }),
    log: (event) => {
      log.push(
        event.level === 'error' ? `${event.query.sql}: ${event.error.code}` : event.query.sql,
      );
      onEvent(event);
    },
  });
  t.after(() => db.destroy());
  return { db, log };
}

const one = (db) => sql`select 1`.execute(db);

test('the log has what begins and ends a transaction', async (t) => {
  const { db, log } = open(t);
  await db.transaction().setIsolationLevel('serializable').execute(one);
  await db
    .transaction()
    .execute((trx) => sql`select 1/0`.execute(trx))
    .catch(() => {});
  const trx = await db.startTransaction().execute();
  await one(await trx.savepoint('s').execute());
  await trx.rollback().execute();
  assert.deepEqual(log, [
    'start transaction isolation level serializable',
    'select 1',
    'commit',
    'begin',
    'select 1/0: 22012',
    'rollback',
    'begin',
    'savepoint "s"',
    'select 1',
    'rollback',
  ]);
});

test('a commit that fails is an error in the log', async (t) => {
  const { db, log } = open(t);
  const work = db
    .transaction()
    .execute((trx) => sql`insert into once values (1), (1)`.execute(trx));
  await assert.rejects(work, { code: '23505' });
  assert.deepEqual(log, ['begin', 'insert into once values (1), (1)', 'commit: 23505']);
});

test('a stream: in a transaction its BEGIN comes before it, and one of its own has none', async (t) => {
  const { db, log } = open(t);
  const numbers = (on) => on.selectFrom(sql`generate_series(1, 3)`.as('g')).selectAll().stream(1);
  const text = 'select * from generate_series(1, 3) as "g"';
  for await (const _ of numbers(db));
  assert.deepEqual(log, [text]);
  await db.transaction().execute(async (trx) => {
    for await (const _ of numbers(trx));
  });
  assert.deepEqual(log, [text, 'begin', text, 'commit']);
});

test('what was never sent is not in the log', async (t) => {
  const { db, log } = open(t);
  await db.transaction().execute(async () => {});
  await one(db);
  assert.deepEqual(log, ['select 1']);
  log.length = 0;
  const wrong = { toPostgres: () => assert.fail('no value') };
  await db.transaction().execute(async (trx) => {
    await assert.rejects(sql`select ${wrong}::text as v`.execute(trx));
    await one(trx);
  });
  assert.deepEqual(log, ['select $1::text as v: ERR_ASSERTION', 'begin', 'select 1', 'commit']);
  const other = open(t, { url: 'postgres://postgres@127.0.0.1:1/postgres', acquireTimeoutMs: 100 });
  await assert.rejects(other.db.transaction().execute(one), { outcome: 'not-sent' });
  assert.deepEqual(other.log, ['select 1: 08006']);
});

test('a log that throws does not turn a commit into a failure', async (t) => {
  const onEvent = ({ query }) => {
    if (query.sql === 'commit') throw new Error('the log is full');
  };
  const { db, log } = open(t, { onEvent });
  await db.transaction().execute((trx) => sql`insert into once values (7)`.execute(trx));
  assert.deepEqual(log, ['begin', 'insert into once values (7)', 'commit']);
  const { rows } = await sql`select n from once`.execute(db);
  assert.deepEqual(rows, [{ n: 7 }]);
});

test('what a signal has kept from being sent is not in the log', async (t) => {
  const connection = { connectionString: database.url, poolSize: 1, acquireTimeoutMs: 1000 };
  const driver = new BerthDialect({ connection }).createDriver();
  await driver.init();
  t.after(() => driver.destroy());
  const query = CompiledQuery.raw('select 1');
  const busy = await driver.acquireConnection();
  await busy.executeQuery(query);
  for (const how of ['executeQuery', 'streamQuery']) {
    const waiting = await driver.acquireConnection();
    const log = [];
    // As Kysely listens.
    const { executeQuery } = waiting;
    waiting.executeQuery = (compiled, options) => {
      if (compiled !== query) log.push(compiled.sql);
      return executeQuery.call(waiting, compiled, options);
    };
    await driver.beginTransaction(waiting, {});
    const signal = AbortSignal.timeout(20);
    const asked =
      how === 'executeQuery'
        ? waiting.executeQuery(query, { signal })
        : waiting.streamQuery(query, 10, { signal }).next();
    await assert.rejects(asked, (error) => error === signal.reason);
    await driver.rollbackTransaction(waiting);
    await driver.releaseConnection(waiting);
    assert.deepEqual(log, [], how);
  }
  await driver.releaseConnection(busy);
});
