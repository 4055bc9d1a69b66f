// A real cluster: one primary, streaming standbys, quorum-synchronous commits, and everything that goes wrong with one.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Client } = require('pg');
const { account, runAsServer } = require('./server-account.js');
const { startServer } = require('./server.js');
const { waitFor } = require('./wait.js');

/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */

/** Every node names all of them, itself too: right after a promotion the others count without any change. */
const settings = (name, names, synchronous) => ({
  cluster_name: name,
  wal_log_hints: 'on',
  full_page_writes: 'on',
  hot_standby: 'on',
  wal_keep_size: '256MB',
  wal_retrieve_retry_interval: '100ms',
  max_wal_senders: 10,
  synchronous_standby_names: synchronous ? `ANY 1 (${names.join(',')})` : '',
});

class Node {
  /** @type {Server} */
  server;

  /** @param {string} name @param {Server} server */
  constructor(name, server) {
    this.name = name;
    this.server = server;
  }

  get port() {
    return this.server.port;
  }

  get host() {
    return `${this.server.host}:${this.server.port}`;
  }

  /** Runs SQL as superuser on a connection of its own, without waiting for standbys. @returns {Promise<any[]>} */
  async sql(text, values) {
    const { host, port, user, database } = this.server;
    const client = new Client({
      host,
      port,
      user,
      database,
      options: '-c synchronous_commit=local -c default_transaction_read_only=off',
      application_name: 'observer',
      connectionTimeoutMillis: 5000,
      query_timeout: 60_000, // longer than a promotion may take
    });
    client.on('error', () => {}); // a node that is killed under its observer
    await client.connect();
    try {
      return /** @type {any[]} */ ((await client.query(text, values)).rows);
    } finally {
      await client.end();
    }
  }

  /** Ends the node as a power cut does. */
  kill() {
    return this.server.kill();
  }

  freeze() {
    this.server.freeze();
  }

  thaw() {
    this.server.thaw();
  }

  /** Demotes a primary the way failover managers do: open connections stay, new transactions are read-only. */
  async fence() {
    await this.sql('alter system set default_transaction_read_only = on');
    await this.sql('select pg_reload_conf()');
    await this.#reloaded('on');
  }

  async unfence() {
    await this.sql('alter system reset default_transaction_read_only');
    await this.sql('select pg_reload_conf()');
    await this.#reloaded('off');
  }

  /** New sessions see the setting; open ones follow with their next message. */
  #reloaded(value) {
    return waitFor(
      async () => {
        const [row] = await this.server.sql('show default_transaction_read_only');
        return row.default_transaction_read_only === value;
      },
      { what: `default_transaction_read_only ${value} on ${this.name}` },
    );
  }

  /** Stops or continues the process that receives WAL: commits on the primary wait for a quorum meanwhile. */
  pauseReceiver() {
    for (const pid of this.server.processes('walreceiver')) process.kill(pid, 'SIGSTOP');
  }

  /** Ends a paused receiver before it reads on: what its socket holds is lost, as by a power cut of the primary. */
  endReceiver() {
    for (const pid of this.server.processes('walreceiver')) {
      process.kill(pid, 'SIGTERM');
      process.kill(pid, 'SIGCONT');
    }
  }

  resumeReceiver() {
    for (const pid of this.server.processes('walreceiver')) process.kill(pid, 'SIGCONT');
  }
}

class Cluster {
  /** @param {Node[]} nodes @param {Node} primary */
  constructor(nodes, primary) {
    this.nodes = nodes;
    this.primary = primary;
  }

  /** What `createPool` takes. */
  get hosts() {
    return this.nodes.map(({ host }) => host);
  }

  get standbys() {
    return this.nodes.filter((node) => node !== this.primary);
  }

  /** The options of a pool on this cluster. */
  options(options = {}) {
    return {
      hosts: this.hosts,
      user: 'postgres',
      database: 'postgres',
      sslmode: 'disable',
      ...options,
    };
  }

  /** Waits until so many standbys confirm commits. */
  streaming(count = this.nodes.length - 1) {
    return waitFor(
      async () => {
        const rows = await this.primary.sql(
          `select application_name from pg_stat_replication
             where state = 'streaming' and (sync_state = 'quorum' or current_setting('synchronous_standby_names') = '')`,
        );
        return rows.length >= count;
      },
      { what: `${count} standbys streaming from ${this.primary.name}` },
    );
  }

  /** Makes a standby the primary and points the others at it. @param {Node} node */
  async promote(node) {
    const [{ done }] = await node.sql('select pg_promote(true, 30) as done');
    if (!done) throw new Error(`${node.name} was not promoted within 30 s`);
    this.primary = node;
  }

  /** Points running standbys at the present primary. @param {Node[]} nodes */
  async follow(...nodes) {
    for (const node of nodes) {
      await node.sql(`alter system set primary_conninfo = '${conninfo(this.primary, node.name)}'`);
      await node.sql('select pg_reload_conf()');
    }
  }

  /**
   * Takes standbys off their primary, so that none of them gets ahead of the one to be promoted: it could not follow, and no
   * commit would be confirmed. What a dead or frozen primary had sent may be in a socket still.
   */
  async detach(nodes = this.standbys) {
    await Promise.all(
      nodes.map(async (node) => {
        await node.sql(`alter system set primary_conninfo = ''`);
        await node.sql('select pg_reload_conf()');
        await waitFor(
          async () => (await node.sql('select 1 from pg_stat_wal_receiver')).length === 0,
          { what: `${node.name} without a primary` },
        );
      }),
    );
  }

  /** Among the nodes, the one that has received the most. @param {Node[]} nodes */
  async mostRecent(nodes) {
    const seen = await Promise.all(
      nodes.map(async (node) => {
        const [{ at }] = await node.sql(
          `select (coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::float8 as at`,
        );
        return { node, at };
      }),
    );
    return seen.reduce((best, next) => (next.at > best.at ? next : best)).node;
  }

  /** Kills the primary, promotes the best standby and repoints the other. @returns {Promise<Node>} the dead node */
  async failover() {
    const dead = this.primary;
    await dead.kill();
    await this.promoteBest(dead);
    return dead;
  }

  /** Promotes the best standby and repoints the others, whatever became of the primary. @param {Node} gone */
  async promoteBest(gone) {
    const standbys = this.nodes.filter((node) => node !== gone);
    await this.detach(standbys);
    const best = await this.mostRecent(standbys);
    await this.promote(best);
    await this.follow(...standbys.filter((node) => node !== best));
  }

  /** Brings a dead node back as a standby with a fresh copy of the primary. @param {Node} node */
  async rejoin(node) {
    const { dataDir } = node.server;
    const keep = ['postgresql.conf', 'pg_hba.conf'].map((name) => {
      const file = path.join(dataDir, name);
      return /** @type {const} */ ([file, fs.readFileSync(file)]);
    });
    const { server } = this.primary;
    const [begin, end] =
      server.version >= 15
        ? [`pg_backup_start('rejoin', true)`, 'pg_backup_stop(false)']
        : [`pg_start_backup('rejoin', true, false)`, 'pg_stop_backup(false)'];
    const client = new Client({ host: server.host, port: server.port, user: 'postgres' });
    await client.connect();
    try {
      await client.query(`select ${begin}`);
      fs.rmSync(dataDir, { recursive: true });
      await runAsServer('cp', ['-a', server.dataDir, dataDir]).catch(ignoreVanished);
      const { rows } = await client.query(`select labelfile from ${end}`);
      own(path.join(dataDir, 'backup_label'), rows[0].labelfile);
    } finally {
      await client.end();
    }
    for (const name of ['postmaster.pid', 'postmaster.opts', 'postgresql.auto.conf'])
      fs.rmSync(path.join(dataDir, name), { force: true });
    for (const name of ['pg_replslot', 'pg_dynshmem', 'pg_stat_tmp'])
      for (const entry of fs.readdirSync(path.join(dataDir, name)))
        fs.rmSync(path.join(dataDir, name, entry), { recursive: true });
    for (const [file, content] of keep) own(file, content);
    makeStandby(dataDir, this.primary, node.name);
    await node.server.start();
  }

  async stop() {
    await Promise.all(this.nodes.map(({ server }) => server.stop()));
  }
}

/** Files that end while they are copied belong to what a standby reads from the WAL. */
function ignoreVanished(error) {
  if (!/No such file|vanished/.test(String(error.stderr ?? error))) throw error;
}

/** Writes a file that the server's account owns. */
function own(file, content) {
  fs.writeFileSync(file, content, { mode: 0o600 });
  if (account.uid !== undefined) fs.chownSync(file, account.uid, account.gid ?? account.uid);
}

function conninfo(primary, name) {
  return `host=${primary.server.host} port=${primary.port} user=postgres application_name=${name}`;
}

function makeStandby(dataDir, primary, name) {
  own(path.join(dataDir, 'standby.signal'), '');
  own(
    path.join(dataDir, 'postgresql.auto.conf'),
    `primary_conninfo = '${conninfo(primary, name)}'\n`,
  );
}

/**
 * Starts a cluster; copies of one stopped data folder are the standbys, so it takes little more than its servers' starts.
 *
 * @param {object} [options]
 * @param {number} [options.nodes] default 3
 * @param {boolean} [options.synchronous] commits wait for one standby; default true
 * @param {number} [options.version] major version of PostgreSQL
 * @param {Record<string, string | number>} [options.conf] further settings of all nodes
 */
async function startCluster({ nodes: count = 3, synchronous = true, version, conf } = {}) {
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  /** @type {Node[]} */
  const nodes = [];
  try {
    for (const name of names) {
      const server = await startServer({
        ...(version === undefined ? {} : { version }),
        conf: { ...settings(name, names, synchronous), ...conf },
        prepare: (dataDir) => {
          if (nodes[0]) makeStandby(dataDir, nodes[0], name);
        },
      });
      nodes.push(new Node(name, server));
    }
    const cluster = new Cluster(nodes, /** @type {Node} */ (nodes[0]));
    await cluster.streaming();
    return cluster;
  } catch (error) {
    await Promise.all(nodes.map(({ server }) => server.stop()));
    throw error;
  }
}

module.exports = { Cluster, Node, startCluster };
