// What must work wherever the package is installed: run by test/runtimes in each runtime, from a folder of its own.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import * as berth from 'pg-berth';
// By name: what Node's lexer, Bun and Deno find in the getters of the entry.
import { createPool, HealthMonitor, Pool, ServerlessClient } from 'pg-berth';
import * as health from 'pg-berth/health';

const url = process.env.DATABASE_URL;
const required = createRequire(import.meta.url)('pg-berth');
assert.equal(required.createPool, berth.createPool, 'require and import share one copy');
assert.equal(health.HealthMonitor, HealthMonitor);
assert.deepEqual(
  [createPool, Pool, ServerlessClient],
  [berth.createPool, berth.Pool, berth.ServerlessClient],
);

const pool = berth.createPool({ connectionString: url, poolSize: 2 });
const [row] = await pool.query(
  'select $1::int8 as big, now() as at, $2::text[] as list, null as none',
  [9007199254740993n, ['ä', null]],
);
assert.equal(row.big, 9007199254740993n);
assert.match(row.at, /^\d{4}-\d\d-\d\dT.*\+00:00$/);
assert.deepEqual([row.list, row.none], [['ä', null], null]);
await assert.rejects(
  pool.query('select 1/0'),
  (error) =>
    error instanceof berth.ServerError && error.code === '22012' && error.outcome === 'failed',
);
let seen = 0;
for await (const _row of pool.stream('select generate_series(1, 5000)')) seen += 1;
assert.equal(seen, 5000);
await pool.transaction((tx) => tx.query('select 1'));
const many = await Promise.all(
  Array.from({ length: 200 }, (_, n) => pool.query('select $1::int as n', [n])),
);
assert.deepEqual(
  many.map(([{ n }]) => n),
  [...many.keys()],
);
const lends = process.platform === 'linux' && !process.versions.bun && !process.versions.deno;
assert.equal(pool.status().driver, lends ? 'loop' : 'engine');
assert.equal(pool.querySync('select 7 as n')[0].n, 7);
await pool.end();

const code = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { createPool } = require(workerData.entry);
  const pool = createPool(workerData.url);
  pool.query('select 42 as n').then(async ([row]) => { await pool.end(); parentPort.postMessage(row.n); });`;
const entry = createRequire(import.meta.url).resolve('pg-berth');
const worker = new Worker(code, { eval: true, workerData: { url, entry } });
const answer = await new Promise((resolve, reject) =>
  worker.once('message', resolve).once('error', reject),
);
assert.equal(answer, 42);
await worker.terminate();
console.log('all well');
