// Runs one operation again and again at a concurrency, and keeps the time of each.
'use strict';

const { startMeter, watchLoop } = require('./meter.js');
const { quantile } = require('./stats.js');

/**
 * @param {(i: number) => Promise<void>} op
 * @param {{concurrency: number, ms: number, delay: boolean}} how ms: no operation begins
 *   later; each of the concurrent strands runs at least one; delay: watch the event loop
 */
async function drive(op, { concurrency, ms, delay }) {
  const times = [];
  let next = 0;
  const stopWatch = delay ? watchLoop() : null;
  const stopMeter = startMeter();
  const start = performance.now();
  const end = start + ms;
  const strand = async () => {
    let begun = performance.now();
    do {
      await op(next++);
      const now = performance.now();
      times.push(now - begun);
      begun = now;
    } while (begun < end);
  };
  await Promise.all(Array.from({ length: concurrency }, strand));
  const cost = stopMeter();
  const delayMs = stopWatch ? stopWatch() : null;
  times.sort((a, b) => a - b);
  return {
    ops: times.length,
    ...cost,
    delayMs,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  };
}

/**
 * Many operations, resident memory sampled on the way.
 *
 * @returns {Promise<{ops: number, ms: number, samples: {ops: number, rssMb: number}[]}>}
 */
async function soak(op, { concurrency, ops, every }) {
  const samples = [];
  const start = performance.now();
  let next = 0;
  const strand = async () => {
    while (next < ops) {
      const i = next++;
      await op(i);
      if ((i + 1) % every === 0) {
        samples.push({ ops: i + 1, rssMb: process.memoryUsage.rss() / 1_048_576 });
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, strand));
  return { ops: next, ms: performance.now() - start, samples };
}

module.exports = { drive, soak };
