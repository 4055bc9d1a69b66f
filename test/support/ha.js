// A cluster that heals itself: three nodes under Patroni, which elects, promotes, rewinds and rejoins without being told.
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { inspect } = require('node:util');
const { Cluster, Node } = require('./cluster.js');
const { patroniPython } = require('./patroni.js');
const { findBinaries } = require('./postgres-binaries.js');
const { freePort, killAll } = require('./server.js');
const { account } = require('./server-account.js');
const { makeFolder } = require('./server-template.js');
const { waitFor } = require('./wait.js');
const { guard } = require('./watchdog.js');

/** Electing a leader and copying two standbys took 7 to 11 s on two busy cores. */
const UP_MS = 90_000;

/** After a fault: the managers replace a leader within the `ttl` of 20 s. */
const REPLACED_MS = 60_000;

/** A manager that does not answer for so long is asked again. */
const ASKED_MS = 5000;

/** Characters of each manager's log that a failure shows. */
const SAID = 4000;

const ACCESS = ['local all,replication all trust', 'host all,replication all 127.0.0.1/32 trust'];

/** The settings of the whole cluster. The shortest that Patroni accepts: a leader that is silent for 20 s is replaced. */
const BOOTSTRAP = {
  dcs: {
    ttl: 20,
    loop_wait: 1,
    retry_timeout: 3,
    primary_start_timeout: 0,
    synchronous_mode: 'quorum',
    postgresql: {
      use_pg_rewind: true,
      pg_hba: ACCESS,
      parameters: {
        max_connections: 100,
        shared_buffers: '32MB',
        fsync: 'off', // processes are killed, not machines
        wal_keep_size: '256MB',
        dynamic_shared_memory_type: 'mmap',
      },
    },
  },
  initdb: ['data-checksums', 'no-sync', { encoding: 'UTF8' }, { locale: 'C.UTF-8' }],
};

/** One server and its manager. */
class ManagedServer {
  host = '127.0.0.1';
  user = 'postgres';
  database = 'postgres';
  /** Everything the manager has said. */
  log = '';
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #manager;
  #released;

  /** @param {string} name @param {{ port: number, rest: number, raft: number }} ports */
  constructor(name, { port, rest, raft }) {
    this.name = name;
    this.port = port;
    this.rest = rest;
    this.raft = raft;
    this.folder = makeFolder();
    this.dataDir = path.join(this.folder, 'data');
    this.#released = guard(this.folder);
  }

  /** Starts the manager, which starts the server. @param {string} python @param {string} bin @param {number[]} partners */
  start(python, bin, partners) {
    const at = (/** @type {number} */ port) => `${this.host}:${port}`;
    const settings = {
      scope: 'berth',
      name: this.name,
      restapi: { listen: at(this.rest), connect_address: at(this.rest) },
      raft: {
        data_dir: path.join(this.folder, 'raft'),
        self_addr: at(this.raft),
        partner_addrs: partners.map(at),
      },
      bootstrap: BOOTSTRAP,
      postgresql: {
        listen: at(this.port),
        connect_address: at(this.port),
        data_dir: this.dataDir,
        bin_dir: bin,
        pgpass: path.join(this.folder, 'pgpass'),
        authentication: {
          superuser: { username: 'postgres' },
          replication: { username: 'postgres' },
          rewind: { username: 'postgres' },
        },
        parameters: { unix_socket_directories: this.folder },
      },
    };
    const file = path.join(this.folder, 'patroni.json');
    // JSON is YAML.
    fs.writeFileSync(file, JSON.stringify(settings));
    const env = { PATH: process.env.PATH, HOME: this.folder, LC_ALL: 'C.UTF-8' };
    /** @type {import('node:child_process').SpawnOptions} */
    const options = { ...account, cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] };
    const manager = spawn(python, ['-m', 'patroni', file], options);
    this.#manager = manager;
    fs.writeFileSync(path.join(this.folder, 'manager.pid'), String(manager.pid));
    for (const stream of [manager.stdout, manager.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        this.log += text;
      });
      /** @type {any} */ (stream).unref();
    }
    manager.unref();
  }

  get postmaster() {
    return Number(
      fs.readFileSync(path.join(this.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0],
    );
  }

  /** Ends the server and all its backends at once; its manager lives and decides what follows. */
  kill() {
    return killAll(this.postmaster);
  }

  /** Ends manager and server, and removes what they had. */
  async stop() {
    const manager = this.#manager;
    if (manager && manager.exitCode === null && manager.signalCode === null) {
      const ended = once(manager, 'exit');
      manager.ref();
      manager.kill('SIGKILL');
      await ended;
    }
    if (fs.existsSync(path.join(this.dataDir, 'postmaster.pid'))) await this.kill();
    await fs.promises.rm(this.folder, { recursive: true, force: true, maxRetries: 10 });
    this.#released();
  }
}

/** @typedef {{ name: string, role: string, state: string, timeline: number }} Member */

/** May this one be the next leader? @param {Member} member */
const follows = ({ role, state }) => role.endsWith('_standby') && state === 'streaming';

class ManagedCluster extends Cluster {
  timeline = 0;

  /** What each manager knows of all members. @returns {Promise<Member[][]>} */
  #views() {
    return Promise.all(
      this.nodes.map(async ({ server }) => {
        const { rest, host } = /** @type {any} */ (server);
        const signal = AbortSignal.timeout(ASKED_MS);
        const answer = await fetch(`http://${host}:${rest}/cluster`, { signal });
        return (await answer.json()).members;
      }),
    );
  }

  /**
   * Waits until all managers name the same leader, other than `former`, and so many standbys that stream from it and may
   * follow it. A standby may not until it is named in the key `/sync`: a leader that dies before that is started again.
   */
  async settled(
    { former, standbys = 0 } = /** @type {{ former?: Node, standbys?: number }} */ ({}),
  ) {
    /** @type {Member[][]} */
    let views = [];
    const agreed = async () => {
      views = await this.#views();
      const leaders = views.map((members) =>
        members.find(({ role, state }) => role === 'leader' && state === 'running'),
      );
      const [leader] = leaders;
      if (!leader?.timeline || leaders.some((other) => other?.name !== leader.name)) return;
      // The timeline tells the leader that was started again from the one whose end is not yet known.
      const again = leader.name === former?.name;
      if (again) return leader.timeline > this.timeline && leader;
      const ready = views.map((members) => members.filter(follows).length);
      return Math.min(...ready) >= standbys && leader;
    };
    const what = `a leader with ${standbys} standbys`;
    const timeoutMs = this.timeline ? REPLACED_MS : UP_MS;
    try {
      const leader = await waitFor(agreed, { what, timeoutMs, intervalMs: 100 });
      if (leader.name === former?.name) throw new Error(`${leader.name} leads again`);
      this.timeline = leader.timeline;
      this.primary = /** @type {Node} */ (this.nodes.find(({ name }) => name === leader.name));
      return this.primary;
    } catch (error) {
      throw new Error(`${what}: ${/** @type {Error} */ (error).message}\n${this.#seen(views)}`, {
        cause: error,
      });
    }
  }

  /** What the managers know and said last, for who reads a failure. @param {Member[][]} views */
  #seen(views) {
    const lines = this.nodes.map(({ name, server }, index) => {
      const { log } = /** @type {any} */ (server);
      return `${name} knows ${inspect(views[index], { breakLength: 200 })} and said:\n${log.slice(-SAID)}`;
    });
    return lines.join('\n');
  }

  /** A planned change of the leader, asked of the managers. @param {Node} to */
  async switchover(to) {
    const { rest, host } = /** @type {any} */ (this.primary.server);
    const answer = await fetch(`http://${host}:${rest}/switchover`, {
      method: 'POST',
      body: JSON.stringify({ leader: this.primary.name, candidate: to.name }),
    });
    if (!answer.ok) throw new Error(`no switchover: ${await answer.text()}`);
  }
}

/** Starts three nodes under Patroni, from empty folders, with quorum-synchronous commits. */
async function startManagedCluster() {
  const python = await patroniPython();
  const { bin } = await findBinaries();
  if (!fs.existsSync(path.join(bin, 'pg_basebackup')))
    throw new Error(
      `Patroni needs pg_basebackup beside ${bin} (Debian: apt-get install postgresql)`,
    );
  const ports = await Promise.all(Array.from({ length: 9 }, freePort));
  const servers = ['n1', 'n2', 'n3'].map((name, index) => {
    const [port, rest, raft] = /** @type {[number, number, number]} */ (ports.slice(index * 3));
    return new ManagedServer(name, { port, rest, raft });
  });
  const nodes = servers.map((server) => new Node(server.name, /** @type {any} */ (server)));
  const cluster = new ManagedCluster(nodes, /** @type {Node} */ (nodes[0]));
  try {
    for (const server of servers) {
      const partners = servers.filter((other) => other !== server);
      server.start(
        python,
        bin,
        partners.map(({ raft }) => raft),
      );
    }
    await cluster.settled({ standbys: 2 });
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

module.exports = { startManagedCluster };
