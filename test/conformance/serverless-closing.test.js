// A ServerlessClient that is closed under calls that would be tried again, and what never comes: a password, a greeting.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const pg = require('pg');
const { testDatabase } = require('../support/pools.js');
const { openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase(`create table t (n int primary key);
  create table late (n int primary key);
  create function wait() returns trigger language plpgsql as
    'begin perform pg_sleep(4); return null; end';
  create constraint trigger wait after insert on late deferrable initially deferred
    for each row execute function wait()`);
/** Nothing ends such a wait but the end of the client. */
const PATIENT = { minBackoff: 600_000, maxBackoff: 600_000, maxQueryRetryTimeMs: 0 };
const open = (t, options = {}) =>
  openServerless(t, { connectionString: db.url, ...PATIENT, ...options });

/** Ends the backend of the statement that has this mark. */
async function kill(mark) {
  const [pid] = await db.running(mark, 1, { asleep: true });
  await db.sql('select pg_terminate_backend($1)', [pid]);
}

for (const library of [undefined, pg]) {
  const driver = library === undefined ? 'the engine' : 'a library';
  // The engine ends its connection behind the request to cancel; a driver is waited for.
  const cutOff =
    library === undefined
      ? { outcomeUnknown: true }
      : { name: 'ClosedError', code: 'ERR_CLIENT_CLOSED', outcome: 'failed' };

  test(`${driver}: end() during the wait for another try ends the statement and opens nothing`, async (t) => {
    const { client, count } = open(t, { library });
    const asked = client.query('select pg_sleep(600) /* closed in the wait */');
    const rejected = assert.rejects(asked, { outcomeUnknown: true, code: '57P01' });
    await kill('closed in the wait');
    await waitFor(() => count('onQueryRetry') === 1);
    await client.end();
    await rejected;
    assert.equal(client.getClient(), null);
    assert.equal(count('onConnect'), 1);
    assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
  });

  test(`${driver}: clean() closes behind what was asked, in the same turn or before`, async (t) => {
    const { client, count } = open(t, { library });
    for (const isRunning of [false, true]) {
      await client.connect();
      await db.sql('truncate t');
      const mark = `closed behind it ${isRunning}`;
      const asked = [
        client.query(`select 1 as n from pg_sleep(0.2) /* ${mark} */`),
        client.query('insert into t values (1) returning n'),
        client.query('insert into t values (1)').catch(({ code }) => code),
        client.query('insert into t values (2) returning n'),
      ];
      if (isRunning) await db.running(mark);
      const cleaned = client.clean();
      assert.equal(client.getClient(), null);
      const [first, second, third, fourth] = await Promise.all(asked);
      assert.deepEqual(
        [first.rows, second.rows, fourth.rows],
        [[{ n: 1 }], [{ n: 1 }], [{ n: 2 }]],
      );
      assert.equal(third, '23505');
      await cleaned;
    }
    assert.equal(count('onClientDead'), 0);
  });

  test(`${driver}: what waits when the patience of clean() ends was not sent, and says so`, async (t) => {
    const { client } = open(t, { library });
    await client.connect();
    const slow = client.query('select pg_sleep(600) /* outlasts the end */');
    const cut = assert.rejects(slow, cutOff);
    const waits = assert.rejects(client.query('insert into t values (3)'), {
      name: 'ClosedError',
      code: 'ERR_CLIENT_CLOSED',
      outcome: 'not-sent',
    });
    const [pid] = await db.running('outlasts the end', 1, { asleep: true });
    await client.clean();
    await Promise.all([cut, waits]);
    await waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of its backend' });
    assert.deepEqual(await db.sql('select from t where n = 3'), []);
  });

  test(`${driver}: what clean() cuts inside a transaction had no effect, and says so unless it may have committed`, async (t) => {
    const { client } = open(t, { library });
    const cutWith = async (text, expected, isRolledBack) => {
      await client.query('begin');
      await client.query('insert into t values (4)');
      const slow = assert.rejects(client.query(`${text} /* cut inside */`), expected);
      const rollback = client.query('rollback');
      rollback.catch(() => {});
      const [pid] = await db.running('cut inside', 1, { asleep: true });
      await client.clean();
      await slow;
      if (isRolledBack) assert.equal((await rollback).command, 'ROLLBACK');
      // What may commit is not cancelled.
      if (expected.outcomeUnknown) await db.sql('select pg_terminate_backend($1, 5000)', [pid]);
      else
        await waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of its backend' });
    };
    await cutWith('select pg_sleep(600)', { outcome: 'failed', safeToRetry: false }, true);
    await cutWith('select pg_sleep(600); commit', { outcomeUnknown: true });
    await cutWith('rollback; insert into t select 4 from pg_sleep(600)', cutOff);
    assert.deepEqual(await db.sql('select from t where n = 4'), []);
  });

  test(`${driver}: a COMMIT that runs when the patience of clean() ends is in doubt`, async (t) => {
    const { client } = open(t, { library });
    const n = library ? 2 : 1;
    await client.query('begin');
    await client.query(`insert into late values (${n})`);
    const commit = assert.rejects(client.query('commit'), {
      outcomeUnknown: true,
      phase: 'commit',
    });
    await db.running('commit', 1, { asleep: true });
    await client.clean();
    await commit;
    // A driver's connection is left alone with it.
    if (library === undefined) return;
    const kept = () => db.sql(`select from late where n = ${n}`);
    await waitFor(async () => (await kept()).length === 1, { what: 'the COMMIT' });
  });

  test(`${driver}: what never had a connection was not sent, and a transaction is not begun again for it`, async (t) => {
    const { port } = new URL(db.url);
    const refused = { code: 'ECONNREFUSED', outcome: 'not-sent', safeToRetry: true };
    const unreachable = { connectionString: 'postgres://u@127.0.0.1:1/d', retries: 0 };
    const nobody = open(t, { ...unreachable, library }).client;
    await assert.rejects(nobody.connect(), { ...refused, transient: true });
    await assert.rejects(nobody.query('select 1'), refused);
    const connectionString = `postgres://postgres@127.0.0.1:${port}/no_such_database`;
    const { client, count } = open(t, { connectionString, library, minBackoff: 1, maxBackoff: 1 });
    const unknown = { code: '3D000', outcome: 'not-sent', transient: false };
    const moved = client.transaction(() => assert.fail('must not begin'));
    await assert.rejects(moved, unknown);
    assert.equal(count('onQueryError'), 1);
  });
}

test('end() between two tries of a transaction ends it with the error of the first', async (t) => {
  const { client, count } = open(t);
  let tries = 0;
  const moved = client.transaction(async (tx) => {
    tries++;
    await tx.query('select pg_sleep(600) /* closed between tries */');
  });
  const rejected = assert.rejects(moved, { transactionLost: true });
  await kill('closed between tries');
  await waitFor(() => count('onQueryError') > 0 && client.getClient() === null);
  // Behind the rollback, which the client answers by itself.
  await new Promise((resolve) => setImmediate(resolve));
  await client.end();
  await rejected;
  assert.equal(tries, 1);
  assert.equal(count('onConnect'), 1);
});

test('end() turns away the transactions that wait for their turn', async (t) => {
  const { client, count } = open(t);
  const { promise: held, resolve: letGo } = Promise.withResolvers?.() ?? deferred();
  const first = client.transaction(async (tx) => {
    await tx.query('select 1');
    await held;
  });
  const second = client.transaction(() => assert.fail('must not begin'));
  const one = assert.rejects(first, { code: 'ERR_CLIENT_CLOSED' });
  const two = assert.rejects(second, { code: 'ERR_CLIENT_CLOSED', outcome: 'not-sent' });
  await waitFor(() => count('onQueryEnd') === 2);
  await client.end();
  letGo();
  await Promise.all([one, two]);
  assert.equal(count('onConnect'), 1);
  assert.equal(client.getClient(), null);
});

test('end() while connecting waits for its next try leaves nothing that keeps the process', async (t) => {
  const { client, count } = open(t, { connectionString: undefined, host: '127.0.0.1', port: 1 });
  const rejected = assert.rejects(client.connect(), { code: 'ERR_CLIENT_CLOSED' });
  await waitFor(() => count('onReconnect') === 1);
  const timers = () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  const before = timers();
  await client.end();
  await rejected;
  assert.ok(timers() < before);
});

test('a password function that never answers ends with the limit of the call', async (t) => {
  for (const limit of [{ connectionTimeoutMillis: 50, retries: 0 }, { maxQueryRetryTimeMs: 50 }]) {
    const { client } = open(t, { ...limit, password: () => new Promise(() => {}) });
    await assert.rejects(client.query('select 1'), { code: 'ERR_TIMEOUT', phase: 'connect' });
  }
});

test('SC-20: an attempt to connect has no more time than its call, whatever limit of its own it has', async (t) => {
  const silent = net.createServer((socket) => socket.on('error', () => {}));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const { port } = /** @type {net.AddressInfo} */ (silent.address());
  process.env.PGCONNECT_TIMEOUT = '60';
  t.after(() => delete process.env.PGCONNECT_TIMEOUT);
  for (const connectionTimeoutMillis of [undefined, 0, 60_000]) {
    const limits = { connectionTimeoutMillis, maxConnectRetryTimeMs: 2300 };
    const { client } = open(t, { connectionString: undefined, host: '127.0.0.1', port, ...limits });
    const began = performance.now();
    await assert.rejects(client.connect(), { phase: 'connect' });
    assert.ok(performance.now() - began < 10_000);
  }
});

function deferred() {
  let resolve;
  const promise = new Promise((yes) => {
    resolve = yes;
  });
  return { promise, resolve };
}
