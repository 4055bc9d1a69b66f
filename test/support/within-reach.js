// Programs from the checkout's cache, where the servers' account can run them.
'use strict';

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');
const { account, runAsServer } = require('./server-account.js');
const { guard } = require('./watchdog.js');

/** Passed on to child processes, so that one run of the whole suite copies once: the copy's path by that of its original. */
const VARIABLE = 'PG_BERTH_PROGRAM_COPIES';

/** @returns {Record<string, string>} */
const copies = () => JSON.parse(process.env[VARIABLE] ?? '{}');

/** Not in memory as servers are: that is often mounted without the right to run programs. @param {string} folder */
async function copy(folder) {
  const parent = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-programs-'));
  guard(parent);
  fs.chmodSync(parent, 0o755);
  const made = path.join(parent, path.basename(folder));
  const run = promisify(execFile);
  await run('cp', ['-a', folder, made]);
  await run('chmod', ['-R', 'a+rX', made]);
  process.env[VARIABLE] = JSON.stringify({ ...copies(), [folder]: made });
  return made;
}

/**
 * The folder itself, or a copy of it that is gone with this process: root's servers step down to an account that has no
 * way into a checkout below /root or `mktemp -d`, nor to what was installed under a umask of 077.
 * @param {string} folder
 * @param {string} program one inside it, relative
 * @returns {Promise<string>}
 */
async function withinReach(folder, program) {
  if (account.uid === undefined) return folder;
  try {
    await runAsServer(path.join(folder, program), ['--version']);
    return folder;
  } catch {
    const made = copies()[folder];
    return made !== undefined && fs.existsSync(made) ? made : copy(folder);
  }
}

module.exports = { withinReach };
