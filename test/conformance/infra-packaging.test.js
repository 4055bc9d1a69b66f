// Rules X1 to X4: how the modules for any driver load, and what they need.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { exports: entries } = require('../../package.json');

const ROOT = path.join(__dirname, '../..');
const SUBPATHS = ['health', 'resilience', 'pool', 'shutdown', 'debug'];

/** Runs a program inside the repository, so that `pg-berth` means this package, and reads the JSON it prints. */
function runProgram(code, ...options) {
  const output = execFileSync(process.execPath, [...options, '-e', code], { cwd: ROOT });
  return JSON.parse(String(output));
}

test('X1: require and import give the same names, for the root and each subpath', async () => {
  for (const entry of ['.', ...SUBPATHS.map((name) => `./${name}`)]) {
    const name = path.posix.join('pg-berth', entry);
    const required = Object.keys(require(name));
    const imported = Object.keys(await import(name));
    assert.ok(required.length > 0, name);
    for (const key of required) assert.ok(imported.includes(key), `${key} of ${name}`);
    assert.ok(fs.existsSync(path.join(ROOT, entries[entry].types)), `types of ${name}`);
  }
});

for (const subpath of SUBPATHS) {
  test(`X2: pg-berth/${subpath} loads nothing native, starts nothing and listens to nothing`, () => {
    const seen = runProgram(`
      const listeners = () => process.eventNames().map((name) => [String(name), process.listenerCount(name)]);
      const before = JSON.stringify(listeners());
      require('pg-berth/${subpath}');
      console.log(JSON.stringify({
        files: Object.keys(require.cache),
        resources: process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate|TCP/.test(name)),
        same: JSON.stringify(listeners()) === before,
      }));`);
    assert.deepEqual(
      seen.files.filter((file) => /\.node$|native\.js$|node_modules/.test(file)),
      [],
    );
    assert.deepEqual(seen.resources, []);
    assert.equal(seen.same, true);
    for (const file of seen.files) {
      const source = fs.readFileSync(file, 'utf8');
      assert.doesNotMatch(source, /require\('(?!\.)/, `X4: ${file} requires a module of Node`);
    }
  });
}
