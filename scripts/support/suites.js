// The suites of node:test below test/, and how one is run and counted.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { listFiles } = require('./files.js');
const { ROOT, run } = require('./run.js');

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

const FAILED_FILES = pathToFileURL(path.join(__dirname, 'failed-files.mjs')).href;

const filesOf = (suite) => listFiles(`test/${suite}`, ['.test.js', '.test.mjs']);

/** Reads a number from the summary that node's spec reporter ends with: `ℹ pass 12`. */
const summary = (output, word) =>
  Number(new RegExp(`^ℹ ${word} (\\d+)`, 'm').exec(output)?.[1] ?? 0);

/** Settings of the surroundings that would steer clients elsewhere: PGHOST, PGSSLMODE, … */
function withoutClientSettings() {
  const names = Object.keys(process.env).filter((name) => /^(PG[A-Z]+|DATABASE_URL)$/.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/** More files than this failing at once is a defect, not a crowded machine: nothing is run again. */
const MOST_RUN_AGAIN = 2;

/**
 * Runs files once.
 * @param {string[]} files @param {number} concurrency
 */
async function runOnce(files, concurrency) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-test-'));
  const list = path.join(folder, 'failed');
  const options = [`--test-concurrency=${concurrency}`, `--test-timeout=${FILE_TIMEOUT_MS}`];
  const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout'].concat(
    `--test-reporter=${FAILED_FILES}`,
    `--test-reporter-destination=${list}`,
  );
  const args = ['--test', ...reporters, '--expose-gc', ...options, ...files];
  const { code, output } = await run(process.execPath, args, {
    live: true,
    env: withoutClientSettings(),
  });
  const named = fs.existsSync(list) ? fs.readFileSync(list, 'utf8') : '';
  fs.rmSync(folder, { recursive: true });
  return {
    code,
    passed: summary(output, 'pass'),
    failed: summary(output, 'fail') + summary(output, 'cancelled'),
    skipped: summary(output, 'skipped') + summary(output, 'todo'),
    failedFiles: named.split('\n').filter(Boolean),
  };
}

/**
 * Runs files; a file that fails among others is run once more alone, so that a crowded machine is told from a defect.
 * What passes only then is `unsteady`: it is counted as passed, and named at the end of the run.
 * @param {string[]} files @param {number} concurrency
 */
async function runFiles(files, concurrency) {
  const first = await runOnce(files, concurrency);
  const { passed, failed, skipped, failedFiles } = first;
  if (skipped > 0 && process.env.CI) {
    const reason = `${skipped} tests were skipped: in CI every test runs`;
    return { code: 1, passed, failed, output: reason };
  }
  const again = first.code !== 0 && failedFiles.length > 0 && failedFiles.length <= MOST_RUN_AGAIN;
  if (!again) return { code: first.code, passed, failed };
  const unsteady = failedFiles.map((file) => path.relative(ROOT, file));
  console.log(`\nonce more, alone: ${unsteady.join(', ')}`);
  const second = await runOnce(failedFiles, 1);
  if (second.code !== 0) return { code: second.code, passed, failed };
  return { code: 0, passed: passed + failed, failed: 0, unsteady };
}

module.exports = { SUITES, filesOf, runFiles };
