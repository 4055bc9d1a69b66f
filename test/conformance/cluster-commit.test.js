// What is acknowledged is replicated; what is not is called a doubt (CP-1, CP-2, CP-3), and so may be what a fence overtook (CP-7).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { createPool, FencedError, OutcomeUnknownError } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
const {
  isNotReplicated,
  waitingForStandby,
  withoutStandbys,
} = require('../support/unreplicated.js');
require('../support/stray-errors.js');

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.primary.server.sql('create table t (id int primary key)');
});
after(() => cluster.stop());

test('CP-1: a cancelled wait for the standby is no success', async (t) => {
  const { pool } = withoutStandbys(t, cluster);
  isNotReplicated(await failureOf(pool.query('insert into t values (1)', [], { timeoutMs: 300 })));
});

test('CP-1: a backend that is terminated while it waits for the standby has not acknowledged', async (t) => {
  const { pool } = withoutStandbys(t, cluster);
  const write = failureOf(pool.query('insert into t values (3)'));
  const [pid] = await waitingForStandby(cluster);
  await cluster.primary.sql('select pg_terminate_backend($1)', [pid]);
  isNotReplicated(await write);
});

test('CP-2: a COMMIT on the wire is never cancelled, and its caller hears in time that it is open', async (t) => {
  const { pool } = withoutStandbys(t, cluster);
  const tx = await pool.begin();
  await tx.query('insert into t values (4)');
  const from = cluster.primary.server.log.length;
  const error = await failureOf(tx.commit({ timeoutMs: 300 }));
  assert.ok(error instanceof OutcomeUnknownError, error.stack);
  assert.equal(error.code, 'IN_DOUBT');
  await waitingForStandby(cluster);
  assert.doesNotMatch(cluster.primary.server.log.slice(from), /canceling/);
});

/** Ways of writing that end a transaction of their own. @type {Record<string, (pool: any, id: number, limits: object) => Promise<unknown>>} */
const OWN_COMMIT = {
  'a batch': (pool, id, limits) =>
    pool.batch([{ sql: 'insert into t values ($1)', params: [id] }], {
      ...limits,
      errors: 'all-or-nothing',
    }),
  'a stream': async (pool, id, limits) => {
    for await (const row of pool.stream('insert into t values ($1) returning id', [id], limits)) {
      assert.equal(row.id, id);
    }
  },
};

const syncWaits = async () =>
  (await cluster.primary.sql(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`)).length;

for (const [index, [what, writes]] of Object.entries(OWN_COMMIT).entries()) {
  test(`CP-2: the COMMIT of ${what} is not waited for beyond its time limit or signal`, async (t) => {
    const { pool } = withoutStandbys(t, cluster);
    const late = await failureOf(writes(pool, 800 + index, { timeoutMs: 1000 }));
    assert.ok(late instanceof OutcomeUnknownError, late.stack);
    await cluster.primary.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`,
    );
    await waitFor(async () => (await syncWaits()) === 0, { what: 'the end of that wait' });
    const controller = new AbortController();
    const { signal } = controller;
    const left = failureOf(writes(pool, 810 + index, { signal }));
    await waitingForStandby(cluster);
    controller.abort();
    const error = await left;
    assert.ok(error instanceof OutcomeUnknownError, error.stack);
  });
}

test('CP-3: a lost answer is a doubt for every way of writing', async (t) => {
  const { pool } = withoutStandbys(t, cluster);
  const tx = await pool.begin();
  await tx.query('insert into t values (5)');
  const writes = [
    failureOf(tx.commit()),
    failureOf(pool.query('insert into t values (6)')),
    failureOf(pool.insert('t', { id: 61 })),
    failureOf(pool.transaction((each) => each.query('insert into t values (7)'))),
  ];
  await waitFor(async () => (await waitingForStandby(cluster)).length === 4, {
    what: 'four waiting commits',
  });
  const dead = cluster.primary;
  await dead.kill();
  for (const error of await Promise.all(writes)) {
    assert.ok(error instanceof OutcomeUnknownError, error.stack);
    assert.deepEqual([error.code, error.outcome], ['IN_DOUBT', 'unknown']);
  }
  for (const node of cluster.standbys) node.resumeReceiver();
  await cluster.promoteBest(dead);
  await cluster.rejoin(dead);
});

/** Fences the primary while a COMMIT waits for its standby: the report of that comes with its answer. */
async function fencedMeanwhile(t, id, options) {
  const { pool } = withoutStandbys(t, cluster, { acquireTimeoutMs: 10_000, ...options });
  /** @type {string[]} */
  const told = [];
  pool.on('commit-while-fenced', ({ address }) => told.push(address));
  pool.on('commit-resolved', ({ status }) => told.push(status));
  const node = cluster.primary;
  const tx = await pool.begin();
  await tx.query('insert into t values ($1)', [id]);
  const commit = tx.commit();
  commit.catch(() => {});
  await waitingForStandby(cluster);
  await node.fence();
  t.after(() => node.unfence());
  for (const standby of cluster.standbys) standby.resumeReceiver();
  await waitFor(() => told.length > 0, { what: 'the event' });
  return { told, node, commit };
}

test('CP-7: a COMMIT that is answered while the fence comes down stands, and is told of', async (t) => {
  const { told, node, commit } = await fencedMeanwhile(t, 700, {});
  await commit;
  assert.deepEqual(told, [node.host]);
});

test('CP-7: with strictFence it is looked into on the primary of then', async (t) => {
  const { told, node, commit } = await fencedMeanwhile(t, 701, { strictFence: true });
  let isOver = false;
  commit.then(() => {
    isOver = true;
  });
  await waitFor(async () => (await node.sql('select 1')).length === 1, { what: 'a round trip' });
  assert.equal(isOver, false, 'nobody has confirmed it yet');
  await node.unfence();
  await commit;
  assert.deepEqual(told, [node.host, 'committed']);
});

const isThere = async (/** @type {number} */ id) =>
  (await cluster.primary.sql('select 1 from t where id = $1', [id])).length === 1;

/** A transaction on a node that was fenced behind its first statement. */
async function fencedWithin(t, id) {
  const pool = createPool(cluster.options());
  const node = cluster.primary;
  t.after(async () => {
    await node.unfence();
    await pool.end({ timeoutMs: 500 });
  });
  const tx = await pool.begin();
  const insert = (/** @type {number} */ next) => tx.query('insert into t values ($1)', [next]);
  await insert(id);
  await node.fence();
  return { node, tx, insert };
}

test('CP-7: a COMMIT that was on its way when the fence was seen stands, and so does what it commits', async (t) => {
  const { tx, insert } = await fencedWithin(t, 710);
  await Promise.all([insert(711), insert(712), tx.commit()]);
  for (const id of [710, 711, 712]) assert.ok(await isThere(id));
});

test('CP-7: what was called rolled back is, although the fence is gone before COMMIT', async (t) => {
  const { node, tx, insert } = await fencedWithin(t, 720);
  const [seen, withdrawn] = [insert(721), failureOf(insert(722))];
  await seen;
  assert.ok((await withdrawn) instanceof FencedError);
  await node.unfence();
  await insert(723); // hears that the fence is gone
  assert.ok((await failureOf(tx.commit())) instanceof FencedError);
  for (const id of [720, 721, 722, 723]) assert.ok(!(await isThere(id)));
});
