// The tables that compare the pg face with `pg`, in every release of Node this package is for.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { exec } = require('../support/installed.js');
const { test } = require('../support/timed-test.js');
const { toolFrom } = require('../support/tools.js');

const ROOT = path.join(__dirname, '../..');

/** Installing a runtime on first use takes its time. */
const LIMIT_MS = 400_000;

/** So many files run at the same time. */
const STRANDS = 4;

/** Every table of the pg face. */
const TABLES = fs
  .readdirSync(path.join(ROOT, 'test/conformance'))
  .filter((file) => /^pg-.*\.test\.js$/.test(file))
  .map((file) => path.join('test/conformance', file));

/** @param {string} node @param {string} file @returns {Promise<string>} what failed, or an empty text */
async function failuresOf(node, file) {
  const env = { ...process.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined };
  const args = ['--test-reporter=spec', '--expose-gc', file];
  try {
    await exec(node, args, { cwd: ROOT, env, timeout: 120_000 });
    return '';
  } catch (error) {
    const { stdout = '', stderr = '' } = error;
    const at = stdout.indexOf('failing tests');
    return `${file}: ${at < 0 ? `${error}\n${stdout}` : stdout.slice(at)}\n${stderr}`;
  }
}

/** @param {string} node the program @returns {Promise<string[]>} the files in which something failed */
async function failing(node) {
  const waiting = [...TABLES];
  /** @type {string[]} */
  const failed = [];
  const strand = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      if (await failuresOf(node, file)) failed.push(file);
    }
  };
  await Promise.all(Array.from({ length: STRANDS }, strand));
  return failed;
}

for (const version of ['20.20.2', '22.23.3', '24.21.0', '26.10.0']) {
  // The release that runs this file runs the tables anyway.
  if (process.version.split('.')[0] === `v${version.split('.')[0]}`) continue;
  test(
    `the pg tables in Node ${version}`,
    async (context) => {
      const name = `node-${process.platform}-${process.arch}`;
      const node = path.join(await toolFrom(name, version), 'bin/node');
      // As `npm test` does: a crowded machine is told from a defect by running the file alone.
      for (const file of await failing(node)) {
        context.diagnostic(`once more, alone: ${file}`);
        const failures = await failuresOf(node, file);
        if (failures) assert.fail(failures);
      }
    },
    LIMIT_MS,
  );
}
