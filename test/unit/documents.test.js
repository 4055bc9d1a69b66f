// What the documents claim about tests and options is true.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { POOL_OPTIONS } = require('../../lib/options.js');
const { listFiles } = require('../../scripts/support/files.js');

const read = (file) => fs.readFileSync(path.join(__dirname, '../..', file), 'utf8');

/** `W01 to W12`, `E01`, … in the first cells of the table, as W01, W02, … */
function rulesOf(page) {
  const cells = [...page.matchAll(/^\| ([A-Z]\d\d[^|]*) \|/gm)].map(([, cell]) => cell);
  return cells
    .join(', ')
    .split(', ')
    .flatMap((entry) => {
      const [first, last = first] = entry.split(' to ');
      const [from, to] = [first, last].map((rule) => Number(rule.slice(1)));
      const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index);
      return numbers.map((number) => first[0] + String(number).padStart(2, '0'));
    });
}

test('every rule that SECURITY.md lists has a test with its number', () => {
  const sources = [...listFiles('test', ['.js', '.mjs']), ...listFiles('native/src', ['.rs'])];
  const tested = new Set(sources.flatMap((file) => read(file).match(/sec_[a-z]\d\d/g) ?? []));
  const rules = rulesOf(read('SECURITY.md'));
  assert.ok(rules.length > 40, `${rules.length} rules`);
  const untested = rules.filter((rule) => !tested.has(`sec_${rule.toLowerCase()}`));
  assert.deepEqual(untested, []);
});

test('every option that the README describes exists', () => {
  const [, section] = read('README.md').split(/^## Options$/m);
  const [table] = section.split('| options of |');
  const names = [...table.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  assert.ok(names.length > 30, `${names.length} options`);
  const unknown = names.filter((name) => !Object.hasOwn(POOL_OPTIONS, name));
  assert.deepEqual(unknown, []);
});
