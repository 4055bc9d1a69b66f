// Freeze and thaw: processes stopped past their lease, reaped by others, continued, and asked at once.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { AUDITED, endedLeases } = require('../support/lease-audit.js');
const { testDatabase } = require('../support/pools.js');
const { startServer } = require('../support/server.js');
const { openServerless, startMember } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table t (n int)');
/** With 20 processes at a time (`npm run test:storms`), or fewer. */
const IS_FULL = process.env.LEASE_STORM === 'full';
const FLEET = {
  leaseTtlMs: 300,
  minConnectionIdleTimeSec: 0.1,
  reaperCooldownMs: 20,
  minBackoff: 1,
  maxBackoff: 20,
};

const backends = (service) =>
  db.sql(
    `select pid from pg_stat_activity where left(application_name, length($1) + 3) = 's=' || $1 || ';'`,
    [service],
  );

/** A warm member of the fleet that goes on reaping until the frozen ones are gone. */
async function reap(t, service) {
  const { client } = openServerless(t, {
    connectionString: db.url,
    serviceName: service,
    ...FLEET,
  });
  await waitFor(
    async () => {
      await client.query('select 1');
      return (await backends(service)).length === 1;
    },
    { what: 'the end of the frozen connections' },
  );
  await client.end();
}

test('SC-5, sec_p08: the first statement after a thaw works: 20 times at once, 20 times within 50 ms', async (t) => {
  const service = 'thaw';
  const members = Array.from({ length: IS_FULL ? 20 : 10 }, () =>
    startMember(t, { connectionString: db.url, serviceName: service, ...FLEET, reaper: false }),
  );
  const rounds = 40 / members.length;
  for (let round = 0; round < rounds; round++) {
    const isAtOnce = round < rounds / 2;
    await Promise.all(members.map((member) => member.ask({ text: 'select 1' })));
    for (const member of members) member.freeze();
    await reap(t, service);
    const answers = members.map(async (member, index) => {
      // The question is there before the process runs again: the first turn finds it.
      if (!isAtOnce) {
        member.thaw();
        await sleep((index * 50) / members.length);
      }
      const answer = member.ask({ text: `insert into t values (${round}) returning n` });
      if (isAtOnce) member.thaw();
      return answer;
    });
    for (const { rows, error, counts } of await Promise.all(answers)) {
      assert.deepEqual([rows, error], [[{ n: round }], undefined]);
      assert.deepEqual(counts.onClientDead, round + 1);
      assert.deepEqual(counts.onConnect, round + 2);
    }
    const [{ n }] = await db.sql('select count(*)::int as n from t where n = $1', [round]);
    assert.equal(n, members.length);
  }
  for (const member of members) assert.equal(await member.end(), 0);
}, 60_000);

test('SC-5: a statement that was running when the process froze delivers its answer', async (t) => {
  const member = startMember(t, {
    connectionString: db.url,
    serviceName: 'buffered',
    ...FLEET,
    reaper: false,
  });
  await member.ask({ text: 'select 1' });
  const answer = member.ask({ text: `insert into t select 500 from pg_sleep(0.3) returning n` });
  await db.running('insert into t select 500');
  member.freeze();
  await db.idle('insert into t select 500');
  await reap(t, 'buffered');
  member.thaw();
  assert.deepEqual((await answer).rows, [{ n: 500 }]);
  const [{ n }] = await db.sql('select count(*)::int as n from t where n = 500');
  assert.equal(n, 1);
});

test('SC-M2, sec_l02: what lives is never ended: a busy fleet under an eager reaper', async (t) => {
  const server = await startServer({ conf: AUDITED });
  t.after(() => server.stop());
  const members = Array.from({ length: 5 }, () =>
    startMember(t, { connectionString: server.url, serviceName: 'living', ...FLEET }),
  );
  for (let round = 0; round < 40; round++) {
    const answers = await Promise.all(
      members.map((member) => member.ask({ text: 'select pg_sleep(0.02)' })),
    );
    for (const { error } of answers) assert.equal(error, undefined);
  }
  // A process that gets no processor time for longer than its lease is a frozen one; the server knows whose was valid.
  assert.deepEqual(
    endedLeases(server.log).filter(({ at, expiry }) => at <= expiry),
    [],
  );
});
