// Times of one kind, as the engine counted them: milliseconds, any percentile within 3 %.
'use strict';

/** @import * as api from '../types/pool-figures.js' */

/** @typedef {{ count: number, sum: number, min: number, max: number, buckets: [middle: number, count: number][] }} Counted microseconds */

/** @param {number} micros */
const toMs = (micros) => micros / 1000;

/** @implements {api.Histogram} */
class Histogram {
  #buckets;

  /** @param {Counted} counted */
  constructor({ count, sum, min, max, buckets }) {
    this.count = count;
    this.sum = toMs(sum);
    this.min = toMs(min);
    this.max = toMs(max);
    this.#buckets = buckets;
  }

  /** @param {number} percent from 0 to 100 */
  percentile(percent) {
    if (!(percent >= 0 && percent <= 100)) {
      throw new RangeError(`percent must be from 0 to 100, got ${percent}`);
    }
    const rank = Math.max(1, Math.ceil((percent / 100) * this.count));
    // The bounds are known exactly.
    if (rank >= this.count) return this.max;
    if (rank === 1) return this.min;
    let seen = 0;
    for (const [middle, count] of this.#buckets) {
      seen += count;
      if (seen >= rank) return Math.min(Math.max(toMs(middle), this.min), this.max);
    }
    return 0;
  }

  /** How many took longer than that. @param {number} ms */
  countAbove(ms) {
    let found = 0;
    for (const [middle, count] of this.#buckets) if (toMs(middle) > ms) found += count;
    return found;
  }
}

module.exports = { Histogram };
