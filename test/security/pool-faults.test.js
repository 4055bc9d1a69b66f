// What a pool does when the database, the network or a reset fails: rules P03, P07, M06 and C03.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { setImmediate: nextTurn } = require('node:timers/promises');
const { promisify } = require('node:util');
const { createPool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { startProxy } = require('../support/proxy.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();

const settledAs = (promise) =>
  promise.then(
    () => 'ok',
    (error) => error,
  );

test('sec_p03: a connection whose reset fails is closed, and its transaction with it', async (t) => {
  const proxy = await startProxy({
    host: new URL(db.url).hostname,
    port: Number(new URL(db.url).port),
  });
  t.after(() => proxy.close());
  const pool = db.openPool(t, { connectionString: proxy.url(db.url), poolSize: 1 });
  await pool.query('create table kept (n int)');
  const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
  // The pool has to bring this connection back with a ROLLBACK, which never arrives.
  proxy.cutAt({ direction: 'toServer', text: 'ROLLBACK', before: true });
  await pool.query('begin');
  await settledAs(pool.query('insert into kept values (1)'));
  const next = await waitFor(
    async () => {
      const [row] = await pool.query('select pg_backend_pid() as pid').catch(() => [{}]);
      return row?.pid !== pid && row?.pid;
    },
    { what: 'another connection' },
  );
  assert.notEqual(next, pid);
  const [{ n }] = await pool.query('select count(*)::int as n from kept');
  assert.ok(n <= 1);
  const open = await db.sql(
    `select 1 from pg_stat_activity where datname = current_database() and state like 'idle in%'`,
  );
  assert.deepEqual(open, []);
});

/** Open files of this process, sockets included. */
const files = () => (fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0);
const threads = () =>
  fs.existsSync('/proc/self/task') ? fs.readdirSync('/proc/self/task').length : 0;

/** How often the database goes away; the rule's own number is 100. */
const OUTAGES = Number(process.env.PG_BERTH_OUTAGES ?? 4);

test(
  'sec_p07: outages leave typed errors and nothing else, and traffic comes back',
  async (t) => {
    const server = await startServer();
    t.after(() => server.stop());
    const pool = createPool({ connectionString: server.url, poolSize: 4, acquireTimeoutMs: 150 });
    t.after(() => pool.end());
    const ask = (count) =>
      Promise.all(Array.from({ length: count }, () => settledAs(pool.query('select 1'))));
    let before;
    for (let outage = 0; outage < OUTAGES; outage++) {
      assert.deepEqual(await ask(8), new Array(8).fill('ok'));
      before ??= { files: files(), threads: threads() };
      await server.kill();
      await waitFor(() => pool.status().size === 0, { what: 'the loss of all connections' });
      for (const error of await ask(20)) {
        assert.deepEqual(
          [error.name, error.outcome],
          ['NoPrimaryError', 'not-sent'],
          String(error),
        );
      }
      await server.start();
      await waitFor(async () => (await settledAs(pool.query('select 1'))) === 'ok', {
        what: 'traffic after the return',
      });
    }
    await ask(8);
    assert.equal(pool.status().waiting, 0);
    await waitFor(() => files() <= before.files + 4, { what: 'as many open files as before' });
    assert.ok(threads() <= before.threads, `${threads()} threads, ${before.threads} before`);
  },
  60_000 + OUTAGES * 2000,
);

test('CP-23, sec_m06: a dead server sees a bounded number of attempts, however many callers wait', async (t) => {
  let attempts = 0;
  const dead = net.createServer((socket) => {
    attempts++;
    socket.on('error', () => {});
    socket.destroy();
  });
  await once(dead.listen(0, '127.0.0.1'), 'listening');
  t.after(() => dead.close());
  const { port } = /** @type {import('node:net').AddressInfo} */ (dead.address());
  const pool = createPool({
    host: '127.0.0.1',
    port,
    user: 'u',
    database: 'd',
    sslmode: 'disable',
    poolSize: 10,
    maxConnecting: 4,
    acquireTimeoutMs: 1000,
  });
  t.after(() => pool.end());
  const callers = Array.from({ length: 500 }, () => settledAs(pool.query('select 1')));
  for (const error of await Promise.all(callers)) assert.equal(error.outcome, 'not-sent');
  t.diagnostic(`${attempts} attempts in a second for 500 callers`);
  // Four at once, the first again after 100 ms, later ones up to 500 ms apart.
  assert.ok(attempts >= 4 && attempts <= 60, `${attempts} attempts`);
});

test('sec_p07: a process without a free file descriptor says so, and goes on once there is one', async () => {
  // Limits of a process are set here by its shell.
  if (process.platform === 'win32') return;
  const script = `
    const fs = require('node:fs');
    const { Client, createPool } = require(${JSON.stringify(path.join(__dirname, '../../lib/index.js'))});
    const connectionString = ${JSON.stringify(db.url)};
    const options = { connectionString, poolSize: 2, acquireTimeoutMs: 2500 };
    (async () => {
      const pool = createPool(options);
      await pool.query('select 1');
      const other = createPool(options);
      const taken = [];
      try {
        for (;;) taken.push(fs.openSync('/dev/null'));
      } catch {}
      // The connection that is open still serves, whatever else is asked for.
      const answers = await Promise.all([1, 2, 3].map((n) => pool.query('select $1::int as n', [n])));
      const lacking = await other.query('select 1').catch((error) => error);
      for (const file of taken) fs.closeSync(file);
      await other.query('select 1');
      await Promise.all([pool.end(), other.end()]);
      console.log(JSON.stringify([answers.flat().map(({ n }) => n), lacking.outcome, lacking.message]));
    })();`;
  const shell = ['-c', 'ulimit -n 64; exec "$0" -e "$1"', process.execPath, script];
  const { stdout } = await promisify(execFile)('/bin/sh', shell, { timeout: 30_000 });
  const [answers, outcome, message] = JSON.parse(stdout);
  assert.deepEqual([answers, outcome], [[1, 2, 3], 'not-sent']);
  assert.match(message, /EMFILE|Too many open files/);
});

/** Races of an abort with its statement; the rule's own number is 100 000. */
const RACES = Number(process.env.PG_BERTH_RACES ?? 2000);

test(
  'sec_c03: an abort gives the result or its reason, never both and never nothing',
  async (t) => {
    const pool = db.openPool(t, { poolSize: 4 });
    const counts = { result: 0, reason: 0 };
    const early = new AbortController();
    early.abort('early');
    assert.equal(
      await pool.query('select 1', [], { signal: early.signal }).catch((e) => e),
      'early',
    );
    // Follows the answer: later after a reason, earlier after a result, so both come however slow the machine is.
    let patience = 0;
    const race = async (number) => {
      const leaving = new AbortController();
      let settled = 0;
      const asked = pool
        .query('select $1::int as n', [number], { signal: leaving.signal })
        .finally(() => settled++)
        .then(
          ([{ n }]) => {
            assert.equal(n, number);
            counts.result++;
            patience = Math.max(patience - 1, 0);
          },
          (error) => {
            assert.equal(error, number, 'the reason, as it was given');
            counts.reason++;
            patience++;
          },
        );
      for (let turns = patience + (number % 7) - 3; turns > 0; turns--) await nextTurn();
      leaving.abort(number);
      await asked;
      assert.equal(settled, 1);
    };
    for (let number = 0; number < RACES; number += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, index) => race(number + index)));
    }
    t.diagnostic(`${counts.result} results, ${counts.reason} reasons`);
    assert.equal(counts.result + counts.reason, RACES);
    assert.ok(counts.result > 0 && counts.reason > 0);
    await db.released(pool);
    assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  },
  60_000 + RACES * 2,
);
