// The reaper on a real server: whom it ends, whom it never ends, and what it costs.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const pg = require('pg');
const { testDatabase } = require('../support/pools.js');
const support = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const { openServerless, startMember } = support;
const db = testDatabase('create table t (n int primary key, v int); insert into t values (1, 0)');
const LOCK = 0x50474151;

/** Reaps at every chance whatever is idle. */
const EAGER = { minConnectionIdleTimeSec: 0, reaperCooldownMs: 0 };
const open = (t, options) => openServerless(t, { connectionString: db.url, ...EAGER, ...options });

/** The database for another role. */
const urlOf = (/** @type {string} */ user) => support.urlFor(db.url, user);
/** A connection of another process, as far as the server can see: named by a lease that ends in `ms`. */
const holder = (/** @type {any} */ t, /** @type {any} */ { user, ...lease }) =>
  support.holdLease(t, user === undefined ? db.url : urlOf(user), lease);

const ended = (pid) =>
  waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of a zombie' });
const passes = (of, count = 1) =>
  waitFor(() => of('onReap').length >= count && of('onReap'), { what: `${count} passes` });

test('A10: of all idle connections only expired ones of the own service and secret are ended, oldest expiry first', async (t) => {
  const zombies = [];
  for (const ms of [-1000, -5000, -3000]) zombies.push(await holder(t, { service: 'own', ms }));
  const others = [
    await holder(t, { service: 'own', ms: 60_000 }),
    await holder(t, { service: 'own', secret: 'another secret that is long enough' }),
    await holder(t, { service: 'foreign' }),
  ];
  const { client, of } = open(t, {
    serviceName: 'own',
    maxIdleConnectionsToKill: 2,
    reaperCooldownMs: 60_000,
  });
  await client.connect();
  const [pass] = await passes(of);
  assert.deepEqual(
    { ...pass, durationMs: 0 },
    { gen: 1, locked: true, killed: 2, durationMs: 0, candidates: 3, denied: 0, hidden: 0 },
  );
  await ended(zombies[1].pid);
  await ended(zombies[2].pid);
  assert.equal(await db.isBackend(zombies[0].pid), true);
  for (const { pid } of others) assert.equal(await db.isBackend(pid), true);
});

test('A2: a limit of 0 ends nothing', async (t) => {
  const { pid } = await holder(t, { service: 'limit0' });
  const { client, of } = open(t, { serviceName: 'limit0', maxIdleConnectionsToKill: 0 });
  await client.connect();
  const [pass] = await passes(of);
  assert.deepEqual([pass.killed, pass.candidates], [0, 1]);
  assert.equal(await db.isBackend(pid), true);
});

test('SC-8: a zombie inside a transaction is ended, unless that is switched off', async (t) => {
  const { client: zombie, pid } = await holder(t, { service: 'intx' });
  await zombie.query('begin; select from t where n = 1 for update');
  const careful = open(t, {
    serviceName: 'intx',
    reapIdleInTransaction: false,
    reaperCooldownMs: 1,
  });
  await careful.client.connect();
  assert.equal((await passes(careful.of))[0].killed, 0);
  const { client, of } = open(t, { serviceName: 'intx' });
  await client.connect();
  await waitFor(
    async () => {
      await client.query('select 1');
      return of('onReap').some(({ killed }) => killed === 1);
    },
    { what: 'the kill' },
  );
  await ended(pid);
  await db.sql('update t set v = v + 1 where n = 1');
});

for (const library of [undefined, pg]) {
  test(`SC-9, sec_l01: ${library ? 'pg' : 'the engine'}: the verdict is by the server clock, and leaseGraceMs spares what has just expired`, async (t) => {
    const service = library ? 'grace2' : 'grace';
    const { pid } = await holder(t, { service, ms: -1000 });
    const own = { serviceName: service, leaseGraceMs: 60_000, library };
    const { client, of } = open(t, own);
    // What JavaScript thinks of the time; for the engine, which asks the system, see serverless-mixed.test.js.
    if (library) t.mock.method(Date, 'now', () => 4_102_444_800_000);
    await client.connect();
    const [pass] = await passes(of);
    assert.deepEqual([pass.candidates, await db.isBackend(pid)], [0, true]);
    await client.end();
  });
}

test('SC-10, sec_q05: a service whose name differs by a wildcard is left alone', async (t) => {
  const { pid } = await holder(t, { service: 'my-svc' });
  const { client, of } = open(t, { serviceName: 'my_svc' });
  await client.connect();
  assert.deepEqual((await passes(of))[0].killed, 0);
  assert.equal(await db.isBackend(pid), true);
});

test('SC-7, sec_l06: after a pass no advisory lock is left; an expired idle holder of the lock is ended without it', async (t) => {
  const { client: zombie, pid } = await holder(t, { service: 'leaky' });
  await zombie.query(`select pg_advisory_lock(${LOCK}, hashtext('leaky'))`);
  const { client, of } = open(t, { serviceName: 'leaky' });
  await client.connect();
  const [first] = await passes(of);
  assert.deepEqual([first.locked, first.killed], [false, 1]);
  await ended(pid);
  await client.query('select 1');
  const locks = `select from pg_locks where locktype = 'advisory' and classid = ${LOCK}::oid
    and database = (select oid from pg_database where datname = current_database())`;
  await waitFor(async () => (await db.sql(locks)).length === 0, { what: 'no lock' });
});

test('SC-M3: while another holds the lock, nothing is ended; and the keys are the same', async (t) => {
  const { pid } = await holder(t, { service: 'busy' });
  await db.sql(`select pg_advisory_lock(${LOCK}, hashtext('busy'))`);
  t.after(() => db.sql('select pg_advisory_unlock_all()'));
  const { client, of } = open(t, { serviceName: 'busy', reaperCooldownMs: 60_000 });
  await client.connect();
  const [pass] = await passes(of);
  assert.deepEqual([pass.locked, pass.killed], [false, 0]);
  assert.equal(await db.isBackend(pid), true);
});

test('SC-6, sec_l05: a pass never comes between BEGIN and COMMIT, and never spoils them', async (t) => {
  await holder(t, { service: 'between', ms: 60_000 });
  const { client, count } = open(t, { serviceName: 'between' });
  for (let round = 0; round < 30; round++) {
    await client.query('begin');
    await client.query('set transaction isolation level serializable');
    await client.query('insert into t values ($1, 0)', [100 + round]);
    const { command } = await client.query('commit');
    assert.equal(command, 'COMMIT');
  }
  const [{ n }] = await db.sql('select count(*)::int as n from t where n >= 100');
  assert.equal(n, 30);
  assert.ok(count('onReap') > 0);
});

test('SC-16: probability 0 makes no pass on connect; 40 clients of a process make one', async (t) => {
  const quiet = open(t, {
    serviceName: 'never',
    reaperRunProbability: 0,
    reaperCooldownMs: 60_000,
  });
  await quiet.client.connect();
  await quiet.client.query('select 1');
  assert.equal(quiet.count('onReap'), 0);
  const fleet = Array.from({ length: 40 }, () =>
    open(t, { serviceName: 'forty', reaperCooldownMs: 30_000 }),
  );
  await Promise.all(fleet.map(({ client }) => client.query('select 1')));
  await waitFor(() => fleet.some(({ count }) => count('onReap') === 1), { what: 'one pass' });
  await Promise.all(fleet.map(({ client }) => client.query('select 1')));
  assert.equal(
    fleet.reduce((sum, { count }) => sum + count('onReap'), 0),
    1,
  );
});

test('SC-16: a warm client goes on reaping on its cadence', async (t) => {
  const { client, count } = open(t, { serviceName: 'warm', reaperCooldownMs: 50 });
  await waitFor(
    async () => {
      await client.query('select 1');
      return count('onReap') >= 8;
    },
    { what: '8 passes' },
  );
});

test('SC-19, sec_l07: whom this role may not end is counted, and holds up nobody', async (t) => {
  await db.sql(`
    create role reaper_low login; create role reaper_peer login; create role reaper_eye login;
    grant pg_read_all_stats to reaper_eye; grant reaper_peer to reaper_eye`);
  t.after(() => db.sql('drop role reaper_low, reaper_peer, reaper_eye'));
  const denied = await holder(t, { service: 'perms' });
  const { pid } = await holder(t, { service: 'perms', user: 'reaper_peer' });
  const low = open(t, {
    serviceName: 'perms',
    connectionString: urlOf('reaper_low'),
    reaperCooldownMs: 1,
  });
  await low.client.connect();
  const [blind] = await passes(low.of);
  assert.deepEqual([blind.hidden, blind.killed], [2, 0]);
  await low.client.end();
  const eye = open(t, { serviceName: 'perms', connectionString: urlOf('reaper_eye') });
  await eye.client.connect();
  await waitFor(
    async () => {
      await eye.client.query('select 1');
      return eye.of('onReap').some(({ killed, denied }) => killed === 1 && denied === 1);
    },
    { what: 'a pass with one kill and one denial' },
  );
  await ended(pid);
  assert.equal(await db.isBackend(denied.pid), true);
  await eye.client.end();
});

test('SC-24, sec_q06: a hostile search_path changes nothing', async (t) => {
  await db.sql(`create schema evil; create function evil.hashtext(text) returns int language plpgsql
    as $$ begin raise 'caught'; end $$; create table evil.pg_stat_activity (pid int)`);
  const { pid } = await holder(t, { service: 'path' });
  const { client, of } = open(t, {
    serviceName: 'path',
    options: '-c search_path=evil,pg_catalog',
  });
  await client.connect();
  const [pass] = await passes(of);
  assert.deepEqual([pass.locked, pass.killed, pass.err], [true, 1, undefined]);
  await ended(pid);
  const { rows } = await client.query('show search_path');
  assert.equal(rows[0].search_path, 'evil,pg_catalog');
});

test('SC-12, sec_l05: behind a transaction pooler nothing is leased, renewed or reaped', async (t) => {
  const { pid } = await holder(t, { service: 'pooled' });
  const { client, count } = open(t, {
    connectionString: await support.lookLikePooler(t, db.url),
    serviceName: 'pooled',
    leaseTtlMs: 300,
  });
  const name = `select current_setting('application_name') as name`;
  for (let round = 0; round < 30; round++) {
    assert.equal((await client.query(name)).rows[0].name, 'pooled');
  }
  assert.deepEqual([count('onReap'), count('onHeartbeat')], [0, 0]);
  assert.equal(await db.isBackend(pid), true);
  const forced = open(t, { serviceName: 'forced', pooler: 'on' });
  assert.equal((await forced.client.query(name)).rows[0].name, 'forced');
  await client.end();
});

test('SC-12, SC-17: without a lease the name in the connectionString is that of the connection', async (t) => {
  const name = `select current_setting('application_name') as name`;
  const named = (/** @type {string} */ url) => `${url}?application_name=mine`;
  const pooled = await support.lookLikePooler(t, db.url);
  for (const library of [undefined, pg]) {
    const own = { library, serviceName: 'unnamed', application_name: 'beside' };
    const forced = open(t, { ...own, connectionString: named(db.url), pooler: 'on' });
    const found = open(t, { ...own, connectionString: named(pooled), reaper: false });
    for (const { client } of [forced, found]) {
      // Found out about on the connection: what is asked meanwhile waits.
      assert.equal((await client.query(name)).rows[0].name, 'mine');
      await client.end();
    }
    const beside = open(t, { ...own, pooler: 'on' });
    assert.equal((await beside.client.query(name)).rows[0].name, 'beside');
    await beside.client.end();
  }
});

test('SC-19: a pass that may not end anybody fails with its reason, and connect() does not', async (t) => {
  await db.sql('revoke execute on function pg_terminate_backend(int, bigint) from public');
  await db.sql('create role powerless login');
  t.after(async () => {
    await db.sql('grant execute on function pg_terminate_backend(int, bigint) to public');
    await db.sql('drop role powerless');
  });
  for (const library of [undefined, pg]) {
    const service = library ? 'nokill2' : 'nokill';
    const { pid } = await holder(t, { service, user: 'powerless' });
    const own = { serviceName: service, connectionString: urlOf('powerless'), library };
    const quiet = open(t, own);
    await quiet.client.connect();
    const [pass] = await passes(quiet.of);
    assert.deepEqual([pass.err?.code, pass.locked, pass.killed], ['42501', false, 0]);
    assert.equal((await quiet.client.query('select 1 as x')).rows[0].x, 1);
    await quiet.client.end();
    const strict = open(t, { ...own, reaperErrorMode: 'throw' });
    // Whoever waited for the pass hears of it, or else the next call; afterwards all is well.
    const failures = await waitFor(
      async () => {
        const failed = await strict.client.query('select 1').catch((error) => error);
        return failed instanceof Error && [failed];
      },
      { what: 'the failure of a pass' },
    );
    assert.equal(failures[0]?.code, '42501');
    assert.equal(await db.isBackend(pid), true);
    await strict.client.end();
  }
});

test('SC-24: a function of the same name in front of pg_catalog changes nothing', async (t) => {
  await db.sql(`create function public.hashtext(text) returns int language plpgsql
    as $$ begin raise 'caught'; end $$`);
  t.after(() => db.sql('drop function public.hashtext(text)'));
  for (const library of [undefined, pg]) {
    const service = library ? 'path3' : 'path2';
    const { pid } = await holder(t, { service });
    const options = '-c search_path=public,pg_catalog';
    const { client, of } = open(t, { serviceName: service, options, library });
    await client.connect();
    const [pass] = await passes(of);
    assert.deepEqual([pass.locked, pass.killed, pass.err], [true, 1, undefined]);
    await ended(pid);
    const { rows } = await client.query('show search_path');
    assert.equal(rows[0].search_path, 'public,pg_catalog');
    await client.end();
  }
});

test('the reaper works while the event loop of its process is blocked', async (t) => {
  const member = startMember(t, {
    connectionString: db.url,
    serviceName: 'blocked',
    leaseTtlMs: 600,
    ...EAGER,
  });
  await member.ask({ text: 'select 1' });
  const { pid } = await holder(t, { service: 'blocked' });
  // The renewal of the lease is a free moment, and a free moment brings the next pass.
  // For longer than anything here is waited for: what is seen was done meanwhile.
  member.ask({ block: 60_000 });
  await ended(pid);
  member.kill();
});
