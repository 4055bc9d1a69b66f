// A fleet of two kinds: clients of this package beside those of pg-aequor, under one service and secret.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');
const { LeaseManager } = require('../../lib/index.js');
const { LOCK, OriginalMember, parse, sign } = require('../support/original-fleet.js');
const { testDatabase } = require('../support/pools.js');
const { SECRET, openServerless, startMember } = require('../support/serverless.js');
const { shiftedClock } = require('../support/shifted-clock.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();

async function original(t, service, ttlMs) {
  const options = { connectionString: db.url, service, secret: SECRET, ttlMs };
  const member = new OriginalMember(options);
  t.after(() => member.client.end().catch(() => {}));
  return member.connect();
}

const EAGER = { minConnectionIdleTimeSec: 0, reaperCooldownMs: 0 };
const open = (t, options) => openServerless(t, { connectionString: db.url, ...EAGER, ...options });
const leased = (service) =>
  db.sql(
    `select pid, application_name as name, (extract(epoch from clock_timestamp()) * 1000)::float8 as now
     from pg_stat_activity where left(application_name, length($1) + 3) = 's=' || $1 || ';'`,
    [service],
  );

test('SC-M1: both sides make and read the same names', () => {
  const manager = new LeaseManager('mixed', 'AbCd_-19', SECRET);
  const name = manager.generateAppName(1_795_283_449_055);
  const claim = 's=mixed;i=AbCd_-19;e=1795283449055';
  assert.equal(name, `${claim};g=${sign(claim, SECRET)}`);
  assert.deepEqual(
    { ...parse(name, SECRET), isValidSignature: true },
    manager.parseAndVerify(name),
  );
});

test('SC-M2: the original ends a frozen client of ours once its lease is over, and spares the living', async (t) => {
  const fleet = { connectionString: db.url, serviceName: 'mixed2', leaseTtlMs: 600, reaper: false };
  const [frozen, living] = [
    startMember(t, fleet),
    startMember(t, { ...fleet, leaseTtlMs: 60_000 }),
  ];
  const pidOf = async (member) =>
    (await member.ask({ text: 'select pg_backend_pid() as pid' })).rows[0].pid;
  const [frozenPid, livingPid] = [await pidOf(frozen), await pidOf(living)];
  const other = await original(t, 'mixed2');
  assert.deepEqual(await other.reap(), { locked: true, killed: 0 });
  frozen.freeze();
  const killed = await waitFor(async () => (await other.reap()).killed, { what: 'a kill' });
  assert.equal(killed, 1);
  await waitFor(async () => !(await db.isBackend(frozenPid)), {
    what: 'the end of the frozen client',
  });
  assert.equal(await db.isBackend(livingPid), true);
  const answer = frozen.ask({ text: 'select 1 as x' });
  frozen.thaw();
  assert.deepEqual((await answer).rows, [{ x: 1 }]);
});

test('SC-M2: a reaper here ends an expired connection of the original, and spares the living', async (t) => {
  const expired = await original(t, 'mixed3', -1000);
  const living = await original(t, 'mixed3');
  const { client, of } = open(t, { serviceName: 'mixed3' });
  await client.connect();
  const [pass] = await waitFor(() => of('onReap').length > 0 && of('onReap'), { what: 'a pass' });
  assert.deepEqual([pass.locked, pass.killed], [true, 1]);
  await waitFor(async () => !(await db.isBackend(expired.pid)), { what: 'the end of the zombie' });
  assert.equal(await db.isBackend(living.pid), true);
});

test('SC-M3: the locks of both sides exclude each other', async (t) => {
  const other = await original(t, 'mixed4');
  await db.sql('begin');
  await db.sql(`select pg_try_advisory_xact_lock(${LOCK}, hashtext('mixed4'))`);
  assert.deepEqual(await other.reap(), { locked: false, killed: 0 });
  await db.sql('commit');
  assert.equal(await other.tryLock(), true);
  const zombie = await original(t, 'mixed4', -1000);
  const { client, of } = open(t, { serviceName: 'mixed4' });
  await client.connect();
  const [pass] = await waitFor(() => of('onReap').length > 0 && of('onReap'), { what: 'a pass' });
  assert.deepEqual([pass.locked, pass.killed], [false, 0]);
  assert.equal(await db.isBackend(zombie.pid), true);
  await other.unlock();
});

test('SC-7: a lock that a frozen process of the original has leaked is freed by the next pass here', async (t) => {
  const service = 'mixedleak';
  const file = path.join(__dirname, '../support/original-child.js');
  const options = { connectionString: db.url, service, secret: SECRET, ttlMs: 200 };
  const child = spawn(process.execPath, [file, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await once(readline.createInterface({ input: child.stdout }), 'line');
  const { pid, refused } = JSON.parse(line);
  assert.equal(refused, '25P02');
  child.kill('SIGSTOP');
  const held = `select from pg_locks where locktype = 'advisory' and classid = ${LOCK}::oid and pid = $1`;
  assert.equal((await db.sql(held, [pid])).length, 1);
  // The fleet of the original stands still: whoever comes finds the lock taken.
  const neighbour = await original(t, service);
  assert.deepEqual(await neighbour.reap(), { locked: false, killed: 0 });
  const zombie = await original(t, service, -1000);
  const { client, of } = open(t, { serviceName: service });
  const ended = async (what) => {
    await client.query('select 1');
    return !(await db.isBackend(what));
  };
  await waitFor(() => ended(pid), { what: 'the end of the frozen holder' });
  await waitFor(() => ended(zombie.pid), { what: 'a pass that has the lock' });
  assert.ok(of('onReap').some(({ locked, killed }) => !locked && killed === 1));
  assert.ok(of('onReap').some(({ locked, killed }) => locked && killed === 1));
  await client.end();
  assert.deepEqual(await neighbour.reap(), { locked: true, killed: 0 });
});

test('SC-M4: instance ids have 8 characters, expiries 13 digits, on every face', async (t) => {
  const { client } = open(t, { serviceName: 'mixed5', reaper: false });
  await client.connect();
  const pool = db.openPool(t, {
    lease: { secret: SECRET, serviceName: 'mixed5', reaper: false },
  });
  await pool.query('select 1');
  const rows = await leased('mixed5');
  assert.equal(rows.length, 2);
  for (const { name } of rows) assert.match(name, /^s=mixed5;i=[\w-]{8};e=\d{13};g=[\w-]{11}$/);
});

for (const library of [undefined, 'pg']) {
  for (const minutes of [-10, 10]) {
    test(`SC-9, SC-M5: with a clock ${minutes} minutes off, leases and verdicts of ${library ?? 'the engine'} are by the server's`, async (t) => {
      const env = shiftedClock(t, minutes * 60);
      if (env === undefined) return;
      const service = `mixed${minutes > 0 ? 'ahead' : 'behind'}${library ?? ''}`;
      const neighbour = await original(t, service, 60_000);
      const zombie = await original(t, service, -1000);
      const serverNow = async () =>
        (await db.sql('select (extract(epoch from clock_timestamp()) * 1000)::float8 as now'))[0]
          .now;
      const before = await serverNow();
      const fleet = { connectionString: db.url, serviceName: service, leaseTtlMs: 90_000 };
      const member = startMember(t, { ...fleet, library, minConnectionIdleTimeSec: 0 }, env);
      const { rows } = await member.ask({ text: `select pg_backend_pid() as pid` });
      const { counts, clock } = await member.ask({ text: 'select 1' });
      assert.ok(Math.abs(clock - before - minutes * 60_000) < 60_000, 'its clock is off');
      await waitFor(async () => !(await db.isBackend(zombie.pid)), {
        what: 'the end of the zombie',
      });
      assert.equal(counts.onConnect, 1);
      assert.equal(await db.isBackend(neighbour.pid), true);
      const isRight = async () => {
        const mine = (await leased(service)).find(({ pid }) => pid === rows[0].pid);
        // An ordinary lease for the original: its own check of it passes.
        const { exp, isExpired } = parse(mine.name, SECRET);
        return !isExpired && exp > before + 88_000 && exp < mine.now + 92_000;
      };
      await waitFor(isRight, { what: 'a lease within 2 s of the clock of the server' });
      await waitFor(async () => (await member.ask({})).counts.killed === 1, { what: 'the news' });
    });
  }
}
