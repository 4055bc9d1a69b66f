// Two nodes that say that they are the primary: which of them is used, what stood on the other, and what is told of it.
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { createListener, createPool } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { startProxy } = require('../support/proxy.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** @typedef {Awaited<ReturnType<typeof startCluster>>} Cluster */
/** @typedef {Awaited<ReturnType<typeof startProxy>>} Proxy */

/** Commits wait for nobody: a primary that was left behind goes on acknowledging. @type {Cluster} */
let cluster;
/** @type {Proxy[]} */
let proxies;
/** As long as it lives, what it has seen is known to the others. @type {ReturnType<typeof createPool>} */
let witness;
before(async () => {
  cluster = await startCluster({ nodes: 2, synchronous: false });
  proxies = await Promise.all(cluster.nodes.map(({ server }) => startProxy(server)));
  await cluster.primary.server.sql('create table t (id int)');
  witness = createPool(cluster.options({ hosts: proxies.map(nameOf) }));
});
after(async () => {
  await witness.end({ timeoutMs: 500 });
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await cluster.stop();
});

const nameOf = ({ host, port }) => `${host}:${port}`;

function open(t, options) {
  const hosts = proxies.map(nameOf);
  const pool = createPool(cluster.options({ hosts, ...options }));
  t.after(() => pool.end({ timeoutMs: 500 }));
  return pool;
}

const sleeping = (pool, count) =>
  Promise.all(Array.from({ length: count }, () => pool.query('select pg_sleep(0.1)::text')));
const idsOn = async (node) => (await node.sql('select id from t')).map(({ id }) => id);

test('CP-22, sec_m04: what stands on a primary that was left behind is not acknowledged by it', async (t) => {
  const [old, next] = cluster.nodes;
  const [oldProxy, nextProxy] = proxies;
  const [pool, other] = [open(t, { poolSize: 6 }), open(t, { poolSize: 2 })];
  const told = [];
  pool.on('failover', (event) => told.push(event));
  const listener = createListener(cluster.options({ hosts: proxies.map(nameOf) }));
  t.after(() => listener.end());
  const heard = [];
  await listener.listen('news', ({ payload }) => heard.push(payload));
  await Promise.all([sleeping(pool, 3), sleeping(other, 2)]);
  const begun = await pool.begin();
  await begun.query('insert into t values (1)');

  // Nobody fences it, and what is open on it stays open.
  await next.sql('select pg_promote(true, 10)');
  let runs = 0;
  /** @type {() => void} */
  let leave = () => {};
  const left = new Promise((resolve) => {
    leave = () => resolve(undefined);
  });
  /** @type {Promise<any>} */
  let again = Promise.resolve();
  await new Promise((resolve) => {
    again = pool.transaction(async (tx) => {
      runs += 1;
      await tx.query('insert into t values (2)');
      resolve(undefined);
      await left;
    });
  });
  oldProxy.refuse();
  const listening = new Promise((resolve) => listener.once('gap', resolve));
  await Promise.allSettled(
    Array.from({ length: 6 }, () => pool.query('select pg_sleep(0.3)::text')),
  );
  await waitFor(() => told.length > 0, { what: 'the failover' });
  oldProxy.heal();
  leave();
  const lost = await failureOf(begun.commit());
  assert.deepEqual([lost.name, lost.outcome], ['TransactionLostError', 'failed']);
  await again;
  assert.equal(runs, 2);

  for (let id = 10; id < 60; id += 5) {
    const ids = [0, 1, 2, 3, 4].map((step) => id + step);
    const using = id % 2 ? pool : other;
    await Promise.all(ids.map((one) => using.query('insert into t values ($1)', [one])));
  }
  assert.deepEqual(await idsOn(old), []);
  assert.deepEqual((await idsOn(next)).length, 51);
  await listening;
  await other.query("notify news, 'here'");
  await waitFor(() => heard.includes('here'), { what: 'the notification' });

  const status = pool.status();
  assert.deepEqual(
    told.map(({ from, to, timeline }) => [from, to, timeline]),
    [[nameOf(oldProxy), nameOf(nextProxy), 2]],
  );
  assert.equal(status.primary, nameOf(nextProxy));
  const open0 = status.nodes.find(({ address }) => address === nameOf(oldProxy))?.open;
  assert.equal(open0, 0);
});

test('CP-22, CP-90: a primary that was left behind is told of as that, and is no failover', async (t) => {
  const [oldProxy, nextProxy] = proxies;
  const pool = open(t, { poolSize: 3 });
  const told = [];
  pool.on('failover', (event) => told.push(event));
  await sleeping(pool, 3);
  assert.equal(pool.status().primary, nameOf(nextProxy));
  // Only the one that was left behind lets anybody in.
  nextProxy.refuse();
  await nextProxy.cutAll();
  // One that is dead unnoticed would lose the statement.
  await waitFor(() => pool.status().available === 0, { what: 'the end of the idle ones' });
  const error = await failureOf(pool.query('select 1', [], { acquireTimeoutMs: 500 }));
  assert.deepEqual([error.name, error.code, error.safeToRetry], ['NoPrimaryError', '08006', true]);
  assert.match(error.message, /^query: no writable primary available after 500ms/);
  assert.ok(error.nodes.some(({ reason }) => /timeline that the cluster has left/.test(reason)));
  const { primary, nodes } = pool.status();
  assert.equal(primary, null);
  const known = nodes.find(({ address }) => address === nameOf(oldProxy));
  assert.equal(known?.role, 'primary');
  assert.match(String(known?.error?.message), /timeline that the cluster has left/);
  nextProxy.heal();
  await sleeping(pool, 3);
  assert.equal(pool.status().primary, nameOf(nextProxy));
  assert.deepEqual(told, []);
});

test('CP-91: a primary that lets nobody else in is the primary still', async (t) => {
  const [, next] = cluster.nodes;
  await next.sql('create role few login connection limit 2');
  const pool = open(t, { user: 'few', poolSize: 4 });
  const told = [];
  pool.on('hostChange', ({ address, to }) => {
    if (address === nameOf(proxies[1])) told.push(to);
  });
  await sleeping(pool, 2);
  await sleeping(pool, 6);
  await waitFor(() => pool.status().counters.failedConnects > 0, { what: 'the refusal' });
  const { primary, nodes } = pool.status();
  const node = nodes.find(({ address }) => address === nameOf(proxies[1]));
  assert.deepEqual([primary, node?.role, node?.error?.code], [node?.address, 'primary', '53300']);
  assert.deepEqual(told, ['primary']);
});
