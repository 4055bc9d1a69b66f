// The data folder that every test server starts from: initdb once per run, then copies.
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { account, runAsServer } = require('./server-account.js');
const { guard } = require('./watchdog.js');

/** Passed on to child processes, so that one run of the whole suite makes one template per version. */
const VARIABLE = 'PG_BERTH_TEMPLATE_';
const MEMORY = '/dev/shm';
const ENOUGH_BYTES = 2 ** 30;

/** Roles whose password travels by the method of the same name; `postgres` is trusted. */
const PASSWORDS = {
  clear_user: 'clear-secret',
  md5_user: 'md5-secret',
  scram_user: 'scram-secret',
};

const ROLES = `
set password_encryption = 'md5';
create role md5_user login password '${PASSWORDS.md5_user}';
set password_encryption = 'scram-sha-256';
create role clear_user login password '${PASSWORDS.clear_user}';
create role scram_user login password '${PASSWORDS.scram_user}';
`;

/** Only for tests: killed processes lose nothing without fsync, a killed machine may. */
const SETTINGS = `
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 32MB
fsync = off
full_page_writes = off
dynamic_shared_memory_type = mmap  # stays inside the data folder, so nothing is left behind
timezone = 'UTC'
log_timezone = 'UTC'
`;

/** @type {Map<string, Promise<string>>} template folder by programs folder */
const templates = new Map();

/** A fresh folder that the server's account owns: in memory where there is room for it. */
function makeFolder() {
  let parent = os.tmpdir();
  if (fs.existsSync(MEMORY)) {
    const { bavail, bsize } = fs.statfsSync(MEMORY);
    if (bavail * bsize > ENOUGH_BYTES) parent = MEMORY;
  }
  const folder = fs.mkdtempSync(path.join(parent, 'pg-berth-'));
  fs.chmodSync(folder, 0o755);
  if (account.uid !== undefined) fs.chownSync(folder, account.uid, account.gid ?? account.uid);
  return folder;
}

/** Runs SQL without starting a server: packaged PostgreSQL has no psql. */
async function runSingleUser(bin, data, sql) {
  const args = ['--single', '-j', '-D', data, 'postgres'];
  const child = spawn(path.join(bin, 'postgres'), args, { ...account, cwd: '/' });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  child.stderr.on('data', (text) => {
    output += text;
  });
  // -j reads one statement up to a semicolon followed by an empty line
  child.stdin.end(sql.trim().replaceAll('\n', '\n\n').concat('\n\n'));
  const [code] = await once(child, 'close');
  if (code !== 0 || /^.*(ERROR|FATAL):/m.test(output))
    throw new Error(`preparing roles failed: ${output}`);
}

async function makeTemplate({ bin, major }) {
  const folder = makeFolder();
  guard(folder);
  const data = path.join(folder, 'data');
  const locale = process.platform === 'linux' ? 'C.UTF-8' : 'C';
  const options = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', `--locale=${locale}`];
  await runAsServer(path.join(bin, 'initdb'), ['-N', '-D', data, ...options]);
  fs.appendFileSync(path.join(data, 'postgresql.conf'), SETTINGS);
  await runSingleUser(bin, data, ROLES);
  process.env[VARIABLE + major] = data;
  return data;
}

/**
 * Copies the template to `data`. A copy takes a tenth of the time of initdb.
 * @param {import('./postgres-binaries.js').Binaries} binaries
 * @param {string} data a folder that does not exist yet
 */
async function copyTemplate(binaries, data) {
  const inherited = process.env[VARIABLE + binaries.major];
  let template = templates.get(binaries.bin);
  if (!template) {
    template =
      inherited && fs.existsSync(inherited) ? Promise.resolve(inherited) : makeTemplate(binaries);
    templates.set(binaries.bin, template);
  }
  await runAsServer('cp', ['-a', await template, data]);
}

module.exports = { copyTemplate, makeFolder, PASSWORDS };
