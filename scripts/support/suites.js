// The suites of node:test below test/, and how one is run and counted.
'use strict';

const { listFiles } = require('./files.js');
const { run } = require('./run.js');

/** In running order. Files of one suite run at the same time unless it measures time or ends servers. */
const SUITES = {
  unit: { concurrency: 2 },
  integration: { concurrency: 2 },
  conformance: { concurrency: 2 },
  security: { concurrency: 2 },
  chaos: { concurrency: 1 },
  runtimes: { concurrency: 1 },
};

/** A test file may take this long before it is ended and counted as failed. */
const FILE_TIMEOUT_MS = 300_000;

const filesOf = (suite) => listFiles(`test/${suite}`, ['.test.js', '.test.mjs']);

/** Reads a number from the summary that node's spec reporter ends with: `ℹ pass 12`. */
const summary = (output, word) =>
  Number(new RegExp(`^ℹ ${word} (\\d+)`, 'm').exec(output)?.[1] ?? 0);

/** Settings of the surroundings that would steer clients elsewhere: PGHOST, PGSSLMODE, … */
function withoutClientSettings() {
  const names = Object.keys(process.env).filter((name) => /^(PG[A-Z]+|DATABASE_URL)$/.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/** @param {string[]} files @param {number} concurrency */
async function runFiles(files, concurrency) {
  const options = [`--test-concurrency=${concurrency}`, `--test-timeout=${FILE_TIMEOUT_MS}`];
  const args = ['--test', '--test-reporter=spec', '--expose-gc', ...options, ...files];
  const { code, output } = await run(process.execPath, args, {
    live: true,
    env: withoutClientSettings(),
  });
  const passed = summary(output, 'pass');
  const failed = summary(output, 'fail') + summary(output, 'cancelled');
  const skipped = summary(output, 'skipped') + summary(output, 'todo');
  if (skipped > 0 && process.env.CI) {
    const reason = `${skipped} tests were skipped: in CI every test runs`;
    return { code: 1, passed, failed, output: reason };
  }
  return { code, passed, failed };
}

module.exports = { SUITES, filesOf, runFiles };
