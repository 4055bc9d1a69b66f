#!/usr/bin/env node
// The command pg-berth: looks after a fleet of leased connections from a terminal.
'use strict';

const { main } = require('../lib/cli/index.js');

process.stdout.on('error', (error) => {
  // Who reads through `head` has seen enough.
  if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPIPE') throw error;
});

main(process.argv.slice(2), process.env).then((code) => {
  process.exitCode = code;
});
