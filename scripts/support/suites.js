// The suites of node:test below test/, and how one is run and counted.
'use strict';

const path = require('node:path');
const { listFiles } = require('./files.js');
const { ROOT, run } = require('./run.js');

/** In running order. Files of one suite run at the same time unless it measures time or ends servers. */
const SUITES = {
  unit: { concurrency: 2 },
  integration: { concurrency: 2 },
  conformance: { concurrency: 2 },
  security: { concurrency: 2 },
  chaos: { concurrency: 1 },
  runtimes: { concurrency: 1, fileTimeoutMs: 900_000 }, // a file runs others, in one Node after the other
};

/** A test file may take this long before it is ended and counted as failed. */
const FILE_TIMEOUT_MS = 300_000;

/** More files than this failing at once is a defect, not a crowded machine: nothing is run again. */
const MOST_RUN_AGAIN = 2;

const filesOf = (suite) => listFiles(`test/${suite}`, ['.test.js', '.test.mjs']);

/** The suite that a file belongs to, or nothing of this name. @param {string} file */
const suiteOf = (file) =>
  path.relative(path.join(ROOT, 'test'), path.resolve(file)).split(path.sep)[0];

/** Reads a number from the summary that node's spec reporter ends with: `ℹ pass 12`. */
const summary = (output, word) =>
  Number(new RegExp(`^ℹ ${word} (\\d+)`, 'm').exec(output)?.[1] ?? 0);

/** Settings of the surroundings that would steer clients elsewhere: PGHOST, PGSSLMODE, … */
function withoutClientSettings() {
  const names = Object.keys(process.env).filter((name) => /^(PG[A-Z]+|DATABASE_URL)$/.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/**
 * Runs one file in a process of its own and prints what it said.
 * @param {string} file
 * @returns {Promise<{ file: string, ok: boolean, passed: number, failed: number, skipped: number }>}
 */
async function runFile(file) {
  const { fileTimeoutMs = FILE_TIMEOUT_MS } = SUITES[suiteOf(file)] ?? {};
  const args = ['--test-reporter=spec', '--expose-gc', file];
  const { code, output } = await run(process.execPath, args, {
    env: withoutClientSettings(),
    timeoutMs: fileTimeoutMs,
  });
  const failed = summary(output, 'fail') + summary(output, 'cancelled');
  const skipped = summary(output, 'skipped') + summary(output, 'todo');
  const ok = code === 0 && failed === 0;
  const counts = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo) .*\n/gm;
  console.log(`${ok ? '✓' : '✗'} ${file}\n${output.replaceAll(counts, '').trim()}`);
  // A file that ends early, or in an error outside of its tests, has no failed test to count.
  return {
    file,
    ok,
    passed: summary(output, 'pass'),
    failed: ok ? 0 : Math.max(failed, 1),
    skipped,
  };
}

/**
 * Runs files, so many at once.
 * @param {string[]} files @param {number} concurrency
 */
async function runOnce(files, concurrency) {
  const waiting = [...files];
  /** @type {Awaited<ReturnType<typeof runFile>>[]} */
  const ended = [];
  const strand = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      ended.push(await runFile(file));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, strand));
  const sum = (/** @type {'passed' | 'failed' | 'skipped'} */ what) =>
    ended.reduce((total, one) => total + one[what], 0);
  const failedFiles = ended.filter(({ ok }) => !ok).map(({ file }) => file);
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped'), failedFiles };
}

/**
 * Runs files; a file that fails among others is run again alone, twice at most, so that a crowded machine is told from a defect.
 * What passes only then is `unsteady`: it is counted as passed, and named at the end of the run.
 * @param {string[]} files @param {number} concurrency
 */
async function runFiles(files, concurrency) {
  const { passed, failed, skipped, failedFiles } = await runOnce(files, concurrency);
  if (skipped > 0 && process.env.CI) {
    const reason = `${skipped} tests were skipped: in CI every test runs`;
    return { code: 1, passed, failed, output: reason };
  }
  if (failedFiles.length === 0) return { code: 0, passed, failed };
  if (failedFiles.length > MOST_RUN_AGAIN) return { code: 1, passed, failed };
  console.log(`\nonce more, alone: ${failedFiles.join(', ')}`);
  let again = await runOnce(failedFiles, 1);
  // What others decide, such as which server a cluster's manager elects, may take two.
  if (again.failedFiles.length > 0) again = await runOnce(again.failedFiles, 1);
  if (again.failedFiles.length > 0) return { code: 1, passed, failed };
  return { code: 0, passed: passed + failed, failed: 0, unsteady: failedFiles };
}

module.exports = { SUITES, filesOf, runFiles, suiteOf };
