// Third part of the demo: a large result row by row, in memory that does not grow with it.
'use strict';

const assert = require('node:assert');
const screen = require('./screen.js');

const ROWS = 300_000;

/** @param {{ pool: import('../../types/pool.js').Pool }} demo */
async function showStream({ pool }) {
  const sql = `select i, 'reading ' || i as label, i / 7.0 as value, now() as at from generate_series(1, $1::int) i`;
  screen.code('for await (const row of pool.stream(sql, [300_000], { batchSize: 1000 })) { … }');
  const before = process.memoryUsage().rss;
  const started = performance.now();
  let count = 0;
  let sum = 0;
  let highest = before;
  for await (const { i } of pool.stream(sql, [ROWS], { batchSize: 1000 })) {
    sum += i;
    count++;
    if (count % 10_000 === 0) highest = Math.max(highest, process.memoryUsage().rss);
  }
  const seconds = (performance.now() - started) / 1000;
  assert.strictEqual(count, ROWS);
  assert.strictEqual(sum, (ROWS * (ROWS + 1)) / 2);
  const megabytes = Math.round((highest - before) / 2 ** 20);
  screen.note(
    `${screen.grouped(count)} rows in ${seconds.toFixed(2)} s, ${screen.grouped(count / seconds)} a second; ` +
      `memory rose by ${megabytes} MB at most.`,
  );

  let seen = 0;
  for await (const _row of pool.stream(sql, [ROWS], { batchSize: 1000 })) {
    seen++;
    if (seen === 10) break;
  }
  const { inUse } = pool.status();
  assert.strictEqual(inUse, 0);
  screen.note(`Left after ${seen} rows: the statement is over and no connection is in use.`);
}

module.exports = { showStream };
