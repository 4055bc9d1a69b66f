// pg-berth/opentelemetry with the real SDK: spans, their parents, metrics, and what they must not hold.
'use strict';

const assert = require('node:assert/strict');
const { SpanKind, SpanStatusCode, context, trace } = require('@opentelemetry/api');
const {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} = require('@opentelemetry/sdk-metrics');
const {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
} = require('@opentelemetry/sdk-trace-node');
const { PgBerthInstrumentation, traceContext } = require('../../lib/opentelemetry.js');
const { Client, Pool } = require('../../lib/index.js');
const { createMetricsPool } = require('../../lib/pool-metrics.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
require('../support/stray-errors.js');

const database = testDatabase('create table seen (n int unique, secret text)');
const CANARY = 'kanarienvogel';
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const tracer = provider.getTracer('test');

/** An instrumentation for one test, and the spans it made. */
function instrument(t, config) {
  exporter.reset();
  const instrumentation = new PgBerthInstrumentation({ metrics: false, ...config });
  instrumentation.setTracerProvider(provider);
  t.after(() => instrumentation.disable());
  return { instrumentation, spans: () => exporter.getFinishedSpans() };
}

const parentOf = (span) => span.parentSpanContext?.spanId;

test('a statement has a client span under the stable conventions', async (t) => {
  const { spans } = instrument(t);
  const pool = database.openPool(t);
  await tracer.startActiveSpan('request', async (request) => {
    await pool.query('insert into seen values ($1, $2)', [1, CANARY]);
    request.end();
  });
  const [statement, request] = spans();
  assert.equal(statement.name, 'INSERT seen');
  assert.equal(statement.kind, SpanKind.CLIENT);
  assert.equal(parentOf(statement), request.spanContext().spanId);
  const { port, pathname } = new URL(database.url);
  const { 'network.peer.address': peer, ...attributes } = statement.attributes;
  assert.match(peer, /^(127\.0\.0\.1|::1)$/);
  assert.deepEqual(attributes, {
    'db.system.name': 'postgresql',
    'db.namespace': pathname.slice(1),
    'db.operation.name': 'INSERT',
    'db.query.summary': 'INSERT seen',
    'db.query.text': 'insert into seen values ($1, $2)',
    'network.peer.port': Number(port),
    'server.address': new URL(database.url).hostname,
    'server.port': Number(port),
  });
  const [from, to] = [statement.startTime, statement.endTime].map(([s, ns]) => s + ns / 1e9);
  const [began, ended] = [request.startTime, request.endTime].map(([s, ns]) => s + ns / 1e9);
  assert.ok(began <= from + 0.002 && from < to && to <= ended + 0.002, 'it lies in the request');
});

test('a failure is the status of its span', async (t) => {
  const { spans } = instrument(t);
  const pool = database.openPool(t);
  await assert.rejects(pool.query('insert into seen values (1), (1)'));
  await assert.rejects(pool.query('select $1', [Symbol('unsendable')]));
  const [refused, unsent] = spans();
  assert.equal(refused.status.code, SpanStatusCode.ERROR);
  assert.equal(refused.attributes['error.type'], '23505');
  assert.equal(refused.attributes['db.response.status_code'], '23505');
  assert.equal(unsent.status.code, SpanStatusCode.ERROR);
});

test('statements are children of their transaction, or of a span of the program’s own in it', async (t) => {
  const { spans } = instrument(t);
  const pool = database.openPool(t);
  await tracer.startActiveSpan('request', async (request) => {
    await pool.transaction(async (tx) => {
      await tx.query('select 1 as direct');
      await tracer.startActiveSpan('work', async (work) => {
        await tx.query('select 2 as nested');
        work.end();
      });
    });
    request.end();
  });
  const named = (name) => spans().find((span) => span.name === name);
  const texts = Object.fromEntries(spans().map((span) => [span.attributes['db.query.text'], span]));
  const id = (span) => span.spanContext().spanId;
  assert.equal(parentOf(named('TRANSACTION')), id(named('request')));
  assert.equal(parentOf(texts['select ? as direct']), id(named('TRANSACTION')));
  assert.equal(parentOf(texts['select ? as nested']), id(named('work')));
  assert.equal(parentOf(texts.COMMIT), id(named('TRANSACTION')));
});

test('options choose what is told', async (t) => {
  const hooked = [];
  const { instrumentation, spans } = instrument(t, {
    spans: ['query', 'connect', 'acquire'],
    queryText: false,
    spanHook(span, { rowCount }) {
      if (rowCount !== undefined) hooked.push(rowCount);
      span.setAttribute('mine', 1);
      throw new Error('the hook’s own');
    },
  });
  const pool = database.openPool(t);
  await pool.query('select 1');
  const names = spans().map(({ name }) => name);
  assert.deepEqual(names.sort(), ['SELECT', 'pg-berth acquire', 'pg-berth connect']);
  const statement = spans().find(({ name }) => name === 'SELECT');
  const wait = spans().find(({ name }) => name === 'pg-berth acquire');
  assert.equal(parentOf(wait), statement.spanContext().spanId);
  assert.equal(statement.attributes['db.query.text'], undefined);
  assert.equal(statement.attributes.mine, 1);
  assert.deepEqual(hooked, [1]);
  instrumentation.setConfig({ requireParentSpan: true });
  exporter.reset();
  await pool.query('select 2');
  assert.deepEqual(spans(), []);
  await tracer.startActiveSpan('request', async (request) => {
    await pool.query('select 3');
    request.end();
  });
  assert.deepEqual(
    spans().map(({ name }) => name),
    ['SELECT', 'request'],
    'the other options are in force',
  );
  instrumentation.disable();
  assert.throws(() => new PgBerthInstrumentation({ span: [] }), /unknown option "span"/);
  assert.throws(() => new PgBerthInstrumentation({ spans: ['querry'] }), /option "spans" must be/);
});

test('a span of what goes on ends with the instrumentation, and is not lost by other options', async (t) => {
  const { instrumentation, spans } = instrument(t);
  const pool = database.openPool(t);
  const tx = await pool.begin();
  instrumentation.setConfig({ metrics: false, requireParentSpan: true });
  await tx.query('select n from seen');
  instrumentation.disable();
  const seen = () => spans().map(({ name, ended }) => [name, ended]);
  assert.deepEqual(seen(), [
    ['BEGIN', true],
    ['TRANSACTION', true],
  ]);
  await tx.commit();
  assert.equal(spans().length, 2);
});

test('O01: spans hold no value of a parameter', async (t) => {
  const { spans } = instrument(t, { spans: ['query', 'connect', 'acquire', 'transaction'] });
  const pool = database.openPool(t);
  await pool.query('select $1::text', [CANARY]);
  await pool.query(`select '${CANARY}'`);
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query(`insert into seen values (7, '${CANARY}')`);
  await client.end();
  // What the server says of these quotes the value.
  await assert.rejects(pool.query('select $1::int', [CANARY]), { code: '22P02' });
  await assert.rejects(pool.query(`select 'x' '${CANARY}'`), { code: '42601' });
  const failed = spans().filter(({ status }) => status.code === SpanStatusCode.ERROR);
  assert.deepEqual(
    failed.map(({ attributes }) => attributes['error.type']),
    ['22P02', '42601'],
  );
  const told = JSON.stringify(
    spans().map(({ name, attributes, status, events }) => [name, attributes, status, events]),
  );
  assert.ok(!told.includes(CANARY), told);
});

test('metrics are those of the conventions, with bounded labels (O03)', async (t) => {
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter: metricExporter,
    exportIntervalMillis: 3_600_000,
  });
  const meters = new MeterProvider({ readers: [reader] });
  // Connections that are kept may be open before anybody hears of it, so those of another pool are counted.
  const kept = database.openPool(t, { minIdle: 1 });
  const pool = database.openPool(t, { poolSize: 3 });
  const broken = {
    getMetrics() {
      throw new Error('no figures');
    },
  };
  const instrumentation = new PgBerthInstrumentation({
    spans: [],
    pools: { broken, main: pool, kept },
  });
  instrumentation.setMeterProvider(meters);
  t.after(() => instrumentation.disable());
  await pool.query('select n from seen');
  await pool.query(`select 1 as "${CANARY}"`);
  await assert.rejects(
    pool.query(`do $$ begin raise exception 'x' using errcode = 'ZZ999'; end $$`),
  );
  await assert.rejects(pool.query('select 1/0'));
  await reader.forceFlush();
  const all = metricExporter.getMetrics().at(-1).scopeMetrics[0].metrics;
  const points = Object.fromEntries(
    all.map(({ descriptor, dataPoints }) => [descriptor.name, { descriptor, dataPoints }]),
  );
  const durations = points['db.client.operation.duration'];
  assert.equal(durations.descriptor.unit, 's');
  const counted = durations.dataPoints.map(({ attributes, value }) => [
    attributes['db.operation.name'],
    attributes['error.type'],
    value.count,
  ]);
  assert.deepEqual(counted.map(String).sort(), ['DO,_OTHER,1', 'SELECT,,2', 'SELECT,22,1']);
  assert.ok(!JSON.stringify(all).includes(CANARY));
  const ofPool = (name, metric) =>
    points[metric].dataPoints.filter(
      ({ attributes }) => attributes['db.client.connection.pool.name'] === name,
    );
  const states = ofPool('main', 'db.client.connection.count').map(({ attributes, value }) => [
    attributes['db.client.connection.pool.name'],
    attributes['db.client.connection.state'],
    value,
  ]);
  const { idle, active } = pool.getMetrics();
  assert.deepEqual(states, [
    ['main', 'idle', idle],
    ['main', 'used', active],
  ]);
  const figure = (name, metric) => ofPool(name, metric)[0].value;
  assert.equal(figure('main', 'db.client.connection.max'), 3);
  assert.equal(figure('kept', 'db.client.connection.idle.min'), 1);
  assert.equal(figure('main', 'db.client.connection.pending_requests'), 0);
  assert.equal(figure('main', 'db.client.connection.wait_time').count, 4);
  assert.ok(figure('main', 'db.client.connection.create_time').count >= 1);
  await meters.shutdown();
});

test('waits and new connections are counted by the name their pool has in the other metrics', async (t) => {
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter: metricExporter,
    exportIntervalMillis: 3_600_000,
  });
  const meters = new MeterProvider({ readers: [reader] });
  const [writes, reports, unnamed] = [1, 2, 3].map(() => database.openPool(t));
  const classic = new Pool({ connectionString: database.url });
  t.after(() => classic.end());
  const pools = { writes, reports, classic: createMetricsPool(classic) };
  const instrumentation = new PgBerthInstrumentation({ spans: [], pools });
  instrumentation.setMeterProvider(meters);
  t.after(() => instrumentation.disable());
  await writes.transaction((tx) => tx.query('select 1'));
  for (const pool of [reports, reports, unnamed, classic, classic]) await pool.query('select 1');
  await reader.forceFlush();
  const all = metricExporter.getMetrics().at(-1).scopeMetrics[0].metrics;
  const countsOf = (metric) => {
    const { dataPoints } = all.find(({ descriptor }) => descriptor.name === metric);
    const counts = dataPoints.map(({ attributes, value }) => [
      attributes['db.client.connection.pool.name'],
      value.count,
    ]);
    return Object.fromEntries(counts);
  };
  const { host, pathname } = new URL(database.url);
  assert.deepEqual(countsOf('db.client.connection.wait_time'), {
    ...{ writes: 1, reports: 2, classic: 2 },
    [host + pathname]: 1,
  });
  assert.deepEqual(countsOf('db.client.connection.create_time'), {
    ...{ writes: 1, reports: 1, classic: 1 },
    [host + pathname]: 1,
  });
  await meters.shutdown();
});

test('traceContext is the comment of a sampled span', async (t) => {
  const pool = database.openPool(t, { sqlComment: traceContext });
  const text = 'select query from pg_stat_activity where pid = pg_backend_pid()';
  assert.equal((await pool.query(text))[0].query, text);
  await tracer.startActiveSpan('request', async (request) => {
    const { traceId, spanId } = trace.getSpan(context.active()).spanContext();
    const [{ query }] = await pool.query(text);
    assert.equal(query, `${text} /*traceparent='00-${traceId}-${spanId}-01'*/`);
    request.end();
    // What nobody keeps is not told to the server's log.
    const unsampled = trace.setSpanContext(context.active(), { traceId, spanId, traceFlags: 0 });
    assert.equal((await context.with(unsampled, () => pool.query(text)))[0].query, text);
  });
});
