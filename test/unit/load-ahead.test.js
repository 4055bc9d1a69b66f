// What is loaded ahead of its use comes behind this turn, and under Jest in the next microtask: a test file may end before the turn.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');

/** Is it loaded before whatever was awaited next goes on? @param {Record<string, string>} variables */
function isLoadedAtOnce(variables) {
  const program = `
    const { loadAhead } = require('./lib/environment.js');
    let isLoaded = false;
    loadAhead(() => (isLoaded = true));
    const wasLoaded = isLoaded;
    (async () => {
      await null;
      console.log(JSON.stringify([wasLoaded, isLoaded]));
    })();`;
  const { JEST_WORKER_ID, ...env } = process.env;
  const told = execFileSync(process.execPath, ['-e', program], {
    cwd: path.join(__dirname, '..', '..'),
    env: { ...env, ...variables },
    encoding: 'utf8',
  });
  return JSON.parse(told);
}

test('a file that will be needed is loaded behind the answers that are here', () => {
  assert.deepEqual(isLoadedAtOnce({}), [false, false]);
});

test('under Jest it is loaded before the test goes on, which may be its end', () => {
  assert.deepEqual(isLoadedAtOnce({ JEST_WORKER_ID: '1' }), [false, true]);
});
