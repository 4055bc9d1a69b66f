// Everything that must hold: installs, builds, checks, and runs all tests of both languages.
'use strict';

const { buildAddon } = require('./support/addon.js');
const { API, CHECKS, cargoTest } = require('./support/checks.js');
const { cli, Failure } = require('./support/cli.js');
const { ensureInstalled } = require('./support/install.js');
const { Steps } = require('./support/steps.js');
const { filesOf, runFiles, suiteOf, SUITES } = require('./support/suites.js');

const HELP = `
Usage: npm test [-- options]

Installs what is missing, builds the engine, runs all checks and tests. The last line is the sum.

  --only NAME     only one part; may be repeated: check, rust, ${Object.keys(SUITES).join(', ')}
  --file PATH     only this test file; may be repeated
  --skip-build    use the engine that was built last
  --help          this text
`;

const OPTIONS = {
  only: { type: 'string', multiple: true, default: [] },
  file: { type: 'string', multiple: true, default: [] },
  'skip-build': { type: 'boolean', default: false },
};

/** Which parts a command line asks for. */
function plan({ only, file, 'skip-build': skipBuild }) {
  const known = ['check', 'rust', ...Object.keys(SUITES)];
  const unknown = only.find((name) => !known.includes(name));
  if (unknown) throw new Failure(`--only ${unknown}: there are ${known.join(', ')}`);
  const wants = (name) => file.length === 0 && (only.length === 0 || only.includes(name));
  const suites = Object.keys(SUITES).filter((name) => wants(name) && filesOf(name).length > 0);
  const needsAddon = file.length > 0 || suites.length > 0 || wants('check');
  return { suites, check: wants('check'), rust: wants('rust'), build: needsAddon && !skipBuild };
}

/** Checks and Rust tests use one core while the linker of the addon's last stage uses the other. */
async function checksAndBuild(steps, { check, rust, build }) {
  const building = build
    ? steps.run('build', async () => ({ code: (await buildAddon()) ? 0 : 1 }))
    : Promise.resolve(true);
  if (check) for (const [name, work] of CHECKS) await steps.run(name, work);
  if (rust) await steps.run('cargo test', cargoTest);
  return building;
}

async function suitesOf(steps, { suites }, files) {
  const { provide } = require('../test/support/provisions.js');
  const { shareServer } = require('../test/support/shared.js');
  await provide(new Set([...suites, ...files.map(suiteOf)]));
  const server = await shareServer();
  try {
    if (files.length > 0) await steps.run('files', () => runFiles(files, 1));
    for (const name of suites) {
      console.log(`\n${name}`);
      await steps.run(name, () => runFiles(filesOf(name), SUITES[name].concurrency));
    }
  } finally {
    await server.stop();
  }
}

cli(HELP, OPTIONS, async (options) => {
  const wanted = plan(options);
  const steps = new Steps();
  await ensureInstalled();
  const built = await checksAndBuild(steps, wanted);
  if (built && wanted.check) await steps.run(...API);
  if (built && (wanted.suites.length > 0 || options.file.length > 0)) {
    await suitesOf(steps, wanted, options.file);
  }
  return steps.finish();
});
