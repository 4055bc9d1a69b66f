// BerthDialect where texts of the program's own begin and end transactions: its words are those of the server all the same (CP-3).
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { Kysely, sql } = require('kysely');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');

const database = testDatabase('create table kept (n int)');

async function open(t, connectionString = database.url) {
  await database.sql('truncate kept');
  const connection = { connectionString, poolSize: 1, resolveTimeoutMs: 500 };
  const db = new Kysely({ dialect: new BerthDialect({ connection }) });
  t.after(() => db.destroy());
  const run = (one, text) => sql.raw(text).execute(one);
  return { db, run };
}

/** The same over a proxy. */
async function openBehind(t) {
  const proxy = await database.openProxy(t);
  return { proxy, ...(await open(t, proxy.url(database.url))) };
}

const stored = async () => (await database.sql('select n from kept order by n')).map(({ n }) => n);
const insert = (n) => `insert into kept values (${n})`;
const series = (db) => db.selectFrom(sql`generate_series(1, 9)`.as('s')).select(sql`s`.as('n'));

async function readAll(db) {
  let read = 0;
  for await (const _ of series(db).stream(2)) read++;
  return read;
}

for (const begin of ['begin', '/* by hand */ start transaction', `select 1; begin`]) {
  test(`a stream does not end a transaction that was begun by a text: ${begin}`, async (t) => {
    const { db, run } = await open(t);
    await db.connection().execute(async (one) => {
      await run(one, begin);
      await run(one, insert(1));
      assert.equal(await readAll(one), 9);
      await run(one, 'rollback');
      assert.equal(await readAll(one), 9);
      await run(one, 'begin; savepoint a');
      await run(one, insert(2));
      assert.equal(await readAll(one), 9);
      await run(one, 'rollback to a');
      await run(one, 'commit');
    });
    assert.deepEqual(await stored(), []);
  });
}

for (const end of ['commit', 'ROLLBACK', '-- over\n end', 'select 1; commit']) {
  test(`what is lost behind a text that ends the transaction stands outside of it: ${JSON.stringify(end)}`, async (t) => {
    const { db, run, proxy } = await openBehind(t);
    const lost = db.transaction().execute(async (tx) => {
      await run(tx, 'select 1');
      await run(tx, end);
      proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
      await run(tx, insert(1));
    });
    const error = await failureOf(lost);
    assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown'], error.stack);
    assert.deepEqual(await stored(), [1]);
  });
}

test('a COMMIT that is lost behind such a text says nothing of what that one has committed', async (t) => {
  const { db, run, proxy } = await openBehind(t);
  const lost = db.transaction().execute(async (tx) => {
    await run(tx, insert(1));
    await run(tx, 'commit');
    await proxy.cutAll();
  });
  const error = await failureOf(lost);
  assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown'], error.stack);
  assert.deepEqual(await stored(), [1]);
});

test('behind such a text streams are read, and what is begun by another is committed', async (t) => {
  const { db, run } = await open(t);
  await db.transaction().execute(async (tx) => {
    await run(tx, insert(1));
    await run(tx, 'commit');
    assert.equal(await readAll(tx), 9);
    await run(tx, 'create index concurrently on kept (n)');
    await run(tx, 'begin');
    await run(tx, insert(2));
    assert.equal(await readAll(tx), 9);
  });
  assert.deepEqual(await stored(), [1, 2]);
  const undone = db.transaction().execute(async (tx) => {
    await run(tx, insert(3));
    await run(tx, 'commit and chain');
    await run(tx, insert(4));
    assert.equal(await readAll(tx), 9);
    throw new Error('mine');
  });
  await assert.rejects(undone, /^Error: mine$/);
  assert.deepEqual(await stored(), [1, 2, 3]);
  const failed = db.transaction().execute(async (tx) => {
    await run(tx, 'commit; begin');
    await run(tx, insert(5));
    await failureOf(run(tx, 'select 1 / 0'));
  });
  assert.equal((await failureOf(failed)).name, 'AbortedTransactionError');
  assert.deepEqual(await stored(), [1, 2, 3]);
});
