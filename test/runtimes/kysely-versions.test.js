// The suites of the Kysely dialect with versions of Kysely beside the one that is installed here.
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { exec } = require('../support/installed.js');
const { test } = require('../support/timed-test.js');
const { toolFrom } = require('../support/tools.js');

/** Installing on first use takes its time. */
const LIMIT_MS = 180_000;
const NODE_22 = '22.23.3';
const PRELOAD = require.resolve('../support/other-kysely.js');

/** @param {string} node @param {string} kysely folder of the package @param {string} file */
async function runs(node, kysely, file) {
  const env = { ...process.env, OTHER_KYSELY: kysely, NODE_TEST_CONTEXT: undefined };
  const { stdout } = await exec(node, ['--expose-gc', '--require', PRELOAD, file], {
    cwd: path.join(__dirname, '../..'),
    env,
    timeout: LIMIT_MS - 20_000,
    maxBuffer: 2 ** 24,
  }).catch((error) => {
    throw new Error(`${file} failed:\n${error.stdout}\n${error.stderr}`);
  });
  assert.match(stdout, /^[#ℹ] pass [1-9]/m);
  assert.match(stdout, /^[#ℹ] fail 0$/m);
}

for (const [version, node] of [
  ['0.29.0', NODE_22],
  ['0.29.9', NODE_22],
  ['0.28.14', undefined],
]) {
  const suites = [
    'integration/kysely.test.js',
    'integration/kysely-log.test.js',
    'conformance/kysely-postgres-dialect.test.js',
  ];
  // Signals came with 0.29.
  if (version.startsWith('0.29')) suites.push('runtimes/kysely-abort.js');
  if (version !== '0.29.0') suites.push('conformance/kysely-cluster.test.js');
  for (const suite of suites) {
    const where = node === undefined ? 'this Node' : `Node ${node}`;
    test(
      `${suite} passes with Kysely ${version} in ${where}`,
      async () => {
        const tool = `node-${process.platform}-${process.arch}`;
        const command = node && path.join(await toolFrom(tool, node), 'bin/node');
        const kysely = await toolFrom('kysely', version);
        await runs(command ?? process.execPath, kysely, `test/${suite}`);
      },
      LIMIT_MS,
    );
  }
}
