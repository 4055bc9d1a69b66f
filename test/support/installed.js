// The packages as users get them: packed, and installed into an empty folder.
'use strict';

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const exec = promisify(execFile);
const ROOT = path.join(__dirname, '../..');

/** Packs both parts. @returns {Promise<{ main: string, platform: string, folder: string }>} the tarballs */
async function packAll() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-pack-'));
  await exec(process.execPath, ['scripts/pack.js', '--out', folder], { cwd: ROOT });
  const tarballs = fs.readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const isPlatform = (name) => /(linux|darwin|win32)/.test(name);
  const [platform, main] = [tarballs.find(isPlatform), tarballs.find((name) => !isPlatform(name))];
  return { main: path.join(folder, main), platform: path.join(folder, platform), folder };
}

/** A project that has nothing but these tarballs; no registry is asked. */
async function installInto(folder, tarballs) {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
  const flags = ['--offline', '--no-audit', '--no-fund', '--no-package-lock'];
  await exec('npm', ['install', ...flags, ...tarballs], { cwd: folder });
}

module.exports = { exec, installInto, packAll };
