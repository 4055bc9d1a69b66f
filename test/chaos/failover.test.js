// Failovers under load: nothing acknowledged is lost, nothing failed is there, nothing is there twice.
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { Beat, HandWritten, History, figures } = require('../support/chaos.js');
const { startCluster } = require('../support/cluster.js');
const { startProxy } = require('../support/proxy.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** `npm run test:chaos` asks for more. */
const FAILOVERS = Number(process.env.PG_BERTH_FAILOVERS ?? 5);
const OPERATIONS = Number(process.env.PG_BERTH_OPERATIONS ?? 0);
const WRITERS = 8;
const READERS = 8;
/** A frozen server is found by this. */
const STATEMENT_MS = 1500;

/** The ways of writing, in turn. @type {((pool: any, history: History) => { ids: number[], done: Promise<unknown> })[]} */
const WAYS = [
  (pool, history) => {
    const ids = [history.id()];
    return { ids, done: pool.query('insert into h values ($1)', ids) };
  },
  (pool, history) => {
    const ids = [history.id(), history.id()];
    const done = pool.transaction(async (tx) => {
      for (const id of ids) await tx.query('insert into h values ($1)', [id]);
    });
    return { ids, done };
  },
  (pool, history) => {
    const ids = [history.id()];
    return { ids, done: pool.query('insert into h values ($1)', ids, { exactlyOnce: true }) };
  },
  (pool, history) => {
    const ids = [history.id(), history.id()];
    const rows = ids.map((id) => ({ sql: 'insert into h values ($1)', params: [id] }));
    return { ids, done: pool.batch(rows, { errors: 'all-or-nothing' }) };
  },
  (pool, history) => {
    const ids = [history.id()];
    return { ids, done: pool.insert('i', { _id: ids[0] }, { idempotency: true }) };
  },
];

/** Writes until told to stop, in all ways in turn. */
async function writer(pool, history, state) {
  for (let turn = 0; !state.stopped; turn++) {
    const { ids, done } = WAYS[turn % WAYS.length](pool, history);
    try {
      await done;
      history.note(ids, 'ok');
    } catch (error) {
      const { outcome, outcomeUnknown } = /** @type {any} */ (error);
      if (outcome === undefined) throw error;
      history.note(ids, outcomeUnknown ? 'unknown' : 'failed');
    }
  }
}

async function reader(pool, history, state) {
  while (!state.stopped) {
    try {
      await pool.query('select count(*) from h where id > $1', [history.reads]);
      history.reads += 1;
    } catch (error) {
      if (/** @type {any} */ (error).outcome === undefined) throw error;
      history.readFailures += 1;
    }
  }
}

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
  await cluster.detach();
  await cluster.promoteBest(old);
  return old;
}

/** The ways in which a primary goes; each leaves a new one behind, and the old one dead. */
const FAULTS = {
  async 'kill -9'(cluster) {
    await cluster.failover();
  },
  async fence(cluster) {
    const old = await replaceFenced(cluster);
    await old.kill();
  },
  async freeze(cluster) {
    const old = cluster.primary;
    old.freeze();
    await cluster.promoteBest(old);
    await old.kill();
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

/** Load on a cluster, and what came of it. */
function startLoad(t, hosts, cluster) {
  const options = { hosts, maxStatementMs: STATEMENT_MS, acquireTimeoutMs: 10_000 };
  const pool = createPool(cluster.options({ ...options, poolSize: WRITERS }));
  const reads = createPool(cluster.options({ ...options, mode: 'prefer-standby', poolSize: 4 }));
  const history = new History();
  const state = { stopped: false };
  const resolved = { committed: 0, aborted: 0, open: 0 };
  pool.on('commit-resolved', ({ status }) => {
    resolved[status === 'committed' || status === 'aborted' ? status : 'open'] += 1;
  });
  const load = Promise.all([
    ...Array.from({ length: WRITERS }, () => writer(pool, history, state)),
    ...Array.from({ length: READERS }, () => reader(reads, history, state)),
  ]);
  load.catch(() => {}); // whoever stops it hears of it
  t.after(async () => {
    state.stopped = true;
    await Promise.all([pool.end({ timeoutMs: 500 }), reads.end({ timeoutMs: 500 })]);
  });
  return {
    pool,
    history,
    resolved,
    stop: () => {
      state.stopped = true;
      return load;
    },
  };
}

/** Compares the history with what is there. */
async function check(t, cluster, { history, resolved }) {
  const rows = await cluster.primary.sql(
    'select id, count(*)::int as n from (select id from h union all select _id from i) as all_rows group by id',
  );
  assert.deepEqual(
    history.contradictions(new Set(rows.map(({ id }) => id))),
    [],
    'acknowledged and absent, or failed and present',
  );
  assert.deepEqual(
    rows.filter(({ n }) => n > 1),
    [],
    'written twice',
  );
  const { ok, failed, unknown } = history.counts;
  t.diagnostic(
    `${history.total} operations: ${ok} writes ok, ${failed} failed, ${unknown} unknown; ` +
      `${history.reads} reads, ${history.readFailures} failed; ` +
      `looked into: ${resolved.committed} committed, ${resolved.aborted} aborted, ${resolved.open} open`,
  );
}

const SCHEMA =
  'create table h (id int); create table i (_id int primary key); create table beat (n int)';

test(
  `sec_x05: ${FAILOVERS} failovers under load lose no acknowledged write and invent none`,
  async (t) => {
    const cluster = await startCluster();
    t.after(() => cluster.stop());
    await cluster.primary.server.sql(SCHEMA);
    const load = startLoad(t, cluster.hosts, cluster);
    const { pool, history } = load;
    const loop = new HandWritten(cluster.nodes, 'insert into beat values (1)', STATEMENT_MS);
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
      const kind = /** @type {keyof typeof FAULTS} */ (kinds[number % kinds.length]);
      const before = history.counts.ok;
      await waitFor(() => history.counts.ok >= before + 50, { what: 'writes before the fault' });
      const old = cluster.primary;
      Object.assign(gone, { address: old.host, at: 0 });
      const beat = await Beat.open(cluster.standbys, 'insert into beat values (0)');
      const began = performance.now();
      const fault = FAULTS[kind](cluster);
      const accepted = await beat.accepted;
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
      await fault;
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

test('a primary that is cut off the network is left, and what it had acknowledged is there', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  await cluster.primary.server.sql(SCHEMA);
  const proxies = await Promise.all(cluster.nodes.map(({ server }) => startProxy(server)));
  t.after(() => Promise.all(proxies.map((proxy) => proxy.close())));
  const hosts = proxies.map(({ host, port }) => `${host}:${port}`);
  const load = startLoad(t, hosts, cluster);
  const { history } = load;
  await waitFor(() => history.counts.ok > 100, { what: 'writes' });
  const old = cluster.primary;
  proxies[cluster.nodes.indexOf(old)]?.blackHole();
  await old.kill();
  await cluster.promoteBest(old);
  await cluster.streaming(1);
  const promoted = performance.now();
  const { ok } = history.counts;
  await waitFor(() => history.lastOk > promoted && history.counts.ok > ok + 50, {
    what: 'writes after the cut',
    timeoutMs: 15_000,
  });
  await load.stop();
  await check(t, cluster, load);
});
