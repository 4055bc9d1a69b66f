// What leases, following the primary, tracing and counting cost a point select, against the floors; part of every full run.
'use strict';

const { spawnSync } = require('node:child_process');
const { once } = require('node:events');
const { tracingChannel } = require('node:diagnostics_channel');
const { Worker } = require('node:worker_threads');
const { ServerlessClient, createPool } = require('../lib/index.js');
const { openDatabase } = require('./harness/database.js');
const { CALLERS, alternate, round, summary } = require('./harness/paired.js');
const { cli } = require('../scripts/support/cli.js');
const { overhead: FLOORS } = require('./floors.json');

const HELP = `
Usage: node bench/overhead.js [options]

What leases, following the primary, tracing and counting cost a point select, and how a worker fares beside
blocked JavaScript, against the floors of bench/floors.json. The server is DATABASE_URL if set, else a private one.

  --smoke   tiny: does everything run; no floors
  --help    this text
`;

const SECRET = 'nobody else signs leases in a benchmark';

/** Tracing is paid for by the statement: its floor is a share of the time at this rate. */
const AT_RATE = 10_000;

/** Milliseconds for which JavaScript is blocked beside a worker that works. */
const BLOCKED_MS = 5000;

/** A pair of pools keeps what its connections began with, a few percent either way: so several pairs are opened. */
const OPENINGS = 6;

/** Two pools, one with an option that may cost something. */
async function pools(url, plain, costly, smoke) {
  const costs = [];
  for (let opening = 0; opening < (smoke ? 2 : OPENINGS); opening++) {
    const open = (options) => createPool({ connectionString: url, poolSize: CALLERS, ...options });
    const both =
      opening % 2 === 0 ? [plain, costly].map(open) : [costly, plain].map(open).reverse();
    try {
      const [without, having] = both.map((pool) => (ms) => round(pool, ms));
      costs.push(await alternate(without, having, smoke, OPENINGS));
    } finally {
      await Promise.all(both.map((pool) => pool.end()));
    }
  }
  return summary(costs);
}

const leasing = (url, smoke) =>
  pools(url, {}, { lease: { secret: SECRET, serviceName: 'bench' } }, smoke);

/** The look at the server's role in the packet of a read, after whatever time a connection was unused. */
const following = (url, smoke) =>
  pools(url, { fenceCheck: 'off' }, { fenceCheck: 'auto', mode: 'primary' }, smoke);

/** Subscribes as a tracer does: a look at each statement's end. */
async function tracing(url, smoke) {
  const pool = createPool({ connectionString: url, poolSize: CALLERS });
  const channel = tracingChannel('pg-berth:query');
  let seen = 0;
  const subscribers = {
    start() {},
    end() {},
    asyncStart() {},
    error() {},
    asyncEnd(trace) {
      if (trace.durationMs >= 0) seen++;
    },
  };
  const traced = async (ms) => {
    channel.subscribe(subscribers);
    try {
      return await round(pool, ms);
    } finally {
      channel.unsubscribe(subscribers);
    }
  };
  try {
    const cost = await alternate((ms) => round(pool, ms), traced, smoke);
    if (seen === 0) throw new Error('the subscriber heard nothing');
    return summary([cost]);
  } finally {
    await pool.end();
  }
}

/** Nanoseconds that the engine's counting takes per statement; nothing where there is no Rust to measure it with. */
function countingCost() {
  const args = ['run', '-q', '--release', '-p', 'pg-berth-native', '--example', 'metrics_cost'];
  const { status, stdout } = spawnSync('cargo', args, { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : undefined;
}

/** How many times longer a worker's point select takes while this thread is blocked, both of them with leases. */
async function neighbour(url, smoke) {
  const ms = smoke ? 100 : BLOCKED_MS;
  const lease = { connectionString: url, secret: SECRET, serviceName: 'bench', leaseTtlMs: 3000 };
  const own = new ServerlessClient(lease);
  const worker = new Worker(require.resolve('./neighbour.js'), { workerData: lease });
  const measured = async (meanwhile) => {
    worker.postMessage({ ms });
    await once(worker, 'message');
    meanwhile();
    const [{ latency }] = await once(worker, 'message');
    return latency;
  };
  try {
    await own.query('select 1');
    await measured(() => {});
    const usual = await measured(() => {});
    const cell = new Int32Array(new SharedArrayBuffer(4));
    const beside = await measured(() => Atomics.wait(cell, 0, 0, ms));
    return beside / usual;
  } finally {
    worker.postMessage({ ms: 0 });
    await once(worker, 'exit');
    await own.end();
  }
}

/** The share of a second that the extra time of so many statements takes. @param {{ rate: number, lost: number }} cost */
function extraShare({ rate, lost }) {
  return AT_RATE * (1 / (rate * (1 - lost)) - 1 / rate);
}

const percent = (part) => `${(part * 100).toFixed(1)} %`;

/**
 * @param {{ url: string, smoke?: boolean, say?: (text: string) => void }} how
 * @returns {Promise<{ figures: Record<string, number>, above: number }>} how many are above their floor
 */
async function overhead({ url, smoke = false, say = console.log }) {
  /** @type {Record<string, number>} */
  const figures = {};
  let above = 0;
  const judge = (name, value, text) => {
    figures[name] = value;
    const isAbove = !smoke && value > FLOORS[name];
    if (isAbove) above++;
    say(`${isAbove ? '✗' : '✓'} ${text}`);
  };
  say(`What it costs a point select, ${CALLERS} at once`);
  let rate = Number.NaN;
  for (const [name, title, measure] of [
    ['leasing', 'leases', leasing],
    ['following', 'following the primary', following],
    ['tracing', 'a subscriber of the channels', tracing],
  ]) {
    const cost = await measure(url, smoke);
    rate = cost.rate;
    const floor = percent(FLOORS[name]);
    const fewer = `${title}: ${percent(cost.lost)} fewer than ${Math.round(rate)} a second`;
    if (name === 'tracing') {
      const share = extraShare(cost);
      const at = `${percent(share)} of the time at ${AT_RATE} a second`;
      judge(name, share, `${fewer}, ${at} (most ${floor})`);
    } else judge(name, cost.lost, `${fewer} (most ${floor})`);
  }
  const counting = smoke ? undefined : countingCost();
  if (counting === undefined) say('- counting: measured with cargo, in a full run');
  else {
    const share = counting / (1e9 / rate);
    const floor = percent(FLOORS.metrics);
    judge('metrics', share, `counting: ${counting} ns of each, ${percent(share)} (most ${floor})`);
  }
  const times = await neighbour(url, smoke);
  const floor = FLOORS.neighbour.toFixed(1);
  const title = 'a worker beside 5 s of blocked JavaScript';
  judge('neighbour', times, `${title}: ${times.toFixed(2)} times its latency (most ${floor})`);
  return { figures, above };
}

async function main({ smoke }) {
  const database = await openDatabase({ smoke: true, slots: 1 });
  try {
    const { above } = await overhead({ url: database.url, smoke });
    return above > 0 ? 1 : 0;
  } finally {
    await database.close();
  }
}

if (require.main === module) {
  cli(HELP, { smoke: { type: 'boolean', default: false } }, main);
}

module.exports = { overhead };
