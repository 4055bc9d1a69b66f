// The checks and Rust tests of `npm test`: what runs, and how their results are read.
'use strict';

const { run, tool } = require('./run.js');

const node =
  (script, ...args) =>
  () =>
    run(process.execPath, [`scripts/${script}`, ...args]);
const tsc = (config) => () => run(tool('tsc'), ['-p', config, '--pretty', 'false']);
const cargo =
  (...args) =>
  () =>
    run('cargo', args, { env: { CARGO_TERM_COLOR: 'never' } });

/** Checks that need no build, quickest first. tsc also reads the JavaScript of lib/. */
const CHECKS = [
  ['layers', node('check-layers.js')],
  ['security rules', node('check-security.js')],
  ['api reference', node('api-reference.js', '--check')],
  ['biome', () => run(tool('biome'), ['check', '--error-on-warnings', '--colors=off'])],
  ['cargo fmt', cargo('fmt', '--all', '--check', '--', '-l')],
  ['tsc', tsc('tsconfig.json')],
  // The same programs twice: what compiles with @types/pg compiles with ours in their place.
  ['tsc, @types/pg', tsc('test/types/in-place-of-pg/tsconfig.json')],
  ['tsc, in its place', tsc('test/types/in-place-of-pg/tsconfig.ours.json')],
  ['clippy', cargo('clippy', '--locked', '--all-targets', '--', '-D', 'warnings')],
];

/** The check that needs the built addon. */
const API = ['api', node('check-api.js')];

/** Runs the engine's own tests and adds up the results of all its test programs. */
async function cargoTest() {
  const result = await cargo('test', '--locked', '--no-fail-fast')();
  const lines = [...result.output.matchAll(/^test result: .* (\d+) passed; (\d+) failed/gm)];
  const sum = (group) => lines.reduce((total, line) => total + Number(line[group]), 0);
  const output = result.output.replaceAll(/^(test .* \.\.\. ok|\s*(Compiling|Running) .*)\n/gm, '');
  return { code: result.code, output, passed: sum(1), failed: sum(2) };
}

module.exports = { CHECKS, API, cargoTest };
