// The endurance run's process: a mixed load, sampled; argument: milliseconds.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { createPool } = require('..');
const { LOADS, SCHEMA, comeAndGo, disturb, fillCaches } = require('./workloads/soak.js');

const url = process.env.DATABASE_URL;
const duration = Number(process.argv[2]);
const WORKERS = 8;
/** Samples of a run; a line is printed for one of five. */
const SAMPLES = 100;
/** Growth that counts as none, MB: the allocator's own moods, which resident memory has most of. */
const SLACK_MB = { rss: 8, heap: 4, external: 4 };
const MOST_GROWTH = 0.05;

const counts = { done: 0, failed: 0 };
let isOver = false;

/** Failures that the load provokes itself; any other ends the run. */
const EXPECTED = new Set(['57014', '57P01', '22012', 'IN_DOUBT', '08006', 'ERR_TIMEOUT', '53300']);

async function worker(pool, number) {
  for (let turn = number; !isOver; turn++) {
    try {
      await LOADS[turn % LOADS.length](pool, turn);
      counts.done++;
    } catch (error) {
      if (!EXPECTED.has(error.code)) throw error;
      counts.failed++;
    }
  }
}

/** Again and again something that has a beginning and an end. */
async function repeat(work, pauseMs) {
  while (!isOver) {
    await work(url);
    await sleep(pauseMs);
  }
}

const entries = (folder) => {
  try {
    return fs.readdirSync(folder).length;
  } catch {
    return Number.NaN; // not Linux
  }
};

function sample(started) {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mb = (bytes) => bytes / 2 ** 20;
  return {
    at: performance.now() - started,
    rss: mb(rss),
    heap: mb(heapUsed),
    external: mb(external),
    files: entries('/proc/self/fd'),
    threads: entries('/proc/self/task'),
    done: counts.done,
  };
}

const HEAD = [
  'minute',
  'operations',
  'failed',
  'RSS MB',
  'heap MB',
  'external',
  'files',
  'threads',
];
const line = (cells) => console.log(cells.map((cell) => String(cell).padStart(10)).join(' '));

function show({ at, rss, heap, external, files, threads, done }) {
  const fixed = [rss, heap, external].map((mb) => mb.toFixed(1));
  line([(at / 60_000).toFixed(1), done, counts.failed, ...fixed, files, threads]);
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

/** Complaints about what grew between the first quarter, behind a warm-up, and the last one. */
function judge(samples) {
  const settled = samples.slice(Math.floor(samples.length / 8));
  const quarter = Math.max(1, settled.length >> 2);
  const of = (list, name) => median(list.map((one) => one[name]));
  const first = settled.slice(0, quarter);
  const last = settled.slice(-quarter);
  const complaints = [];
  for (const name of ['rss', 'heap', 'external', 'files', 'threads']) {
    const from = of(first, name);
    const to = of(last, name);
    if (Number.isNaN(from)) continue;
    const slack = SLACK_MB[name];
    const growth = to / from - 1;
    const isBad = slack
      ? growth > MOST_GROWTH && to - from > slack
      : to > Math.max(...first.map((one) => one[name])) + 2;
    const share = `${growth >= 0 ? '+' : ''}${(growth * 100).toFixed(1)} %`;
    console.log(
      `${name}: ${from.toFixed(1)} → ${to.toFixed(1)} (${share})${isBad ? ', grew' : ''}`,
    );
    if (isBad) complaints.push(name);
  }
  return complaints;
}

async function main() {
  const pool = createPool({ connectionString: url, poolSize: WORKERS, acquireTimeoutMs: 10_000 });
  await pool.query(SCHEMA);
  await fillCaches(pool);
  const started = performance.now();
  const running = Promise.all([
    ...Array.from({ length: WORKERS }, (_, number) => worker(pool, number)),
    repeat(comeAndGo, 100),
    repeat(disturb, 2000),
  ]);
  const samples = [];
  line(HEAD);
  const measured = (async () => {
    for (let number = 1; number <= SAMPLES; number++) {
      await sleep(Math.max(0, started + (duration * number) / SAMPLES - performance.now()));
      samples.push(sample(started));
      if (number % 5 === 0) show(samples.at(-1));
    }
    isOver = true;
  })();
  // A load that fails ends the run at once.
  await Promise.race([measured, running]);
  await running;
  await measured;
  await pool.query('drop schema soak cascade');
  await pool.end();
  assert.ok(counts.done > 0 && counts.failed > 0, 'the load ran and its faults happened');
  const complaints = judge(samples);
  console.log(complaints.length === 0 ? 'flat' : `not flat: ${complaints.join(', ')}`);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
