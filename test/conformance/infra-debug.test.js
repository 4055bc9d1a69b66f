// Rules M1 to M9: samples of withDebug, and what getMetrics makes of them.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Kysely, PostgresDialect, sql } = require('kysely');
const pg = require('pg');
const Cursor = require('pg-cursor');
const { withDebug } = require('../../lib/debug.js');
const { getMetrics, hasDatabaseMetrics } = require('../../lib/health.js');
const { createMetricsPool } = require('../../lib/pool-metrics.js');
const { freshDatabase } = require('../support/shared.js');
require('../support/stray-errors.js');

const quiet = { logQuery: false, logger: {} };

async function open(t, options = {}) {
  const { url, drop } = await freshDatabase();
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  const plain = new Kysely({ dialect: new PostgresDialect({ pool, cursor: Cursor }) });
  t.after(async () => {
    await plain.destroy();
    await drop();
  });
  return { db: withDebug(plain, { ...quiet, ...options }), plain, pool };
}

/** A stub with `withPlugin` only, and the plugin it was given. */
function stub(options) {
  const seen = {};
  const db = withDebug(
    {
      withPlugin(plugin) {
        seen.plugin = plugin;
        return { getMetrics: undefined };
      },
    },
    options,
  );
  const run = async (node = { kind: 'SelectQueryNode' }, result = { rows: [] }) => {
    const queryId = {};
    assert.equal(seen.plugin.transformQuery({ node, queryId }), node);
    assert.equal(await seen.plugin.transformResult({ queryId, result }), result);
  };
  return { db, run, plugin: seen.plugin };
}

const samplesOf = (durations, more = {}) => ({
  getMetrics: () =>
    durations.map((duration) => ({
      sql: 'select',
      params: [],
      duration,
      timestamp: Date.now(),
      ...more,
    })),
});

test('a stub driven by hand gives samples, log lines and slow queries', async () => {
  const lines = [];
  const slow = [];
  const logger = { debug: (line) => lines.push(line) };
  const onSlowQuery = (...args) => slow.push(args);
  const { db, run, plugin } = stub({ logger, slowQueryThreshold: 0, onSlowQuery, maxMetrics: 2 });
  for (let i = 0; i < 3; i++) await run();
  const result = {};
  assert.equal(await plugin.transformResult({ queryId: {}, result }), result, 'an unknown query');
  const samples = db.getMetrics();
  assert.equal(samples.length, 2, 'the oldest is overwritten');
  assert.deepEqual(Object.keys(samples[0]), ['sql', 'params', 'duration', 'timestamp']);
  assert.notEqual(db.getMetrics(), samples);
  assert.equal(lines.length, 6);
  assert.match(lines[0], /^\[SQL\] SelectQueryNode/);
  assert.match(lines[1], /^\[Duration\] \d+\.\d\dms$/);
  assert.equal(slow.length, 3);
  db.clearMetrics();
  assert.deepEqual(db.getMetrics(), []);
});

test('without onSlowQuery a slow query is a warning; hooks that throw disturb nothing', async () => {
  const warnings = [];
  const logger = { warn: (line) => warnings.push(line) };
  const { run } = stub({ logQuery: false, slowQueryThreshold: 0, logger });
  await run();
  assert.match(warnings[0], /^\[SLOW QUERY\] SelectQueryNode \(/);
  const bad = () => {
    throw new Error('hook');
  };
  const throwing = stub({ logger: { debug: bad }, slowQueryThreshold: 0, onSlowQuery: bad });
  await throwing.run();
  assert.equal(throwing.db.getMetrics().length, 1);
});

test('options are checked', () => {
  assert.throws(() => stub({ maxMetrics: 0 }), /maxMetrics/);
  assert.throws(() => stub({ slowQueryThreshold: Number.NaN }), /slowQueryThreshold/);
  assert.throws(() => stub({ maxMetric: 5 }), /did you mean "maxMetrics"/);
});

test('getMetrics without withDebug throws the known text', () => {
  assert.throws(() => getMetrics({}), {
    message:
      'Database metrics are not available. To collect query metrics, wrap your database with the debug plugin using ' +
      'withDebug() from @kysera/debug. Example: const debugDb = withDebug(db, { maxMetrics: 1000 });',
  });
  assert.equal(hasDatabaseMetrics({}), false);
  assert.equal(hasDatabaseMetrics({ getMetrics: 'text' }), false);
});

test('figures: rounded, nearest-rank, strictly above the threshold', () => {
  const { queries, recommendations } = getMetrics(samplesOf([10, 50.126, 150, 200, 100]));
  assert.deepEqual(queries, {
    ...{ total: 5, avgDuration: 102.03, minDuration: 10, maxDuration: 200 },
    ...{ p95Duration: 200, p99Duration: 200, slowCount: 2 },
  });
  assert.match(recommendations[0], /slow queries detected.*2\/5/);
  assert.match(recommendations[1], /Average query duration \(102\.03ms\)/);
  const empty = getMetrics(samplesOf([]));
  assert.deepEqual(Object.keys(empty), ['period', 'timestamp']);
  assert.equal(new Date(empty.timestamp).toISOString(), empty.timestamp);
  assert.deepEqual(getMetrics(samplesOf([1])).recommendations, []);
});

test('M1: max is the configured limit, and use is measured by it', async (t) => {
  // No statement is slow here, however busy the machine is.
  const { db, pool } = await open(t, { slowQueryThreshold: 10_000 });
  const metrics = createMetricsPool(pool);
  const client = await pool.connect();
  await db.selectNoFrom((eb) => eb.val(1).as('n')).execute();
  const report = getMetrics(db, { pool: metrics, slowQueryThreshold: 10_000 });
  client.release();
  assert.equal(report.connections.max, 10);
  assert.ok(report.connections.active < 3);
  assert.deepEqual(report.recommendations, []);
  const busy = { getMetrics: () => ({ total: 9, active: 9, idle: 0, waiting: 0, max: 10 }) };
  const [advice] = getMetrics(samplesOf([1]), { pool: busy }).recommendations;
  assert.match(advice, /Connection pool utilization is high \(90\.0%\)/);
  const old = { getMetrics: () => ({ total: 20, active: 8, idle: 12, waiting: 0 }) };
  assert.equal(getMetrics(samplesOf([]), { pool: old }).connections.max, 20);
});

test('M2: three hundred thousand samples', () => {
  const durations = Array.from({ length: 300_000 }, (_, i) => i);
  const { queries } = getMetrics(samplesOf(durations));
  assert.deepEqual([queries.minDuration, queries.maxDuration], [0, 299_999]);
  assert.equal(queries.p99Duration, Math.ceil(0.99 * 300_000) - 1);
});

test('M3: a query that fails is counted and timed', async (t) => {
  const { db } = await open(t);
  await assert.rejects(sql`select pg_sleep(0.02), 1/0`.execute(db), { code: '22012' });
  const [sample] = db.getMetrics();
  assert.equal(sample.failed, true);
  assert.equal(getMetrics(db).queries.errors, 1);
});

test('M4: a stream is timed to its end, as one sample', async (t) => {
  const { db } = await open(t);
  const stream = db
    .selectFrom(sql`generate_series(1, 20)`.as('s'))
    .select(sql`pg_sleep(0.005)`.as('nap'))
    .stream(2);
  for await (const _ of stream);
  const samples = db.getMetrics();
  assert.equal(samples.length, 1);
  assert.ok(samples[0].duration >= 95, `${samples[0].duration} ms`);
});

test('M5: each execution of a compiled query is a sample of its own', async (t) => {
  const { db } = await open(t);
  const compiled = db.selectNoFrom((eb) => eb.val(1).as('n')).compile();
  await db.executeQuery(compiled);
  await db.executeQuery(compiled);
  assert.equal(db.getMetrics().length, 2);
});

test('M6: derived instances share the samples, and transactions count once', async (t) => {
  const { db } = await open(t);
  const derived = db.withSchema('public').withTables().withoutPlugins();
  await sql`select 1`.execute(derived);
  await db.transaction().execute((trx) => sql`select 2`.execute(trx));
  await db.connection().execute((one) => sql`select 3`.execute(one));
  const controlled = await db.startTransaction().execute();
  await sql`select 4`.execute(controlled);
  await controlled.commit().execute();
  assert.equal(derived.getMetrics().length, 4);
  assert.deepEqual(
    db.getMetrics().map((sample) => sample.sql),
    ['select 1', 'select 2', 'select 3', 'select 4'],
  );
});

test('M6: the ways to derive an instance that came with Kysely 0.29 share the samples too', async () => {
  const ways = ['$extendTables', '$omitTables', '$pickTables'];
  const executor = { executeQuery: async () => ({ rows: [] }), async *stream() {} };
  const instance = () => ({
    getExecutor: () => executor,
    ...Object.fromEntries(ways.map((way) => [way, instance])),
  });
  const db = withDebug({ withPlugin: instance }, quiet);
  for (const [count, way] of ways.entries()) {
    const derived = db[way]('users');
    await derived.getExecutor().executeQuery({ sql: 'select 1', parameters: [] });
    assert.equal(derived.getMetrics().length, count + 1, way);
  }
  assert.equal(getMetrics(db.$pickTables('users').$omitTables('roles')).queries.total, 3);
});

test('M7: the SQL is that of the compiled query, and nothing is compiled twice', async (t) => {
  const { db } = await open(t);
  const executor = db.getExecutor();
  const compile = t.mock.method(executor, 'compileQuery');
  await db.selectNoFrom((eb) => eb.val(1).as('n')).execute();
  assert.equal(compile.mock.callCount(), 1);
  assert.equal(db.getMetrics()[0].sql, 'select $1 as "n"');
  assert.deepEqual(db.getMetrics()[0].params, [1]);
});

test('M8: large parameters are kept as a note of their size, or none at all', async (t) => {
  const { db, plain } = await open(t);
  const large = 'x'.repeat(1 << 20);
  await sql`select ${large}::text, ${Buffer.alloc(2048)}::bytea, ${'short'}::text`.execute(db);
  const notes = ['[string of 1048576 characters]', '[2048 bytes]', 'short'];
  assert.deepEqual(db.getMetrics()[0].params, notes);
  const none = withDebug(plain, { ...quiet, captureParams: false });
  await sql`select ${1}::int`.execute(none);
  assert.deepEqual(none.getMetrics()[0].params, []);
});

test('M8: what is large inside of a parameter is not kept either', async () => {
  const executor = { executeQuery: async () => ({ rows: [] }), async *stream() {} };
  const db = withDebug({ withPlugin: () => ({ getExecutor: () => executor }) }, quiet);
  const large = 'x'.repeat(1 << 20);
  const loop = { name: 'loop' };
  loop.self = loop;
  const broken = {
    get size() {
      throw new Error('not now');
    },
  };
  const small = [{ id: 1, tags: ['a', 'b'], at: new Date(0) }, [1, [2, null]], 'é'.repeat(512), 7n];
  const parameters = {
    '[string of 1000 characters]': '€'.repeat(1000),
    '[string of 513 characters]': 'é'.repeat(513),
    '[array of 1 elements]': [large],
    '[array of 2000000 elements]': Array(2_000_000).fill(1),
    '[array of 1025 elements]': Array(1025),
  };
  const objects = [{ deep: { deeper: [large] } }, { [large]: 1 }, { bytes: new Uint8Array(2000) }];
  await db.getExecutor().executeQuery({
    sql: 'select',
    parameters: [...Object.values(parameters), ...objects, loop, broken, ...small],
  });
  assert.deepEqual(db.getMetrics()[0].params, [
    ...Object.keys(parameters),
    ...Array(5).fill('[object of more than 1024 bytes]'),
    ...small,
  ]);
});

test('O01: parameters are not logged unless asked for', async (t) => {
  const lines = [];
  const logger = { debug: (line) => lines.push(line) };
  const { plain } = await open(t);
  await sql`select ${'canary'}::text`.execute(withDebug(plain, { logger }));
  assert.doesNotMatch(lines.join(), /canary/);
  await sql`select ${'canary'}::text, ${1n}::int8`.execute(
    withDebug(plain, { logger, logParams: true }),
  );
  assert.match(lines.join(), /\["canary","1"\]/);
});

test('M9: samples older than the period are left out', () => {
  const old = samplesOf([5, 6], { timestamp: Date.now() - 90_000 });
  for (const [period, count] of [
    ['1m', undefined],
    ['60000ms', undefined],
    ['2m', 2],
    ['1h', 2],
    ['1d', 2],
    ['91s', 2],
    ['forever', 2],
    ['', 2],
  ]) {
    const report = getMetrics(old, { period });
    assert.equal(report.queries?.total, count, period);
    assert.equal(report.period, period);
  }
});
