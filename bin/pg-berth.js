#!/usr/bin/env node
// The command pg-berth: looks after a fleet of leased connections from a terminal.
'use strict';

process.stdout.on('error', (error) => {
  // Who reads through `head` has seen enough.
  if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPIPE') throw error;
});

/** @returns {typeof import('../lib/cli/index.js') | undefined} nothing where the engine cannot be loaded */
function command() {
  try {
    return require('../lib/cli/index.js');
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n`);
    process.exitCode = 2;
    return undefined;
  }
}

command()
  ?.main(process.argv.slice(2), process.env)
  .then((code) => {
    process.exitCode = code;
  });
