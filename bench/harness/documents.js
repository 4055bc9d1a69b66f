// Writes measured figures into the documents, between markers: nobody types them.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { BENCH, PEERS, REFERENCE, SUBJECT } = require('./peers.js');
const { judged } = require('./report.js');

const ROOT = path.join(BENCH, '..');
const BEGIN = '<!-- measured figures: begin -->';
const END = '<!-- measured figures: end -->';

const number = (value, digits) =>
  Number.isFinite(value)
    ? value.toLocaleString('en', { maximumFractionDigits: digits, useGrouping: true })
    : '–';
const times = (value) => (Number.isFinite(value) ? `${value.toFixed(2)} x` : '–');

/** @param {string[]} head @param {string[][]} rows @param {number} [texts] columns of text in front of the numbers */
function markdown(head, rows, texts = 1) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, column) => (column < texts ? '---' : '--:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** What was measured on what, in one line. */
function conditionsLine({ node, server, cpus, date }) {
  return `One run of \`npm run bench\` on ${date.slice(0, 10)}: Node ${node}, PostgreSQL ${server}, ${cpus}, client and server on the same machine.`;
}

/** The figure a workload is about, per peer. */
function cell({ kind }, own) {
  if (own === undefined || own.error) return '–';
  if (kind === 'delay') return `${number(own.delayMs, 0)} ms`;
  if (kind === 'memory') return `${number(own.peakRssMb, 0)} MB`;
  if (kind === 'cold') return `${number(1000 / own.rate, 0)} ms`;
  if (kind === 'soak') return `+${number(own.growth * 100, 1)} %`;
  return times(own.ratio);
}

const HEADINGS = [
  ['rate', `Times as fast as \`pg\` with named statements (operations per second)`],
  ['cold', 'Process start to first row'],
  ['memory', 'Peak memory of a stream of a million rows, slow consumer'],
  ['delay', 'Worst delay of the event loop'],
  ['soak', 'Growth of resident memory after the first million operations'],
];

function peersOf(results) {
  const found = new Set(results.flatMap(({ figures }) => Object.keys(figures)));
  const rest = Object.keys(PEERS).filter((peer) => found.has(peer) && peer !== SUBJECT);
  return found.has(SUBJECT) ? [SUBJECT, ...rest] : rest;
}

/** All workloads by all peers. */
function overview(results) {
  const peers = peersOf(results);
  const tables = HEADINGS.map(([kind, heading]) => {
    const rows = results
      .filter(({ workload }) => workload.kind === kind)
      .map(({ workload, figures }) => [
        workload.title,
        ...peers.map((peer) => {
          const text = cell(workload, figures[peer]);
          return peer === SUBJECT ? `**${text}**` : text;
        }),
      ]);
    const head = [heading, ...peers.map((peer) => PEERS[peer].title)];
    return rows.length === 0 ? '' : markdown(head, rows);
  });
  return tables.filter(Boolean).join('\n\n');
}

/** Everything of the subject and the reference side by side. */
function details(results) {
  const rows = results
    .filter(({ workload }) => workload.kind === 'rate')
    .flatMap(({ workload, figures }) =>
      [SUBJECT, REFERENCE]
        .filter((peer) => figures[peer] !== undefined && !figures[peer].error)
        .map((peer, index) => {
          const { rate, cpuUs, jsUs, p50, p99, peakRssMb } = figures[peer];
          return [
            index === 0 ? workload.title : '',
            PEERS[peer].title,
            number(rate, rate < 100 ? 1 : 0),
            number(p50, 2),
            number(p99, 2),
            number(cpuUs, 1),
            number(jsUs, 1),
            number(peakRssMb, 0),
          ];
        }),
    );
  return markdown(
    ['', 'client', 'a second', 'p50 ms', 'p99 ms', 'CPU µs', 'of it JS thread', 'peak MB'],
    rows,
    2,
  );
}

const UNITS = {
  rate: ' x',
  jsCpu: ' x less',
  cpu: ' x less',
  delayMs: ' ms',
  memoryOverMb: ' MB more',
  growth: '',
};
const METRIC_WORDS = { jsCpu: ', CPU of the JS thread', cpu: ', CPU of all threads' };

/** The floors the run was judged by. @param {any[]} checks */
function floors(checks, results) {
  const rows = judged(checks, results).map(
    ({ title, metric, peer, against, reached, bound, aim, good }) => {
      const who = peer === SUBJECT ? '' : ` (${PEERS[peer].title})`;
      const whom = against ? ` against ${PEERS[against].title}` : '';
      const shown = `${number(reached, 2)}${UNITS[metric]}`;
      const what = `${title}${METRIC_WORDS[metric] ?? ''}${who}${whom}`;
      return [what, good ? shown : `**${shown}, missed**`, bound, String(aim)];
    },
  );
  return markdown(['Floors', 'reached', 'floor', 'aim'], rows);
}

/** The charts there are, as images. */
function charts() {
  const folder = path.join(ROOT, 'docs/charts');
  const files = fs.existsSync(folder)
    ? fs.readdirSync(folder).filter((f) => f.endsWith('.svg'))
    : [];
  const title = (file) =>
    /aria-label="([^"]*)"/.exec(fs.readFileSync(path.join(folder, file), 'utf8'));
  return files.map((file) => `![${title(file)?.[1] ?? file}](charts/${file})`).join('\n\n');
}

/** A page with `text` between its markers. @param {string} page @param {string} text */
function replaced(page, text) {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from < 0 || to < from) throw new Error(`no markers "${BEGIN}" … "${END}"`);
  return `${page.slice(0, from)}${BEGIN}\n\n${text}\n\n${page.slice(to)}`;
}

/** @param {string} file @param {string} text */
function rewrite(file, text) {
  const target = path.join(ROOT, file);
  fs.writeFileSync(target, replaced(fs.readFileSync(target, 'utf8'), text));
  return file;
}

/** Titles of README's table: what most programs do. */
const FIRST_SCREEN = [
  'point-1',
  'point-10',
  'point-100',
  'tx-10',
  'rows-1000',
  'rows-100000',
  'json-10',
  'insert-100',
  'cold',
  'delay-json',
];

/** @typedef {{ conditions: Record<string, string>, quiet: any[], busy?: any[] }} Run as `--json` writes it */

/** @param {any[]} [busy] the same workloads while another process wanted a core for itself */
function besideBusyLoop(busy = []) {
  if (busy.length === 0) return '';
  return `The same once more beside a process that only computes, which no floor applies to:\n\n${overview(busy)}`;
}

/** Everything that was measured. @param {Run} run @param {any[]} checks of floors.json */
function tables({ conditions, quiet, busy }, checks) {
  return [
    conditionsLine(conditions),
    charts(),
    overview(quiet),
    details(quiet),
    floors(checks, quiet),
    besideBusyLoop(busy),
  ]
    .filter(Boolean)
    .join('\n\n');
}

/** @param {Run} run @param {any[]} checks of floors.json @returns {string[]} the files changed */
function writeDocuments(run, checks) {
  const short = run.quiet.filter(({ workload }) => FIRST_SCREEN.includes(workload.name));
  return [
    rewrite('README.md', `${conditionsLine(run.conditions)}\n\n${overview(short)}`),
    rewrite('docs/performance.md', tables(run, checks)),
  ];
}

module.exports = { BEGIN, END, replaced, tables, writeDocuments };
