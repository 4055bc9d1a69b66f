// Pools with the option lease: every connection is signed, renewed while it is wanted, and expired ones are ended.
'use strict';

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { Client } = require('pg');
const pg = require('../../lib/index.js');
const { LeaseManager, Pool, createPool } = pg;
const { testDatabase } = require('../support/pools.js');
const { SECRET, leases } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();
const own = (service) =>
  db.sql(
    `select pid, application_name as name, (extract(epoch from clock_timestamp()) * 1000)::float8 as now
     from pg_stat_activity where left(application_name, length($1) + 3) = 's=' || $1 || ';'`,
    [service],
  );

test('every connection of a leased pool carries a lease that verifies', async (t) => {
  const pool = db.openPool(t, { poolSize: 3, lease: { secret: SECRET, serviceName: 'pooled' } });
  await Promise.all([1, 2, 3].map(() => pool.query('select pg_sleep(0.2)')));
  const rows = await own('pooled');
  assert.equal(rows.length, 3);
  for (const { name, now } of rows) {
    const lease = leases.parseAndVerify(name);
    assert.ok(lease && lease.exp > now + 60_000);
  }
});

test('an idle connection that the pool keeps stays leased, and its pool keeps working', async (t) => {
  const lease = {
    secret: SECRET,
    serviceName: 'kept',
    leaseTtlMs: 600,
    minConnectionIdleTimeSec: 0,
  };
  const pool = db.openPool(t, { poolSize: 2, lease });
  await pool.query('select 1');
  const [first] = await own('kept');
  const expiry = leases.parseAndVerify(first.name).exp;
  await waitFor(
    async () => leases.parseAndVerify((await own('kept'))[0].name).exp > expiry + 1500,
    { what: 'renewals without a statement' },
  );
  const [last] = await own('kept');
  assert.equal(last.pid, first.pid);
  assert.ok(leases.parseAndVerify(last.name).exp > last.now);
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, n) => pool.query('select $1::int as n', [n])),
  );
  assert.deepEqual(
    answers.map(([{ n }]) => n),
    Array.from({ length: 200 }, (_, n) => n),
  );
});

test('a leased pool ends expired connections of its service, also those of others, and never in a transaction of its own', async (t) => {
  const name = new LeaseManager('shared', 'AbCd_-19', SECRET).generateAppName(Date.now() - 1000);
  const zombie = new Client({ connectionString: db.url, application_name: name });
  zombie.on('error', () => {});
  await zombie.connect();
  t.after(() => zombie.end().catch(() => {}));
  const lease = {
    secret: SECRET,
    serviceName: 'shared',
    minConnectionIdleTimeSec: 0,
    reaperCooldownMs: 10,
  };
  const pool = db.openPool(t, { poolSize: 2, lease });
  await pool.transaction(async (tx) => {
    await tx.query('set transaction isolation level serializable');
    await tx.query('select 1');
  });
  await waitFor(
    async () => {
      await pool.query('select 1');
      return (await own('shared')).every(({ name: other }) => other !== name);
    },
    { what: 'the end of the zombie' },
  );
});

/** A pool of the pg face that ends with the test. */
function openPgPool(t, options) {
  const pool = new Pool({ connectionString: db.url, ...options });
  t.after(() => pool.end());
  return pool;
}

test('pg face: a leased Pool signs its clients, and keeps the leases of those that are idle or lent', async (t) => {
  const lease = {
    secret: SECRET,
    serviceName: 'pgpool',
    leaseTtlMs: 600,
    minConnectionIdleTimeSec: 0,
    reaperCooldownMs: 10,
  };
  const pool = openPgPool(t, { max: 2, idleTimeoutMillis: 0, lease });
  const lent = await pool.connect();
  const pids = [];
  for (const client of [lent, pool]) {
    pids.push((await client.query('select pg_backend_pid() as pid')).rows[0].pid);
  }
  const leased = async () =>
    (await own('pgpool')).sort((a, b) => pids.indexOf(a.pid) - pids.indexOf(b.pid));
  const first = (await leased()).map(({ name }) => leases.parseAndVerify(name).exp);
  assert.equal(first.length, 2);
  await waitFor(
    async () =>
      (await leased()).every(({ name }, n) => leases.parseAndVerify(name).exp > first[n] + 1500),
    { what: 'renewals of an idle client and of one that is lent and left alone' },
  );
  // Nobody renews inside a transaction, and what was renewed around it is not rolled back with it.
  await lent.query('begin');
  await lent.query('select 1');
  await lent.query('rollback');
  assert.equal((await lent.query('select pg_backend_pid() as pid')).rows[0].pid, pids[0]);
  lent.release();
  for (const { name, now } of await leased()) assert.ok(leases.parseAndVerify(name).exp > now);
});

test('pg face: a leased Pool ends expired connections of its service, also those of others', async (t) => {
  const name = new LeaseManager('pgshared', 'AbCd_-19', SECRET).generateAppName(Date.now() - 1000);
  const zombie = new Client({ connectionString: db.url, application_name: name });
  zombie.on('error', () => {});
  await zombie.connect();
  t.after(() => zombie.end().catch(() => {}));
  const lease = { secret: SECRET, serviceName: 'pgshared', minConnectionIdleTimeSec: 0 };
  const pool = openPgPool(t, { max: 1, lease });
  await pool.query('select 1');
  await waitFor(async () => (await own('pgshared')).every(({ name: other }) => other !== name), {
    what: 'the end of the zombie',
  });
});

test('pg face: blocking calls go through leased clients; the secret shows nowhere', async (t) => {
  const lease = { secret: SECRET, serviceName: 'pgsync' };
  const client = new pg.Client({ connectionString: db.url, lease });
  client.connectSync();
  t.after(() => client.end());
  const { rows } = client.querySync(`select current_setting('application_name') as name`);
  assert.ok(leases.parseAndVerify(rows[0].name));
  const pool = openPgPool(t, { lease });
  for (const shown of [client, pool, client.connectionParameters, pool.options]) {
    assert.ok(!inspect(shown, { depth: 9 }).includes(SECRET));
    assert.ok(!JSON.stringify(Object.entries(shown)[0]?.[1] ?? null).includes(SECRET));
  }
  assert.throws(() => new Pool({ lease: { secret: 'short' } }), { name: 'TypeError' });
  assert.throws(() => new pg.Client({ lease: { secret: SECRET, reap: true } }), {
    message: /^unknown option "lease\.reap"/,
  });
});

test('the options of a lease are checked at the door, and the secret is never shown', () => {
  for (const [lease, message] of [
    [{}, 'option "lease.secret" must be given'],
    [
      { secret: 'canary' },
      'option "lease.secret" must be a string of at least 16 bytes, got a string',
    ],
    [
      { secret: SECRET, leaseTtl: 1 },
      'unknown option "lease.leaseTtl"; did you mean "lease.leaseTtlMs"?',
    ],
  ]) {
    assert.throws(() => createPool({ connectionString: db.url, lease }), {
      name: 'TypeError',
      message,
    });
  }
});
