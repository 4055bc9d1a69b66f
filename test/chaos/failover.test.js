// Failovers under load: nothing acknowledged is lost, nothing failed is there, nothing is there twice.
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** `npm run test:chaos` asks for more. */
const FAILOVERS = Number(process.env.PG_BERTH_FAILOVERS ?? 5);
const WRITERS = 8;
const READERS = 8;
/** A frozen server is found by this. */
const STATEMENT_MS = 1500;

/** Every write with what was said about it. */
class History {
  /** @type {Map<number, 'ok' | 'failed' | 'unknown'>} */
  writes = new Map();
  reads = 0;
  readFailures = 0;
  lastOk = 0;
  #next = 0;

  id() {
    this.#next += 1;
    return this.#next;
  }

  /** @param {number[]} ids @param {'ok' | 'failed' | 'unknown'} outcome */
  note(ids, outcome) {
    for (const id of ids) this.writes.set(id, outcome);
    if (outcome === 'ok') this.lastOk = performance.now();
  }

  count(outcome) {
    return [...this.writes.values()].filter((each) => each === outcome).length;
  }

  get total() {
    return this.writes.size + this.reads;
  }
}

/** Writes until told to stop: single statements and transactions in turn. */
async function writer(pool, history, state) {
  for (let turn = 0; !state.stopped; turn++) {
    const ids = turn % 2 === 0 ? [history.id()] : [history.id(), history.id()];
    try {
      if (ids.length === 1) await pool.query('insert into h values ($1)', ids);
      else
        await pool.transaction(async (tx) => {
          for (const id of ids) await tx.query('insert into h values ($1)', [id]);
        });
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

/** The ways in which a primary goes; each leaves a new one behind, and the old one dead. */
const FAULTS = {
  async 'kill -9'(cluster) {
    await cluster.failover();
  },
  async fence(cluster) {
    const old = cluster.primary;
    await old.fence();
    await caughtUp(cluster, cluster.standbys[0]);
    await cluster.detach();
    await cluster.promoteBest(old);
    await old.kill();
  },
  async freeze(cluster) {
    const old = cluster.primary;
    old.freeze();
    await cluster.promoteBest(old);
    await old.kill();
  },
  async switchover(cluster) {
    const old = cluster.primary;
    await old.server.shutdown();
    await cluster.promoteBest(old);
  },
};

test(
  `sec_x05: ${FAILOVERS} failovers under load lose no acknowledged write and invent none`,
  async (t) => {
    const cluster = await startCluster();
    t.after(() => cluster.stop());
    await cluster.primary.server.sql('create table h (id int)');
    const options = { maxStatementMs: STATEMENT_MS, acquireTimeoutMs: 10_000 };
    const pool = createPool(cluster.options({ ...options, poolSize: WRITERS }));
    const reads = createPool(cluster.options({ ...options, mode: 'prefer-standby', poolSize: 4 }));
    t.after(() => Promise.all([pool.end({ timeoutMs: 500 }), reads.end({ timeoutMs: 500 })]));
    const history = new History();
    const state = { stopped: false };
    t.after(() => {
      state.stopped = true;
    });
    const load = Promise.all([
      ...Array.from({ length: WRITERS }, () => writer(pool, history, state)),
      ...Array.from({ length: READERS }, () => reader(reads, history, state)),
    ]);
    load.catch(() => {}); // looked at below

    const kinds = Object.keys(FAULTS);
    for (let number = 0; number < FAILOVERS; number++) {
      const kind = /** @type {keyof typeof FAULTS} */ (kinds[number % kinds.length]);
      const before = history.count('ok');
      await waitFor(() => history.count('ok') >= before + 50, { what: 'writes before the fault' });
      const old = cluster.primary;
      const began = performance.now();
      await FAULTS[kind](cluster);
      const promoted = performance.now();
      const { lastOk } = history;
      await waitFor(() => history.lastOk > Math.max(promoted, lastOk), {
        what: `an acknowledged write after ${kind}`,
        timeoutMs: 15_000,
      });
      const gap = Math.round(history.lastOk - began);
      t.diagnostic(`${kind}: acknowledged again ${gap} ms after the fault`);
      old.thaw();
      await cluster.rejoin(old);
      await cluster.streaming();
    }

    state.stopped = true;
    await load;
    const rows = await cluster.primary.sql('select id, count(*)::int as n from h group by id');
    const present = new Map(rows.map(({ id, n }) => [id, n]));
    const wrong = [...history.writes].filter(
      ([id, outcome]) =>
        (outcome === 'ok' && !present.has(id)) || (outcome === 'failed' && present.has(id)),
    );
    assert.deepEqual(wrong, [], 'acknowledged and absent, or failed and present');
    assert.deepEqual(
      rows.filter(({ n }) => n > 1),
      [],
      'written twice',
    );
    t.diagnostic(
      `${history.total} operations: ${history.count('ok')} writes ok, ${history.count('failed')} failed, ` +
        `${history.count('unknown')} unknown; ${history.reads} reads, ${history.readFailures} failed`,
    );
    assert.ok(history.count('ok') > 50 * FAILOVERS);
  },
  20_000 * FAILOVERS,
);
