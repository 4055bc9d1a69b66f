// Rules H1 to H16 as far as they hold for any database: health checks and the monitor.
'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { mock, test } = require('node:test');
const { Kysely, PostgresDialect } = require('kysely');
const pg = require('pg');
const { HealthMonitor, checkDatabaseHealth, performHealthCheck } = require('../../lib/health.js');
const { freshDatabase } = require('../support/shared.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const PING = [{ ping: 1 }];
const quiet = { debug() {}, warn() {}, error() {} };

/** A database whose queries do what `answer` does. */
function stub(answer = async () => PING) {
  const execute = mock.fn(answer);
  return { execute, selectNoFrom: () => ({ execute }) };
}

/** A database that takes so long on a clock that stands still otherwise. */
function slow(t, ms) {
  t.mock.timers.enable({ apis: ['Date'] });
  return stub(async () => {
    t.mock.timers.tick(ms);
    return PING;
  });
}

/** Lets everything run that is ready to. */
async function turns() {
  for (let i = 0; i < 20; i++) await null;
}

async function realDatabase(t) {
  const { url, drop } = await freshDatabase();
  const db = new Kysely({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 2 }) }),
  });
  t.after(async () => {
    await db.destroy();
    await drop();
  });
  return db;
}

test('a healthy database: one check, its latency and a time', async (t) => {
  const result = await checkDatabaseHealth(await realDatabase(t));
  assert.equal(result.checks.length, 1);
  const [{ name, message }] = result.checks;
  assert.equal(name, 'Database Connection');
  assert.equal(message, `Connected successfully (${result.metrics.checkLatency}ms)`);
  assert.ok(result.timestamp instanceof Date);
});

test('a database that fails is unhealthy and the check resolves', async () => {
  for (const [thrown, text] of [
    [new Error('down'), 'down'],
    ['text', 'text'],
  ]) {
    const result = await checkDatabaseHealth(stub(() => Promise.reject(thrown)));
    assert.equal(result.status, 'unhealthy');
    assert.equal(result.checks[0].message, text);
    assert.deepEqual(result.errors, [text]);
  }
  assert.equal((await checkDatabaseHealth({})).status, 'unhealthy');
});

test('performHealthCheck tells the logger of what is not healthy, and of nothing else', async () => {
  const lines = [];
  const logger = { ...quiet, debug: (line) => lines.push(line) };
  await performHealthCheck(stub(), { logger });
  await performHealthCheck({}, { logger });
  assert.deepEqual(lines, ['Health check: unhealthy']);
});

test('pool figures are there, also when the database is down', async () => {
  const pool = { getMetrics: () => ({ total: 10, active: 5, idle: 5, waiting: 2 }) };
  const figures = {
    totalConnections: 10,
    activeConnections: 5,
    idleConnections: 5,
    waitingRequests: 2,
  };
  assert.deepEqual((await checkDatabaseHealth(stub(), pool)).metrics.poolMetrics, figures);
  const down = stub(() => Promise.reject(new Error('down')));
  assert.deepEqual((await checkDatabaseHealth(down, pool)).metrics.poolMetrics, figures);
  assert.equal((await checkDatabaseHealth(stub(), {})).metrics.poolMetrics, undefined);
});

test('H1: the status is the worst of the checks', async (t) => {
  for (const [ms, status] of [
    [99, 'healthy'],
    [100, 'degraded'],
    [499, 'degraded'],
    [500, 'unhealthy'],
    [700, 'unhealthy'],
  ]) {
    const result = await checkDatabaseHealth(slow(t, ms));
    t.mock.timers.reset();
    assert.deepEqual([result.status, result.checks[0].status], [status, status], `${ms} ms`);
    assert.equal(result.metrics.checkLatency, ms);
  }
});

test('H2: limits are options everywhere, and messages name the limit in force', async (t) => {
  const hanging = stub(() => new Promise(() => {}));
  const message = 'Health check timed out after 20ms';
  const direct = await checkDatabaseHealth(hanging, undefined, { timeoutMs: 20 });
  const performed = await performHealthCheck(hanging, { timeoutMs: 20, logger: quiet });
  const monitored = await new HealthMonitor(hanging, { timeoutMs: 20, logger: quiet }).checkNow();
  for (const { errors } of [direct, performed, monitored]) assert.deepEqual(errors, [message]);
  const limits = { degradedMs: 10, unhealthyMs: 20 };
  assert.equal((await checkDatabaseHealth(slow(t, 15), null, limits)).status, 'degraded');
  await assert.rejects(checkDatabaseHealth(stub(), null, { timeoutMs: 0 }), /timeoutMs/);
  await assert.rejects(performHealthCheck(stub(), { timeout: 1 }), /did you mean "timeoutMs"/);
});

test('H2: the default limit is five seconds and its timer is cleared', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const checking = checkDatabaseHealth(stub(() => new Promise(() => {})));
  t.mock.timers.tick(5000);
  assert.deepEqual((await checking).errors, ['Health check timed out after 5000ms']);
  const cleared = t.mock.method(globalThis, 'clearTimeout');
  await checkDatabaseHealth(stub());
  assert.ok(cleared.mock.callCount() > 0);
});

test('H3: figures that cannot be read are left out', async () => {
  const pool = {
    getMetrics() {
      throw new Error('no figures');
    },
  };
  for (const odd of [pool, { getMetrics: () => null }, { getMetrics: () => 'many' }]) {
    const up = await checkDatabaseHealth(stub(), odd);
    assert.deepEqual([up.status, up.metrics.poolMetrics], ['healthy', undefined]);
  }
  const down = await checkDatabaseHealth(
    stub(() => Promise.reject(new Error('down'))),
    pool,
  );
  assert.equal(down.status, 'unhealthy');
});

test('H4: a clock set back gives no negative latency', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 100_000 });
  const db = stub(async () => {
    t.mock.timers.setTime(95_000);
    return PING;
  });
  const { metrics } = await checkDatabaseHealth(db);
  assert.ok(metrics.checkLatency >= 0, String(metrics.checkLatency));
});

test('H5: one probe at a time; ticks that find one are counted', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'] });
  const db = stub(() => new Promise(() => {}));
  const monitor = new HealthMonitor(db, { intervalMs: 500, logger: quiet });
  monitor.start();
  for (let i = 0; i < 8; i++) t.mock.timers.tick(500);
  assert.equal(db.execute.mock.callCount(), 1);
  assert.equal(monitor.getStats().skipped, 8);
  await turns();
  monitor.stop();
});

test('the monitor checks at once and at exact multiples, and goes on after failures', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'] });
  let isDown = false;
  const db = stub(async () => {
    if (isDown) throw new Error('down');
    return PING;
  });
  const seen = [];
  const monitor = new HealthMonitor(db, { intervalMs: 1000, logger: quiet });
  monitor.start(({ status }) => seen.push(status));
  monitor.start(() => assert.fail('a second start does nothing'));
  for (isDown of [true, false]) {
    await turns();
    t.mock.timers.tick(1000);
  }
  await turns();
  assert.deepEqual(seen, ['healthy', 'unhealthy', 'healthy']);
  monitor.stop();
  monitor.stop();
  t.mock.timers.tick(5000);
  await turns();
  assert.equal(seen.length, 3);
  assert.equal(monitor.getLastCheck().status, 'healthy');
  monitor.start(({ status }) => seen.push(status));
  await turns();
  assert.equal(seen.length, 4, 'it can be started again');
  monitor[Symbol.dispose]();
  assert.equal(monitor.isRunning(), false);
});

test('H6: an onCheck that throws is logged once and changes nothing', async () => {
  const errors = [];
  const logger = { error: (message) => errors.push(message) };
  const onCheck = mock.fn(() => {
    throw new Error('hook');
  });
  const monitor = new HealthMonitor(stub(), { logger });
  monitor.start(onCheck);
  await waitFor(() => errors.length > 0);
  monitor.stop();
  assert.equal(onCheck.mock.callCount(), 1);
  assert.equal(monitor.getLastCheck().status, 'healthy');
  assert.deepEqual(errors, ['onCheck threw: hook']);
});

test('H7: after stop the result is kept and onCheck is not called', async () => {
  let answer;
  const db = stub(() => new Promise((resolve) => (answer = resolve)));
  const monitor = new HealthMonitor(db, { logger: quiet });
  monitor.start(() => assert.fail('called after stop'));
  monitor.stop();
  answer(PING);
  await waitFor(() => monitor.getLastCheck());
  assert.equal(monitor.getLastCheck().status, 'healthy');
});

test('H8: a monitor does not keep the process alive unless asked to', () => {
  const program = (options) => `
    const { HealthMonitor } = require(${JSON.stringify(require.resolve('../../lib/health.js'))});
    const db = { selectNoFrom: () => ({ execute: async () => [] }) };
    const monitor = new HealthMonitor(db, { logger: {}, intervalMs: 50, ...${options} });
    let checks = 0;
    monitor.start(() => { if (++checks === 3) { console.log('three'); monitor.stop(); } });`;
  const run = (options) =>
    spawnSync(process.execPath, ['-e', program(options)], { timeout: 20_000 });
  assert.deepEqual(String(run('{}').stdout), '');
  assert.deepEqual(String(run('{ keepAlive: true }').stdout), 'three\n');
});

test('H9: intervalMs is a finite number above 0', () => {
  for (const intervalMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1']) {
    assert.throws(() => new HealthMonitor(stub(), { intervalMs }), /intervalMs/);
  }
});

test('H10: the version is asked for only when verbose, and real', async (t) => {
  const db = await realDatabase(t);
  const plain = await performHealthCheck(db);
  assert.equal('databaseVersion' in plain.metrics, false);
  const { metrics } = await performHealthCheck(db, { verbose: true });
  assert.match(metrics.databaseVersion, /^\d+\.\d+/);
});

test('H10: a database that does not say is Unknown, and nothing is logged', async () => {
  const logger = { debug: mock.fn() };
  const db = stub();
  const { status, metrics } = await performHealthCheck(db, { verbose: true, logger });
  assert.deepEqual([status, metrics.databaseVersion], ['healthy', 'Unknown']);
  assert.equal(logger.debug.mock.callCount(), 0);
  const single = stub();
  await performHealthCheck(single);
  assert.equal(single.execute.mock.callCount(), 1, 'no second query unless verbose');
});

test('H11: an exhausted pool shows as a second check', async () => {
  const check = (figures) => checkDatabaseHealth(stub(), { getMetrics: () => figures });
  const full = await check({ total: 10, idle: 0, active: 10, waiting: 3, max: 10 });
  assert.deepEqual([full.status, full.checks.length], ['degraded', 2]);
  assert.deepEqual([full.checks[1].name, full.checks[1].status], ['Connection Pool', 'degraded']);
  for (const figures of [
    { total: 15, idle: 10, active: 5, waiting: 1 },
    { total: 10, idle: 0, active: 10, waiting: 0, max: 10 },
    { total: 4, idle: 0, active: 4, waiting: 2, max: 10 },
  ]) {
    const { status, checks } = await check(figures);
    assert.deepEqual([status, checks.length], ['healthy', 1]);
  }
});

test('H13: callers of checkNow share the probe and its result', async () => {
  const db = stub();
  const monitor = new HealthMonitor(db, { logger: quiet });
  const [first, second] = await Promise.all([monitor.checkNow(), monitor.checkNow()]);
  assert.equal(first, second);
  assert.equal(db.execute.mock.callCount(), 1);
  assert.equal(monitor.getLastCheck(), first);
  assert.notEqual(await monitor.checkNow(), first);
});

test('H16: a change of status is told once, and repeated in the log once a minute', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'] });
  let isDown = true;
  const db = stub(async () => {
    if (isDown) throw new Error('down');
    return PING;
  });
  const warnings = [];
  const changes = [];
  const monitor = new HealthMonitor(db, {
    intervalMs: 10_000,
    failureThreshold: 2,
    logger: { warn: (message) => warnings.push(message) },
    onStatusChange: (now, before, result) => changes.push([now, before, result.status]),
  });
  monitor.start();
  await turns();
  assert.deepEqual(
    [warnings.length, changes.length],
    [0, 0],
    'one bad check is below the threshold',
  );
  for (let i = 0; i < 6; i++) {
    t.mock.timers.tick(10_000);
    await turns();
  }
  assert.deepEqual(warnings, ['Health check status: unhealthy']);
  t.mock.timers.tick(10_000);
  await turns();
  assert.equal(warnings.length, 2, 'again after a minute');
  isDown = false;
  t.mock.timers.tick(10_000);
  await turns();
  monitor.stop();
  assert.deepEqual(changes, [
    ['unhealthy', 'healthy', 'unhealthy'],
    ['healthy', 'unhealthy', 'healthy'],
  ]);
});
