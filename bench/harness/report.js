// What the terminal shows: figures per workload, the table of ratios, the verdict on the floors.
'use strict';

const { PEERS, SUBJECT } = require('./peers.js');

const show = (value, digits = 1) => {
  if (value === undefined || Number.isNaN(value)) return '–';
  return value.toLocaleString('en', { maximumFractionDigits: digits, useGrouping: true });
};

/** Left-aligned first column, right-aligned rest. */
function table(lines) {
  const widths = lines[0].map((_, c) => Math.max(...lines.map((line) => line[c].length)));
  return lines
    .map((line) => {
      const cells = line.map((cell, c) =>
        c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]),
      );
      return `  ${cells.join('  ')}`;
    })
    .join('\n');
}

/** All figures of one workload. */
function details(workload, figures) {
  const delay = workload.kind === 'delay';
  const soak = workload.kind === 'soak';
  const lines = [
    ['', 'ops/s', 'ratio', 'CPU us', 'JS us', 'p50 ms', 'p99 ms', 'peak MB'].concat(
      delay ? ['delay ms', 'worst'] : soak ? ['growth'] : [],
    ),
  ];
  for (const [peer, own] of Object.entries(figures)) {
    const blank = lines[0].slice(2).map(() => '');
    if (own.error) lines.push([peer, 'failed', ...blank]);
    else {
      const common = [own.rate, own.ratio, own.cpuUs, own.jsUs, own.p50, own.p99, own.peakRssMb];
      const digits = [own.rate < 100 ? 2 : 0, 2, 1, 1, 3, 3, 0];
      const cells = common.map((value, i) => show(value, digits[i]));
      if (delay) cells.push(show(own.delayMs), show(own.delayWorstMs));
      if (soak) cells.push(`${show(own.growth * 100)} %`);
      lines.push([peer, ...cells]);
    }
  }
  const ways = Object.entries(figures).filter(([, own]) => workload.name === 'bulk' && own.way);
  const errors = Object.values(figures).filter(({ error }) => error);
  const notes = [
    ...ways.map(([peer, { way }]) => `  ${peer}: ${way}`),
    ...errors.map(({ error }) => `  ${error.split('\n', 4).join('\n  ')}`),
  ];
  return [table(lines), ...notes].join('\n');
}

/** Workloads by peers: the ratio, or the figure a workload is about. */
function ratios(results, peers) {
  const lines = [['', ...peers]];
  for (const { workload, figures } of results) {
    lines.push([workload.title, ...peers.map((peer) => cell(workload, figures[peer]))]);
  }
  return table(lines);
}

function cell({ kind }, own) {
  if (!own) return '–';
  if (own.error) return 'failed';
  if (kind === 'delay') return `${show(own.delayMs, 0)} ms`;
  if (kind === 'memory') return `${show(own.peakRssMb, 0)} MB`;
  if (kind === 'soak') return `+${show(own.growth * 100)} %`;
  return own.ratio === undefined ? show(own.rate, 0) : `${own.ratio.toFixed(2)}x`;
}

const METRICS = { rate: 'ratio', jsCpu: 'jsRatio', cpu: 'cpuRatio' };

/**
 * What each floor asks, and what was reached.
 * @param {any[]} checks of floors.json
 * @param {{workload: any, figures: any}[]} results
 */
function judged(checks, results) {
  const rows = [];
  for (const { workload: name, metric, peer = SUBJECT, against, atLeast, atMost, aim } of checks) {
    const result = results.find(({ workload }) => workload.name === name);
    // Who was not asked for is not judged.
    if (!result || (peer !== SUBJECT && !result.figures[peer])) continue;
    const own = result.figures[peer];
    const reached = against
      ? own?.rate / result.figures[against]?.rate
      : own?.[METRICS[metric] ?? metric];
    const meets = (limit) => (atLeast === undefined ? reached <= limit : reached >= limit);
    const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
    const { title } = result.workload;
    // A figure that is missing or NaN compares false, and so counts as below.
    const good = meets(atLeast ?? atMost);
    rows.push({ title, metric, peer, against, reached, bound, aim, good, atAim: meets(aim) });
  }
  return rows;
}

/**
 * @param {any[]} checks of floors.json
 * @param {{workload: any, figures: any}[]} results
 * @returns {{text: string, below: number}}
 */
function verdict(checks, results) {
  const lines = [['floor', 'metric', 'reached', 'floor', 'aim', '']];
  const rows = judged(checks, results);
  for (const { title, metric, peer, against, reached, bound, aim, good, atAim } of rows) {
    const mark = good ? (atAim ? 'aim' : 'ok') : 'BELOW';
    const what = against ? `${metric} of ${peer} to ${against}` : metric;
    lines.push([title, what, show(reached, 2), bound, String(aim), mark]);
  }
  const below = rows.filter(({ good }) => !good).length;
  return { text: lines.length > 1 ? table(lines) : '', below };
}

const titleOf = (peer) => PEERS[peer].title;

module.exports = { details, judged, ratios, verdict, titleOf };
