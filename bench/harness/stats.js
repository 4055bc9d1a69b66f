// Order statistics.
'use strict';

/** The q-quantile (0 to 1) of ascending values, by nearest rank; NaN of none. */
function quantile(sorted, q) {
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))];
}

const sort = (values) => [...values].sort((a, b) => a - b);
const median = (values) => quantile(sort(values), 0.5);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** A copy in random order, so that no peer always follows the same other one. */
function shuffled(list) {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}

module.exports = { quantile, sort, median, sum, shuffled };
