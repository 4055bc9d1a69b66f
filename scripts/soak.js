// Endurance: a load of everything for as long as asked, and whether memory, files and threads stay flat.
'use strict';

const { cli, Failure } = require('./support/cli.js');
const { prepare, withServer } = require('./support/prepared.js');
const { run } = require('./support/run.js');

const HELP = `
Usage: npm run soak [-- options]

Runs statements, transactions, streams, COPY, cancels, errors, lost connections, listeners and clients that
come and go, and prints memory, open files and threads meanwhile. Fails when one of them grew:
memory by more than 5 % between the first and the last quarter of the run (and by more than
a few MB), the others at all.

  --minutes N    how long (default 60; fractions are allowed)
  --skip-build   use the engine that was built last
  --help         this text
`;

const OPTIONS = {
  minutes: { type: 'string', default: '60' },
  'skip-build': { type: 'boolean', default: false },
};

cli(HELP, OPTIONS, async ({ minutes, 'skip-build': skipBuild }) => {
  if (!(Number(minutes) > 0)) throw new Failure(`--minutes must be a positive number: ${minutes}`);
  await prepare({ skipBuild });
  return withServer(async (url) => {
    const args = ['--expose-gc', 'bench/soak.js', String(Number(minutes) * 60_000)];
    return (await run(process.execPath, args, { live: true, env: { DATABASE_URL: url } })).code;
  });
});
