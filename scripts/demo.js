// The demo on a fresh machine: installs, builds, starts a server and runs examples/demo.js against it.
'use strict';

const { cli } = require('./support/cli.js');
const { prepare, withServer } = require('./support/prepared.js');
const { run } = require('./support/run.js');

const HELP = `
Usage: npm run demo [-- options]

Installs what is missing, builds the engine, starts a private PostgreSQL server (or uses DATABASE_URL)
and shows pg-berth at work with real queries and real figures.

  --skip-build   use the engine that was built last
  --help         this text
`;

cli(HELP, { 'skip-build': { type: 'boolean' } }, async (options) => {
  await prepare({ skipBuild: options['skip-build'] });
  return withServer(async (url) => {
    const env = { DATABASE_URL: url };
    return (await run(process.execPath, ['examples/demo.js'], { live: true, env })).code;
  });
});
