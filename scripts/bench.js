// Installs and builds what the benchmark needs, then hands over to bench/run.js.
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { read } = require('../bench/harness/options.js');
const { prepare } = require('./support/prepared.js');
const { ROOT } = require('./support/run.js');

/** All options, --help too, are bench/run.js's own; a mistake in them is told before minutes of building. */
async function main() {
  const args = process.argv.slice(2);
  const options = read(args);
  if (options === undefined) return;
  if (!options.from) await prepare();
  const child = spawn(process.execPath, ['bench/run.js', ...args], { cwd: ROOT, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  const [code] = await once(child, 'exit');
  process.exitCode = code ?? 1;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
