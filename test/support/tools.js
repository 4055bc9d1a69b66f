// Programs from npm that only a few tests need: installed on first use into .cache, in exact versions.
'use strict';

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');

const exec = promisify(execFile);
const FOLDER = path.join(__dirname, '../../.cache/tools');

/**
 * @param {string} name @param {string} version
 * @returns {Promise<string>} the folder of the installed package
 */
async function toolFrom(name, version) {
  const prefix = path.join(FOLDER, `${name}@${version}`.replaceAll('/', '+'));
  const stamp = path.join(prefix, 'installed');
  const folder = path.join(prefix, 'node_modules', name);
  if (fs.existsSync(stamp)) return folder;
  fs.mkdirSync(prefix, { recursive: true });
  fs.writeFileSync(path.join(prefix, 'package.json'), '{ "private": true }');
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock'];
  await exec('npm', ['install', ...flags, '--prefix', prefix, `${name}@${version}`], {
    cwd: prefix,
  });
  fs.writeFileSync(stamp, '');
  return folder;
}

module.exports = { toolFrom };
