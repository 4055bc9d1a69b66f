// Rules H4, H5, H10, H12, H14, H15 where the engine probes: beside callers and the event loop.
'use strict';

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const readline = require('node:readline');
const { setTimeout: sleep } = require('node:timers/promises');
const { promisify } = require('node:util');
const { Kysely, sql } = require('kysely');
const { HealthMonitor, checkDatabaseHealth, performHealthCheck } = require('../../lib/health.js');
const { createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const { startProxy } = require('../support/proxy.js');
const { startNode } = require('../support/scripted-nodes.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const database = testDatabase();
const LIBRARY = require.resolve('../../lib/index.js');

/** Where the server is. */
function server() {
  const { hostname, port } = new URL(database.url);
  return { host: hostname || '127.0.0.1', port: Number(port) };
}

/** Keeps the thread busy. @param {number} ms */
function block(ms) {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('H10: a pool of createPool is probed by the engine, which knows the version', async (t) => {
  const pool = database.openPool(t);
  const result = await performHealthCheck(pool, { verbose: true });
  const [{ server_version: version }] = await pool.query('show server_version');
  assert.equal(result.status, 'healthy');
  assert.equal(result.metrics.databaseVersion, version);
  assert.equal(result.metrics.checkLatency, result.metrics.roundTripMs);
  assert.ok(result.metrics.acquireWaitMs > result.metrics.roundTripMs, 'it had to connect');
  const again = await checkDatabaseHealth({}, pool);
  assert.ok(again.metrics.acquireWaitMs < 5, 'the connection was kept');
  assert.deepEqual(again.metrics.poolMetrics.totalConnections, 1);
});

test('H10: a server that does not report what it is, as before version 14, is asked by each probe', async (t) => {
  for (const [part, status, message] of [
    ['mute primary', 'healthy', undefined],
    ['mute fenced', 'unhealthy', /is read-only/],
    ['mute standby', 'unhealthy', /is a standby/],
  ]) {
    const node = await startNode(part, part);
    t.after(() => node.close());
    const pool = createPool({ hosts: [node.host], user: 'x', database: 'x', sslmode: 'disable' });
    t.after(() => pool.end());
    for (let probe = 0; probe < 2; probe += 1) {
      const result = await performHealthCheck(pool);
      assert.equal(result.status, status, `${part}: ${JSON.stringify(result)}`);
      if (message) assert.match(result.checks[0].message, message);
    }
  }
});

test('H12: a blocked event loop is no latency of the database', async (t) => {
  const pool = database.openPool(t);
  await checkDatabaseHealth(pool);
  const checking = checkDatabaseHealth(pool);
  block(700);
  const { status, metrics } = await checking;
  assert.equal(status, 'healthy', JSON.stringify(metrics));
  assert.ok(metrics.roundTripMs < 500);
  assert.ok(metrics.eventLoopLagMs > 400, JSON.stringify(metrics));
});

test('H12: the monitor goes on while JavaScript is busy, and hands over the newest result', async (t) => {
  const proxy = await startProxy(server());
  t.after(() => proxy.close());
  const script = `
    const { createPool, HealthMonitor } = require(${JSON.stringify(LIBRARY)});
    const pool = createPool(process.env.URL);
    const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 20, keepAlive: true });
    let checks = 0;
    monitor.start(() => {
      if (++checks === 1) setImmediate(() => {
        console.log('blocked');
        const until = performance.now() + 1500;
        while (performance.now() < until);
        setTimeout(() => {
          console.log(JSON.stringify({ checks }));
          monitor.stop();
          pool.end();
        }, 0);
      });
    });`;
  const child = startChild(t, script, proxy.url(database.url));
  await waitFor(() => child.lines.includes('blocked'), { what: 'the busy loop' });
  const before = proxy.counts.toServer;
  // A probe has some 60 bytes.
  await waitFor(() => proxy.counts.toServer > before + 600, { what: 'ten probes' });
  assert.deepEqual(child.lines, ['blocked'], 'they came while it was busy');
  await once(child.process, 'exit');
  const { checks } = JSON.parse(child.lines.at(-1));
  assert.ok(checks <= 4, `${checks} results, for one that waited and those of one turn`);
});

/** A Node process, with the lines it prints. */
function startChild(t, script, url) {
  const child = spawn(process.execPath, ['-e', script], {
    env: { ...process.env, URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = [];
  readline.createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return { process: child, lines };
}

test('H15: a full pool is told from a server that does not answer', async (t) => {
  const pool = database.openPool(t, { poolSize: 1 });
  const tx = await pool.begin();
  const waiting = pool.query('select 1 as later');
  await waitFor(() => pool.getMetrics().waiting === 1);
  const { status, checks, metrics } = await checkDatabaseHealth(pool);
  assert.equal(status, 'degraded');
  assert.deepEqual(
    checks.map(({ name, status: one }) => [name, one]),
    [
      ['Database Connection', 'healthy'],
      ['Connection Pool', 'degraded'],
    ],
  );
  assert.equal(metrics.poolMetrics.waitingRequests, 1, 'the probe is not in the queue');
  await tx.rollback();
  await waiting;
  assert.equal(await database.connections(), 2, 'one beyond the maximum');
  await pool.end();
  await waitFor(async () => (await database.connections()) === 0, { what: 'both closed' });
});

test('H14: a probe that timed out leaves nothing behind', async (t) => {
  const proxy = await startProxy(server());
  t.after(() => proxy.close());
  const pool = createPool(proxy.url(database.url));
  t.after(() => pool.end());
  assert.equal((await checkDatabaseHealth(pool)).status, 'healthy');
  proxy.blackHole();
  const result = await checkDatabaseHealth(pool, undefined, { timeoutMs: 300 });
  assert.equal(result.status, 'unhealthy');
  assert.deepEqual(result.errors, ['Health check timed out after 300ms']);
  assert.equal(result.metrics.poolMetrics.waitingRequests, 0);
  proxy.heal();
  await waitFor(async () => (await checkDatabaseHealth(pool)).status === 'healthy', {
    what: 'the recovery',
  });
  await waitFor(async () => (await database.connections()) === 1, {
    what: 'the end of the connection that was given up',
  });
});

for (const given of ['pool', 'connection']) {
  test(`H14, H15: Kysely on BerthDialect is probed by the engine: by its ${given}`, async (t) => {
    const connection = { connectionString: database.url, poolSize: 1 };
    const config = given === 'pool' ? { pool: createPool(connection) } : { connection };
    const db = new Kysely({ dialect: new BerthDialect(config) });
    t.after(() => db.destroy());
    assert.equal(
      (await checkDatabaseHealth(db)).status,
      'healthy',
      'before its first query as well',
    );
    await db.connection().execute(async (held) => {
      await sql`select 1`.execute(held);
      const waiting = sql`select 1`.execute(db);
      // It stands in the queue when this has been asked behind it.
      await sql`select 1`.execute(held);
      const { status, checks, metrics } = await checkDatabaseHealth(db.withSchema('public'));
      assert.equal(status, 'degraded', JSON.stringify(checks));
      assert.deepEqual(
        checks.map(({ name, status: one }) => [name, one]),
        [
          ['Database Connection', 'healthy'],
          ['Connection Pool', 'degraded'],
        ],
      );
      assert.equal(metrics.poolMetrics.waitingRequests, 1, 'the probe is not in the queue');
      waiting.catch(() => {});
    });
  });
}

test('a server that refuses is unhealthy, and a closed pool as well', async () => {
  const proxy = await startProxy(server());
  const url = proxy.url(database.url);
  await proxy.close();
  const pool = createPool(url);
  const { status, errors } = await checkDatabaseHealth(pool);
  assert.equal(status, 'unhealthy');
  assert.match(errors[0], /Connection refused/);
  await pool.end();
  assert.equal((await checkDatabaseHealth(pool)).status, 'unhealthy');
});

test('a monitor that starts when its pool has ended says so once', async (t) => {
  const pool = database.openPool(t);
  await pool.end();
  const results = [];
  const monitor = new HealthMonitor(pool, { intervalMs: 1, logger: {} });
  monitor.start((result) => results.push(result));
  t.after(() => monitor.stop());
  assert.equal(monitor.isRunning(), true);
  await waitFor(() => results.length > 0);
  assert.equal(results[0].status, 'unhealthy');
  assert.match(results[0].errors[0], /the pool is closed/);
  monitor.stop();
  monitor.start(() => assert.fail('stopped at once'));
  monitor.stop();
  assert.equal((await monitor.checkNow()).status, 'unhealthy');
  assert.equal(results.length, 1);
});

test('H7: a first check of the engine that is under way at stop() is the last one, and onCheck is not called', async (t) => {
  const proxy = await startProxy(server());
  t.after(() => proxy.close());
  const pool = createPool(proxy.url(database.url));
  t.after(() => pool.end());
  const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 1 });
  t.after(() => monitor.stop());
  proxy.delay(50);
  monitor.start(() => assert.fail('called after stop'));
  monitor.stop();
  assert.deepEqual([monitor.isRunning(), monitor.getLastCheck()], [false, undefined]);
  await waitFor(() => monitor.getLastCheck()?.checks[0].name === 'Database Connection');
  const last = monitor.getLastCheck();
  // And it was the last one indeed.
  for (let n = 0; n < 5; n++) await checkDatabaseHealth(pool);
  assert.equal(monitor.getLastCheck(), last);
  assert.deepEqual(monitor.getStats().checks, 1);
  // A pool that ends meanwhile is the answer as well.
  const other = new HealthMonitor(pool, { logger: {}, intervalMs: 1 });
  other.start(() => assert.fail('called after stop'));
  other.stop();
  await pool.end();
  await waitFor(() => other.getLastCheck() !== undefined);
});

test('a monitor whose pool has ended does not go on saying that all is well', async (t) => {
  const pool = createPool(database.url);
  const changes = [];
  const onStatusChange = (...args) => changes.push(args.slice(0, 2));
  const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 10_000, onStatusChange });
  t.after(() => monitor.stop());
  monitor.start();
  await waitFor(() => monitor.getLastCheck()?.status === 'healthy');
  await pool.end();
  await waitFor(() => monitor.getLastCheck().status === 'unhealthy');
  assert.match(monitor.getLastCheck().errors[0], /closed/);
  assert.deepEqual(changes, [['unhealthy', 'healthy']]);
});

test('H13: checkNow joins the first check of a monitor of the engine, and waits for it', async (t) => {
  const pool = database.openPool(t);
  const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 60_000 });
  t.after(() => monitor.stop());
  const told = [];
  monitor.start((result) => told.push(result));
  const [one, other] = await Promise.all([monitor.checkNow(), monitor.checkNow()]);
  assert.equal(one, other);
  assert.deepEqual(told, [one]);
  assert.equal(monitor.getLastCheck(), one);
  assert.deepEqual(monitor.getStats(), { checks: 1, skipped: 0 });
  const own = await monitor.checkNow();
  assert.notEqual(own, one);
  assert.equal(monitor.getLastCheck(), own);
  assert.deepEqual([told.length, monitor.getStats().checks], [1, 2]);
  monitor.stop();
  monitor.start();
  const joined = monitor.checkNow();
  monitor.stop();
  assert.equal((await joined).status, 'healthy', 'stopping leaves it');

  const script = `
    const { createPool, HealthMonitor } = require(${JSON.stringify(LIBRARY)});
    const monitor = new HealthMonitor(createPool(process.env.URL), { logger: {} });
    monitor.start();
    monitor.checkNow().then(({ status }) => console.log(status));`;
  const env = { ...process.env, URL: database.url };
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { env });
  assert.equal(stdout, 'healthy\n', 'the process lives until it is there');
});

test('H13: checkNow joins any check of the engine that is under way, and asks for one where none is', async (t) => {
  const proxy = await startProxy(server());
  t.after(() => proxy.close());
  const pool = createPool(proxy.url(database.url));
  t.after(() => pool.end());
  const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 200 });
  t.after(() => monitor.stop());
  const told = [];
  monitor.start((result) => told.push(result));
  await waitFor(() => told.length === 1);
  proxy.delay(50);
  const sent = proxy.counts.toServer;
  await waitFor(() => proxy.counts.toServer > sent, { what: 'the second check' });
  const [one, other] = await Promise.all([monitor.checkNow(), monitor.checkNow()]);
  assert.equal(one, other);
  assert.deepEqual([told.length, told[1]], [2, one]);
  assert.deepEqual(monitor.getStats().checks, 2);
  // Between two checks, and nobody but who asks hears of it.
  const own = await monitor.checkNow();
  assert.ok(!told.includes(own));
  assert.equal(monitor.getLastCheck(), own);
  assert.deepEqual([told.length, monitor.getStats().checks], [2, 3]);
  await waitFor(() => told.length > 2, { what: 'a check at its time' });
});

test('H13: a checkNow whose check has not begun at stop() is answered, and no check begins in its place', async (t) => {
  const pool = createPool(database.url);
  t.after(() => pool.end());
  const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 3_600_000 });
  t.after(() => monitor.stop());
  for (let round = 0; round < 20; round++) {
    let told = 0;
    const first = new Promise((resolve) => {
      monitor.start(() => {
        told++;
        resolve(undefined);
      });
    });
    await first;
    // The engine is asked for one, and told at once that none is wanted any more.
    const asked = monitor.checkNow();
    monitor.stop();
    const result = await asked;
    assert.deepEqual([result.status, told], ['healthy', 1]);
    assert.equal(monitor.getLastCheck(), result);
    assert.notEqual(await monitor.checkNow(), result, 'the next one is another');
  }
});

test('H7: the result of a later check of the engine that is under way at stop() is kept', async (t) => {
  const proxy = await startProxy(server());
  t.after(() => proxy.close());
  const pool = createPool(proxy.url(database.url));
  t.after(() => pool.end());
  const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 20 });
  t.after(() => monitor.stop());
  let told = 0;
  monitor.start(() => {
    told++;
  });
  await waitFor(() => told > 1);
  proxy.delay(50, ['toClient']);
  const sent = proxy.counts.toServer;
  await waitFor(() => proxy.counts.toServer > sent, { what: 'a later check' });
  const before = monitor.getLastCheck();
  const { checks } = monitor.getStats();
  monitor.stop();
  await waitFor(() => monitor.getLastCheck() !== before, { what: 'its result' });
  const last = monitor.getLastCheck();
  assert.deepEqual([last.status, told, monitor.getStats().checks], ['healthy', checks, checks + 1]);
  proxy.heal();
  for (let n = 0; n < 5; n++) await checkDatabaseHealth(pool);
  assert.equal(monitor.getLastCheck(), last, 'it was the last one');
});

test('H8: the monitor of the engine keeps no process alive, unless it is told to', async () => {
  const script = (keepAlive, intervalMs) => `
    const { createPool, HealthMonitor } = require(${JSON.stringify(LIBRARY)});
    const pool = createPool(process.env.URL);
    const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: ${intervalMs}, keepAlive: ${keepAlive} });
    let checks = 0;
    monitor.start(() => {
      checks++;
      if (checks === 3) { monitor.stop(); pool.end(); }
    });
    process.on('exit', () => console.log(checks));`;
  const run = (keepAlive, intervalMs) =>
    promisify(execFile)(process.execPath, ['-e', script(keepAlive, intervalMs)], {
      env: { ...process.env, URL: database.url },
    });
  // A slow process may hear of the first check before its end; kept alive, it would wait for the second beyond this test's time.
  assert.match((await run(false, 60_000)).stdout, /^[01]\n$/);
  assert.equal((await run(true, 20)).stdout, '3\n');
});

test('a probe during which the process was frozen is repeated', async (t) => {
  const proxy = await startProxy(server());
  t.after(() => proxy.close());
  const script = `
    const { createPool, HealthMonitor } = require(${JSON.stringify(LIBRARY)});
    const pool = createPool(process.env.URL);
    const monitor = new HealthMonitor(pool, { logger: {}, intervalMs: 10, timeoutMs: 5000, keepAlive: true });
    monitor.start(({ errors, metrics }) => console.log(errors ?? metrics.roundTripMs));`;
  const { process: child, lines } = startChild(t, script, proxy.url(database.url));
  await waitFor(() => lines.length > 2, { what: 'the first checks' });
  // From now on there is always a probe under way.
  proxy.delay(50);
  await waitFor(() => Number(lines.at(-1)) >= 100, { what: 'a slow check' });
  child.kill('SIGSTOP');
  const frozen = lines.length;
  await sleep(1000);
  child.kill('SIGCONT');
  await waitFor(() => lines.length > frozen + 2, { what: 'checks after the thaw' });
  assert.deepEqual(
    lines.filter((line) => !(Number(line) < 900)),
    [],
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
});

test('H2: the limit is named when it has passed, and no other', async (t) => {
  const silent = net.createServer((socket) => t.after(() => socket.destroy()));
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  t.after(() => silent.close());
  const { port } = silent.address();
  const options = { host: '127.0.0.1', port, user: 'x', database: 'x', connectTimeoutMs: 200 };
  const pool = createPool(options);
  t.after(() => pool.end());
  const { errors } = await checkDatabaseHealth(pool, pool, { timeoutMs: 20_000 });
  assert.match(errors[0], /200 ?ms/);
  const late = await checkDatabaseHealth(pool, pool, { timeoutMs: 50 });
  assert.deepEqual(late.errors, ['Health check timed out after 50ms']);
});
