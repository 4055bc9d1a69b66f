// The account that test servers run under: PostgreSQL refuses root, so root steps down.
'use strict';

const { execFile, spawnSync } = require('node:child_process');
const { promisify } = require('node:util');
const { isMainThread } = require('node:worker_threads');

/**
 * @typedef {{ uid?: number, gid?: number }} Account empty when the present user will do
 */

/** @returns {Account} `postgres` where it exists, else `nobody` */
function stepDown() {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => {
      const { status, stdout } = spawnSync('id', [flag, name], { encoding: 'utf8' });
      return status === 0 ? Number(stdout) : undefined;
    });
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new Error('running as root, and neither user postgres nor nobody exists to run a server');
}

const account = stepDown();

// The account reads what we write for it, whatever the umask of whoever started us. Threads have that of the process.
if (account.uid !== undefined && isMainThread) process.umask(0o022);

/** Runs a program under the server's account to its end; rejects with its output when it fails. */
function runAsServer(command, args) {
  // root's home is closed to the server's account, and psql and openssl look for files there
  const env = account.uid === undefined ? process.env : { ...process.env, HOME: '/' };
  return promisify(execFile)(command, args, { ...account, cwd: '/', env });
}

module.exports = { account, runAsServer };
