// Rules X1 to X4: how the modules for any driver load, and what they need.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { exports: entries } = require('../../package.json');
const { freshDatabase } = require('../support/shared.js');

const ROOT = path.join(__dirname, '../..');
const SUBPATHS = ['health', 'resilience', 'pool', 'shutdown', 'debug'];

/** Runs a program inside the repository, so that `pg-berth` means this package, and reads the JSON it prints. */
function runProgram(code, options = {}) {
  const output = execFileSync(process.execPath, ['-e', code], { cwd: ROOT, ...options });
  return JSON.parse(String(output));
}

test('X1: require and import give the same names, for the root and each subpath', async () => {
  for (const entry of ['.', ...SUBPATHS.map((name) => `./${name}`)]) {
    const name = path.posix.join('pg-berth', entry);
    const required = Object.keys(require(name));
    const imported = Object.keys(await import(name));
    assert.ok(required.length > 0, name);
    for (const key of required) assert.ok(imported.includes(key), `${key} of ${name}`);
    assert.ok(fs.existsSync(path.join(ROOT, entries[entry].types)), `types of ${name}`);
  }
});

for (const subpath of SUBPATHS) {
  test(`X2: pg-berth/${subpath} loads nothing native, starts nothing and listens to nothing`, () => {
    const seen = runProgram(`
      const listeners = () => process.eventNames().map((name) => [String(name), process.listenerCount(name)]);
      const before = JSON.stringify(listeners());
      require('pg-berth/${subpath}');
      console.log(JSON.stringify({
        files: Object.keys(require.cache),
        resources: process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate|TCP/.test(name)),
        same: JSON.stringify(listeners()) === before,
      }));`);
    assert.deepEqual(
      seen.files.filter((file) => /\.node$|native\.js$|node_modules/.test(file)),
      [],
    );
    assert.deepEqual(seen.resources, []);
    assert.equal(seen.same, true);
  });

  test(`X4: pg-berth/${subpath} asks for no module of Node, so it runs wherever JavaScript does`, () => {
    const files = runProgram(
      `require('pg-berth/${subpath}'); console.log(JSON.stringify(Object.keys(require.cache)))`,
    ).filter((file) => file !== ROOT);
    assert.ok(files.length > 0);
    for (const file of files) {
      // Comments name types.
      const source = fs.readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
      assert.doesNotMatch(source, /require\('(?!\.)|from 'node:|import\(/, file);
      assert.doesNotMatch(source, /\b(Buffer|setImmediate|__dirname)\b/, file);
    }
  });
}

test('X3: the modules work with pools of pg and mysql2 and handles of SQLite, and load no engine', async () => {
  const { url, drop } = await freshDatabase();
  const seen = runProgram(
    `
    const { Kysely, PostgresDialect } = require('kysely');
    const mysql = require('mysql2/promise');
    const pg = require('pg');
    const { withDebug } = require('pg-berth/debug');
    const { HealthMonitor, checkDatabaseHealth, getMetrics } = require('pg-berth/health');
    const { createMetricsPool } = require('pg-berth/pool');
    const { CircuitBreaker, withRetry } = require('pg-berth/resilience');
    const { gracefulShutdown } = require('pg-berth/shutdown');
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };

    (async () => {
      const pool = createMetricsPool(new pg.Pool({ connectionString: process.env.URL, max: 3 }));
      const plain = new Kysely({ dialect: new PostgresDialect({ pool }) });
      const db = withDebug(plain, { logger: quiet });
      // Healthy, however busy the machine is.
      const limits = { degradedMs: 10000, unhealthyMs: 20000, timeoutMs: 30000 };
      const { status, metrics } = await checkDatabaseHealth(db, pool, limits);
      const breaker = new CircuitBreaker();
      const ask = () => breaker.execute(() => pool.query('select 7 as n'));
      const { rows } = await withRetry(ask);
      const monitor = new HealthMonitor(db, { pool, intervalMs: 60000, logger: quiet, ...limits });
      const checked = await new Promise((resolve) => monitor.start(resolve));
      monitor.stop();
      const figures = getMetrics(db, { pool });
      await gracefulShutdown(db, { logger: quiet });
      const other = createMetricsPool(mysql.createPool({ host: '127.0.0.1', connectionLimit: 25 }));
      const foreign = other.getMetrics();
      await other.end();
      let isClosed = false;
      const sqlite = createMetricsPool({ open: true, memory: true, close() { isClosed = true; } });
      const single = sqlite.getMetrics();
      await sqlite.end();
      console.log(JSON.stringify({
        status, checked: checked.status, n: rows[0].n, total: figures.queries.total,
        max: [figures.connections.max, foreign.max, single.max], isClosed,
        total0: metrics.poolMetrics.totalConnections,
        engine: Object.keys(require.cache).filter((file) => /pg-berth\\.node$|lib.native\\.js$/.test(file)),
      }));
    })();`,
    { env: { ...process.env, URL: url } },
  );
  await drop();
  const { total, ...rest } = seen;
  assert.ok(total >= 2);
  assert.deepEqual(rest, {
    ...{ status: 'healthy', checked: 'healthy', n: 7, max: [3, 25, 1], isClosed: true },
    ...{ total0: 1, engine: [] },
  });
});
