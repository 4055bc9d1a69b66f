// Builds the native addon into build/pg-berth.node.
'use strict';

const path = require('node:path');
const { buildAddon } = require('./support/addon.js');
const { cli } = require('./support/cli.js');
const { ROOT } = require('./support/run.js');

const HELP = `
Usage: npm run build [-- --debug]

Builds the engine with cargo and copies it to build/pg-berth.node, where lib/native.js finds it.

  --debug   unoptimised, quick to rebuild
  --help    this text
`;

cli(HELP, { debug: { type: 'boolean' } }, async ({ debug }) => {
  const started = performance.now();
  const file = await buildAddon({ debug });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`built ${path.relative(ROOT, file)}  ${seconds} s`);
});
