// A cluster under Patroni: the pool follows whom the managers elect, and no acknowledged write is lost on the way.
'use strict';

const assert = require('node:assert/strict');
const { startManagedCluster } = require('../support/ha.js');
const { SCHEMA, check, startLoad } = require('../support/load.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** Patroni replaces a leader within its `ttl` of 20 s, whatever happens to it. */
const OUTAGE_MS = 40_000;

test('sec_x05: under Patroni the pool follows a killed leader and a planned switchover, and loses no acknowledged write', async (t) => {
  const cluster = await startManagedCluster();
  t.after(() => cluster.stop());
  await cluster.primary.sql(SCHEMA);
  const load = startLoad(t, cluster.options({ acquireTimeoutMs: OUTAGE_MS }));
  const { pool, history } = load;
  /** @type {any[]} */
  const failovers = [];
  pool.on('failover', (event) => failovers.push(event));
  const written = async (count, what) => {
    const enough = history.counts.ok + count;
    await waitFor(() => history.counts.ok >= enough, { what, timeoutMs: OUTAGE_MS });
  };

  /** @type {Record<string, (old: any) => Promise<void> | void>} */
  const faults = {
    'killed leader': (old) => old.server.kill(),
    switchover: (old) => cluster.switchover(cluster.nodes.find((node) => node !== old)),
  };
  for (const [what, fault] of Object.entries(faults)) {
    await written(200, `writes before the ${what}`);
    const old = cluster.primary;
    const before = failovers.length;
    const began = performance.now();
    await fault(old);
    const leader = await cluster.settled({ former: old });
    await waitFor(() => pool.status().primary === leader.host, {
      what: `the pool at the new leader after the ${what}`,
      timeoutMs: OUTAGE_MS,
    });
    const resumed = history.counts.ok;
    await waitFor(() => history.counts.ok > resumed, { what: 'a write', timeoutMs: OUTAGE_MS });
    t.diagnostic(`${what}: writing again after ${Math.round(performance.now() - began)} ms`);
    const { from, to } = failovers.at(-1);
    assert.deepEqual([failovers.length > before, from, to], [true, old.host, leader.host]);
    // The managers bring the old leader back as a standby.
    await cluster.settled({ standbys: 2 });
  }
  await written(200, 'writes at the end');
  await load.stop();
  await check(t, cluster, load);
}, 240_000);
