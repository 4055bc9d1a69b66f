// What a pool tells about its nodes: events, and the table of status() (CP-90, CP-91).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { createPool } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { ended, recordChannels } = require('../support/tracing.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const NAMES = /** @type {const} */ ([
  ...['failover', 'hostChange', 'fence', 'search', 'retire', 'node', 'primary'],
]);

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.primary.server.sql('create table t (id int)');
});
after(() => cluster.stop());

/** A pool, and what it has told. */
function open(t, options) {
  const pool = createPool(cluster.options(options));
  t.after(() => pool.end({ timeoutMs: 500 }));
  /** @type {any[]} */
  const told = [];
  for (const name of NAMES) pool.on(name, (event) => told.push([name, event]));
  return {
    pool,
    told,
    of: (name) => told.filter(([kind]) => kind === name).map(([, event]) => event),
  };
}

const roleOf = (pool, node) =>
  pool.status().nodes.find(({ address }) => address === node.host)?.role;

test('CP-91: status() has the nodes that were met, with their roles, uses and last errors', async (t) => {
  const dead = cluster.standbys[0];
  await dead.kill();
  t.after(async () => {
    await dead.server.start();
    await cluster.streaming();
  });
  const others = cluster.nodes.filter((node) => node !== dead);
  const { pool } = open(t, { hosts: [dead, ...others.toReversed()].map(({ host }) => host) });
  assert.deepEqual([pool.status().primary, pool.status().nodes], [null, []]);
  await pool.query('select 1');
  const { primary, nodes, size } = pool.status();
  assert.equal(primary, cluster.primary.host);
  const [first] = nodes.filter(({ address }) => address === cluster.primary.host);
  assert.deepEqual([first.role, first.open, first.error, size], ['primary', 1, null, 1]);
  assert.ok(Date.now() - Date.parse(first.seenAt) < 60_000);
  const [gone] = nodes.filter(({ address }) => address === dead.host);
  assert.deepEqual([gone.role, gone.open, gone.seenAt], ['unreachable', 0, null]);
  assert.deepEqual([first.lagMs, gone.lagMs], [null, null]);
  assert.deepEqual([gone.error.code, gone.host], ['ECONNREFUSED', dead.host]);
  assert.equal(typeof pool.stats().queries, 'number');
  assert.doesNotMatch(JSON.stringify(pool.status()), /postgres/, 'no user, no database');
});

test('CP-90: a failover is told to each pool, with both addresses and its time', async (t) => {
  const pools = [open(t), open(t)];
  for (const { pool } of pools) await pool.query('select 1');
  const old = cluster.primary;
  await cluster.failover();
  await Promise.all(pools.map(({ pool }) => pool.query('select 1')));
  for (const { pool, of } of pools) {
    await waitFor(() => of('failover').length > 0, { what: 'the event' });
    const [{ from, to, tookMs, timeline }] = of('failover');
    assert.deepEqual([from, to, timeline], [old.host, cluster.primary.host, 2]);
    assert.ok(tookMs > 0 && tookMs < 30_000, String(tookMs));
    assert.equal(of('failover').length, 1);
    const left = of('hostChange').find(
      ({ address, to: is }) => address === old.host && is === 'unreachable',
    );
    assert.equal(left.from, 'primary');
    assert.equal(pool.status().primary, cluster.primary.host);
  }
  await cluster.rejoin(old);
  await cluster.streaming();
});

test('the channel of failovers tells each pool of a real one, and connects of the new primary', async (t) => {
  const events = recordChannels(t, 'failover', 'connect');
  const pools = [open(t), open(t)];
  for (const { pool } of pools) await pool.query('select 1');
  assert.deepEqual(ended(events, 'failover'), []);
  const old = cluster.primary;
  await cluster.failover();
  await Promise.all(pools.map(({ pool }) => pool.query('select 1')));
  await waitFor(() => ended(events, 'failover').length === 2, { what: 'both traces' });
  for (const trace of ended(events, 'failover')) {
    const { from, to, durationMs, error, face, host, port } = trace;
    assert.deepEqual([from, to], [old.host, cluster.primary.host]);
    assert.deepEqual([`${host}:${port}`, face, error], [to, 'cluster', undefined]);
    assert.ok(durationMs > 0 && durationMs < 30_000, String(durationMs));
    assert.equal(trace.attributes['server.address'], host);
  }
  const order = events.filter(({ name }) => name === 'failover').map(({ event }) => event);
  assert.deepEqual(order, Array(2).fill(['start', 'end', 'asyncStart', 'asyncEnd']).flat());
  const tried = ended(events, 'connect').filter(({ error }) => error !== undefined);
  assert.ok(tried.some(({ port }) => port === old.port));
  await cluster.rejoin(old);
  await cluster.streaming();
});

test('CP-90: a fence and its end are changes of one node, told once each', async (t) => {
  const { pool, of } = open(t, { acquireTimeoutMs: 5000 });
  await pool.query('select 1');
  const node = cluster.primary;
  await node.fence();
  const write = pool.query('insert into t values (1)');
  await waitFor(() => roleOf(pool, node) === 'fenced', { what: 'the fence in the table' });
  assert.equal(pool.status().primary, null);
  await node.unfence();
  await write;
  await waitFor(() => roleOf(pool, node) === 'primary', { what: 'its end' });
  const changes = of('hostChange').filter(({ address }) => address === node.host);
  assert.deepEqual(
    changes.map(({ from, to }) => [from, to]),
    [
      [null, 'primary'],
      ['primary', 'fenced'],
      ['fenced', 'primary'],
    ],
  );
  assert.equal(of('failover').length, 0);
  const fences = of('fence').map(({ address, isFenced }) => [address, isFenced]);
  assert.deepEqual(fences, [
    [node.host, true],
    [node.host, false],
  ]);
});

test('CP-90, CP-91: attempts, retired connections and what was given up are told and counted', async (t) => {
  const { pool, of } = open(t, {
    hosts: ['127.0.0.1:1', ...cluster.hosts],
    maxUses: 2,
    poolSize: 1,
    logger() {
      throw new Error('of the logger');
    },
  });
  await pool.query('select 1');
  const [failed] = of('search').filter(({ error }) => error !== null);
  assert.deepEqual([failed.host, failed.error.code], ['127.0.0.1:1', 'ECONNREFUSED']);
  assert.ok(of('search').some(({ error }) => error === null));
  await failureOf(pool.query('select pg_sleep(5)', [], { timeoutMs: 30 }));
  await waitFor(() => of('retire').length > 0, { what: 'the end of a used connection' });
  const [retired] = of('retire');
  assert.deepEqual(retired, { host: cluster.primary.host, reason: 'lifetime', error: null });
  await pool.transaction((tx) => tx.query('insert into t values (7)'));
  let runs = 0;
  await pool.transaction(async (tx) => {
    runs += 1;
    await tx.query('select 1');
    if (runs === 1) throw Object.assign(new Error('again'), { code: '40001', outcome: 'failed' });
  });
  const { counters } = pool.status();
  assert.ok(counters.connects >= 2 && counters.failedConnects >= 1, JSON.stringify(counters));
  assert.deepEqual([counters.cancels, counters.retries, counters.inDoubt], [1, 1, 0]);
  assert.ok((counters.evictions.lifetime ?? 0) >= 1 && counters.failedLoggers >= 4);
});

test('CP-90: node and primary are other names of hostChange and failover', async (t) => {
  const { pool, of } = open(t);
  await pool.query('select 1');
  await waitFor(() => of('hostChange').length > 0, { what: 'a role' });
  assert.deepEqual(of('node'), of('hostChange'));
  assert.deepEqual(of('primary'), of('failover'));
});

test('listeners can be taken away, and unknown events are refused', async (t) => {
  const { pool } = open(t);
  let told = 0;
  const count = () => {
    told += 1;
  };
  assert.equal(pool.on('hostChange', count).off('hostChange', count), pool);
  pool.once('hostChange', count);
  await pool.query('select 1');
  await waitFor(() => told === 1, { what: 'one event' });
  assert.throws(() => pool.on(/** @type {any} */ ('hostchange'), count), {
    message:
      'option "event" must be one of "hostChange", "node", "fence", "failover", "primary", "search", "commit-resolved", "commit-while-fenced", "leaked-transaction", "retire", "warm"',
  });
});
