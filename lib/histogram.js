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

  /**
   * What was added since an earlier look; its bounds are those of the buckets.
   * @param {Histogram} earlier
   * @returns {Histogram}
   */
  since(earlier) {
    const before = new Map(earlier.#buckets);
    /** @type {[number, number][]} */
    const buckets = [];
    for (const [middle, count] of this.#buckets) {
      const added = count - (before.get(middle) ?? 0);
      if (added > 0) buckets.push([middle, added]);
    }
    const count = this.count - earlier.count;
    const sum = Math.max(0, Math.round((this.sum - earlier.sum) * 1000));
    const [min = 0] = buckets[0] ?? [];
    const [max = 0] = buckets.at(-1) ?? [];
    return new Histogram({ count, sum, min, max, buckets });
  }

  /** How many took longer than that. @param {number} ms */
  countAbove(ms) {
    let found = 0;
    for (const [middle, count] of this.#buckets) if (toMs(middle) > ms) found += count;
    return found;
  }
}

module.exports = { Histogram };
