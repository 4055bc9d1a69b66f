// A strict reader of Prometheus' text format, version 0.0.4.
'use strict';

const assert = require('node:assert/strict');

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (\\S+)$`);
const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);
const SUFFIXES = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] };

/** @param {string} text */
function numberIn(text) {
  if (/^[+-]?Inf$/.test(text))
    return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (text === 'NaN') return Number.NaN;
  assert.match(text, /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/, `value ${text}`);
  return Number(text);
}

/** @param {string | undefined} text */
function labelsOf(text = '') {
  const pairs = [...text.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)];
  const names = pairs.map(([, name]) => name);
  assert.equal(new Set(names).size, names.length, `labels twice in ${text}`);
  const plain = (value) => value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
  return Object.fromEntries(pairs.map(([, name, value]) => [name, plain(value)]));
}

/**
 * @param {string} text
 * @returns {Map<string, { type: string, help: string, samples: { name: string, labels: Record<string, string>, value: number }[] }>}
 */
function parsePrometheus(text) {
  assert.ok(text === '' || text.endsWith('\n'), 'the last line ends');
  const families = new Map();
  let current;
  const seen = new Set();
  for (const line of text.split('\n').slice(0, -1)) {
    // The format allows them between families; prom-client writes them.
    if (line === '') continue;
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      assert.ok(!families.has(name), `${name} twice`);
      current = { help: rest, type: '', samples: [] };
      families.set(name, current);
    } else if (kind === 'TYPE') {
      assert.equal(families.get(name), current, `TYPE of ${name} apart from its HELP`);
      assert.ok(TYPES.has(rest) && current.type === '' && current.samples.length === 0, line);
      current.type = rest;
    } else {
      const match = SAMPLE.exec(line);
      assert.ok(match, `no sample: ${line}`);
      const [, sample, labels, value] = match;
      const family = [...families.keys()].at(-1);
      const allowed = (SUFFIXES[current.type] ?? ['']).map((suffix) => family + suffix);
      assert.ok(allowed.includes(sample), `${sample} within ${family}`);
      assert.ok(!seen.has(`${sample}{${labels}}`), `twice: ${line}`);
      seen.add(`${sample}{${labels}}`);
      current.samples.push({ name: sample, labels: labelsOf(labels), value: numberIn(value) });
    }
  }
  for (const [name, { type, samples }] of families) {
    if (type === 'histogram') checkHistogram(name, samples);
    if (type === 'counter')
      assert.ok(
        samples.every(({ value }) => value >= 0),
        name,
      );
  }
  return families;
}

/** Buckets grow, the last one is the count. */
function checkHistogram(name, samples) {
  const groups = new Map();
  for (const { name: sample, labels, value } of samples) {
    const { le, ...others } = labels;
    const key = JSON.stringify(others);
    const group = groups.get(key) ?? { buckets: [] };
    groups.set(key, group);
    if (sample === `${name}_bucket`) group.buckets.push([numberIn(le), value]);
    else group[sample.slice(name.length + 1)] = value;
  }
  for (const { buckets, count, sum } of groups.values()) {
    const sorted = buckets.every(
      ([le, n], i) => i === 0 || (le > buckets[i - 1][0] && n >= buckets[i - 1][1]),
    );
    assert.ok(sorted, `${name}: buckets in order`);
    assert.deepEqual(buckets.at(-1), [Number.POSITIVE_INFINITY, count], `${name}: the last bucket`);
    assert.ok(sum >= 0);
  }
}

module.exports = { parsePrometheus };
