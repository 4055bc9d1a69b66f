// Rules P7, M10, M11 and O03: what the native pool counts, and how it is told.
'use strict';

const assert = require('node:assert/strict');
const { Kysely, sql } = require('kysely');
const { getMetrics, isMetricsPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { Counter, Registry } = require('prom-client');
const { testDatabase } = require('../support/pools.js');
const { parsePrometheus } = require('../support/prometheus.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const database = testDatabase('create table counted (n int unique)');

test('P7: figures of a moment: total is idle, active and connecting', async (t) => {
  const pool = database.openPool(t, { poolSize: 3, minIdle: 1 });
  assert.equal(isMetricsPool(pool), true);
  await waitFor(() => pool.getMetrics().idle === 1, { what: 'the idle connection' });
  const running = Array.from({ length: 5 }, () =>
    pool.query('select pg_sleep(0.3) /* count me */'),
  );
  const snapshots = [];
  await waitFor(() => {
    const now = pool.getMetrics();
    snapshots.push(now);
    return now.active === 3 && now.waiting === 2;
  });
  await Promise.all(running);
  for (const { total, idle, active, connecting, max, min } of snapshots) {
    assert.equal(total, idle + active + connecting);
    assert.deepEqual([max, min], [3, 1]);
  }
});

test('P7: statements, rows, errors by class, bytes and connections are counted', async (t) => {
  const pool = database.openPool(t, { poolSize: 1 });
  await pool.query('select g from generate_series(1, 10) g');
  await pool.query('insert into counted values (1)');
  await assert.rejects(pool.query('insert into counted values (1)'), { code: '23505' });
  await assert.rejects(pool.query('select 1/0'), { code: '22012' });
  await assert.rejects(pool.query('select pg_sleep(9)', [], { timeoutMs: 50 }));
  await pool.transaction((tx) => tx.query("select repeat('x', 5000)"));
  const stats = pool.getStats();
  assert.equal(stats.opened, 1);
  assert.equal(stats.rows, 11);
  assert.deepEqual(stats.errors, { 22: 1, 23: 1, 57: 1 });
  assert.equal(stats.queries, 7, 'COMMIT is a statement, BEGIN travelled with one');
  assert.equal(stats.statementTime.count, stats.queries);
  assert.ok(stats.bytesReceived > 5000 && stats.bytesSent > 100, JSON.stringify(stats));
  assert.ok(stats.acquisitions >= 6);
  await pool.end();
  const after = pool.getStats();
  assert.equal(after.queries, 7, 'the figures stay');
  assert.deepEqual(after.closed, { idle: 0, lifetime: 0, error: 0, shutdown: 1 });
});

test('P7: why connections were closed, and waits that ended without one', async (t) => {
  const pool = database.openPool(t, { poolSize: 1, idleTimeoutMs: 50, acquireTimeoutMs: 1000 });
  await pool.query('select 1');
  await waitFor(() => pool.getStats().closed.idle === 1, { what: 'the idle end' });
  const lost = pool.query('select pg_sleep(30) /* lose me */').catch((error) => error);
  const [pid] = await database.running('lose me');
  const late = await pool.query('select 2').then(assert.fail, (error) => error);
  assert.equal(late.code, '53300');
  await database.sql('select pg_terminate_backend($1)', [pid]);
  assert.equal((await lost).outcomeUnknown, true);
  await waitFor(() => pool.getStats().closed.error === 1, { what: 'the end of the lost one' });
  const { acquisitionTimeouts, errors } = pool.getStats();
  assert.deepEqual([acquisitionTimeouts, errors.lost], [1, 1]);
  const worn = database.openPool(t, { poolSize: 1, maxUses: 1 });
  await worn.query('select 1');
  await waitFor(() => worn.getStats().closed.lifetime === 1, {
    what: 'the end of a worn connection',
  });
});

test('P7: percentiles are within three per cent, bounds and sum exact', async (t) => {
  const pool = database.openPool(t, { poolSize: 1 });
  for (const seconds of [0.02, 0.04, 0.06, 0.08])
    await pool.query('select pg_sleep($1)', [seconds]);
  const { statementTime: times } = pool.getStats();
  assert.equal(times.count, 4);
  assert.ok(times.min >= 20 && times.max >= 80 && times.sum >= 200);
  assert.equal(times.percentile(100), times.max);
  assert.equal(times.percentile(0), times.min);
  assert.ok(times.percentile(50) >= 40 * 0.97 && times.percentile(75) >= 60 * 0.97);
  assert.ok(times.percentile(50) <= times.percentile(75));
  assert.deepEqual([times.countAbove(0), times.countAbove(times.max * 1.03)], [4, 0]);
  assert.throws(() => times.percentile(101), RangeError);
});

test('M10: getMetrics with a native pool needs no withDebug and counts what everyone asked', async (t) => {
  const pool = database.openPool(t, { types: 'pg' });
  const db = new Kysely({ dialect: new BerthDialect({ pool }) });
  for (let i = 0; i < 1500; i++) await sql`select 1`.execute(db);
  await pool.query('select pg_sleep(0.15)');
  await assert.rejects(pool.query('select 1/0'));
  const { connections, queries, recommendations } = getMetrics(db, { pool });
  assert.equal(queries.total, 1502, 'over the whole life, not over the last thousand');
  assert.equal(queries.errors, 1);
  assert.ok(queries.slowCount >= 1);
  assert.ok(queries.maxDuration >= 150 && queries.p95Duration < 150);
  assert.equal(connections.max, 10);
  assert.ok(Array.isArray(recommendations));
});

test('M10: getMetrics takes a native pool in the place of the database', async (t) => {
  const pool = database.openPool(t);
  await pool.query('select 1');
  const { connections, queries } = getMetrics(pool);
  assert.equal(queries.total, 1);
  assert.deepEqual(connections, { total: 1, active: 0, idle: 1, max: 10 });
});

test('M10: statistics of other pools are none of ours', () => {
  const sample = { sql: 'select 1', params: [], duration: 7, timestamp: Date.now() };
  const debugDb = { getMetrics: () => [sample], clearMetrics() {} };
  const foreign = [
    () => ({ hits: 1 }),
    () => undefined,
    async () => {
      throw new Error('not now');
    },
    () => {
      throw new Error('not now');
    },
  ];
  for (const getStats of foreign) {
    const pool = { getMetrics: () => ({ total: 2, idle: 1, active: 1, waiting: 0 }), getStats };
    const { connections, queries } = getMetrics(debugDb, { pool });
    assert.equal(connections.total, 2);
    assert.deepEqual([queries.total, queries.maxDuration], [1, 7]);
    assert.throws(() => getMetrics(pool), /^Error: Database metrics are not available\./);
  }
});

/** Reads Prometheus' text format as its own parser does, and fails on what that would refuse. */
function parse(text) {
  const samples = new Map();
  const types = new Map();
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE (\S+) (gauge|counter|histogram)$/.exec(line);
    if (type) types.set(type[1], type[2]);
    if (line.startsWith('#')) continue;
    const sample =
      /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)$/.exec(line);
    assert.ok(sample, line);
    const [, name, labels = '', value] = sample;
    assert.ok(Number.isFinite(Number(value)), line);
    assert.ok(
      types.has(name) || types.has(name.replace(/_(bucket|sum|count)$/, '')),
      `type of ${name}`,
    );
    assert.equal(samples.has(name + labels), false, `twice: ${line}`);
    samples.set(name + labels, Number(value));
  }
  return samples;
}

test('M11: metricsText is Prometheus text, with prefix and labels of the options', async (t) => {
  const pool = database.openPool(t);
  await pool.query('select 1');
  await assert.rejects(pool.query('select 1/0'));
  const plain = parse(pool.metricsText());
  assert.equal(plain.get('pgberth_statements_total'), 2);
  assert.equal(plain.get('pgberth_errors_total{class="22"}'), 1);
  assert.equal(plain.get('pgberth_connections{state="idle"}'), 1);
  assert.equal(plain.get('pgberth_statement_seconds_count'), 2);
  assert.equal(plain.get('pgberth_statement_seconds_bucket{le="+Inf"}'), 2);
  const buckets = [...plain].filter(([name]) =>
    name.startsWith('pgberth_statement_seconds_bucket'),
  );
  assert.ok(
    buckets.every(([, count], i) => i === 0 || count >= buckets[i - 1][1]),
    'cumulative',
  );
  const labelled = parse(pool.metricsText({ prefix: 'app_db', labels: { pool: 'a"b\\c\nd' } }));
  assert.equal(labelled.get('app_db_waiting{pool="a\\"b\\\\c\\nd"}'), 0);
});

test('M11: a strict reader takes the text, also behind that of prom-client', async (t) => {
  const pool = database.openPool(t);
  await pool.query('select 1');
  await assert.rejects(pool.query('select 1/0'));
  const register = new Registry();
  new Counter({ name: 'requests_total', help: 'Requests.', registers: [register] }).inc();
  const labels = { pool: 'a "quoted"\\ \n name' };
  const text = (await register.metrics()) + pool.metricsText({ labels });
  const families = parsePrometheus(text);
  assert.equal(families.get('requests_total').samples[0].value, 1);
  const statements = families.get('pgberth_statements_total').samples[0];
  assert.deepEqual(statements, { name: 'pgberth_statements_total', labels, value: 2 });
  // The statement that failed was refused before the server began an answer.
  const expected = { acquire_seconds: 2, statement_seconds: 2, round_trip_seconds: 1 };
  for (const [name, times] of Object.entries(expected)) {
    const { type, samples } = families.get(`pgberth_${name}`);
    assert.equal(type, 'histogram');
    const count = samples.find((one) => one.name.endsWith('_count')).value;
    assert.equal(count, times, name);
  }
});

test('M11: a registry of prom-client collects a pool, is merged with others, and speaks OpenMetrics', async (t) => {
  const pool = database.openPool(t);
  const requests = new Registry();
  new Counter({ name: 'requests_total', help: 'Requests.', registers: [requests] }).inc();
  const figures = new Registry();
  figures.setDefaultLabels({ service: 'orders' });
  for (const metric of pool.promMetrics({ labels: { pool: 'main' } })) {
    figures.registerMetric(metric);
  }
  await pool.query('select 1');
  await assert.rejects(pool.query('select 1/0'));

  const own = parsePrometheus(await figures.metrics());
  const labels = { pool: 'main', service: 'orders' };
  assert.deepEqual(own.get('pgberth_statements_total').samples, [
    { name: 'pgberth_statements_total', labels, value: 2 },
  ]);
  // The same samples as in the text, moment and labels apart.
  const plain = parsePrometheus(pool.metricsText({ labels }));
  assert.deepEqual([...own.keys()].sort(), [...plain.keys()].sort());
  for (const [name, { type, samples }] of plain) {
    assert.equal(own.get(name).type, type);
    const named = (all) => all.map((one) => [one.name, one.labels]);
    assert.deepEqual(named(own.get(name).samples), named(samples));
  }

  const merged = Registry.merge([requests, figures]);
  const families = parsePrometheus(await merged.metrics());
  assert.equal(families.get('requests_total').samples[0].value, 1);
  const { type, samples } = families.get('pgberth_statement_seconds');
  const infinite = samples.find((sample) => sample.labels.le === '+Inf');
  assert.deepEqual([type, infinite.value], ['histogram', 2]);
  assert.throws(() => Registry.merge([figures, figures]).registerMetric(pool.promMetrics()[0]), {
    message: /already been registered/,
  });
  merged.resetMetrics();
  const again = await merged.getMetricsAsJSON();
  const { values } = again.find(({ name }) => name === 'pgberth_statements_total');
  assert.equal(values[0].value, 2);

  const open = new Registry(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const metric of pool.promMetrics({ prefix: 'db' })) open.registerMetric(metric);
  const text = await open.metrics();
  assert.match(text, /^# TYPE db_statements counter\ndb_statements_total 2$/m);
  assert.match(text, /^db_statement_seconds_bucket\{le="\+Inf"\} 2$/m);
  assert.match(text, /# EOF\n$/);
  assert.throws(() => pool.promMetrics({ labels: { le: 1 } }), /option "labels"/);
});

test('M11: what was added between two looks has percentiles of its own', async (t) => {
  const pool = database.openPool(t);
  await pool.query('select pg_sleep(0.2)');
  const before = pool.getStats().statementTime;
  await pool.query('select 1');
  const added = pool.getStats().statementTime.since(before);
  assert.equal(added.count, 1);
  assert.ok(added.percentile(99) < 150 && added.max < 150, String(added.max));
  assert.equal(before.since(before).count, 0);
  assert.equal(before.since(before).percentile(50), 0);
});

test('sec_o03: labels are checked, and nothing of statements or the server appears', async (t) => {
  const pool = database.openPool(t);
  await assert.rejects(
    pool.query("do $$ begin raise exception 'canary' using errcode = 'ZQ123'; end $$"),
  );
  await assert.rejects(pool.query('select canary'));
  const text = pool.metricsText();
  assert.doesNotMatch(text, /canary|ZQ/);
  assert.equal(parse(text).get('pgberth_errors_total{class="other"}'), 1);
  for (const labels of [{ 'a-b': 1 }, { le: 1 }, { __name: 1 }]) {
    assert.throws(() => pool.metricsText({ labels }), /option "labels"/);
  }
  assert.throws(() => pool.metricsText({ prefix: 'a b' }), /option "prefix"/);
});
