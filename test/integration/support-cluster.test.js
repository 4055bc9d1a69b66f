// The test cluster replicates, fails over, fences and takes nodes back.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('../support/timed-test.js');
const { startCluster } = require('../support/cluster.js');
const { waitFor } = require('../support/wait.js');

const inRecovery = async (node) => {
  const [{ standby }] = await node.sql('select pg_is_in_recovery() as standby');
  return standby;
};

test('a cluster replicates, fails over to a standby, and takes the dead node back', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const [first, ...others] = cluster.nodes;
  assert.equal(await inRecovery(first), false);
  for (const node of others) assert.equal(await inRecovery(node), true);

  await first.sql('create table t (id int)');
  await first.server.sql('insert into t values (1)'); // waits for a standby
  const dead = await cluster.failover();
  assert.equal(dead, first);
  assert.notEqual(cluster.primary, first);
  await cluster.streaming(1);
  await cluster.primary.server.sql('insert into t values (2)');

  await cluster.rejoin(first);
  await cluster.streaming(2);
  assert.equal(await inRecovery(first), true);
  await waitFor(async () => (await first.sql('select count(*)::int as n from t'))[0].n === 2, {
    what: 'the rows on the node that came back',
  });
});

test('a standby that reads late what the old primary had sent follows the promoted one all the same', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const [first, second, third] = cluster.nodes;
  await first.sql('create table t (id int)');
  for (const node of cluster.standbys) node.pauseReceiver();
  await first.sql('insert into t values (1)'); // on its way to both
  first.freeze();
  second.endReceiver();
  const promoted = cluster.promoteBest(first);
  await waitFor(
    async () => {
      const [{ source }] = await third.sql(`select current_setting('primary_conninfo') as source`);
      return source === '' || !(await inRecovery(second));
    },
    { what: 'the choice of a new primary' },
  );
  third.resumeReceiver();
  await promoted;
  await cluster.streaming(1);
  await cluster.primary.server.sql('insert into t values (2)'); // the other one confirms it
});

test('a fenced primary refuses writes until it is unfenced; paused receivers hold commits back', async (t) => {
  const cluster = await startCluster({ nodes: 2 });
  t.after(() => cluster.stop());
  const { primary, standbys } = cluster;
  await primary.sql('create table t (id int)');
  await primary.fence();
  await assert.rejects(primary.server.sql('insert into t values (1)'), { code: '25006' });
  await primary.unfence();
  await primary.server.sql('insert into t values (1)');

  for (const node of standbys) node.pauseReceiver();
  let done = false;
  const write = primary.server.sql('insert into t values (2)').then(() => {
    done = true;
  });
  await waitFor(
    async () => {
      const rows = await primary.sql(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`);
      return rows.length === 1;
    },
    { what: 'a commit that waits for its standby' },
  );
  assert.equal(done, false);
  for (const node of standbys) node.resumeReceiver();
  await write;
});
