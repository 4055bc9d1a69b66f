// ServerlessClient behind PgBouncer in transaction mode.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const pg = require('pg');
const { startPgbouncer } = require('../support/pgbouncer.js');
const { testDatabase } = require('../support/pools.js');
const { SECRET, openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table t (n int)');
const EAGER = { minConnectionIdleTimeSec: 0, reaperCooldownMs: 0, leaseTtlMs: 300 };
const NAME = `select current_setting('application_name') as name`;

const locks = () =>
  db.sql(`select from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())`);

/** Connections of the pooler to the server, in the order they were opened. */
const poolers = async (/** @type {number[]} */ others) => {
  const rows = await db.sql(
    `select pid from pg_stat_activity where datname = current_database()
       and pid <> pg_backend_pid() and not pid = any($1::int[]) order by backend_start, pid`,
    [others],
  );
  return rows.map((/** @type {any} */ { pid }) => pid);
};

for (const [name, library] of /** @type {const} */ ([
  ['the engine', undefined],
  ['a library', pg],
])) {
  test(`SC-12, sec_l05: PgBouncer, through ${name}: nothing is leased, locked or ended in 30 rounds`, async (t) => {
    const bouncer = await startPgbouncer(t, db.url);
    if (bouncer === undefined) return;
    const service = library ? 'bouncedlib' : 'bounced';
    // A member with a connection of its own, which would end what looks like a zombie of the service.
    const direct = openServerless(t, { connectionString: db.url, serviceName: service, ...EAGER });
    const { rows } = await direct.client.query('select pg_backend_pid() as pid');
    const fleet = Array.from({ length: 6 }, () =>
      openServerless(t, { connectionString: bouncer.url, serviceName: service, library, ...EAGER }),
    );
    await Promise.all(fleet.map(({ client }) => client.query('select 1')));
    const before = await poolers([rows[0].pid]);
    assert.ok(
      before.length > 0 && before.length <= 3,
      `${before.length} connections of the pooler`,
    );
    for (let round = 0; round < 30; round++) {
      const names = await Promise.all(fleet.map(({ client }) => client.query(NAME)));
      for (const answer of names) assert.equal(answer.rows[0].name, service);
      await Promise.all(
        fleet.map(async ({ client }, member) => {
          await client.query('begin');
          await client.query(`insert into t values (${round * 10 + member})`);
          const { command } = await client.query('commit');
          assert.equal(command, 'COMMIT');
        }),
      );
      await direct.client.query('select 1');
    }
    for (const { count } of fleet) {
      assert.deepEqual(
        [count('onReap'), count('onHeartbeat'), count('onHeartbeatFail'), count('onClientDead')],
        [0, 0, 0, 0],
      );
    }
    assert.ok(direct.count('onReap') > 0);
    assert.deepEqual(
      direct.of('onReap').filter(({ killed }) => killed > 0),
      [],
    );
    const after = new Set(await poolers([rows[0].pid]));
    for (const pid of before) assert.ok(after.has(pid), 'a connection of the pooler was ended');
    await direct.client.end();
    // A pass of the direct member may still be about to end.
    await waitFor(async () => (await locks()).length === 0, { what: 'no lock' });
    const [{ n }] = await db.sql('select count(*)::int as n from t');
    assert.equal(n, 180);
    await db.sql('truncate t');
    await Promise.all(fleet.map(({ client }) => client.end()));
  });
}

test('SC-13: what a pooler says of a wrong database is not tried again', async (t) => {
  const bouncer = await startPgbouncer(t, db.url);
  if (bouncer === undefined) return;
  for (const database of ['missing', 'unheard_of']) {
    const { client, count } = openServerless(t, { connectionString: bouncer.urlOf(database) });
    await assert.rejects(client.query('select 1'), { code: /^(08P01|3D000)$/ });
    assert.equal(count('onReconnect'), 0, database);
  }
});

test('doctor names the pooler', async (t) => {
  const bouncer = await startPgbouncer(t, db.url);
  if (bouncer === undefined) return;
  const { stdout } = await runCli(['doctor', '--json', '--url', bouncer.url]);
  const pooler = JSON.parse(stdout).find(({ check }) => check === 'pooler');
  assert.deepEqual([pooler.found, pooler.isWell], ['in between', false]);
});

/** @param {string[]} args */
async function runCli(args) {
  const file = require.resolve('../../bin/pg-berth.js');
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [file, ...args],
      { env: { ...process.env, PG_BERTH_SECRET: SECRET } },
      (_, stdout, stderr) => resolve({ stdout, stderr }),
    );
  });
}
