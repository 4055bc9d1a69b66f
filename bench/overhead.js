// What watching costs a point select: tracing against none in one run, and the engine's counting against the whole.
'use strict';

const { execFileSync } = require('node:child_process');
const { tracingChannel } = require('node:diagnostics_channel');
const { createPool } = require('../lib/index.js');
const { openDatabase } = require('./harness/database.js');
const { overhead: FLOORS } = require('./floors.json');

const ROUNDS = 12;
const ROUND_MS = 700;
const CONCURRENCY = 10;
const TEXT = 'select relname from pg_class where oid = $1';

/** Statements a second, from so many callers at once, for one round. */
async function round(pool) {
  const until = performance.now() + ROUND_MS;
  const began = performance.now();
  let done = 0;
  const caller = async () => {
    while (performance.now() < until) {
      const rows = await pool.query(TEXT, [1259]);
      if (rows[0].relname !== 'pg_class') throw new Error('a wrong answer');
      done++;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  return done / ((performance.now() - began) / 1000);
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Subscribes as a tracer does: a look at each statement's end. */
function listen() {
  let seen = 0;
  const channel = tracingChannel('pg-berth:query');
  const subscribers = {
    start() {},
    end() {},
    asyncStart() {},
    error() {},
    asyncEnd(trace) {
      if (trace.durationMs >= 0) seen++;
    },
  };
  channel.subscribe(subscribers);
  return () => {
    channel.unsubscribe(subscribers);
    return seen;
  };
}

/** Nanoseconds that the engine's counting takes per statement. */
function countingCost() {
  const args = ['run', '-q', '--release', '-p', 'pg-berth-native', '--example', 'metrics_cost'];
  return Number(execFileSync('cargo', args, { encoding: 'utf8' }));
}

async function main() {
  const counting = countingCost();
  const database = await openDatabase({ smoke: true, slots: 1 });
  const pool = createPool({ connectionString: database.url, poolSize: 10 });
  try {
    await round(pool);
    const [plain, traced] = [[], []];
    // Side by side, so that whatever disturbs the machine disturbs both.
    for (let n = 0; n < ROUNDS; n++) {
      plain.push(await round(pool));
      const stop = listen();
      traced.push(await round(pool));
      if (stop() === 0) throw new Error('the subscriber heard nothing');
    }
    const rate = median(plain);
    const lost = median(plain.map((one, n) => 1 - traced[n] / one));
    const share = counting / (1e9 / rate);
    const percent = (part) => `${(part * 100).toFixed(1)} %`;
    console.log(`point select from ${CONCURRENCY} callers: ${Math.round(rate)} a second`);
    console.log(`tracing on: ${percent(lost)} fewer (floor ${percent(FLOORS.tracing)})`);
    console.log(
      `counting: ${counting} ns of each, ${percent(share)} (floor ${percent(FLOORS.metrics)})`,
    );
    if (lost > FLOORS.tracing || share > FLOORS.metrics) process.exitCode = 1;
  } finally {
    await pool.end();
    await database.close();
  }
}

main();
