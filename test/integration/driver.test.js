// Who reads the answers: the event loop or the engine, with the same results, whatever JavaScript does meanwhile.
'use strict';

const assert = require('node:assert/strict');
const { Worker } = require('node:worker_threads');
const { setTimeout: sleep } = require('node:timers/promises');
const { createPool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table kept (id int primary key, note text)');
/** The event loop reads on Linux only; elsewhere the engine does, and a loop cannot be asked for. */
const onLoop = process.platform === 'linux';
const DRIVERS = onLoop ? ['auto', 'loop', 'engine'] : ['auto', 'engine'];
const READER = { auto: onLoop ? 'loop' : 'engine', loop: 'loop', engine: 'engine' };

/** Keeps the event loop from turning. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** A bit of everything, with what came of it. */
async function mixture(pool) {
  const point = await Promise.all(
    Array.from({ length: 200 }, (_, i) => pool.query('select $1::int as n', [i])),
  );
  const failed = await pool.query('select 1/0').catch((error) => error.code);
  const late = await pool
    .query('select pg_sleep(20)', [], { timeoutMs: 60 })
    .catch((error) => error.name);
  const signal = AbortSignal.timeout(30);
  const given = await pool
    .query('select pg_sleep(20)', [], { signal })
    .catch((error) => error.name);
  const kept = await pool.transaction(async (tx) => {
    await tx.query('insert into kept values (1, $1)', ['x'.repeat(100_000)]);
    const [{ length }] = await tx.query('select length(note) from kept');
    await tx.query('delete from kept');
    return length;
  });
  const big = await pool.query(`select i, repeat('row', 20) as t from generate_series(1, 50000) i`);
  let streamed = 0;
  for await (const { i } of pool.stream('select i from generate_series(1, 3000) i')) streamed += i;
  const sync = pool.querySync('select 7 as n');
  return {
    sum: point.reduce((sum, [{ n }]) => sum + n, 0),
    failed,
    late,
    given,
    kept,
    big: [big.length, big.at(-1).i, big.at(-1).t.length],
    streamed,
    sync: sync[0].n,
  };
}

test('what a test puts in the place of setImmediate, nextTick and the clock holds up no answer', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  await pool.query('select 1');
  const { setImmediate, process: own } = globalThis;
  const { nextTick } = own;
  globalThis.setImmediate = () => assert.fail('setImmediate of a test');
  own.nextTick = () => assert.fail('nextTick of a test');
  Object.defineProperty(performance, 'now', { value: () => 0, configurable: true });
  try {
    const rows = await pool.query(
      `select i, repeat('x', 100) as t from generate_series(1, 20000) i`,
    );
    assert.equal(rows.length, 20_000);
    for (let i = 0; i < 5; i++)
      assert.equal((await pool.query('select $1::int as i', [i]))[0].i, i);
    assert.deepEqual([...pool.querySync('select 6 as n')], [{ n: 6 }]);
  } finally {
    Object.assign(globalThis, { setImmediate });
    Object.assign(own, { nextTick });
    Reflect.deleteProperty(performance, 'now');
  }
});

for (const driver of DRIVERS) {
  test(`${driver}: every kind of statement has its answer`, async (t) => {
    const pool = db.openPool(t, { driver, poolSize: 4 });
    assert.equal(pool.status().driver, READER[driver]);
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await mixture(pool), {
        sum: 19900,
        failed: '22012',
        late: 'TimeoutError',
        given: 'TimeoutError',
        kept: 100_000,
        big: [50_000, 50_000, 60],
        streamed: 4_501_500,
        sync: 7,
      });
    }
    await db.released(pool);
  });

  test(`${driver}: over TLS`, async () => {
    const server = await startServer({ tls: true });
    const { host, port, user, database } = server;
    const pool = createPool({ host, port, user, database, sslmode: 'require', driver });
    try {
      const [{ ssl }] = await pool.query(
        'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
      );
      assert.equal(ssl, true);
      for (let size = 1; size < 3_000_000; size *= 7) {
        const [{ t }] = await pool.query(`select repeat('a', $1) as t`, [size]);
        assert.equal(t.length, size);
        const [{ n }] = await pool.query('select length($1) as n', [t]);
        assert.equal(n, size);
      }
    } finally {
      await pool.end();
      await server.stop();
    }
  });

  test(`${driver}: a blocked event loop holds up no answer on its way`, async (t) => {
    const pool = db.openPool(t, { driver, poolSize: 1 });
    await pool.query('select 1');
    const answer = pool.query('select count(*)::int as n from generate_series(1, 100000)');
    // What was asked is sent at the end of this turn.
    await new Promise((resolve) => process.nextTick(resolve));
    const until = performance.now() + 10_000;
    while (pool.getStats().queries < 2 && performance.now() < until) block(5);
    // The event loop has not turned since, and the answer was read and counted all the same.
    assert.equal(pool.getStats().queries, 2);
    assert.equal((await answer)[0].n, 100_000);
  });

  test(`${driver}: what comes unasked is heard after statements`, async (t) => {
    const pool = db.openPool(t, { driver, poolSize: 1 });
    for (let round = 0; round < 5; round++) {
      await pool.query('select 1');
      await db.sql(`select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and application_name <> 'observer' and backend_type = 'client backend'`);
      await waitFor(() => pool.status().size === 0, { what: 'the loss of an idle connection' });
      assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
    }
  });
}

for (const driver of DRIVERS) {
  test(`${driver}: rows that never cease to come do not hide a deadline`, async (t) => {
    const pool = db.openPool(t, { driver, poolSize: 1 });
    const slow = `select repeat('x', 5000) as t, pg_sleep(0.001) from generate_series(1, 20000)`;
    await assert.rejects(pool.query(slow, [], { timeoutMs: 200 }), { name: 'TimeoutError' });
    assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  });
}

test('a loop that is blocked again and again is helped out by the engine', async (t) => {
  const pool = db.openPool(t, { poolSize: 5 });
  for (let round = 0; round < 20; round++) {
    const answers = Array.from({ length: 40 }, (_, i) =>
      pool.query('select $1::int as n, pg_sleep(0.001)', [i]),
    );
    await sleep(1);
    block(25);
    const rows = await Promise.all(answers);
    assert.deepEqual(
      rows.map(([{ n }]) => n),
      Array.from({ length: 40 }, (_, i) => i),
    );
  }
});

test('worker threads on their own loops do not disturb each other', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { createPool } = require(workerData.lib);
    (async () => {
      const pool = createPool({ connectionString: workerData.url, poolSize: 2 });
      for (let i = 0; i < 300; i++) {
        const [{ n }] = await pool.query('select $1::int as n', [i]);
        if (n !== i) throw new Error('got ' + n + ' for ' + i);
        if (i % 100 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
      await pool.end();
      parentPort.postMessage('done');
    })();`;
  const workerData = { lib: require.resolve('../../lib/index.js'), url: db.url };
  const done = await Promise.all(
    Array.from({ length: 4 }, () => {
      const worker = new Worker(code, { eval: true, workerData });
      return new Promise((resolve, reject) => {
        let said;
        worker.once('message', (message) => (said = message));
        worker.once('error', reject);
        worker.once('exit', (status) => resolve([said, status]));
      });
    }),
  );
  assert.deepEqual(done, Array(4).fill(['done', 0]));
});

test('a driver that does not exist is an error that names the option', () => {
  assert.throws(() => createPool({ driver: 'tokio' }), /option "driver" must be one of "auto"/);
});
