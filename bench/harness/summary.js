// From the rounds of a workload to one record of figures per peer.
'use strict';

const { quantile, sort, median, sum } = require('./stats.js');
const { REFERENCE } = require('./peers.js');

/**
 * @param {any} workload
 * @param {Map<string, import('./measure.js').Taken>} taken
 * @returns {Record<string, any>} by peer; ratio, cpuRatio and jsRatio against the reference, larger: better
 */
function summarize(workload, taken) {
  const figures = {};
  for (const [peer, record] of taken) {
    if (record.error) figures[peer] = { error: record.error };
    else if (workload.kind === 'soak') figures[peer] = soakFigures(record.rounds[0]);
    else figures[peer] = roundFigures(record);
  }
  const reference = figures[REFERENCE];
  for (const own of Object.values(figures)) {
    if (own.error || !reference || reference.error) continue;
    own.ratio = own.rate / reference.rate;
    own.cpuRatio = reference.cpuUs / own.cpuUs;
    own.jsRatio = reference.jsUs / own.jsUs;
    own.memoryOverMb = own.peakRssMb - reference.peakRssMb;
  }
  return figures;
}

function roundFigures({ rounds, way }) {
  const ops = sum(rounds.map((round) => round.ops));
  const of = (field) => rounds.map((round) => round[field]);
  const rates = rounds.map((round) => (round.ops * 1_000) / round.ms);
  return {
    rate: quantile(sort(rates), 0.8),
    rates,
    cpuUs: sum(of('cpuUs')) / ops,
    jsUs: sum(of('jsUs').map((us) => us ?? Number.NaN)) / ops,
    p50: median(of('p50')),
    p99: median(of('p99')),
    peakRssMb: median(of('peakRssMb')),
    delayMs: typeof rounds[0].delayMs === 'number' ? median(of('delayMs')) : undefined,
    delayWorstMs: typeof rounds[0].delayMs === 'number' ? Math.max(...of('delayMs')) : undefined,
    way,
  };
}

/** The base is the highest sample of the first million (or tenth, in a shorter soak). */
function soakFigures({ ops, ms, samples }) {
  const first = Math.min(1_000_000, ops / 10);
  const peak = (list) => Math.max(...list.map(({ rssMb }) => rssMb));
  const base = peak(samples.filter((sample) => sample.ops <= first));
  const later = peak(samples.filter((sample) => sample.ops > first));
  return { rate: (ops * 1_000) / ms, peakRssMb: later, growth: later / base - 1, samples };
}

module.exports = { summarize };
