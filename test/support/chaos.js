// What a chaos test watches a cluster with: a history of operations, the moment a new primary takes writes, and a `pg` loop beside.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { Client } = require('pg');

/** Every write with what was said about it. */
class History {
  /** @type {Map<number, 'ok' | 'failed' | 'unknown'>} */
  writes = new Map();
  /** What was said about those that are not `ok`. @type {Map<number, any>} */
  errors = new Map();
  counts = { ok: 0, failed: 0, unknown: 0 };
  reads = 0;
  readFailures = 0;
  /** When a write was acknowledged last. */
  lastOk = 0;
  #next = 0;

  id() {
    this.#next += 1;
    return this.#next;
  }

  /** @param {number[]} ids @param {'ok' | 'failed' | 'unknown'} outcome @param {any} [error] why, where it is not `ok` */
  note(ids, outcome, error) {
    for (const id of ids) {
      this.writes.set(id, outcome);
      if (error !== undefined) this.errors.set(id, error);
    }
    this.counts[outcome] += ids.length;
    if (outcome === 'ok') this.lastOk = performance.now();
  }

  get total() {
    return this.writes.size + this.reads;
  }

  /** What the table contradicts: acknowledged and absent, failed and present. @param {Set<number>} present */
  contradictions(present) {
    const wrong = [...this.writes].filter(
      ([id, outcome]) =>
        (outcome === 'ok' && !present.has(id)) || (outcome === 'failed' && present.has(id)),
    );
    return wrong.map(([id, outcome]) => ({ id, outcome, error: this.errors.get(id) }));
  }
}

/** Connections to standbys that try to write until one is let: the moment at which the cluster takes writes again. */
class Beat {
  /** When the first of them was acknowledged; 0 until then. */
  acceptedAt = 0;
  #clients;
  #stopped = false;

  /** @param {Client[]} clients */
  constructor(clients) {
    this.#clients = clients;
  }

  /** @param {{ server: any }[]} nodes standbys, one of which will be promoted @param {string} sql a write */
  static async open(nodes, sql) {
    const clients = await Promise.all(
      nodes.map(async ({ server: { host, port, user, database } }) => {
        const client = new Client({ host, port, user, database, application_name: 'beat' });
        client.on('error', () => {}); // ends its loop
        await client.connect();
        return client;
      }),
    );
    const beat = new Beat(clients);
    Promise.any(clients.map((client) => beat.#until(client, sql))).then(
      (at) => {
        beat.acceptedAt = at;
      },
      () => {}, // whoever waits for it says so
    );
    return beat;
  }

  async #until(client, sql) {
    while (!this.#stopped) {
      try {
        await client.query(sql);
        return performance.now();
      } catch (error) {
        // Still a standby, or not released yet.
        if (error.code !== '25006') throw error;
      }
      await sleep(2);
    }
    throw new Error('nobody was promoted');
  }

  async close() {
    this.#stopped = true;
    await Promise.allSettled(this.#clients.map((client) => client.end()));
  }
}

/** What people write by hand: one connection, the hosts in turn, a pause between attempts. */
class HandWritten {
  lastOk = 0;
  #stopped = false;
  #done;

  /** @param {{ server: any }[]} nodes @param {string} sql @param {number} limitMs of a statement */
  constructor(nodes, sql, limitMs) {
    this.#done = this.#run(nodes, sql, limitMs);
  }

  async #run(nodes, sql, limitMs) {
    for (let turn = 0; !this.#stopped; turn++) {
      const { host, port, user, database } = nodes[turn % nodes.length].server;
      const client = new Client({
        ...{ host, port, user, database, query_timeout: limitMs },
        connectionTimeoutMillis: 2000,
      });
      client.on('error', () => {}); // the statement fails as well
      try {
        await client.connect();
        const { rows } = await client.query('show transaction_read_only');
        while (rows[0].transaction_read_only === 'off' && !this.#stopped) {
          await client.query(sql);
          this.lastOk = performance.now();
          await sleep(1);
        }
      } catch {
        // The next host, after a pause.
      }
      client.end().catch(() => {});
      await sleep(100);
    }
  }

  async stop() {
    this.#stopped = true;
    await this.#done;
  }
}

/** @param {number[]} values @param {number} share 0 to 1 */
function percentile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
}

/** @param {string} name @param {number[]} values there may be millions */
const figures = (name, values) =>
  `${name}: p50 ${percentile(values, 0.5)} ms, p95 ${percentile(values, 0.95)} ms, most ${percentile(values, 1)} ms (${values.length})`;

module.exports = { Beat, HandWritten, History, figures, percentile };
