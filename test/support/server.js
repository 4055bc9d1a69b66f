// A private PostgreSQL server: own folder, own port, gone at the end, however the process ends.
'use strict';

const { spawn } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { makeCertificates } = require('./certificates.js');
const { findBinaries } = require('./postgres-binaries.js');
const { account, runAsServer } = require('./server-account.js');
const { copyTemplate, makeFolder, PASSWORDS } = require('./server-template.js');
const { waitFor } = require('./wait.js');
const { guard } = require('./watchdog.js');

const START_TIMEOUT_MS = 30_000;

/** Who may log in and how, below the lines that a test adds. Replication is for standbys. */
const ACCESS = `
local all clear_user password
local all md5_user md5
local all scram_user scram-sha-256
host all clear_user all password
host all md5_user all md5
host all scram_user all scram-sha-256
local all,replication all trust
host all,replication all all trust
`;

/** Below what systems give to sockets that ask for no port: a connection of anybody could hold such a one for a while. */
const PORTS = [10_000, 32_768];

/** A port that is free now; starting retries, because another process may take it first. @returns {Promise<number>} */
async function freePort() {
  const port = randomInt(PORTS[0], PORTS[1]);
  const probe = net.createServer().listen(port, '127.0.0.1');
  try {
    await once(probe, 'listening');
  } catch {
    return freePort();
  }
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Pids of a process's children, deeper ones too where they exist. Linux only; elsewhere none are found. */
function childrenOf(pid) {
  const list = `/proc/${pid}/task/${pid}/children`;
  if (!fs.existsSync(list)) return [];
  return fs.readFileSync(list, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** Is it gone, or waiting for nothing but its parent? Linux only; elsewhere it is taken to be. @param {number} pid */
function hasEnded(pid) {
  try {
    return /\) [ZX] /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

/** What a process calls itself; nothing once it is gone. @param {number} pid */
function titleOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Has SIGSTOP reached it? Linux only; elsewhere it is taken to have. @param {number} pid */
function isStopped(pid) {
  try {
    return /\) [TZX] /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

/**
 * Ends a postmaster and all its backends at once, as a power cut does. It is stopped first, or one that it forks meanwhile
 * would live on.
 * @param {number} pid
 */
async function killAll(pid) {
  process.kill(pid, 'SIGSTOP');
  await waitFor(() => isStopped(pid), { what: 'a postmaster that stands still', intervalMs: 1 });
  const backends = childrenOf(pid);
  for (const backend of backends) process.kill(backend, 'SIGKILL');
  process.kill(pid, 'SIGKILL');
  // While one of them dies, the next start finds its shared memory in use.
  await waitFor(() => backends.every(hasEnded), { what: 'the end of all backends' });
}

class Server {
  host = '127.0.0.1';
  user = 'postgres';
  database = 'postgres';
  /** Roles whose password is asked for, by the method in their name. */
  passwords = PASSWORDS;
  port = 0;
  /** Everything the server has written to its log. */
  log = '';
  #arguments;
  #binaries;
  #child;
  #frozen = false;
  #released;

  /** Use {@link startServer}. */
  constructor(binaries, folder, sockets) {
    this.#binaries = binaries;
    this.version = binaries.major;
    this.socketDir = folder;
    this.dataDir = path.join(folder, 'data');
    const all = [folder, ...sockets].join();
    this.#arguments = ['-D', this.dataDir, '-c', `unix_socket_directories=${all}`];
    this.#released = guard(folder);
  }

  get url() {
    return `postgres://${this.user}@${this.host}:${this.port}/${this.database}`;
  }

  get pid() {
    return this.#child?.pid;
  }

  /** Starts `postgres` as a direct child and waits until it accepts connections. */
  async start() {
    for (let attempt = 1; ; attempt += 1) {
      const port = this.port || (await freePort());
      const failure = await this.#launch(port);
      if (failure === undefined) {
        this.port = port;
        return this;
      }
      const taken = !this.port && failure.includes('Address already in use');
      if (!taken || attempt === 5) throw new Error(`the test server did not start:\n${failure}`);
    }
  }

  /** @returns {Promise<string | undefined>} the log when it failed */
  #launch(port) {
    const program = path.join(this.#binaries.bin, 'postgres');
    const options = { ...account, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] };
    const child = spawn(program, [...this.#arguments, '-p', String(port)], options);
    this.#child = child;
    const from = this.log.length;
    return new Promise((resolve) => {
      const timer = setTimeout(() => child.kill('SIGQUIT'), START_TIMEOUT_MS);
      const settle = (failure) => {
        clearTimeout(timer);
        resolve(failure);
      };
      child.once('error', (error) => settle(error.message));
      child.once('close', () => settle(this.log.slice(from) || 'it ended without a word'));
      child.stderr.setEncoding('utf8').on('data', (text) => {
        this.log += text;
        const ready = /ready to accept (?:read[- ]only )?connections/;
        if (ready.test(this.log.slice(from))) settle(undefined);
      });
      // the server alone does not keep a test process alive: the watchdog ends it afterwards
      child.unref();
      child.stderr.unref();
    });
  }

  /** Sends a signal and waits for the end of the server process. */
  async #end(signal) {
    if (!this.#isRunning) return;
    const ended = this.#ended();
    this.#child.kill(signal);
    await ended;
  }

  get #isRunning() {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async #ended() {
    this.#child.ref();
    await once(this.#child, 'exit');
  }

  /** Fast shutdown and start on the same port. */
  async restart() {
    await this.#end('SIGINT');
    return this.start();
  }

  /** Fast shutdown, or immediate by SIGQUIT, without removing anything: `start()` brings the server back on the same port. */
  async shutdown(/** @type {'SIGINT' | 'SIGQUIT'} */ signal = 'SIGINT') {
    await this.#end(signal);
  }

  /** Ends the server and all its backends at once, as a power cut does. */
  async kill() {
    const { pid } = this;
    if (pid === undefined || !this.#isRunning) return;
    const ended = this.#ended();
    await killAll(pid);
    await ended;
  }

  /** Stops every process of the server without ending it: the kernel still takes connections, nobody answers. */
  freeze() {
    const { pid } = this;
    process.kill(pid, 'SIGSTOP');
    for (const backend of childrenOf(pid)) process.kill(backend, 'SIGSTOP');
    this.#frozen = true;
  }

  /** Lets a frozen server go on. */
  thaw() {
    const { pid } = this;
    if (!this.#frozen) return;
    this.#frozen = false;
    if (!this.#isRunning) return;
    for (const backend of childrenOf(pid)) process.kill(backend, 'SIGCONT');
    process.kill(pid, 'SIGCONT');
  }

  /** Pids of the server's own processes of a kind, by their title. Linux only. @param {string} title */
  processes(title) {
    return childrenOf(this.pid).filter((pid) => titleOf(pid).includes(title));
  }

  /** Stops the server and removes its folder. Safe to call twice. */
  async stop() {
    this.thaw();
    await this.#end('SIGQUIT');
    await fs.promises.rm(this.socketDir, { recursive: true, force: true, maxRetries: 3 });
    this.#released();
  }

  /** Runs SQL with `pg` on a connection of its own. @returns {Promise<any[]>} rows */
  async sql(text, values, database = this.database) {
    const { Client } = require('pg');
    const client = new Client({ host: this.host, port: this.port, user: this.user, database });
    await client.connect();
    try {
      return (await client.query(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Runs psql, where it is installed, and resolves to its unaligned output without headers. */
  async psql(text, url = this.url) {
    const args = ['-X', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', url, '-c', text];
    const { stdout } = await runAsServer(path.join(this.#binaries.bin, 'psql'), args);
    return stdout.trimEnd();
  }
}

/**
 * Starts a server.
 *
 * @param {object} [options]
 * @param {number} [options.version] major version; default the newest installed
 * @param {Record<string, string | number>} [options.conf] settings for postgresql.conf
 * @param {string[]} [options.hba] lines put above the usual ones of pg_hba.conf
 * @param {(dataDir: string) => void | Promise<void>} [options.prepare] last touches to the data folder before the start
 * @param {string[]} [options.sockets] where it listens beside its own folder
 * @param {boolean} [options.tls] offer TLS with certificates of a test authority (`server.tls` has their paths)
 * @returns {Promise<Server>}
 */
async function startServer({
  version,
  conf = {},
  hba = [],
  sockets = [],
  tls = false,
  prepare,
} = {}) {
  const binaries = await findBinaries(version);
  const folder = makeFolder();
  const server = new Server(binaries, folder, sockets);
  try {
    const certificates = tls ? await makeCertificates(folder) : undefined;
    server.tls = certificates;
    await copyTemplate(binaries, server.dataDir);
    const security = certificates && {
      ssl: 'on',
      ssl_ca_file: certificates.ca,
      ssl_cert_file: certificates.serverCert,
      ssl_key_file: certificates.serverKey,
    };
    const lines = Object.entries({ ...security, ...conf }).map(
      ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
    );
    fs.appendFileSync(path.join(server.dataDir, 'postgresql.conf'), lines.join(''));
    fs.writeFileSync(path.join(server.dataDir, 'pg_hba.conf'), `${hba.join('\n')}${ACCESS}`);
    await prepare?.(server.dataDir);
    return await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
}

module.exports = { freePort, killAll, startServer };
