#!/usr/bin/env node
// The command pg-berth: looks after a fleet of leased connections from a terminal.
'use strict';

const { main } = require('../lib/cli/index.js');

main(process.argv.slice(2), process.env).then((code) => {
  process.exitCode = code;
});
