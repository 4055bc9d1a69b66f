// Storms over a leased fleet in compressed time: frozen processes, too many at once, and cut answers.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { Client } = require('pg');
const { AUDITED, endedLeases } = require('../support/lease-audit.js');
const { testDatabase } = require('../support/pools.js');
const { startServer } = require('../support/server.js');
const { leases, openServerless, startMember } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table hunted (n int)');

/** The size the fleet's promise is about (`npm run test:storms`), or a shorter storm. */
const IS_FULL = process.env.LEASE_STORM === 'full';

/** Time runs 150 times faster than with the defaults, so a process that waits for the processor waits that much longer. */
const FLEET = {
  serviceName: 'storm',
  leaseTtlMs: 600,
  heartbeatSoftRemainingMs: 300,
  heartbeatHardWaitRemainingMs: 300,
  minConnectionIdleTimeSec: 0.3,
  maxIdleConnectionsToKill: 40,
  reaperCooldownMs: 100,
  minBackoff: 1,
  maxBackoff: 50,
};

test(
  'freeze storm: every process gets the truth, no living lease is ended, every zombie is',
  async (t) => {
    const size = IS_FULL ? 40 : 10;
    const server = await startServer({ conf: AUDITED });
    t.after(() => server.stop());
    const observer = new Client({ connectionString: server.url, application_name: 'observer' });
    // The server stops with the test, before its observer.
    observer.on('error', () => {});
    await observer.connect();
    await observer.query('create table writes (member int, n int)');
    const members = Array.from({ length: size }, () =>
      startMember(t, { connectionString: server.url, ...FLEET }),
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
    for (let round = 0; round < (IS_FULL ? 40 : 3); round++) {
      const isFrozen = members.map(() => Math.random() < 0.5);
      isFrozen[round % size] = true;
      isFrozen[(round + 1) % size] = false;
      for (const [index, member] of members.entries()) if (isFrozen[index]) member.freeze();
      const living = members.flatMap((member, index) => (isFrozen[index] ? [] : [[member, index]]));
      const isGone = async () => {
        await Promise.all(living.map(([member, index]) => write(member, index, 5)));
        const { rows } = await observer.query(
          `select count(*)::int as n from pg_stat_activity where left(application_name, 8) = 's=storm;'`,
        );
        return rows[0].n === living.length;
      };
      await waitFor(isGone, { what: 'the end of every zombie' });
      // Thawed, each is asked in the same moment.
      await Promise.all(
        members.map((member, index) => {
          const writing = write(member, index, 1);
          if (isFrozen[index]) member.thaw();
          return writing;
        }),
      );
    }
    const { rows } = await observer.query('select count(*)::int as n from writes');
    assert.equal(rows[0].n, resolved);
    for (const member of members) assert.equal(await member.end(), 0);
    // A process that gets no processor time for longer than its lease is frozen too, whoever stopped it; so the server
    // says who was alive: nobody whose lease it still held valid was ended.
    const ended = endedLeases(server.log);
    assert.ok(ended.length > 0);
    assert.deepEqual(
      ended.filter(({ at, expiry }) => at <= expiry),
      [],
    );
    const latest = Math.max(...ended.map(({ at, expiry }) => at - expiry));
    t.diagnostic(
      `${ended.length} zombies ended, at most ${latest} ms after the end of their lease`,
    );
  },
  IS_FULL ? 600_000 : 60_000,
);

test('connection storm: many clients on few slots all succeed once the dead have made room', async (t) => {
  const [slots, dead, crowd] = IS_FULL ? [50, 30, 200] : [16, 8, 50];
  const server = await startServer({ conf: { max_connections: slots, ...AUDITED } });
  t.after(() => server.stop());
  // One warm member of the fleet is enough to clean a full server (SC-18).
  const warm = openServerless(t, {
    connectionString: server.url,
    serviceName: 'reader',
    minConnectionIdleTimeSec: 0,
    maxIdleConnectionsToKill: dead,
    reaperCooldownMs: 100,
  });
  await warm.client.connect();
  for (let n = 0; n < dead; n++) {
    const zombie = new Client({
      connectionString: server.url,
      application_name: leases.generateAppName(Date.now() + 1000),
    });
    zombie.on('error', () => {});
    await zombie.connect();
    t.after(() => zombie.end().catch(() => {}));
  }
  const clients = Array.from({ length: crowd }, () =>
    openServerless(t, {
      connectionString: server.url,
      serviceName: 'crowd',
      reaper: false,
      retries: 200,
      minBackoff: 5,
      maxBackoff: 200,
    }),
  );
  const ask = async ({ client }, n) => {
    const { rows } = await client.query('select $1::int as n', [n]);
    await client.end();
    return rows[0].n;
  };
  let isOver = false;
  const warming = (async () => {
    while (!isOver) {
      await warm.client.query('select 1');
      await sleep(20);
    }
  })();
  const answers = await Promise.all(clients.map(ask));
  isOver = true;
  await warming;
  assert.deepEqual(answers, [...clients.keys()]);
  assert.ok(clients.some(({ of }) => of('onReconnect').some(({ err }) => err.code === '53300')));
  const attempts = clients.map(({ count }) => count('onReconnect') + 1);
  assert.ok(Math.max(...attempts) <= 201);
  await waitFor(
    async () => {
      await warm.client.query('select 1');
      return endedLeases(server.log).length === dead;
    },
    { what: 'the end of the dead' },
  );
  t.diagnostic(`at most ${Math.max(...attempts)} attempts of one client`);
}, 60_000);

test('duplicate hunt: rows are resolved calls and unknown ones, never more', async (t) => {
  const proxy = await db.openProxy(t);
  const { client } = openServerless(t, {
    connectionString: proxy.url(db.url),
    reaper: false,
    minBackoff: 1,
    maxBackoff: 5,
  });
  const outcomes = { done: new Set(), unknown: new Set(), refused: new Set() };
  for (let n = 0; n < (IS_FULL ? 2000 : 300); n++) {
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

test(
  'duplicate hunt: with exactlyOnce every call is applied once, wherever its bytes were cut',
  async (t) => {
    const proxy = await db.openProxy(t);
    const { client, count } = openServerless(t, {
      connectionString: proxy.url(db.url),
      exactlyOnce: true,
      reaper: false,
      retries: 20,
      minBackoff: 1,
      maxBackoff: 5,
    });
    const size = IS_FULL ? 2000 : 200;
    const cuts = [
      { direction: 'toServer', text: 'insert into' },
      { direction: 'toServer', text: 'COMMIT' },
      { direction: 'toClient', text: 'INSERT 0 1' },
      { direction: 'toClient', text: 'COMMIT' },
    ];
    for (let n = 0; n < size; n++) {
      for (const cut of cuts) {
        if (Math.random() < 0.2) proxy.cutAt({ ...cut, before: Math.random() < 0.5 });
      }
      // A cut that waits for a byte meets the next connection, wherever that is then.
      const byte = Math.floor(Math.random() * 4000);
      const direction = Math.random() < 0.5 ? 'toServer' : 'toClient';
      if (Math.random() < 0.2) proxy.cutAt({ direction, byte });
      await client.query('insert into hunted values ($1)', [-1 - n]);
      proxy.heal();
    }
    const [{ rows, calls }] = await db.sql(
      'select count(*)::int as rows, count(distinct n)::int as calls from hunted where n < 0',
    );
    assert.deepEqual({ rows, calls }, { rows: size, calls: size });
    t.diagnostic(`${count('onClientDead')} connections lost, ${size} calls, ${rows} rows`);
  },
  IS_FULL ? 300_000 : 60_000,
);
