// The demo on a fresh machine: installs, builds, starts a server and runs examples/demo.js against it.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { cli } = require('./support/cli.js');
const { prepare, withServer } = require('./support/prepared.js');
const { ROOT, run, tool } = require('./support/run.js');

const HELP = `
Usage: npm run demo [-- options]

Installs what is missing, builds the engine and the users service, starts a private PostgreSQL server (or uses DATABASE_URL)
and shows pg-berth at work with real queries and real figures.

  --skip-build   use the engine that was built last
  --help         this text
`;

const SERVICE = 'examples/lambda-users';

/** The demo goes on without the service where its packages cannot be had. */
async function prepareService() {
  if (!fs.existsSync(path.join(ROOT, SERVICE, 'node_modules/@aws-sdk'))) {
    console.log(`installing what ${SERVICE} needs`);
    const flags = ['--no-fund', '--no-audit'];
    const { code, output } = await run('npm', ['--prefix', SERVICE, 'ci', ...flags]);
    if (code !== 0) {
      console.log(`the demo goes on without it, because npm ci failed:\n${output.trim()}`);
      return;
    }
  }
  const { code, output } = await run(tool('tsc'), ['-p', `${SERVICE}/tsconfig.json`]);
  if (code !== 0) console.log(output);
}

cli(HELP, { 'skip-build': { type: 'boolean' } }, async (options) => {
  await prepare({ skipBuild: options['skip-build'] });
  await prepareService();
  return withServer(async (url) => {
    const env = { DATABASE_URL: url };
    return (await run(process.execPath, ['examples/demo.js'], { live: true, env })).code;
  });
});
