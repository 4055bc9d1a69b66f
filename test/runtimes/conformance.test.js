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
const LIMIT_MS = 300_000;

/** Every table of the pg face. */
const TABLES = fs
  .readdirSync(path.join(ROOT, 'test/conformance'))
  .filter((file) => /^pg-.*\.test\.js$/.test(file))
  .map((file) => path.join('test/conformance', file));

for (const version of ['20.20.2', '22.23.3', '24.21.0', '26.10.0']) {
  // The release that runs this file runs the tables anyway.
  if (process.version.split('.')[0] === `v${version.split('.')[0]}`) continue;
  test(
    `the pg tables in Node ${version}`,
    async () => {
      const name = `node-${process.platform}-${process.arch}`;
      const node = path.join(await toolFrom(name, version), 'bin/node');
      const env = { ...process.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined };
      const args = ['--test', '--test-concurrency=4', '--expose-gc', ...TABLES];
      await exec(node, args, { cwd: ROOT, env, timeout: 280_000 }).catch((error) => {
        const { stdout, stderr } = error;
        const at = stdout.indexOf('failing tests');
        assert.fail(at < 0 ? error : `${stdout.slice(at)}\n${stderr}`);
      });
    },
    LIMIT_MS,
  );
}
