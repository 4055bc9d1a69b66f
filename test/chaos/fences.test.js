// Fences under contention: everything that takes a connection for itself, four connections, and a primary that comes and goes.
'use strict';

const assert = require('node:assert/strict');
const { Kysely, sql } = require('kysely');
const { createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { startCluster } = require('../support/cluster.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const FENCES = Number(process.env.PG_BERTH_FENCES ?? 8);
const SCHEMA = `create table written (id int, kind text);
  create table behind (id int);
  create table account (id int primary key, balance int not null);
  insert into account select i, 0 from generate_series(0, 7) i`;
const WRITE = 'insert into written values ($1, $2)';
const ADD = 'update account set balance = balance + 1 where id = $1';

/** How many callers ask in each of the ways. */
const CALLERS = {
  transaction: 14,
  kysely: 6,
  inKysely: 6,
  patient: 4,
  single: 6,
  whole: 4,
  pair: 4,
};

/** The ways in which a pool is asked to write a row; each is told what became of it. */
function waysOf(pool, db) {
  const write = (id, kind) => [WRITE, [id, kind]];
  return {
    single: (id) => pool.query(...write(id, 'single')),
    patient: (id) => pool.query(...write(id, 'patient'), { acquireTimeoutMs: 9_000 }),
    kysely: (id) => sql`insert into written values (${id}, 'kysely')`.execute(db),
    transaction: (id) =>
      pool.transaction(async (tx) => {
        await tx.query(...write(id, 'transaction'));
        await tx.query(ADD, [id % 8]);
      }),
    inKysely: (id) =>
      db.transaction().execute(async (tx) => {
        await sql`insert into written values (${id}, 'inKysely')`.execute(tx);
        await sql`update account set balance = balance + 1 where id = ${id % 8}`.execute(tx);
      }),
    whole: (id) =>
      pool.batch(
        [
          { sql: WRITE, params: [id, 'whole'] },
          { sql: ADD, params: [id % 8] },
        ],
        { errors: 'all-or-nothing' },
      ),
    async pair(id) {
      const [first, second] = await pool.batch([
        { sql: WRITE, params: [id, 'pair'] },
        { sql: 'insert into behind select id from written where id = $1', params: [id] },
      ]);
      if (first.status === 'rejected') throw first.reason;
      // Whatever became of it, it did not overtake the first.
      if (second.status === 'fulfilled') assert.equal(second.value.rowCount, 1, `pair ${id}`);
    },
  };
}

for (const driver of /** @type {const} */ (['auto', 'engine'])) {
  test(`sec_m01: ${FENCES} fences under contention tear nothing apart, driver ${driver}`, async (t) => {
    const cluster = await startCluster();
    t.after(() => cluster.stop());
    await cluster.primary.server.sql(SCHEMA);
    const pool = createPool(cluster.options({ poolSize: 4, acquireTimeoutMs: 10_000, driver }));
    t.after(() => pool.end({ timeoutMs: 500 }));
    const db = new Kysely({ dialect: new BerthDialect({ pool }) });
    const ways = waysOf(pool, db);
    const told = new Map();
    let [next, done, isOver] = [0, 0, false];
    const caller = async (kind) => {
      while (!isOver) {
        const id = next++;
        try {
          await ways[kind](id);
          told.set(id, { kind, outcome: 'ok' });
          done++;
        } catch (error) {
          if (error.outcome === undefined) throw error;
          told.set(id, { kind, outcome: error.outcome });
        }
      }
    };
    const callers = Object.entries(CALLERS).flatMap(([kind, count]) =>
      Array.from({ length: count }, () => caller(kind)),
    );
    const all = Promise.all(callers);
    all.catch(() => {});
    for (let fence = 0; fence < FENCES; fence++) {
      const before = done;
      await waitFor(() => done >= before + 200, { what: 'writes before the fence' });
      await cluster.primary.fence();
      await waitFor(() => pool.status().waiting > 0, { what: 'callers who wait for a primary' });
      await cluster.primary.unfence();
    }
    isOver = true;
    await all;

    const rows = await cluster.primary.server.sql(
      'select id, kind, count(*)::int as times from written group by id, kind',
    );
    const times = new Map(rows.map((row) => [Number(row.id), Number(row.times)]));
    const expected = { ok: [1], failed: [0], 'not-sent': [0], unknown: [0, 1] };
    for (const [id, { kind, outcome }] of told) {
      const found = times.get(id) ?? 0;
      assert.ok(
        expected[outcome].includes(found),
        `${kind} ${id}: ${outcome}, found ${found} times`,
      );
    }
    const added = rows.filter(({ kind }) => ['transaction', 'inKysely', 'whole'].includes(kind));
    const [{ sum }] = await cluster.primary.server.sql('select sum(balance)::int from account');
    assert.equal(Number(sum), added.length);
    assert.equal(pool.status().waiting, 0);
  });
}
