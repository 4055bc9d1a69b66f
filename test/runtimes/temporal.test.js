// Temporal where it is built in, and as a polyfill.
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { exec } = require('../support/installed.js');
const { test } = require('../support/timed-test.js');
const { toolFrom } = require('../support/tools.js');

/** Installing on first use takes its time. */
const LIMIT_MS = 180_000;

/** @param {string} node @param {string[]} [flags] */
async function runs(node, flags = []) {
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const args = [...flags, '--expose-gc', path.join(__dirname, 'temporal.js')];
  const { stdout } = await exec(node, args, { env }).catch((error) =>
    assert.fail(`${error.stdout}\n${error.stderr}`),
  );
  assert.match(stdout, /^[#ℹ] pass 2$/m);
}

test(
  'objects of Temporal as parameters, in Node 26',
  async () => {
    const node = await toolFrom(`node-${process.platform}-${process.arch}`, '26.10.0');
    await runs(path.join(node, 'bin/node'));
  },
  LIMIT_MS,
);

test(
  'objects of a polyfill as parameters, in this Node',
  async () => {
    const polyfill = await toolFrom('temporal-polyfill', '1.0.8');
    const url = pathToFileURL(path.join(polyfill, 'full/global.esm.js')).href;
    await runs(process.execPath, ['--import', url]);
  },
  LIMIT_MS,
);
