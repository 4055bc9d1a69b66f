// The tables that compare the pg face with `pg`, in every release of Node this package is for.
'use strict';

const path = require('node:path');
const { exec } = require('../support/installed.js');
const { test } = require('../support/timed-test.js');
const { toolFrom } = require('../support/tools.js');

const ROOT = path.join(__dirname, '../..');

/** Installing a runtime on first use takes its time. */
const LIMIT_MS = 300_000;

/** What depends on the release: events, promises, streams. The others are the engine's. */
const TABLES = ['client', 'pool', 'query-stream'];

for (const version of ['20.20.2', '22.23.3', '24.21.0']) {
  // The release that runs this file runs the tables anyway.
  if (process.version.split('.')[0] === `v${version.split('.')[0]}`) continue;
  test(
    `the pg tables in Node ${version}`,
    async () => {
      const name = `node-${process.platform}-${process.arch}`;
      const node = path.join(await toolFrom(name, version), 'bin/node');
      const files = TABLES.map((table) => `test/conformance/pg-${table}.test.js`);
      const env = { ...process.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined };
      await exec(node, ['--test', '--expose-gc', ...files], { cwd: ROOT, env, timeout: 200_000 });
    },
    LIMIT_MS,
  );
}
