// Rules P1 to P6: figures of pools that other drivers made.
'use strict';

const assert = require('node:assert/strict');
const { mock, test } = require('node:test');
const mysql = require('mysql2');
const mysqlPromise = require('mysql2/promise');
const pg = require('pg');
const { createMetricsPool, isMetricsPool } = require('../../lib/pool-metrics.js');
const { freshDatabase } = require('../support/shared.js');
require('../support/stray-errors.js');

/** A class as better-sqlite3's: accessors, private state, `close` and no `end`. */
class Sqlite {
  #isOpen = true;
  memory = true;

  get open() {
    return this.#isOpen;
  }

  close() {
    this.#isOpen = false;
  }
}

async function pgPool(t, options) {
  const { url, drop } = await freshDatabase();
  const pool = new pg.Pool({ connectionString: url, ...options });
  t.after(async () => {
    if (!pool.ended) await pool.end();
    await drop();
  });
  return pool;
}

test("P4: pg's pool: figures are read at each call", async (t) => {
  const pool = await pgPool(t, { max: 2 });
  const metrics = createMetricsPool(pool);
  assert.deepEqual(metrics.getMetrics(), { total: 2, idle: 0, active: 0, waiting: 0, max: 2 });
  const clients = [await pool.connect(), await pool.connect()];
  const queued = metrics.connect();
  assert.deepEqual(metrics.getMetrics(), { total: 2, idle: 0, active: 2, waiting: 1, max: 2 });
  for (const client of clients) client.release();
  (await queued).release();
  assert.deepEqual(metrics.getMetrics(), { total: 2, idle: 2, active: 0, waiting: 0, max: 2 });
});

test('P4: a pool without connections says its maximum, ten by default', () => {
  const empty = { totalCount: 0, idleCount: 0, waitingCount: 0, end() {} };
  const none = { idle: 0, active: 0, waiting: 0 };
  assert.deepEqual(createMetricsPool(empty).getMetrics(), { total: 10, ...none, max: 10 });
  const limited = { ...empty, options: { max: 20 } };
  assert.deepEqual(createMetricsPool(limited).getMetrics(), { total: 20, ...none, max: 20 });
  assert.deepEqual(createMetricsPool({ end() {} }).getMetrics(), { total: 10, ...none });
});

test('P1: members run on the pool itself, and instanceof holds', async (t) => {
  class Private {
    #count = 3;
    get totalCount() {
      return this.#count;
    }
    get idleCount() {
      return this.#count - 1;
    }
    waitingCount = 0;
    query() {
      return this.#count;
    }
    end() {}
  }
  const pool = createMetricsPool(new Private());
  assert.equal(pool.totalCount, 3);
  assert.equal(pool.query(), 3);
  assert.equal(pool.query, pool.query);
  assert.ok(pool instanceof Private);
  assert.equal(pool.constructor, Private);
  assert.ok('getMetrics' in pool);
  const made = await pgPool(t);
  const real = createMetricsPool(made);
  assert.equal(real.Client, made.Client, 'a class is itself');
  assert.ok(real instanceof pg.Pool);
  assert.deepEqual((await real.query('select 1 as n')).rows, [{ n: 1 }]);
});

test('P1: what is chained keeps its figures', async (t) => {
  const pool = createMetricsPool(await pgPool(t));
  const chained = pool.on('error', () => {}).once('connect', () => {});
  assert.equal(chained, pool);
  assert.equal(chained.getMetrics().total, 10);
  assert.equal(pool.listenerCount('error'), 1);
});

test('P1: the argument is not changed', () => {
  const given = Object.freeze({ totalCount: 1, idleCount: 1, end() {} });
  const pool = createMetricsPool(given);
  assert.equal(pool.getMetrics().total, 1);
  assert.equal('getMetrics' in given, false);
  assert.equal(pool.end, given.end, 'a frozen member is given as it is');
});

test("P2: mysql2's pools of both kinds, with their own limit and queue", async () => {
  const options = { connectionLimit: 25, host: '127.0.0.1', port: 1 };
  for (const make of [mysqlPromise.createPool, mysql.createPool]) {
    const pool = createMetricsPool(make(options));
    assert.deepEqual(pool.getMetrics(), { total: 25, idle: 0, active: 0, waiting: 0, max: 25 });
    await new Promise((resolve) => resolve(pool.end()));
  }
});

test('P2: figures of a mysql2 pool in use', () => {
  const inner = {
    _allConnections: { length: 8 },
    _freeConnections: { length: 5 },
    _connectionQueue: { length: 4 },
    config: { connectionLimit: 9 },
  };
  const figures = { total: 9, idle: 5, active: 3, waiting: 4, max: 9 };
  assert.deepEqual(createMetricsPool({ pool: inner, end() {} }).getMetrics(), figures);
  assert.deepEqual(createMetricsPool({ ...inner, end() {} }).getMetrics(), figures);
});

test('P3: end closes a SQLite database', async () => {
  const database = new Sqlite();
  const pool = createMetricsPool(database);
  const figures = { total: 1, idle: 0, active: 1, waiting: 0, max: 1 };
  assert.deepEqual(pool.getMetrics(), figures);
  await pool.end();
  assert.equal(database.open, false);
  assert.deepEqual(pool.getMetrics(), { ...figures, active: 0 });
  // One that can end by itself does so.
  const ended = mock.fn();
  const own = createMetricsPool(Object.assign(new Sqlite(), { end: ended }));
  await own.end();
  assert.deepEqual([ended.mock.callCount(), own.open], [1, true]);
});

test('P5: isMetricsPool takes anything', () => {
  for (const value of [null, undefined, 1, 'x', {}, { getMetrics: 1 }]) {
    assert.equal(isMetricsPool(value), false);
  }
  assert.equal(isMetricsPool({ getMetrics() {} }), true);
  assert.throws(() => createMetricsPool(null), /pool must be an object/);
});

test('P6: a pool with figures of its own is returned as it is', () => {
  const pool = { end() {}, getMetrics: () => ({ total: 7, idle: 1, active: 6, waiting: 2 }) };
  assert.equal(createMetricsPool(pool), pool);
});
