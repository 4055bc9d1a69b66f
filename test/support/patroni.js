// Patroni, which manages failover for clusters of the real world: installed on first use into .cache, in an exact version.
'use strict';

const { execFile, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { retried } = require('./retried.js');
const { withinReach } = require('./within-reach.js');

const exec = promisify(execFile);
const RELEASE = 'patroni[raft,psycopg2-binary]==4.1.5';
const FOLDER = path.join(__dirname, '../../.cache/tools/patroni-4.1.5');

/** The system's own first: the account of the servers may be shut out of where another one lives. */
function findPython() {
  const able = ['/usr/bin/python3', 'python3'].find((python) => {
    try {
      execFileSync(python, ['-c', 'import ensurepip, venv'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
  if (able) return able;
  throw new Error('Patroni needs Python with venv (Debian: apt-get install python3-venv)');
}

/** The interpreter inside the folder. */
const PYTHON = 'bin/python';

/** Installs it unless it is there. */
async function installPatroni() {
  const stamp = path.join(FOLDER, 'installed');
  if (fs.existsSync(stamp)) return;
  fs.rmSync(FOLDER, { recursive: true, force: true });
  fs.mkdirSync(path.dirname(FOLDER), { recursive: true });
  await exec(findPython(), ['-m', 'venv', FOLDER]);
  const install = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', RELEASE];
  await retried(RELEASE, () => exec(path.join(FOLDER, PYTHON), install));
  fs.writeFileSync(stamp, '');
}

/** @returns {Promise<string>} the interpreter to run `-m patroni` with */
async function patroniPython() {
  await installPatroni();
  return path.join(await withinReach(FOLDER, PYTHON), PYTHON);
}

module.exports = { patroniPython };
