// A real pooler in transaction mode: PgBouncer as installed, or unpacked from the system's package without installing it.
'use strict';

const { execFile, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { retried } = require('./retried.js');
const { freePort } = require('./server.js');
const { account } = require('./server-account.js');
const { makeFolder } = require('./server-template.js');
const { waitFor } = require('./wait.js');
const { guard } = require('./watchdog.js');

const CACHE = path.join(__dirname, '../../.cache/pgbouncer');
const PACKAGES = ['pgbouncer', 'libc-ares2'];

/** @param {string} command */
function isThere(command) {
  return spawnSync(command, ['--version']).error === undefined;
}

/** Debian's packages, unpacked: needs no root, installs nothing, starts nothing. */
async function unpack() {
  const run = promisify(execFile);
  const folder = `${CACHE}.${process.pid}`;
  fs.mkdirSync(folder, { recursive: true });
  try {
    // The downloader steps down to an account that must not need the folder.
    const download = ['-o', 'APT::Sandbox::User=root', 'download', ...PACKAGES];
    await retried(PACKAGES.join(' '), () => run('apt-get', download, { cwd: folder }));
    const files = fs.readdirSync(folder).filter((file) => file.endsWith('.deb'));
    for (const file of files) await run('dpkg', ['-x', file, '.'], { cwd: folder });
    if (!fs.existsSync(CACHE)) fs.renameSync(folder, CACHE);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The program, and the folder of its libraries where they are not installed.
 * @returns {Promise<{ program: string, libraries?: string } | undefined>}
 */
async function findPgbouncer() {
  for (const program of ['pgbouncer', '/usr/sbin/pgbouncer']) {
    if (isThere(program)) return { program };
  }
  const program = path.join(CACHE, 'usr/sbin/pgbouncer');
  if (!fs.existsSync(program)) {
    if (!isThere('apt-get') || !isThere('dpkg')) return undefined;
    await unpack().catch(() => {});
  }
  if (!fs.existsSync(program)) return undefined;
  const shared = path.join(CACHE, 'usr/lib');
  const [triple = ''] = fs.readdirSync(shared).filter((name) => name.includes('linux'));
  return { program, libraries: path.join(shared, triple) };
}

/**
 * Skips the test where there is no PgBouncer, which CI takes for a failure.
 * @param {import('node:test').TestContext} t stops it @param {string} url of the server, and of the pooler's database
 * @param {{ size?: number }} [options] connections to the server
 * @returns {Promise<{ url: string, urlOf: (database: string) => string, log: () => string } | undefined>}
 */
async function startPgbouncer(t, url, { size = 3 } = {}) {
  const found = await findPgbouncer();
  if (found === undefined) {
    if (process.env.CI)
      throw new Error('PgBouncer is neither installed nor to be had from apt-get');
    t.skip('PgBouncer is neither installed nor to be had from apt-get');
    return undefined;
  }
  const { hostname, port, pathname } = new URL(url);
  const folder = makeFolder();
  const released = guard(folder);
  const own = path.join(folder, 'programs');
  fs.mkdirSync(own);
  const program = path.join(own, 'pgbouncer');
  // Copied, because the account it runs under may not reach this repository.
  if (found.libraries) {
    fs.copyFileSync(found.program, program);
    for (const file of fs.readdirSync(found.libraries)) {
      fs.copyFileSync(path.join(found.libraries, file), path.join(own, file));
    }
  }
  const listening = await freePort();
  const settings = path.join(folder, 'pgbouncer.ini');
  fs.writeFileSync(
    settings,
    `[databases]
${pathname.slice(1)} = host=${hostname} port=${port} user=postgres
missing = host=${hostname} port=${port} user=postgres dbname=there_is_no_such_database

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listening}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${size}
server_round_robin = 1
ignore_startup_parameters = extra_float_digits,options
`,
  );
  fs.chmodSync(settings, 0o644);
  const env = found.libraries ? { ...process.env, LD_LIBRARY_PATH: own } : process.env;
  const command = found.libraries ? program : found.program;
  const child = spawn(command, [settings], {
    ...account,
    cwd: '/',
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
  }
  const exited = new Promise((resolve) => child.on('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
    fs.rmSync(folder, { recursive: true, force: true });
    released();
  });
  await waitFor(() => log.includes('process up'), { what: 'the start of PgBouncer' });
  const urlOf = (/** @type {string} */ database) =>
    `postgres://postgres@127.0.0.1:${listening}/${database}`;
  return { url: urlOf(pathname.slice(1)), urlOf, log: () => log };
}

module.exports = { findPgbouncer, startPgbouncer };
