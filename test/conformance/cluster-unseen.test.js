// A lost COMMIT of a transaction without an id: reading is no doubt, what no id tells of is one (CP-3, CP-4).
'use strict';

const assert = require('node:assert/strict');
const { createListener, createPool } = require('../../lib/index.js');
const { poolInDoubt } = require('../support/doubt.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const db = testDatabase(`
  create function tell(n int) returns int language sql as $$ select pg_notify('told', n::text); select n $$;
  create table written (n int);
  create schema app;
  create function app.format(n int) returns int language sql as 'select tell(n)';
  create view far as select 1 as n;
  create function send() returns trigger language plpgsql as $$ begin perform tell(new.n); return new; end $$;
  create trigger send instead of insert on far for each row execute function send()`);

/** What a transaction of this text hears whose COMMIT is carried out and not answered. */
async function lostCommit(t, text) {
  const { hostname: host, port, pathname, username: user } = new URL(db.url);
  const options = { database: pathname.slice(1), user };
  const { pool, loseAnswer } = await poolInDoubt(t, [{ host, port: Number(port) }], options);
  let runs = 0;
  const done = pool.transaction(
    async (tx) => {
      runs += 1;
      await tx.query(text);
      loseAnswer();
    },
    { maxAttempts: 1 },
  );
  const { outcome } = await failureOf(done);
  return { outcome, runs };
}

test('CP-3, CP-4: what a function may have notified, or a trigger written elsewhere, is in doubt', async (t) => {
  const listener = createListener(db.url);
  t.after(() => listener.end());
  /** @type {string[]} */
  const told = [];
  await listener.listen('told', ({ payload }) => told.push(payload));
  const texts = [
    'select tell(1)',
    'insert into far values (2)',
    'select tell/**/(3)',
    'select app.format(4)',
  ];
  for (const text of texts) {
    assert.deepEqual(await lostCommit(t, text), { outcome: 'unknown', runs: 1 }, text);
  }
  await waitFor(() => told.length === 4, { what: 'the notifications' });
  assert.deepEqual(told, ['1', '2', '3', '4']);
});

test('CP-4: what certainly only reads is none', async (t) => {
  for (const text of ['select count(*) from far where n in (1, 2)', 'values (1)']) {
    assert.deepEqual(await lostCommit(t, text), { outcome: 'failed', runs: 1 }, text);
  }
});

test('CP-4: what is lost in front of a COMMIT is not judged by what was read before', async (t) => {
  const proxy = await db.openProxy(t);
  const { pathname, username: user } = new URL(db.url);
  const pool = createPool({
    hosts: [`${proxy.host}:${proxy.port}`],
    user,
    database: pathname.slice(1),
    sslmode: 'disable',
    poolSize: 1,
    resolveTimeoutMs: 500,
  });
  t.after(() => pool.end({ timeoutMs: 500 }));
  let runs = 0;
  const done = pool.transaction(
    async (tx) => {
      runs += 1;
      await tx.query('select 1');
      proxy.cutAt({ direction: 'toClient', text: 'INSERT', before: true });
      proxy.refuse();
      // With the COMMIT behind it, in one packet.
      tx.query('insert into written values (1)').catch(() => {});
    },
    { maxAttempts: 1 },
  );
  const { outcome } = await failureOf(done);
  assert.deepEqual({ outcome, runs }, { outcome: 'unknown', runs: 1 });
  await waitFor(async () => (await db.sql('select from written')).length === 1, {
    what: 'the commit',
  });
});
