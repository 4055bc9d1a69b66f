// Development dependencies: installed when they are missing or the lock file has changed.
'use strict';

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { Failure } = require('./cli.js');
const { ROOT, run } = require('./run.js');

const STAMP = path.join(ROOT, 'node_modules/.pg-berth-installed');

/** Runs `npm ci` unless what the lock file names is installed already. */
async function ensureInstalled() {
  const lock = fs.readFileSync(path.join(ROOT, 'package-lock.json'));
  const wanted = createHash('sha256').update(lock).digest('hex');
  if (fs.existsSync(STAMP) && fs.readFileSync(STAMP, 'utf8') === wanted) return;
  console.log('installing development dependencies (npm ci)');
  const { code, output, seconds } = await run('npm', ['ci', '--no-fund', '--no-audit']);
  if (code !== 0) throw new Failure(`npm ci failed:\n${output}`);
  fs.writeFileSync(STAMP, wanted);
  console.log(`installed  ${seconds.toFixed(1)} s`);
}

module.exports = { ensureInstalled };
