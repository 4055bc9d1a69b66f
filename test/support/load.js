// Constant mixed load on a cluster: every way of writing, and whether what was said about each write is what is there.
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { History } = require('./chaos.js');

const WRITERS = 8;
const READERS = 8;
/** A statement that takes so long is given up. */
const STATEMENT_MS = 1500;
/** A server that answers nobody for so long, frozen or cut off, is given up. */
const ALIVE_MS = 300;

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
      history.note(ids, outcomeUnknown ? 'unknown' : 'failed', error);
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

/** Load on a cluster, and what came of it. @param {import('node:test').TestContext} t @param {object} cluster options of its pools */
function startLoad(t, cluster) {
  const limits = { maxStatementMs: STATEMENT_MS, aliveTimeoutMs: ALIVE_MS };
  const options = { ...limits, acquireTimeoutMs: 10_000, ...cluster };
  const pool = createPool({ ...options, poolSize: WRITERS });
  const reads = createPool({ ...options, mode: 'prefer-standby', poolSize: 4 });
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

module.exports = { SCHEMA, STATEMENT_MS, check, startLoad };
