// Options of single statements of a pool: tries, the wait for a connection; and whether an idle pool keeps the process (CP-51, CP-83, CP-84, CP-96).
'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { createPool } = require('../../lib/index.js');
const { Backoff } = require('../../lib/backoff.js');
const { testDatabase } = require('../support/pools.js');
const { startProxy } = require('../support/proxy.js');
const {
  failureOf,
  readRequest,
  rightAnswer,
  scriptedPool,
} = require('../support/script-replies.js');
const { startNode } = require('../support/scripted-nodes.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const db = testDatabase('create table applied (n int)');

/** A pool behind a proxy that loses the next answer to an insert. */
async function lossy(t, options) {
  const { hostname, port, pathname } = new URL(db.url);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  const pool = createPool({
    ...{ host: proxy.host, port: proxy.port, user: 'postgres', database: pathname.slice(1) },
    ...{ sslmode: 'disable', retry: { baseDelayMs: 1 }, ...options },
  });
  t.after(async () => {
    await pool.end({ timeoutMs: 200 });
    await proxy.close();
  });
  await pool.query('select 1');
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  return pool;
}

test('CP-84: retry runs a statement again whose answer was lost, and only then', async (t) => {
  const cautious = await lossy(t, {});
  const error = await failureOf(cautious.query('insert into applied values (1)'));
  assert.equal(error.outcomeUnknown, true, error.stack);
  const eager = await lossy(t, {});
  const rows = await eager.query('insert into applied values (2)', [], { retry: true });
  assert.equal(rows.rowCount, 1);
  assert.equal(eager.status().counters.retries, 1);
  // Applied twice: that is what was asked for.
  assert.equal((await db.sql('select from applied where n = 2')).length, 2);
  const refused = await failureOf(eager.query('select 1/0', [], { retry: true }));
  assert.equal(refused.code, '22012');
  const incomplete = await failureOf(eager.query('select $1::int', [], { retry: true }));
  assert.deepEqual([incomplete.code, incomplete.transient], ['08P01', false]);
  assert.equal(eager.status().counters.retries, 1, 'what stays wrong is not run again');
});

test('CP-84: modes that read run a lost statement again unless they are told not to', async (t) => {
  const standby = await startNode('standby', 'a standby');
  t.after(() => standby.close());
  const { hostname, port } = new URL(`tcp://${standby.host}`);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  t.after(() => proxy.close());
  for (const mode of /** @type {const} */ (['read-only', 'prefer-standby'])) {
    const options = { host: proxy.host, port: proxy.port, user: 'u', database: 'd' };
    const pool = createPool({ ...options, mode, sslmode: 'disable', retry: { baseDelayMs: 1 } });
    t.after(() => pool.end({ timeoutMs: 200 }));
    await pool.query('select name');
    proxy.cutAt({ direction: 'toClient', text: 'a standby', before: true });
    assert.equal((await pool.query('select name'))[0].name, 'a standby');
    assert.equal(pool.status().counters.retries, 1);
    proxy.cutAt({ direction: 'toClient', text: 'a standby', before: true });
    const error = await failureOf(pool.query('select name', [], { retry: false }));
    assert.equal(error.outcomeUnknown, true, error.stack);
  }
});

test('CP-84: what prefers standbys and was asked of the primary is not run again by itself', async (t) => {
  const prefers = await lossy(t, { mode: 'prefer-standby' });
  const error = await failureOf(prefers.query('insert into applied values (3)'));
  assert.deepEqual([error.code, error.outcome], ['IN_DOUBT', 'unknown'], error.stack);
  assert.equal(prefers.status().counters.retries, 0);
  assert.equal((await db.sql('select from applied where n = 3')).length, 1);
  const eager = await lossy(t, { mode: 'prefer-standby' });
  await eager.query('insert into applied values (4)', [], { retry: true });
  assert.equal((await db.sql('select from applied where n = 4')).length, 2);
});

test('CP-6: exactlyOnce of the pool holds for querySync and isolated batches', async (t) => {
  // Its COMMIT takes the connection down, so nobody hears of its end.
  await db.sql(`
    create table doomed (n int);
    create function die() returns trigger language plpgsql as $$
      begin
        if new.n < 0 then perform pg_terminate_backend(pg_backend_pid()); end if;
        return null;
      end $$;
    create constraint trigger die after insert on doomed deferrable initially deferred
      for each row execute function die()`);
  const doomed = 'insert into doomed values (-1)';
  const pool = db.openPool(t, { poolSize: 1, exactlyOnce: true });
  const known = { name: 'CommitAbortedError', outcome: 'failed' };
  assert.throws(() => pool.querySync(doomed), known);
  const [kept, lost] = await pool.batch(['insert into doomed values (1)', doomed]);
  assert.equal(kept.status, 'fulfilled');
  assert.deepEqual({ name: lost.reason.name, outcome: lost.reason.outcome }, known);
  assert.deepEqual(await db.sql('select n from doomed'), [{ n: 1 }]);
});

test('CP-51: acquireTimeoutMs of a statement is shorter or longer than the pool’s', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 300 });
  const tx = await pool.begin();
  await tx.query('select 1');
  const short = await failureOf(pool.query('select 2', [], { acquireTimeoutMs: 50 }));
  assert.deepEqual(
    [short.name, short.code, short.safeToRetry],
    ['AcquireTimeoutError', '53300', true],
  );
  assert.match(short.message, /within 50ms/);
  assert.equal(pool.status().waiting, 0);
  const long = pool.query('select 3 as n', [], { acquireTimeoutMs: 20_000 });
  const usual = await failureOf(pool.query('select 4'));
  assert.match(usual.message, /300ms/);
  await tx.rollback();
  assert.equal((await long)[0].n, 3);
  await waitFor(() => pool.status().available === 1, { what: 'its connection back' });
});

test('CP-27, CP-51: acquireTimeoutMs of a statement that no primary takes says what each host answered', async (t) => {
  const dead = await startNode('dead', 'dead');
  const own = { user: 'u', database: 'd', sslmode: /** @type {const} */ ('disable') };
  const pool = createPool({ hosts: [dead.host, dead.host], ...own });
  t.after(() => pool.end({ timeoutMs: 100 }));
  const error = await failureOf(pool.query('select 1', [], { acquireTimeoutMs: 100 }));
  assert.deepEqual([error.name, error.code, error.safeToRetry], ['NoPrimaryError', '08006', true]);
  assert.match(error.message, /^query: no writable primary available after 100ms: .*refused/);
  assert.equal(error.nodes[0].host, dead.host);
});

test('CP-83: the pause doubles, or wanders between the base and three times the last', () => {
  const half = new Backoff({ baseDelayMs: 50, maxDelayMs: 1000, jitter: 'half' });
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((attempt) => half.delay(attempt, 1)),
    [50, 100, 200, 400, 800, 1000],
  );
  assert.equal(half.delay(2, 0), 50);
  const other = new Backoff({ baseDelayMs: 50, maxDelayMs: 1000, jitter: 'decorrelated' });
  assert.deepEqual(
    [1, 2, 3, 4].map((attempt) => other.delay(attempt, 1)),
    [150, 450, 1000, 1000],
  );
  assert.equal(other.delay(5, 0), 50);
});

test('CP-96: an idle pool lets the process end, unless unref is false', () => {
  const script = (options) => `
    const { createPool } = require(${JSON.stringify(path.join(__dirname, '../../lib/index.js'))});
    const pool = createPool({ connectionString: process.argv[1], ...${JSON.stringify(options)} });
    pool.query('select 1').then(() => {
      console.log('answered');
      const timer = setTimeout(async () => {
        console.log('still here');
        await pool.end();
        console.log('ended');
      }, 300);
      timer.unref();
    });`;
  const run = (options) =>
    spawnSync(process.execPath, ['-e', script(options), db.url], {
      encoding: 'utf8',
      timeout: 20_000,
    });
  assert.deepEqual([run({}).stdout, run({}).status], ['answered\n', 0]);
  const kept = run({ unref: false });
  assert.deepEqual([kept.stdout, kept.status], ['answered\nstill here\nended\n', 0]);
});

for (const [what, write] of Object.entries({
  insert: (pool, limits) => pool.insert('t', { a: 1 }, { lsn: true, ...limits }),
  transaction: (pool, limits) => pool.transaction(() => 1, { lsn: true, ...limits }),
})) {
  test(`CP-15, CP-51: timeoutMs and signal of ${what} end the wait for its position as well`, async (t) => {
    const script = async (connection) => {
      for (;;) {
        const request = await readRequest(connection);
        // A server that freezes behind the write.
        if (request.some(({ text }) => text?.includes('pg_current_wal'))) return connection.stall();
        await connection.send(...rightAnswer(request));
      }
    };
    // Nothing is prepared ahead: it would freeze in front of the write.
    const { pool } = await scriptedPool(t, script, { warmStatements: 0 });
    const late = await write(pool, { timeoutMs: 200 });
    assert.equal(late.lsn, null);
    const left = await write(pool, { signal: AbortSignal.timeout(200) });
    assert.equal(left.lsn, null);
  });
}
