// Storms over a leased fleet in compressed time: frozen processes, too many at once, and cut answers.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { startProxy } = require('../support/proxy.js');
const { openServerless, startMember } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table writes (member int, n int); create table hunted (n int)');

/** A longer storm: LEASE_STORM=10 makes ten times as many rounds and processes up to forty. */
const SCALE = Number(process.env.LEASE_STORM ?? 1);

const FLEET = {
  serviceName: 'storm',
  leaseTtlMs: 600,
  minConnectionIdleTimeSec: 0.3,
  reaperCooldownMs: 100,
  minBackoff: 1,
  maxBackoff: 50,
};

test(
  'freeze storm: every living process gets the truth, no living connection is ended, every zombie is',
  async (t) => {
    const size = Math.min(40, 10 * SCALE);
    const members = Array.from({ length: size }, () =>
      startMember(t, { connectionString: db.url, ...FLEET }),
    );
    let resolved = 0;
    /** Writes of one member, one after the other. */
    const write = async (member, index, count) => {
      for (let n = 0; n < count; n++) {
        const { error } = await member.ask({ text: `insert into writes values (${index}, ${n})` });
        assert.equal(error, undefined);
        resolved++;
      }
    };
    await Promise.all(members.map((member, index) => write(member, index, 2)));
    for (let round = 0; round < 3 * SCALE; round++) {
      const isFrozen = members.map(() => Math.random() < 0.5);
      isFrozen[round % size] = true;
      isFrozen[(round + 1) % size] = false;
      const deaths = new Map();
      await Promise.all(
        members.map(async (member, index) => {
          if (isFrozen[index]) member.freeze();
          // Used now, its lease is a live one; what nobody used for long was disposable.
          else {
            const { counts } = await member.ask({ text: 'select 1' });
            deaths.set(index, counts.onClientDead ?? 0);
          }
        }),
      );
      const living = members.flatMap((member, index) => (isFrozen[index] ? [] : [[member, index]]));
      const isGone = async () => {
        await Promise.all(living.map(([member, index]) => write(member, index, 5)));
        const [{ n }] = await db.sql(
          `select count(*)::int as n from pg_stat_activity where left(application_name, 8) = 's=storm;'`,
        );
        return n === living.length;
      };
      await waitFor(isGone, { what: 'the end of every zombie' });
      for (const [member, index] of living) {
        assert.equal((await member.ask({})).counts.onClientDead ?? 0, deaths.get(index));
      }
      // Thawed, each is asked in the same moment.
      await Promise.all(
        members.map((member, index) => {
          const writing = write(member, index, 1);
          if (isFrozen[index]) member.thaw();
          return writing;
        }),
      );
    }
    const [{ n }] = await db.sql('select count(*)::int as n from writes');
    assert.equal(n, resolved);
    for (const member of members) assert.equal(await member.end(), 0);
  },
  60_000 * SCALE,
);

test('connection storm: many clients on few slots all succeed once room is made', async (t) => {
  await db.sql('create role stormy login connection limit 8');
  const url = new URL(db.url);
  url.username = 'stormy';
  const clients = Array.from({ length: 40 }, () =>
    openServerless(t, {
      connectionString: url.href,
      serviceName: 'crowd',
      reaper: false,
      retries: 200,
      minBackoff: 5,
      maxBackoff: 100,
    }),
  );
  const answers = await Promise.all(
    clients.map(async ({ client }, n) => {
      const { rows } = await client.query('select $1::int as n', [n]);
      await client.end();
      return rows[0].n;
    }),
  );
  assert.deepEqual(
    answers,
    clients.map((_, n) => n),
  );
  assert.ok(clients.some(({ of }) => of('onReconnect').some(({ err }) => err.code === '53300')));
  await waitFor(
    async () => {
      await db.sql('drop role if exists stormy');
      return true;
    },
    { what: 'the end of the storm' },
  );
});

test('duplicate hunt: rows are resolved calls and unknown ones, never more', async (t) => {
  const { hostname, port } = new URL(db.url);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  t.after(() => proxy.close());
  const { client } = openServerless(t, {
    connectionString: proxy.url(db.url),
    reaper: false,
    minBackoff: 1,
    maxBackoff: 5,
  });
  const outcomes = { done: new Set(), unknown: new Set(), refused: new Set() };
  for (let n = 0; n < 300 * SCALE; n++) {
    const before = Math.random() < 0.5;
    const [toServer, toClient] = [Math.random() < 0.3, Math.random() < 0.3];
    if (toServer) proxy.cutAt({ direction: 'toServer', text: 'hunted', before });
    if (toClient) proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before });
    try {
      await client.query('insert into hunted values ($1)', [n]);
      outcomes.done.add(n);
    } catch ({ outcomeUnknown }) {
      outcomes[outcomeUnknown ? 'unknown' : 'refused'].add(n);
    }
    proxy.heal();
  }
  const rows = (await db.sql('select n from hunted')).map(({ n }) => n);
  const written = new Set(rows);
  assert.equal(rows.length, written.size, 'no row was written twice');
  for (const n of outcomes.done) assert.ok(written.has(n), `${n} was reported as done`);
  for (const n of outcomes.refused) assert.ok(!written.has(n), `${n} was reported as not done`);
  assert.ok(outcomes.unknown.size > 0, 'answers were cut');
});
