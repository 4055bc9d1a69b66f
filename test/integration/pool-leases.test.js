// createPool with the option lease: every connection is signed, renewed while it is wanted, and expired ones are ended.
'use strict';

const assert = require('node:assert/strict');
const { Client } = require('pg');
const { LeaseManager, createPool } = require('../../lib/index.js');
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
