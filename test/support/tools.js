// Programs from npm that only a few tests need: installed on first use into .cache, in exact versions.
'use strict';

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { retried } = require('./retried.js');

const exec = promisify(execFile);
const FOLDER = path.join(__dirname, '../../.cache/tools');
const PLATFORM = `${process.platform}-${process.arch}`;

/** The packages and their versions; those that are here are installed before the tests of test/runtimes begin. */
const RELEASES = {
  [`node-${PLATFORM}`]: ['20.20.2', '22.23.3', '24.21.0', '26.10.0'],
  [`@deno/${PLATFORM}-glibc`]: ['2.9.6'],
  kysely: ['0.28.14', '0.29.0', '0.29.9'],
  'temporal-polyfill': ['1.0.8'],
  publint: ['0.3.25'],
  '@arethetypeswrong/cli': ['0.18.5'],
};

/** Complete or not at all. @param {string} wanted name@version @param {string} prefix */
async function install(wanted, prefix) {
  fs.rmSync(prefix, { recursive: true, force: true }); // what was cut off halfway
  const draft = `${prefix}.${process.pid}`;
  fs.mkdirSync(draft, { recursive: true });
  fs.writeFileSync(path.join(draft, 'package.json'), '{ "private": true }');
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock'];
  const args = ['install', ...flags, '--prefix', draft, wanted];
  try {
    await retried(wanted, () => exec('npm', args, { cwd: draft }));
    fs.writeFileSync(path.join(draft, 'installed'), '');
    fs.renameSync(draft, prefix);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

/**
 * @param {string} name @param {string} version
 * @returns {Promise<string>} the folder of the installed package
 */
async function toolFrom(name, version) {
  if (!RELEASES[name]?.includes(version)) {
    throw new Error(`${name}@${version} is not among the RELEASES that are installed beforehand`);
  }
  const wanted = `${name}@${version}`;
  const prefix = path.join(FOLDER, wanted.replaceAll('/', '+'));
  if (!fs.existsSync(path.join(prefix, 'installed'))) await install(wanted, prefix);
  return path.join(prefix, 'node_modules', name);
}

/** Installs every release that is not there yet. */
async function installTools() {
  for (const [name, versions] of Object.entries(RELEASES)) {
    for (const version of versions) await toolFrom(name, version);
  }
}

module.exports = { installTools, toolFrom };
