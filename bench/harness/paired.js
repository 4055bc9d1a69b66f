// Two ways of doing the same, side by side in one process: what the second one costs, as a share of the first one's rate.
'use strict';

/** Rounds of the present length in one measurement, smoke tests aside. */
const PAIRS = 48;
const ROUND_MS = 250;
const CALLERS = 10;
const TEXT = 'select relname from pg_class where oid = $1';

/** Point selects a second, from so many callers at once, for one round; every answer is looked at. */
async function round(pool, ms) {
  const began = performance.now();
  const until = began + ms;
  let done = 0;
  const caller = async () => {
    while (performance.now() < until) {
      const rows = await pool.query(TEXT, [1259]);
      if (rows.length !== 1 || rows[0].relname !== 'pg_class') throw new Error('a wrong answer');
      done++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return done / ((performance.now() - began) / 1000);
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/**
 * Alternates, each way first as often as the other, so that whatever disturbs the machine disturbs both.
 * @param {(ms: number) => Promise<number>} plain the rate of one round @param {(ms: number) => Promise<number>} costly
 * @param {boolean} smoke @param {number} [share] of the rounds that are run: one in so many
 * @returns {Promise<Costs>}
 */
async function alternate(plain, costly, smoke, share = 1) {
  const [pairs, ms] = smoke ? [2, 20] : [PAIRS / share, ROUND_MS];
  for (const way of [plain, costly]) await way(smoke ? 10 : 500);
  /** @type {Costs} */
  const costs = { rates: [], lost: [] };
  for (let n = 0; n < pairs; n++) {
    const ways = n % 2 === 0 ? [plain, costly] : [costly, plain];
    const [first, second] = [await ways[0](ms), await ways[1](ms)];
    const [without, having] = n % 2 === 0 ? [first, second] : [second, first];
    costs.rates.push(without);
    costs.lost.push(1 - having / without);
  }
  return costs;
}

/** Of each pair of rounds. @typedef {{ rates: number[], lost: number[] }} Costs */

/**
 * @param {Costs[]} costs of one or several openings
 * @returns {{ rate: number, lost: number }} medians over all pairs of rounds
 */
function summary(costs) {
  const all = (/** @type {keyof Costs} */ name) => median(costs.flatMap((cost) => cost[name]));
  return { rate: all('rates'), lost: all('lost') };
}

module.exports = { CALLERS, alternate, median, round, summary };
