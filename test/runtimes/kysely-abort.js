// Kysely 0.29: signals of `execute` and `stream`, and what becomes of the statement on the server. Run by kysely-versions.test.js.
'use strict';

const assert = require('node:assert/strict');
const { Kysely, sql } = require('kysely');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const database = testDatabase();

function open(t) {
  const connection = { connectionString: database.url, poolSize: 1 };
  const db = new Kysely({ dialect: new BerthDialect({ connection }) });
  t.after(() => db.destroy());
  return db;
}

const pidOf = async (db) => {
  const { rows } = await sql`select pg_backend_pid() as pid`.execute(db);
  return rows[0].pid;
};

/** Starts a statement that sleeps, fires its signal, and says how it ended. */
async function aborted(db, strategy) {
  const controller = new AbortController();
  const reason = new Error('no longer wanted');
  const options = { signal: controller.signal, inflightQueryAbortStrategy: strategy };
  const sleeping = sql`select pg_sleep(20) as abandoned`.execute(db, options);
  const outcome = sleeping.then(assert.fail, (error) => error);
  await database.running('abandoned');
  controller.abort(reason);
  assert.equal(await outcome, reason);
}

const isQuiet = async () => {
  const rows = await database.sql(
    `select 1 from pg_stat_activity where query like '%pg_sleep(20)%' and state = 'active'
       and pid <> pg_backend_pid()`,
  );
  return rows.length === 0;
};

test('‘cancel query’ stops the statement, and the connection goes on', async (t) => {
  const db = open(t);
  const pid = await pidOf(db);
  await aborted(db, 'cancel query');
  await waitFor(isQuiet, { what: 'the end of the statement' });
  assert.equal(await pidOf(db), pid);
});

test('‘kill session’ ends the session, and another one follows', async (t) => {
  const db = open(t);
  const pid = await pidOf(db);
  await aborted(db, 'kill session');
  await waitFor(isQuiet, { what: 'the end of the statement' });
  assert.notEqual(await pidOf(db), pid);
});

test('a cancel never reaches the statement of whoever comes next', async (t) => {
  const db = open(t);
  for (let round = 0; round < 20; round++) {
    const controller = new AbortController();
    const first = sql`select pg_sleep(0.005)`.execute(db, {
      signal: controller.signal,
      inflightQueryAbortStrategy: 'cancel query',
    });
    const next = sql`select pg_sleep(0.01), ${round}::int as round`.execute(db);
    setTimeout(() => controller.abort(), round % 8);
    await first.catch(() => {});
    assert.equal((await next).rows[0].round, round);
  }
});

const SERIES = sql`generate_series(1, 3)`.as('n');

/** Reads a stream that ends with a failure. @param {() => unknown} seen with each row */
async function failing(stream, seen = () => {}) {
  try {
    for await (const _row of stream) await seen();
  } catch (error) {
    return error;
  }
  assert.fail('the stream has ended');
}

test('a stream given up between two batches leaves no transaction to what follows', async (t) => {
  const db = open(t);
  await sql`create table kept (n int)`.execute(db);
  await db.connection().execute(async (one) => {
    const controller = new AbortController();
    const options = { signal: controller.signal, chunkSize: 1 };
    const stream = one.selectFrom(SERIES).selectAll().stream(options);
    const reason = new Error('enough');
    assert.equal(await failing(stream, () => controller.abort(reason)), reason);
    await sql`insert into kept values (1)`.execute(one);
  });
  assert.equal((await database.sql('select n from kept')).length, 1);
});

test('a stream given up while its rows are transformed fails nowhere else', async (t) => {
  const db = open(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  const plugin = {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      controller.abort(reason);
      return result;
    },
  };
  const options = { signal: controller.signal, chunkSize: 1 };
  const query = db.withPlugin(plugin).selectFrom(SERIES).selectAll();
  assert.equal(await failing(query.stream(options)), reason);
  assert.ok(await pidOf(db));
});

test('a stream given up while a batch is read ahead fails with the reason', async (t) => {
  const db = open(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  const slow = sql`case when n > 1 then pg_sleep(20) end`.as('ahead');
  const options = { signal: controller.signal, chunkSize: 1 };
  const stream = db.selectFrom(SERIES).select(slow).stream(options);
  const error = await failing(stream, async () => {
    await database.running('ahead');
    controller.abort(reason);
  });
  assert.equal(error, reason);
  assert.ok(await pidOf(db));
});

test('whoever waits for a connection leaves the queue when its signal fires', async (t) => {
  const db = open(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  const sleeping = sql`select pg_sleep(20) as busy`.execute(db);
  sleeping.catch(() => {});
  await database.running('busy');
  const work = async (one) => {
    const asked = sql`select 1`.execute(one);
    setImmediate(() => controller.abort(reason));
    await asked;
  };
  const wanted = db.connection().execute(work, { signal: controller.signal });
  await assert.rejects(wanted, (error) => error === reason);
  await database.sql(
    `select pg_cancel_backend(pid) from pg_stat_activity
       where query like '%as busy' and pid <> pg_backend_pid()`,
  );
  await assert.rejects(sleeping, { code: '57014' });
  assert.ok(await pidOf(db));
});
