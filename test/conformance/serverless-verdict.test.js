// Between the reaper's look and its signal: whoever is renewed, used or gone by then is not touched (SC-11).
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { Client } = require('pg');
const { testDatabase } = require('../support/pools.js');
const { SECRET, leases, openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table t (n int)');

/** First key of the lock under which a verdict is carried out; the second one is the victim's pid. */
const VERDICT = 0x50474256;
const SHORT = { serviceName: 'reader', leaseTtlMs: 600, heartbeatHardWaitRemainingMs: 600 };

/** A relay that holds a packet with this text back: `held` resolves when it is there, `open()` lets it go on. */
async function startGate(t, text) {
  const { hostname, port } = new URL(db.url);
  let open = () => {};
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  let arrived = () => {};
  const held = new Promise((resolve) => {
    arrived = resolve;
  });
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(port), hostname);
    client.on('data', async (packet) => {
      if (packet.includes(text)) {
        arrived();
        await opened;
      }
      upstream.write(packet);
    });
    upstream.pipe(client);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    open();
    server.close();
  });
  const url = new URL(db.url);
  url.host = `127.0.0.1:${server.address().port}`;
  return { url: url.href, held, open };
}

/** A connection whose lease has run out. */
async function zombie(t) {
  const client = new Client({
    connectionString: db.url,
    application_name: leases.generateAppName(Date.now() - 1000),
  });
  client.on('error', () => {});
  await client.connect();
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  // The next test must not find it among its candidates.
  t.after(async () => {
    await client.end().catch(() => {});
    await ended(pid);
  });
  return { client, pid };
}

/** The server has no such backend any more. */
function ended(pid) {
  const isGone = async () =>
    (await db.sql('select from pg_stat_activity where pid = $1', [pid])).length === 0;
  return waitFor(isGone, { what: `the end of backend ${pid}` });
}

const EAGER = { secret: SECRET, serviceName: 'reader', minConnectionIdleTimeSec: 0 };

/** A reaper whose second message waits at a gate. */
async function reapSlowly(t) {
  const gate = await startGate(t, 'pg_terminate_backend');
  const { client, of } = openServerless(t, { connectionString: gate.url, ...EAGER });
  const connected = client.connect();
  await gate.held;
  await connected;
  const pass = async () => {
    gate.open();
    return waitFor(() => of('onReap')[0], { what: 'the end of the pass' });
  };
  return pass;
}

/** Goes on for as long as the observer has the lock. */
const BUSY = 'insert into t select 1 from pg_advisory_xact_lock(11)';

for (const [does, act] of Object.entries({
  'is renewed and busy': async ({ client }) => {
    await client.query(`select set_config('application_name', $1, false)`, [
      leases.generateAppName(Date.now() + 60_000),
    ]);
    return client.query(BUSY);
  },
  'is busy': ({ client }) => client.query(BUSY),
  'was used, and is idle again': ({ client }) => client.query('select 1'),
  'is inside a transaction now': ({ client }) => client.query('begin'),
})) {
  test(`SC-11: a backend that ${does} when the signal is due lives on`, async (t) => {
    const victim = await zombie(t);
    const pass = await reapSlowly(t);
    await db.sql('select pg_advisory_lock(11)');
    t.after(() => db.sql('select pg_advisory_unlock_all()'));
    const work = act(victim);
    if (does.endsWith('busy')) await db.running('insert into t');
    else await work;
    const { locked, killed, candidates } = await pass();
    await db.sql('select pg_advisory_unlock(11)');
    assert.deepEqual({ locked, killed, candidates }, { locked: true, killed: 0, candidates: 1 });
    await work;
    assert.equal((await victim.client.query('select 1 as x')).rows[0].x, 1);
  });
}

test('SC-11: a backend that is gone when the signal is due is not counted as ended', async (t) => {
  const victim = await zombie(t);
  const pass = await reapSlowly(t);
  await victim.client.end();
  await ended(victim.pid);
  const { killed, candidates } = await pass();
  assert.deepEqual({ killed, candidates }, { killed: 0, candidates: 1 });
});

test('SC-11: who is being renewed is not judged', async (t) => {
  const victim = await zombie(t);
  await db.sql(`select pg_advisory_lock_shared(${VERDICT}, $1)`, [victim.pid]);
  const { client, of } = openServerless(t, { connectionString: db.url, ...EAGER });
  await client.connect();
  const [{ killed, candidates }] = await waitFor(() => of('onReap').length > 0 && of('onReap'), {
    what: 'a pass',
  });
  await db.sql(`select pg_advisory_unlock_shared(${VERDICT}, $1)`, [victim.pid]);
  assert.deepEqual({ killed, candidates }, { killed: 0, candidates: 1 });
  assert.equal((await victim.client.query('select 1 as x')).rows[0].x, 1);
});

test('SC-11: nothing is sent under a verdict; who is ended by it loses no statement', async (t) => {
  const { client, count, of } = openServerless(t, {
    connectionString: db.url,
    reaper: false,
    ...SHORT,
  });
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  const reaper = new Client({ connectionString: db.url });
  await reaper.connect();
  t.after(() => reaper.end());
  const locked = once(reaper, 'notice');
  // All of it on the server: nobody waits longer than 250 ms for a verdict.
  const verdict = reaper.query(`do $$ declare since timestamptz; begin
    perform pg_advisory_lock(${VERDICT}, ${pid});
    since := clock_timestamp();
    raise notice 'locked';
    loop
      perform pg_stat_clear_snapshot();
      exit when exists (select from pg_stat_activity where pid = ${pid} and query_start > since
        and query like '%pg_try_advisory_xact_lock_shared%');
      perform pg_sleep(0.001);
    end loop;
    perform pg_terminate_backend(${pid});
    perform pg_advisory_unlock(${VERDICT}, ${pid});
  end $$`);
  await locked;
  const writing = client.query('insert into t values (7) returning n');
  await verdict;
  assert.deepEqual((await writing).rows, [{ n: 7 }]);
  assert.equal((await db.sql('select from t where n = 7')).length, 1);
  assert.equal(count('onConnect'), 2);
  assert.equal(of('onQueryError').length, 0);
});

test('SC-11: a verdict that never comes holds up nobody for long', async (t) => {
  const { client, count } = openServerless(t, {
    connectionString: db.url,
    reaper: false,
    ...SHORT,
  });
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  await db.sql(`select pg_advisory_lock(${VERDICT}, $1)`, [pid]);
  t.after(() => db.sql(`select pg_advisory_unlock(${VERDICT}, $1)`, [pid]));
  const { rows } = await client.query('select pg_backend_pid() as pid');
  assert.equal(rows[0].pid, pid);
  assert.equal(count('onHeartbeat') > 0, true);
  assert.equal(count('onHeartbeatFail'), 0);
});
