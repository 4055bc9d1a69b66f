// Figures get into the documents between markers, with the reference beside them, and nothing else is touched.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { BEGIN, END, replaced, tables } = require('../../bench/harness/documents.js');

const own = (rate, ratio) => ({ rate, ratio, p50: 1, p99: 2, cpuUs: 3, jsUs: 1, peakRssMb: 50 });
const RUN = {
  conditions: { node: 'v20', server: '15', cpus: '2 x CPU', date: '2026-01-02T00:00:00Z' },
  quiet: [
    {
      workload: { name: 'point-1', title: 'point select, 1 at once', kind: 'rate' },
      figures: {
        'pg-named': own(1000, 1),
        'pg-berth': { ...own(1500, 1.5), cpuRatio: 1.2 },
        'pg-berth-pg': own(1350, 1.35),
        bun: { error: 'no' },
      },
    },
    {
      workload: { name: 'cold', title: 'process start to first row', kind: 'cold' },
      figures: { 'pg-named': own(8, 1), 'pg-berth': own(10, 1.25) },
    },
  ],
};

test('the tables say ratios, milliseconds, and which floor was missed', () => {
  const checks = [
    { workload: 'point-1', metric: 'rate', atLeast: 1.15, aim: 1.3 },
    { workload: 'cold', metric: 'rate', atLeast: 1.35, aim: 2 },
    { workload: 'tx-1', metric: 'rate', atLeast: 1, aim: 2 },
    { workload: 'point-1', metric: 'cpu', atLeast: 3, aim: 4 },
    { workload: 'point-1', metric: 'rate', peer: 'pg-berth-engine', atLeast: 1, aim: 2 },
    {
      ...{ workload: 'point-1', metric: 'rate', peer: 'pg-berth-pg', against: 'pg-berth' },
      ...{ atLeast: 0.85, aim: 1 },
    },
  ];
  const text = tables(RUN, checks);
  assert.match(text, /2026-01-02: Node v20, PostgreSQL 15, 2 x CPU/);
  assert.match(text, /\| point select, 1 at once \| \*\*1\.50 x\*\* \| 1\.00 x \| – \|/);
  assert.match(text, /\| process start to first row \| \*\*100 ms\*\* \| 125 ms \|/);
  assert.match(text, /\| point select, 1 at once \| 1\.5 x \| ≥ 1\.15 \| 1\.3 \|/);
  assert.match(text, /\*\*1\.25 x, missed\*\*/);
  assert.match(text, /1 at once, CPU of all threads \| \*\*1\.2 x less, missed\*\* \| ≥ 3 \| 4 \|/);
  assert.match(
    text,
    /1 at once \(pg-berth, pg face\) against pg-berth \| 0\.9 x \| ≥ 0\.85 \| 1 \|/,
  );
  assert.doesNotMatch(text, /engine thread/);
});

test('what was measured beside a busy loop stands behind the floors', () => {
  const busy = [
    { ...RUN.quiet[0], figures: { 'pg-named': own(900, 1), 'pg-berth': own(990, 1.1) } },
  ];
  const [idle, beside] = tables({ ...RUN, busy }, []).split(/beside a process that only computes/);
  assert.match(String(idle), /\| \*\*1\.50 x\*\* \|/);
  assert.match(String(beside), /\| point select, 1 at once \| \*\*1\.10 x\*\* \| 1\.00 x \|/);
  assert.doesNotMatch(tables(RUN, []), /only computes/);
});

test('only what is between the markers is replaced', () => {
  const page = `before\n${BEGIN}\nold\n${END}\nafter\n`;
  assert.equal(replaced(page, 'new'), `before\n${BEGIN}\n\nnew\n\n${END}\nafter\n`);
  assert.throws(() => replaced('no markers', 'new'), /markers/);
});

test('the documents have the markers', () => {
  for (const file of ['README.md', 'docs/performance.md']) {
    const page = fs.readFileSync(path.join(__dirname, '../..', file), 'utf8');
    assert.equal(page.split(BEGIN).length, 2, file);
    assert.equal(page.split(END).length, 2, file);
  }
});
