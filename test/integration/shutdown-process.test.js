// Shutdown of a real server process: under load, with a hanging query, and with impatient operators (S3, S4, S7, S9, S12).
'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const { Kysely, PostgresDialect, sql } = require('kysely');
const { Pool } = require('../../lib/index.js');
const { gracefulShutdown } = require('../../lib/shutdown.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const SERVICE = path.join(__dirname, '../support/two-databases.js');

const database = testDatabase();

/** A service with two databases, on a port of its own. */
async function startService(t, env = {}) {
  const child = spawn(process.execPath, [SERVICE], {
    env: { ...process.env, DATABASE_URL: database.url, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  const [, port] = await waitFor(() => /listening on (\d+)/.exec(output), { what: 'the start' });
  return { child, exited, port: Number(port), log: () => output };
}

/** Asks without keeping the connection. @returns {Promise<{ status: number, body: any }>} */
function get(port, url) {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', path: url, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

const gone = () =>
  waitFor(async () => (await database.connections()) === 0, { what: 'the end of all connections' });

test('the service answers, and tells its health', async (t) => {
  const { port } = await startService(t);
  assert.deepEqual((await get(port, '/people')).body, [{ id: 1 }, { id: 2 }, { id: 3 }]);
  const { status, body } = await get(port, '/health');
  assert.deepEqual([status, body.status], [200, 'healthy']);
  assert.equal((await get(port, '/audit')).status, 200);
});

test('SIGTERM under load: requests under way end well, new ones are refused, nothing is left', async (t) => {
  const { child, exited, port } = await startService(t);
  const slow = Array.from({ length: 4 }, () => get(port, '/slow?ms=700'));
  await database.running('slow route', 4);
  let isOver = false;
  const outcomes = { ok: 0, refused: 0, other: [] };
  const load = async () => {
    while (!isOver) {
      await get(port, '/audit').then(
        ({ status, body }) => (status === 200 ? outcomes.ok++ : outcomes.other.push(body)),
        ({ code }) => {
          if (code === 'ECONNREFUSED') outcomes.refused++;
          else outcomes.other.push(code);
        },
      );
    }
  };
  const loads = [load(), load()];
  await waitFor(() => outcomes.ok > 10);
  child.kill('SIGTERM');
  const answers = await Promise.all(slow);
  const [code, signal] = await exited;
  isOver = true;
  await Promise.all(loads);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  assert.deepEqual([code, signal], [0, null]);
  assert.ok(outcomes.refused > 0);
  // The second database is closed while requests to it are still coming in: those get an answer, not a hang.
  for (const other of outcomes.other)
    assert.match(String(other.error ?? other), /^(ERR_CLOSED|ClosedError|Error|ECONNRESET)$/);
  await gone();
});

test('S4: a query that hangs is cancelled on the server at the deadline', async (t) => {
  const { child, exited, port } = await startService(t, { SHUTDOWN_MS: '1000' });
  const hanging = get(port, '/slow?ms=60000').catch((error) => error);
  await database.running('slow route');
  child.kill('SIGTERM');
  const [code] = await exited;
  // onShutdown waited for the request in vain, so the shutdown did not go as it should.
  assert.equal(code, 1);
  await database.idle('slow route');
  await gone();
  await hanging;
});

test('S7: of two databases one hangs: requests to the other end well, both are closed, and the status is 1', async (t) => {
  const { child, exited, port } = await startService(t, { SHUTDOWN_MS: '2000' });
  const hanging = get(port, '/slow-audit?ms=60000').catch((error) => error);
  const slow = get(port, '/slow?ms=600');
  await database.running('slow audit');
  await database.running('slow route');
  child.kill('SIGTERM');
  assert.equal((await slow).status, 200);
  assert.deepEqual(await exited, [1, null]);
  await database.idle('slow audit');
  await hanging;
});

test('S9: a second signal ends the process at once', async (t) => {
  const { child, exited, port, log } = await startService(t);
  const hanging = get(port, '/slow?ms=60000').catch((error) => error);
  await database.running('slow route');
  child.kill('SIGTERM');
  await waitFor(() => /Received SIGTERM/.test(log()), { what: 'the first signal' });
  child.kill('SIGINT');
  assert.deepEqual(await exited, [130, null]);
  await hanging;
});

function openDatabase(poolSize) {
  return new Kysely({
    dialect: new BerthDialect({ connection: { connectionString: database.url, poolSize } }),
  });
}

/** Pools of one connection behind Kysely: the native one, and that of the pg face under Kysely's own dialect. */
const SINGLE = {
  BerthDialect: () => openDatabase(1),
  'the pg face': () =>
    new Kysely({
      dialect: new PostgresDialect({ pool: new Pool({ connectionString: database.url, max: 1 }) }),
    }),
};

for (const [name, openSingle] of Object.entries(SINGLE)) {
  test(`S3: ${name}: what runs ends normally, who is queued is rejected at once`, async () => {
    const db = openSingle();
    const ends = [];
    const note = (what) => () => ends.push(what);
    const running = sql`select pg_sleep(0.5), 7 as n /* runs on */`.execute(db);
    running.then(note('ran'), note('failed'));
    await database.running('runs on');
    const queued = sql`select 1`.execute(db);
    const rejected = assert.rejects(queued, (error) => typeof error.code === 'string');
    queued.catch(note('rejected'));
    await new Promise((resolve) => setImmediate(resolve));
    await gracefulShutdown(db, { timeout: 10_000, logger: {} });
    assert.equal((await running).rows[0].n, 7);
    await rejected;
    assert.deepEqual(ends, ['rejected', 'ran']);
    await database.idle('runs on');
  });
}

/** The pg face, ended by itself, by Kysely's own dialect, and by a wrapper of a program. */
const ENDED_BY = {
  itself: (pool) => pool,
  "Kysely's dialect": (pool) => new Kysely({ dialect: new PostgresDialect({ pool }) }),
  'a wrapper': (pool) => ({
    async destroy() {
      await new Promise((resolve) => setImmediate(resolve));
      await pool.end();
    },
  }),
};

for (const [what, databaseOf] of Object.entries(ENDED_BY)) {
  test(`S4: what still runs on a pool of the pg face is cancelled, ended by ${what}`, async () => {
    const pool = new Pool({ connectionString: database.url, max: 2 });
    const db = databaseOf(pool);
    // Kysely ends only what it has used.
    if (db instanceof Kysely) await sql`select 1`.execute(db);
    const held = await pool.connect();
    await held.query('begin');
    const failed = pool.query('select pg_sleep(60) /* pg face */').catch((error) => error);
    await database.running('pg face');
    await gracefulShutdown(db, { timeout: 1000, logger: {} });
    assert.equal(typeof (await failed).code, 'string');
    await database.idle('pg face');
    assert.equal(pool.totalCount, 0, 'what was lent is closed as well');
    held.release();
    const sessions = 'select from pg_stat_activity where pid = $1';
    await waitFor(async () => (await database.sql(sessions, [held.processID])).length === 0, {
      what: 'the end of what was lent',
    });
  });
}

test('S4: a pool of the pg face that has time left is waited for', async () => {
  const pool = new Pool({ connectionString: database.url });
  const client = await pool.connect();
  const { rows } = await pool.query('select 1 as one');
  assert.deepEqual(rows, [{ one: 1 }]);
  const ended = gracefulShutdown(pool, { timeout: 60_000, logger: {} });
  assert.deepEqual((await client.query('select 2 as two')).rows, [{ two: 2 }]);
  client.release();
  await ended;
});

test('S12: a shutdown says what was drained, rejected and cancelled', async () => {
  const db = openDatabase(2);
  const short = sql`select pg_sleep(2) /* short one */`.execute(db);
  const long = sql`select pg_sleep(60) /* long one */`.execute(db);
  const cancelled = assert.rejects(long);
  await database.running('short one');
  await database.running('long one');
  const queued = assert.rejects(sql`select 1`.execute(db), { code: 'ERR_CLOSED' });
  await new Promise((resolve) => setImmediate(resolve));
  const { elapsedMs, ...counts } = await gracefulShutdown(db, { timeout: 5000, logger: {} });
  assert.deepEqual(counts, { drained: 1, rejected: 1, cancelled: 1, open: 0 });
  assert.ok(elapsedMs >= 3900 && elapsedMs <= 5000, `${elapsedMs} ms`);
  await Promise.all([short, cancelled, queued]);
  await database.idle('long one');
});

/** Ways of leaving something open: made before the shutdown, and used behind it. */
const LEFT_OPEN = {
  async begin(pool) {
    const tx = await pool.begin();
    await tx.query('create table left_open ()');
    return () => assert.rejects(tx.commit(), { code: 'ERR_CLOSED', outcome: 'not-sent' });
  },
  async transaction(pool) {
    let leave;
    const left = new Promise((resolve) => {
      leave = resolve;
    });
    let done;
    await new Promise((begun) => {
      done = pool.transaction(async (tx) => {
        begun(await tx.query('create table left_open ()'));
        await left;
      });
    });
    return () => {
      leave();
      return assert.rejects(done, { code: 'ERR_CLOSED', outcome: 'not-sent' });
    };
  },
  async stream(pool) {
    const rows = pool.stream('select generate_series(1, 1000000)')[Symbol.asyncIterator]();
    await rows.next();
    return () =>
      assert.rejects(
        async () => {
          while (!(await rows.next()).done);
        },
        { code: 'ERR_CLOSED' },
      );
  },
};

for (const [what, leave] of Object.entries(LEFT_OPEN)) {
  test(`S12: a ${what} that nobody ends is closed and told, and is no timeout`, async (t) => {
    const pool = database.openPool(t);
    const warned = [];
    const use = await leave(pool);
    const logger = { warn: (text) => warned.push(text) };
    const { elapsedMs, ...counts } = await gracefulShutdown(pool, { timeout: 1000, logger });
    assert.deepEqual(counts, { drained: 0, rejected: 0, cancelled: 0, open: 1 });
    assert.match(warned.join(), /^Shutdown: 1 .* closed/);
    await use();
    await waitFor(
      async () => {
        const held = `select from pg_stat_activity where datname = current_database() and state like 'idle in %'`;
        return (await database.sql(held)).length === 0;
      },
      { what: 'the end of the transaction' },
    );
    const kept = await database.sql(`select 1 from pg_class where relname = 'left_open'`);
    assert.deepEqual(kept, []);
  });
}

test('S12: a transaction whose statement is cancelled is not waited for any longer', async (t) => {
  const pool = database.openPool(t);
  const tx = await pool.begin();
  const cancelled = assert.rejects(tx.query('select pg_sleep(60) /* held */'), {
    code: 'ABORT_ERR',
  });
  await database.running('held');
  const { elapsedMs, ...counts } = await gracefulShutdown(pool, { timeout: 1000, logger: {} });
  assert.deepEqual(counts, { drained: 0, rejected: 0, cancelled: 1, open: 0 });
  await cancelled;
  await assert.rejects(tx.query('select 1'), { code: 'ERR_CLOSED', outcome: 'not-sent' });
});

test('S12: a pool of createPool is shut down as well', async (t) => {
  const pool = database.openPool(t, { poolSize: 1 });
  await pool.query('select 1');
  const { drained, rejected, cancelled } = await gracefulShutdown(pool, { logger: {} });
  assert.deepEqual([drained, rejected, cancelled], [0, 0, 0]);
  await assert.rejects(pool.query('select 1'), { code: 'ERR_CLOSED' });
});
