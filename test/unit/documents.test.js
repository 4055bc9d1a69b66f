// What the documents claim about options is true.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { POOL_OPTIONS } = require('../../lib/options.js');

const read = (file) => fs.readFileSync(path.join(__dirname, '../..', file), 'utf8');

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
