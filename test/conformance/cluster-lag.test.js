// Reads keep off standbys that replay too far behind (maxLagMs; CP-15 in milliseconds).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { createPool } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const LIMIT_MS = 300;

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.primary.server.sql('create table t (n int); insert into t values (0)');
});
after(() => cluster.stop());

function open(t, options) {
  const limits = { maxLagMs: LIMIT_MS, acquireTimeoutMs: 700 };
  const pool = createPool(cluster.options({ mode: 'read-only', ...limits, ...options }));
  t.after(() => pool.end({ timeoutMs: 500 }));
  return pool;
}

/** Stops replay on nodes, and makes what they show older than the limit. */
async function fallBehind(t, nodes, value) {
  for (const node of nodes) await node.sql('select pg_wal_replay_pause()');
  t.after(async () => {
    for (const node of nodes) await node.sql('select pg_wal_replay_resume()');
    await caughtUp(nodes, value);
  });
  await cluster.primary.server.sql('update t set n = $1', [value]);
  // The test is about this time, nothing else tells that it has passed.
  await sleep(LIMIT_MS * 1.5);
}

const caughtUp = (nodes, value) =>
  waitFor(
    async () => {
      const seen = await Promise.all(nodes.map((node) => node.sql('select n from t')));
      return seen.every(([{ n }]) => n === value);
    },
    { what: 'the end of the lag' },
  );

const WHO = 'select n, inet_server_port() as port from t';

test('CP-15, CP-91: a standby that falls behind is left within one read, no stale row is seen, and status() says how late it is', async (t) => {
  const pool = open(t, { poolSize: 4 });
  const both = await Promise.all(Array.from({ length: 40 }, () => pool.query(WHO)));
  assert.ok(both.every(([{ n }]) => n === 0));
  const [late, fresh] = cluster.standbys;
  await fallBehind(t, [late], 1);
  for (let round = 0; round < 50; round++) {
    const rows = await Promise.all(Array.from({ length: 4 }, () => pool.query(WHO)));
    for (const [{ n, port }] of rows) assert.deepEqual([n, port], [1, fresh.port]);
  }
  const lagOf = ({ host }) => pool.status().nodes.find(({ address }) => address === host)?.lagMs;
  assert.ok(Number(lagOf(late)) > LIMIT_MS, `${lagOf(late)} ms`);
  assert.ok(typeof lagOf(fresh) === 'number' && lagOf(fresh) <= LIMIT_MS, `${lagOf(fresh)} ms`);
});

test('CP-15: when all standbys are behind, a read-only pool says so and prefer-standby uses the primary', async (t) => {
  const reads = open(t);
  const prefers = open(t, { mode: 'prefer-standby' });
  for (const pool of [reads, prefers]) await pool.query(WHO);
  await fallBehind(t, cluster.standbys, 2);
  const error = await failureOf(reads.query(WHO));
  assert.equal(error.name, 'NoStandbyError', error.stack);
  assert.match(error.message, /replays further behind than maxLagMs/);
  const [{ n, port }] = await prefers.query(WHO);
  assert.deepEqual([n, port], [2, cluster.primary.port]);
  const runs = [];
  await prefers.transaction(async (tx) => {
    runs.push(1);
    assert.equal((await tx.query(WHO))[0].n, 2);
  });
  for (const node of cluster.standbys) await node.sql('select pg_wal_replay_resume()');
  await caughtUp(cluster.standbys, 2);
  const [row] = await waitFor(() => reads.query(WHO).catch(() => undefined), { what: 'a standby' });
  assert.equal(row.n, 2);
});

test('CP-15: a standby of an idle primary is not behind, and neither is the primary', async (t) => {
  await sleep(LIMIT_MS * 1.5);
  for (const mode of /** @type {const} */ (['read-only', 'prefer-standby', 'any'])) {
    const pool = open(t, { mode });
    assert.equal((await pool.query(WHO)).length, 1);
    for (const { role, lagMs } of pool.status().nodes)
      assert.equal(lagMs, role === 'standby' ? 0 : null);
  }
});

test('maxLagMs is refused where nothing is read from standbys', () => {
  assert.throws(() => createPool(cluster.options({ maxLagMs: 5 })), {
    message: 'option "maxLagMs" needs a mode that reads from standbys',
  });
});
