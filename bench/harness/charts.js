// Bar charts as SVG files, readable on light and on dark pages, without any library.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { PEERS, SUBJECT } = require('./peers.js');

/** The colour of a peer is the same in every chart; each has 3:1 contrast on both backgrounds. */
const COLOURS = {
  'pg-berth': '#d9480f',
  'pg-named': '#5c7cfa',
  pg: '#868e96',
  'pg-pipeline': '#748ffc',
  postgres: '#2b8a8a',
  bun: '#c2417f',
  limit: '#7a8a3a',
  'pg-berth-pg': '#e8890c',
  'pg-berth-engine': '#b0567e',
};

const CHARTS = [
  { file: 'point', title: 'Point selects, times as fast as pg', of: byRatio('point') },
  { file: 'results', title: 'Large results, times as fast as pg', of: byRatio('results') },
  { file: 'writes', title: 'Writes, times as fast as pg', of: byRatio('writes') },
  {
    file: 'js-cpu',
    title: 'JS-thread CPU per operation, share of pg’s (less is better)',
    of: ({ chart }, own) => ['point', 'results'].includes(chart) && 1 / own.jsRatio,
    unit: 'x',
  },
  {
    file: 'memory',
    title: 'Peak memory of a streamed million rows, MB (less is better)',
    of: ({ kind }, own) => kind === 'memory' && own.peakRssMb,
    unit: ' MB',
  },
  {
    file: 'cold',
    title: 'Process start to first row, ms (less is better)',
    of: ({ kind }, own) => kind === 'cold' && 1_000 / own.rate,
    unit: ' ms',
  },
  {
    file: 'delay',
    title: 'Worst event-loop delay, ms (less is better)',
    of: ({ kind }, own) => kind === 'delay' && own.delayMs,
    unit: ' ms',
  },
];

function byRatio(chart) {
  return (workload, own) => workload.chart === chart && own.ratio;
}

/**
 * @param {string} folder
 * @param {{workload: any, figures: Record<string, any>}[]} results
 * @param {string} subtitle where and how it was measured
 * @returns {string[]} the files written
 */
function writeCharts(folder, results, subtitle) {
  fs.mkdirSync(folder, { recursive: true });
  const written = [];
  for (const { file, title, of, unit = 'x' } of CHARTS) {
    const groups = [];
    for (const { workload, figures } of results) {
      const bars = Object.entries(figures)
        .map(([peer, own]) => ({ peer, value: own.error ? Number.NaN : of(workload, own) }))
        .filter(({ value }) => Number.isFinite(value));
      // the subject first, then from the best known to the limit, as in the table of peers
      bars.sort((a, b) => Number(b.peer === SUBJECT) - Number(a.peer === SUBJECT));
      if (bars.length > 0) groups.push({ label: workload.title, bars });
    }
    if (groups.length === 0) continue;
    const name = path.join(folder, `${file}.svg`);
    fs.writeFileSync(
      name,
      draw({
        title,
        subtitle: unit === 'x' ? `${subtitle}, pg with named statements = 1` : subtitle,
        groups,
        unit,
      }),
    );
    written.push(name);
  }
  return written;
}

const WIDTH = 820;
const LEFT = 250;
const BAR = 15;

/** One chart as SVG text: groups of bars from top to bottom. */
function draw({ title, subtitle, groups, unit }) {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const scale = (WIDTH - LEFT - 90) / most;
  const parts = [];
  let y = 96;
  for (const { label, bars } of groups) {
    const middle = y + (bars.length * BAR) / 2 + 4;
    parts.push(`<text x="${LEFT - 12}" y="${middle}" text-anchor="end">${escapeXml(label)}</text>`);
    for (const { peer, value } of bars) {
      const width = Math.max(1, value * scale).toFixed(1);
      const text = `${value < 10 ? value.toFixed(2) : Math.round(value)}${unit}`;
      parts.push(
        rect(LEFT, y, width, BAR - 3, COLOURS[peer]),
        `<text class="v" x="${LEFT + Number(width) + 6}" y="${y + 10}">${text}</text>`,
      );
      y += BAR;
    }
    y += 14;
  }
  const height = y + 8;
  const box = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const label = `role="img" aria-label="${escapeXml(title)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${box} ${label}>
<style>
  svg { font: 13px system-ui, sans-serif; }
  .card { fill: #ffffff; stroke: #d0d7de; } text { fill: #24292f; }
  .t { font-size: 16px; font-weight: 600; } .s, .v { font-size: 11px; fill: #57606a; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161b22; stroke: #30363d; } text { fill: #e6edf3; } .s, .v { fill: #9da7b3; }
  }
</style>
<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>
<text class="t" x="20" y="30">${escapeXml(title)}</text>
<text class="s" x="20" y="48">${escapeXml(subtitle)}</text>
${legend(groups)}
${parts.join('\n')}
</svg>
`;
}

function legend(groups) {
  const peers = [...new Set(groups.flatMap(({ bars }) => bars.map(({ peer }) => peer)))];
  let x = 20;
  return peers
    .map((peer) => {
      const { title } = PEERS[peer];
      const at = x;
      x += 24 + title.length * 6.4;
      const name = `<text class="s" x="${at + 14}" y="73">${escapeXml(title)}</text>`;
      return rect(at, 64, 10, 10, COLOURS[peer]) + name;
    })
    .join('\n');
}

const rect = (x, y, width, height, fill) =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="2" fill="${fill}"/>`;

const escapeXml = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

module.exports = { writeCharts };
