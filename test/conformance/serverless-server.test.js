// ServerlessClient against servers of its own: one that waits for a standby, and one whose log is read.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { Client } = require('pg');
const { startServer } = require('../support/server.js');
const { openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

/** A server whose standby never confirms anything, and who looks at it without waiting himself. */
async function startWithoutStandby(t) {
  const server = await startServer({ conf: { synchronous_standby_names: 'absent' } });
  t.after(() => server.stop());
  const observer = new Client({
    connectionString: server.url,
    options: '-c synchronous_commit=local',
  });
  observer.on('error', () => {});
  await observer.connect();
  await observer.query('create table t (n int)');
  return { server, observer };
}

test('SC-1: a write whose backend is ended while it waits for a standby is unknown, and was made once', async (t) => {
  const { server, observer } = await startWithoutStandby(t);
  const { client, count } = openServerless(t, { connectionString: server.url, reaper: false });
  // The loss may be heard of before the answer to whoever has caused it.
  const refused = assert.rejects(client.query('insert into t values (1)'), {
    outcomeUnknown: true,
  });
  const waits = `select pid from pg_stat_activity where wait_event = 'SyncRep'`;
  const [{ pid }] = await waitFor(
    async () => {
      const { rows } = await observer.query(waits);
      return rows.length === 1 && rows;
    },
    { what: 'a write that waits for the standby' },
  );
  await observer.query('select pg_terminate_backend($1)', [pid]);
  await refused;
  const { rows } = await observer.query('select count(*)::int as n from t');
  assert.deepEqual(rows, [{ n: 1 }]);
  assert.equal(count('onQueryRetry'), 0);
});

test('a write that no standby has confirmed in time is unknown, and its connection is kept', async (t) => {
  const { server, observer } = await startWithoutStandby(t);
  const { client, count } = openServerless(t, {
    connectionString: server.url,
    reaper: false,
    defaultQueryTimeoutMs: 300,
  });
  const pidOf = async () => (await client.query('select pg_backend_pid() as pid')).rows[0].pid;
  const before = await pidOf();
  for (let n = 0; n < 2; n++) {
    await assert.rejects(client.query('insert into t values (1)'), { committedLocally: true });
    assert.equal(await pidOf(), before);
  }
  assert.deepEqual([count('onClientDead'), count('onConnect')], [0, 1]);
  const leased = `select pid from pg_stat_activity where application_name like 's=%'`;
  assert.deepEqual((await observer.query(leased)).rows, [{ pid: before }]);
});

test('SC-6: in 1000 transactions no statement of the reaper comes between BEGIN and COMMIT', async (t) => {
  const server = await startServer({ conf: { log_statement: 'all', log_line_prefix: '%p|' } });
  t.after(() => server.stop());
  const { client, of } = openServerless(t, {
    connectionString: server.url,
    minConnectionIdleTimeSec: 0,
    reaperCooldownMs: 0,
    leaseTtlMs: 300,
  });
  await client.query('create table t (n int)');
  for (let n = 0; n < 1000; n++) {
    await client.query('begin');
    await client.query('insert into t values ($1)', [n]);
    await client.query('commit');
  }
  const [{ pid, n }] = (
    await client.query('select pg_backend_pid() as pid, count(*)::int as n from t')
  ).rows;
  assert.equal(n, 1000);
  assert.ok(of('onReap').length > 100 && of('onReap').every(({ locked }) => locked));
  assert.ok(of('onHeartbeat').length > 0);
  const own = server.log.split('\n').filter((line) => line.startsWith(`${pid}|LOG:`));
  let isOpen = false;
  let inside = 0;
  for (const line of own) {
    if (/: begin$/.test(line)) isOpen = true;
    else if (/: commit$/.test(line)) isOpen = false;
    else if (isOpen) {
      inside++;
      assert.match(line, /insert into t values/);
    }
  }
  assert.equal(inside, 1000);
}, 120_000);
