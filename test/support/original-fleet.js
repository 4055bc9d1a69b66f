// The predecessor's side of a mixed fleet, as measured: its names, its clock, its lock calls and its SQL (pg-aequor 0.1.4).
'use strict';

const { createHmac, randomBytes } = require('node:crypto');
const { Client } = require('pg');

/** First key of its lock: "PGAQ". */
const LOCK = 0x50474151;

/** @param {string} claim @param {string} secret */
const sign = (claim, secret) =>
  createHmac('sha256', secret).update(claim).digest().subarray(0, 8).toString('base64url');

/** @param {string} text @param {string} secret */
function parse(text, secret) {
  const match = /^s=([^;]+);i=([^;]+);e=([^;]+);g=([^;]+)$/.exec(text);
  if (match === null) return null;
  const [, svc, inst, exp, signature] = match;
  if (signature !== sign(`s=${svc};i=${inst};e=${exp}`, secret)) return null;
  // By the clock of its own machine.
  return {
    svc,
    inst,
    exp: Number.parseInt(exp, 10),
    isExpired: Date.now() > Number.parseInt(exp, 10),
  };
}

/** A client of the predecessor: its connection, and passes of its reaper when they are asked for. */
class OriginalMember {
  #options;
  client;
  pid = 0;

  /** @param {{ connectionString: string, service: string, secret: string, ttlMs?: number }} options */
  constructor(options) {
    this.#options = options;
    const { service, secret, ttlMs = 90_000 } = options;
    const inst = randomBytes(6).toString('base64url');
    const claim = `s=${service};i=${inst};e=${Date.now() + ttlMs}`;
    this.name = `${claim};g=${sign(claim, secret)}`;
    this.client = new Client({
      connectionString: options.connectionString,
      application_name: this.name,
    });
    this.client.on('error', () => {});
  }

  async connect() {
    await this.client.connect();
    this.pid = (await this.client.query('select pg_backend_pid() as pid')).rows[0].pid;
    return this;
  }

  /** Its non-blocking lock of the connection. */
  async tryLock() {
    const text = `select pg_try_advisory_lock(${LOCK}, hashtext($1)) as locked`;
    return (await this.client.query(text, [this.#options.service])).rows[0].locked;
  }

  async unlock() {
    await this.client.query(`select pg_advisory_unlock(${LOCK}, hashtext($1))`, [
      this.#options.service,
    ]);
  }

  /** @param {number} [minIdleSec] @returns {Promise<{ locked: boolean, killed: number }>} */
  async reap(minIdleSec = 0) {
    const { service, secret } = this.#options;
    if (!(await this.tryLock())) return { locked: false, killed: 0 };
    try {
      const { rows } = await this.client.query(
        `select pid, application_name as name, extract(epoch from now() - state_change) as idle
         from pg_stat_activity where datname = current_database() and state = 'idle'
           and pid <> pg_backend_pid() and application_name like $1`,
        [`s=${service};%`],
      );
      const pids = rows
        .filter(({ name, idle }) => idle >= minIdleSec && parse(name, secret)?.isExpired)
        .map(({ pid }) => pid);
      if (pids.length > 0) {
        await this.client.query('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [
          pids,
        ]);
      }
      return { locked: true, killed: pids.length };
    } finally {
      await this.unlock();
    }
  }
}

module.exports = { LOCK, OriginalMember, parse, sign };
