// The reaper on a server that is full: who makes room, over which connection, and how often.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { setTimeout: sleep } = require('node:timers/promises');
const pg = require('pg');
const { testDatabase } = require('../support/pools.js');
const support = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();

/** Reaps at every chance whatever is idle. */
const EAGER = { minConnectionIdleTimeSec: 0, reaperCooldownMs: 0 };
const open = (t, options) =>
  support.openServerless(t, { connectionString: db.url, ...EAGER, ...options });
const urlOf = (/** @type {string} */ user) => support.urlFor(db.url, user);
const holder = (/** @type {any} */ t, /** @type {any} */ { user, ...lease }) =>
  support.holdLease(t, urlOf(user), lease);
const ended = (pid) =>
  waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of a zombie' });
const passes = (of, count = 1) =>
  waitFor(() => of('onReap').length >= count && of('onReap'), { what: `${count} passes` });

test('SC-18: on a server that is full, reaperConnection makes room', async (t) => {
  await db.sql('create role crowded login connection limit 3');
  t.after(() => db.sql('drop role crowded'));
  for (let i = 0; i < 3; i++) await holder(t, { service: 'crowd', user: 'crowded' });
  const { client, of } = open(t, {
    serviceName: 'crowd',
    connectionString: urlOf('crowded'),
    reaperConnection: { connectionString: db.url },
  });
  const { rows } = await client.query('select current_user::text as role');
  assert.equal(rows[0].role, 'crowded');
  assert.equal(of('onReap')[0].killed, 3);
  await client.end();
});

test('SC-18: reaperConnection is opened once per cooldown on a server that stays full', async (t) => {
  await db.sql('create role stuffed login connection limit 1');
  t.after(() => db.sql('drop role stuffed'));
  const stuffed = { connectionString: urlOf('stuffed') };
  const living = open(t, { ...stuffed, reaper: false });
  await living.client.connect();
  const counter = await db.openProxy(t);
  const reaperConnection = counter.url(db.url);
  for (const library of [undefined, pg]) {
    const own = { ...stuffed, library, serviceName: library ? 'stuffed2' : 'stuffed' };
    const before = counter.counts.connections;
    for (const passes of [1, 0, 0]) {
      const { client, count } = open(t, {
        ...{ ...own, reaperConnection, reaperCooldownMs: 600_000 },
        ...{ retries: 3, minBackoff: 1, maxBackoff: 1, maxQueryRetryTimeMs: 4000 },
      });
      await assert.rejects(client.query('select 1'), { code: '53300' });
      assert.deepEqual([count('onReap'), count('onReconnect')], [passes, 3]);
      assert.equal(counter.counts.connections - before, 1);
    }
  }
  await living.client.end();
});

test('SC-18: a reaperConnection that is opened makes a pass, whatever the routine passes did before', async (t) => {
  await db.sql('create role brimming login connection limit 2');
  t.after(() => db.sql('drop role brimming'));
  const url = urlOf('brimming');
  for (const library of [undefined, pg]) {
    const serviceName = library ? 'brim2' : 'brim';
    const own = { serviceName, library, reaperCooldownMs: 600_000, connectionString: url };
    const warm = open(t, own);
    await warm.client.query('select 1');
    await passes(warm.of);
    const { pid } = await holder(t, { service: serviceName, user: 'brimming' });
    const counter = await db.openProxy(t);
    const late = open(t, { ...own, reaperConnection: counter.url(db.url) });
    assert.equal((await late.client.query('select 1 as x')).rows[0].x, 1);
    assert.deepEqual([counter.counts.connections, late.of('onReap')[0]?.killed], [1, 1]);
    await ended(pid);
    await Promise.all([late.client.end(), warm.client.end()]);
  }
});

test('SC-12, SC-18: a reaperConnection behind a pooler makes no pass', async (t) => {
  await db.sql('create role overfull login connection limit 0');
  t.after(() => db.sql('drop role overfull'));
  const reaperConnection = await support.lookLikePooler(t, db.url);
  for (const library of [undefined, pg]) {
    const { client, count } = open(t, {
      ...{ serviceName: 'behind', library, reaperConnection, retries: 0 },
      ...{ connectionString: urlOf('overfull'), applicationName: 'plain' },
    });
    await assert.rejects(client.connect(), { code: '53300' });
    assert.equal(count('onReap'), 0);
  }
});

test('SC-18, SC-19: why a pass over reaperConnection failed is told', async (t) => {
  await db.sql('create role bursting login connection limit 0');
  await db.sql('create role restrained login');
  await db.sql('revoke execute on function pg_try_advisory_xact_lock(int, int) from public');
  t.after(async () => {
    await db.sql('grant execute on function pg_try_advisory_xact_lock(int, int) to public');
    await db.sql('drop role bursting');
    await db.sql('drop role restrained');
  });
  for (const library of [undefined, pg]) {
    const { client, of } = open(t, {
      ...{ serviceName: library ? 'burst2' : 'burst', library, retries: 1, minBackoff: 1 },
      ...{ connectionString: urlOf('bursting'), reaperConnection: urlOf('restrained') },
    });
    await assert.rejects(client.connect(), { code: '53300' });
    const [pass, ...others] = of('onReap');
    assert.deepEqual([pass.err?.code, pass.locked, pass.killed], ['42501', false, 0]);
    assert.deepEqual(others, []);
  }
});

test('SC-18, SC-20: a reaperConnection that never opens, or never answers, holds up no call', async (t) => {
  await db.sql('create role crammed login connection limit 1');
  t.after(() => db.sql('drop role crammed'));
  const silent = net.createServer((socket) => socket.on('error', () => {}));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const { port } = /** @type {net.AddressInfo} */ (silent.address());
  const own = { connectionString: urlOf('crammed'), reaper: false };
  const living = open(t, own);
  await living.client.connect();
  class Frozen extends pg.Client {
    query(text, ...rest) {
      // A pass that the server never answers.
      return /pg_try_advisory/.test(text) ? new Promise(() => {}) : super.query(text, ...rest);
    }
  }
  for (const [serviceName, options] of Object.entries({
    shut: { reaperConnection: { host: '127.0.0.1', port, connectionTimeoutMillis: 0 } },
    mute: { reaperConnection: db.url, library: { ...pg, Client: Frozen } },
  })) {
    const { client } = open(t, {
      ...{ ...own, ...options, serviceName },
      ...{ retries: 100, minBackoff: 10, maxBackoff: 10, maxConnectRetryTimeMs: 1000 },
    });
    await assert.rejects(client.connect(), { code: '53300' });
  }
  await living.client.end();
});

test('SC-18: on a server that is full, a warm member of the fleet makes room', async (t) => {
  await db.sql('create role packed login connection limit 10');
  t.after(() => db.sql('drop role packed'));
  const own = { serviceName: 'packed', connectionString: urlOf('packed') };
  const warm = open(t, { ...own, reaperCooldownMs: 20, reaperRunProbability: 0 });
  await warm.client.connect();
  for (let i = 0; i < 9; i++) await holder(t, { service: 'packed', user: 'packed' });
  const { client, of } = open(t, { ...own, reaper: false, retries: 100 });
  const answer = client.query('select current_user::text as role');
  let isOver = false;
  const warming = (async () => {
    // It has not met the full server before its neighbour has.
    await waitFor(() => of('onReconnect').length > 0, { what: 'a refusal' });
    while (!isOver) {
      await warm.client.query('select 1');
      await sleep(20);
    }
  })();
  assert.equal((await answer).rows[0].role, 'packed');
  isOver = true;
  await warming;
  assert.equal(of('onReconnect')[0].err.code, '53300');
  assert.ok(warm.of('onReap').some(({ killed }) => killed > 0));
  await Promise.all([client.end(), warm.client.end()]);
});
