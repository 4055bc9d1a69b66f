// BerthDialect over several nodes: transactions that only read on standbys, and commits whose answer is lost.
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { Kysely, sql } = require('kysely');
const { BerthDialect, readFromStandby } = require('../../lib/kysely/index.js');
const { startCluster } = require('../support/cluster.js');
const { poolInDoubt } = require('../support/doubt.js');
const { gracefulShutdown } = require('../../lib/shutdown.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { isNotReplicated, waitingForStandby } = require('../support/unreplicated.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;

before(async () => {
  cluster = await startCluster();
  await cluster.primary.sql('create table note (id int)');
});
after(() => cluster.stop());

/** @param {import('node:test').TestContext} t */
function open(t, config) {
  const db = new Kysely({
    dialect: new BerthDialect({ connection: cluster.options(), ...config }),
  });
  t.after(() => db.destroy());
  return db;
}

const isStandby = async (db) => {
  const { rows } = await sql`select pg_is_in_recovery() as standby`.execute(db);
  return rows[0].standby;
};

test('CP-8: a transaction that asks to write begins when the server is known not to be fenced', async (t) => {
  const { primary } = cluster;
  t.after(() => primary.unfence());
  const connection = cluster.options({ acquireTimeoutMs: 500, poolSize: 1 });
  const db = open(t, { connection });
  await primary.sql('create sequence if not exists numbers');
  const draw = (tx) => sql`select nextval('numbers')`.execute(tx);
  await db.transaction().setAccessMode('read write').execute(draw);
  await primary.fence();
  await assert.rejects(db.transaction().setAccessMode('read write').execute(draw), (error) =>
    ['FencedError', 'NoPrimaryError'].includes(error.name),
  );
  // A number that was drawn would stay so, whatever becomes of the transaction.
  const [{ last_value: last }] = await primary.sql('select last_value from numbers');
  assert.equal(Number(last), 1);
});

test('transactions with access mode read only run on a standby when asked to, all else on the primary', async (t) => {
  const db = open(t, { readOnlyTransactions: 'standby' });
  assert.equal(await isStandby(db), false);
  assert.equal(await db.transaction().execute(isStandby), false);
  assert.equal(await db.transaction().setAccessMode('read only').execute(isStandby), true);
  assert.equal(await db.transaction().setAccessMode('read write').execute(isStandby), false);
  const rows = await db
    .transaction()
    .setAccessMode('read only')
    .setIsolationLevel('repeatable read')
    .execute((tx) => tx.selectFrom('note').selectAll().execute());
  assert.deepEqual(rows, []);
  await assert.rejects(
    db
      .transaction()
      .setAccessMode('read only')
      .execute((tx) => tx.insertInto('note').values({ id: 1 }).execute()),
    { code: '25006', transient: false },
  );
});

test('a serializable transaction runs on the primary though it only reads: no standby has that level', async (t) => {
  const db = open(t, { readOnlyTransactions: 'standby' });
  const only = () => db.transaction().setAccessMode('read only');
  assert.equal(await only().setIsolationLevel('serializable').execute(isStandby), false);
  assert.equal(await only().setIsolationLevel('repeatable read').execute(isStandby), true);
});

test('a connection outlives a BEGIN that its standby refuses', async (t) => {
  const db = open(t, { connection: cluster.options({ mode: 'prefer-standby' }) });
  const begun = async () => assert.fail('it was never begun');
  await db.connection().execute(async (one) => {
    await sql`set search_path = kept`.execute(one);
    assert.equal(await isStandby(one), true);
    const writing = one.transaction().setAccessMode('read write');
    await assert.rejects(writing.execute(begun), { code: '0A000', transient: false });
    const exact = one.transaction().setIsolationLevel('serializable');
    await assert.rejects(exact.execute(begun), { code: '0A000', transient: false });
    const { rows } = await sql`show search_path`.execute(one);
    assert.deepEqual(rows, [{ search_path: 'kept' }]);
    assert.equal(await one.transaction().execute(isStandby), true);
    // A transaction of the program's own is open: there is none to be begun, and none to be ended to find that out.
    await sql`begin isolation level repeatable read`.execute(one);
    assert.equal(await one.transaction().setAccessMode('read write').execute(isStandby), true);
  });
});

test('single queries read from a standby where that is asked for, and writes never do', async (t) => {
  const db = open(t, { readOnlyTransactions: 'standby' });
  const reports = db.withPlugin(readFromStandby());
  const { standby } = await reports
    .selectNoFrom(sql`pg_is_in_recovery()`.as('standby'))
    .executeTakeFirst();
  assert.equal(standby, true);
  assert.equal(await isStandby(reports), true);
  assert.equal(await isStandby(db), false);
  const streamed = [];
  const query = reports.selectNoFrom(sql`pg_is_in_recovery()`.as('standby'));
  for await (const row of query.stream(1)) streamed.push(row.standby);
  assert.deepEqual(streamed, [true]);
  await reports.insertInto('note').values({ id: 7 }).execute();
  // No other server and no later time takes it: that it reads was asked for.
  const refused = { code: '25006', transient: false };
  await assert.rejects(sql`insert into note values (8)`.execute(reports), refused);
  const several = sql`select 1; insert into note values (8)`.execute(reports);
  await assert.rejects(several, refused);
  // Inside a transaction, and on a connection that was used, reads stay where they are.
  assert.equal(await reports.transaction().execute(isStandby), false);
  await reports.connection().execute(async (one) => {
    await one.deleteFrom('note').where('id', '=', 7).execute();
    assert.equal(await isStandby(one), false);
  });
  const without = open(t).withPlugin(readFromStandby());
  await assert.rejects(isStandby(without), {
    name: 'TypeError',
    message: 'readFromStandby() needs the option readOnlyTransactions: "standby"',
  });
});

test('a connection is back on the primary behind a transaction that has read elsewhere', async (t) => {
  const db = open(t, { readOnlyTransactions: 'standby' });
  await db.connection().execute(async (one) => {
    assert.equal(await one.transaction().setAccessMode('read only').execute(isStandby), true);
    assert.equal(await isStandby(one), false);
    // It was used: the connection is not exchanged under its borrower.
    assert.equal(await one.transaction().setAccessMode('read only').execute(isStandby), false);
    await one.insertInto('note').values({ id: 2 }).execute();
  });
});

test('without readOnlyTransactions everything runs on the primary', async (t) => {
  const db = open(t);
  assert.equal(await db.transaction().setAccessMode('read only').execute(isStandby), false);
});

test('destroy closes both pools, and says what became of statements in both', async (t) => {
  const db = open(t, { readOnlyTransactions: 'standby' });
  await isStandby(db);
  await db.transaction().setAccessMode('read only').execute(isStandby);
  const sleep = (on) => sql`select pg_sleep(60)`.execute(on);
  const cancelled = [
    failureOf(sleep(db)),
    failureOf(db.transaction().setAccessMode('read only').execute(sleep)),
  ];
  const sleeping = async () => {
    const found = await Promise.all(
      cluster.nodes.map((node) =>
        node.sql(`select from pg_stat_activity
          where wait_event = 'PgSleep' and query = 'select pg_sleep(60)'`),
      ),
    );
    return found.filter((rows) => rows.length === 1).length === 2;
  };
  await waitFor(sleeping, { what: 'a statement on the primary and one on a standby' });
  const report = await gracefulShutdown(db, { timeout: 2000 });
  assert.equal(report.cancelled, 2, JSON.stringify(report));
  for (const error of await Promise.all(cancelled)) {
    assert.equal(error.name, 'CancelledError', error.stack);
  }
  const left = async () => {
    const counts = await Promise.all(
      cluster.nodes.map((node) =>
        node.sql(`select count(*)::int as n from pg_stat_activity
          where backend_type = 'client backend' and application_name not in ('observer', '')`),
      ),
    );
    return counts.every(([{ n }]) => n === 0);
  };
  await waitFor(left, { what: 'the end of all connections' });
});

test('a commit whose answer is lost is known to have happened, and happens once', async (t) => {
  const { pool, resolved, loseAnswer, letAsk } = await poolInDoubt(t, [cluster.primary.server]);
  const db = new Kysely({ dialect: new BerthDialect({ pool }) });
  const done = db.transaction().execute(async (tx) => {
    await tx.insertInto('note').values({ id: 41 }).execute();
    loseAnswer();
    return 'committed';
  });
  const there = async () => {
    const [{ n }] = await cluster.primary.sql('select count(*)::int as n from note where id = 41');
    return n === 1;
  };
  await waitFor(there, { what: 'the commit' });
  letAsk();
  assert.equal(await done, 'committed');
  assert.equal(resolved.length, 1);
  assert.ok(await there());
});

test('CP-6: exactlyOnce of the pool holds for single statements', async (t) => {
  const servers = [cluster.primary.server];
  const { pool, resolved, loseConnections, letAsk } = await poolInDoubt(t, servers, {
    exactlyOnce: true,
  });
  const db = new Kysely({ dialect: new BerthDialect({ pool }) });
  for (const node of cluster.standbys) node.pauseReceiver();
  const resume = () => {
    for (const node of cluster.standbys) node.resumeReceiver();
  };
  t.after(resume);
  const done = db.insertInto('note').values({ id: 42 }).returning('id').execute();
  done.catch(() => {});
  await waitingForStandby(cluster);
  await loseConnections();
  letAsk();
  resume();
  assert.deepEqual(await done, [{ id: 42 }]);
  assert.equal(resolved.length, 1);
});

test('a write that no standby has confirmed costs no connection', async (t) => {
  const lost = [];
  const db = open(t, { onConnectionError: (error) => lost.push(error) });
  await isStandby(db);
  for (const node of cluster.standbys) node.pauseReceiver();
  t.after(async () => {
    for (const node of cluster.standbys) node.resumeReceiver();
    await cluster.streaming();
  });
  const write = failureOf(db.insertInto('note').values({ id: 51 }).execute());
  const [pid] = await waitingForStandby(cluster);
  await cluster.primary.sql('select pg_cancel_backend($1)', [pid]);
  isNotReplicated(await write);
  assert.deepEqual(lost, []);
});
