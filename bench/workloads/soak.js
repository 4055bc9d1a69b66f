// What the endurance run does: every kind of use and of failure, each checked.
'use strict';

const assert = require('node:assert');
const { once } = require('node:events');
const { Pool, ServerlessClient, createListener, createPool } = require('../..');

const SCHEMA = `
  create schema if not exists soak`;

const NAME = 'pg-berth soak';

const LOADS = [
  async (pool, turn) => {
    const [row] = await pool.query('select $1::int as i, $2::text as t', [turn, `turn ${turn}`]);
    assert.deepStrictEqual({ ...row }, { i: turn, t: `turn ${turn}` });
  },
  async (pool, turn) => {
    const sum = await pool.transaction(async (tx) => {
      await tx.query('create temp table step (n int) on commit drop');
      await tx.query('insert into step select generate_series(1, $1::int)', [turn % 50]);
      return (await tx.query('select count(*)::int as n from step'))[0].n;
    });
    assert.strictEqual(sum, turn % 50);
  },
  async (pool) => {
    let count = 0;
    const sql = `select i, repeat('x', 100) as pad from generate_series(1, 2000) i`;
    for await (const _row of pool.stream(sql, [], { batchSize: 250 })) count++;
    assert.strictEqual(count, 2000);
  },
  async (pool) => {
    // left early: the portal is closed and the connection usable
    for await (const row of pool.stream('select generate_series(1, 1000000) as i')) {
      if (row.i === 10) break;
    }
  },
  async (pool, turn) => {
    // a text of its own each time: statement caches turn over
    const [row] = await pool.query(`select ${turn} as "column ${turn % 5000}"`);
    assert.strictEqual(Object.values(row)[0], turn);
  },
  async (pool, turn) => {
    const doc = { turn, list: [1, 2, { deep: 'é'.repeat(turn % 300) }] };
    const [row] = await pool.query('select $1::jsonb as doc', [doc]);
    assert.deepStrictEqual(row.doc, doc);
  },
  async (pool, turn) => {
    const bytes = Buffer.alloc(100_000, turn);
    const [row] = await pool.query('select $1::bytea as b', [bytes]);
    assert.ok(row.b.equals(bytes));
  },
  (pool) => pool.query('select 1 / (select 0)'),
  (pool) => pool.query('select pg_sleep(5)', [], { timeoutMs: 20 }),
  async (pool) => {
    let bytes = 0;
    for await (const piece of pool.copyTo('copy (select generate_series(1, 5000)) to stdout')) {
      bytes += piece.length;
    }
    assert.strictEqual(bytes, 23_893);
  },
  async (pool) => {
    const results = await pool.batch([
      'select 1',
      'select 2',
      { sql: 'select $1::int', params: [3] },
    ]);
    assert.strictEqual(results.length, 3);
  },
];

/**
 * Caches of statements and shapes are bounded and fill slowly under the load: what they hold is no growth.
 * @param {import('../../types/pool.js').Pool} pool
 */
async function fillCaches(pool) {
  for (let turn = 0; turn < 30_000; turn += 100) {
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        pool.query(`select ${-turn - i} as "column ${turn + i}"`),
      ),
    );
  }
}

/** Pools, clients and listeners that are opened, used and ended. @param {string} url */
async function comeAndGo(url) {
  const pool = createPool({ connectionString: url, poolSize: 2, applicationName: NAME });
  const listener = createListener({ connectionString: url, applicationName: NAME });
  const pg = new Pool({ connectionString: url, max: 2, application_name: NAME });
  const client = new ServerlessClient({ connectionString: url, leaseMode: 'optional' });
  try {
    await listener.listen('soak');
    const heard = once(listener, 'notification');
    await pool.query(`select pg_notify('soak', 'x')`);
    await heard;
    const connection = await pg.connect();
    await connection.query('select $1::text', ['x']);
    connection.release();
    await client.query('select 1');
  } finally {
    await Promise.all([pool.end(), listener.end(), pg.end(), client.end()]);
  }
}

/** Ends a connection of the load from outside. @param {string} url */
async function disturb(url) {
  const pool = createPool({ connectionString: url, poolSize: 1, applicationName: NAME });
  try {
    await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where pid <> pg_backend_pid() and datname = current_database() and application_name = '' limit 1`,
    );
  } finally {
    await pool.end();
  }
}

module.exports = { LOADS, SCHEMA, comeAndGo, disturb, fillCaches };
