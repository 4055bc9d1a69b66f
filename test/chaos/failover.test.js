// Failovers under load: nothing acknowledged is lost, nothing failed is there, nothing is there twice.
'use strict';

const assert = require('node:assert/strict');
const { Beat, HandWritten, figures } = require('../support/chaos.js');
const { startCluster } = require('../support/cluster.js');
const { SCHEMA, STATEMENT_MS, check, startLoad } = require('../support/load.js');
const { startProxy } = require('../support/proxy.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** `npm run test:chaos` asks for more. */
const FAILOVERS = Number(process.env.PG_BERTH_FAILOVERS ?? 5);
const OPERATIONS = Number(process.env.PG_BERTH_OPERATIONS ?? 0);

const caughtUp = (cluster, node) =>
  waitFor(
    async () => {
      const [{ at }] = await cluster.primary.sql(`select pg_current_wal_lsn()::text as at`);
      const [{ done }] = await node.sql('select pg_last_wal_replay_lsn() >= $1::pg_lsn as done', [
        at,
      ]);
      return done;
    },
    { what: `${node.name} catching up` },
  );

/** Fences the primary and promotes another one beside it. */
async function replaceFenced(cluster) {
  const old = cluster.primary;
  await old.fence();
  await caughtUp(cluster, cluster.standbys[0]);
  await cluster.promoteBest(old);
  return old;
}

/** A proxy in front of each node, for clients alone. */
async function startProxies(t, { nodes }) {
  const proxies = await Promise.all(nodes.map(({ server }) => startProxy(server)));
  t.after(() => Promise.all(proxies.map((proxy) => proxy.close())));
  return {
    proxyOf: (node) => /** @type {(typeof proxies)[0]} */ (proxies[nodes.indexOf(node)]),
    addresses: proxies.map(({ host, port }) => ({
      host,
      port,
      user: 'postgres',
      database: 'postgres',
    })),
  };
}

const nameOf = ({ host, port }) => `${host}:${port}`;

/**
 * The ways in which a primary goes; each leaves a new one behind, and the old one dead: at the latest when the function it
 * gives was called.
 * @type {Record<string, (cluster: any, proxyOf: (node: any) => any) => Promise<void | (() => Promise<void>)>>}
 */
const FAULTS = {
  async 'kill -9'(cluster) {
    await cluster.failover();
  },
  async 'network cut'(cluster, proxyOf) {
    const old = cluster.primary;
    proxyOf(old).blackHole();
    await cluster.promoteBest(old);
    return () => old.kill();
  },
  async fence(cluster) {
    const old = await replaceFenced(cluster);
    await old.kill();
  },
  async freeze(cluster) {
    const old = cluster.primary;
    old.freeze();
    await cluster.promoteBest(old);
    return () => old.kill();
  },
  async stop(cluster) {
    const old = cluster.primary;
    await old.server.shutdown();
    await cluster.promoteBest(old);
  },
  async switchover(cluster) {
    const old = await replaceFenced(cluster);
    // It lives on for a while, with its connections: nothing must be served by it.
    await cluster.streaming(1);
    await old.server.shutdown();
  },
};

test(
  `sec_x05: ${FAILOVERS} failovers under load lose no acknowledged write and invent none`,
  async (t) => {
    const cluster = await startCluster();
    t.after(() => cluster.stop());
    await cluster.primary.server.sql(SCHEMA);
    const { addresses, proxyOf } = await startProxies(t, cluster);
    const load = startLoad(t, cluster.options({ hosts: addresses.map(nameOf) }));
    const { pool, history } = load;
    const servers = addresses.map((server) => ({ server }));
    const loop = new HandWritten(servers, 'insert into beat values (1)', STATEMENT_MS);
    t.after(() => loop.stop());
    /** @type {{ ours: number[], pgs: number[], noticed: Record<string, number[]> }} */
    const times = { ours: [], pgs: [], noticed: {} };
    const gone = { address: '', at: 0 };
    pool.on('hostChange', ({ address, to }) => {
      if (address === gone.address && to !== 'primary' && gone.at === 0)
        gone.at = performance.now();
    });

    const kinds = Object.keys(FAULTS);
    for (let number = 0; number < FAILOVERS; number++) {
      const kind = /** @type {string} */ (kinds[number % kinds.length]);
      const before = history.counts.ok;
      await waitFor(() => history.counts.ok >= before + 50, { what: 'writes before the fault' });
      const old = cluster.primary;
      Object.assign(gone, { address: nameOf(proxyOf(old)), at: 0 });
      const beat = await Beat.open(cluster.standbys, 'insert into beat values (0)');
      const began = performance.now();
      const fault = Promise.resolve(FAULTS[kind]?.(cluster, proxyOf));
      const taken = waitFor(() => beat.acceptedAt, {
        what: `a write that a new primary takes after ${kind}`,
        timeoutMs: 30_000,
        intervalMs: 1,
      });
      // A fault that fails is heard of at once.
      const accepted = await Promise.race([taken, fault.then(() => taken)]);
      const acknowledged = async (who, what) => {
        await waitFor(() => who.lastOk > accepted, {
          what: `${what} after ${kind}`,
          timeoutMs: 15_000,
          intervalMs: 1,
        });
        return who.lastOk;
      };
      // What is acknowledged before the watcher is counts as at once.
      const [ours, pgs] = await Promise.all([
        acknowledged(history, 'a write of the pool'),
        acknowledged(loop, 'a write of the loop'),
      ]);
      const end = await fault;
      if (gone.at === 0 && kind !== 'fence' && kind !== 'switchover')
        await waitFor(() => gone.at > 0, { what: `notice of ${kind}`, intervalMs: 1 });
      await end?.();
      await beat.close();
      times.ours.push(ours - accepted);
      times.pgs.push(pgs - accepted);
      const noticed = times.noticed[kind] ?? [];
      times.noticed[kind] = noticed;
      if (gone.at > 0) noticed.push(gone.at - began);
      t.diagnostic(
        `${kind}: writes taken after ${Math.round(accepted - began)} ms, acknowledged ${Math.round(ours - accepted)} ms later (pg loop ${Math.round(pgs - accepted)} ms)`,
      );
      old.thaw();
      await cluster.rejoin(old);
      proxyOf(old).heal();
      await cluster.streaming();
    }

    await waitFor(() => history.total >= OPERATIONS, {
      what: 'the operations',
      timeoutMs: 120_000,
    });
    await load.stop();
    await check(t, cluster, load);
    t.diagnostic(figures('from taking writes to the first acknowledged, pool', times.ours));
    t.diagnostic(figures('the same, a pg loop written by hand', times.pgs));
    for (const [kind, values] of Object.entries(times.noticed))
      if (values.length > 0) t.diagnostic(figures(`noticed by the pool, ${kind}`, values));
    assert.ok(history.counts.ok > 50 * FAILOVERS);
  },
  30_000 * FAILOVERS + 120_000,
);
