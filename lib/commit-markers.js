// Transactions that leave a row of their own: whether it is there tells what became of a COMMIT, on any topology (CP-5).
'use strict';

// Taken now: a test may put something else in its place later.
const { nextTick } = process;
const { setTimeout: sleep } = require('node:timers/promises');
const { hearAbort } = require('./abort-hearers.js');
const { CommitAbortedError, ServerError, TransactionRolledBackError } = require('./errors.js');
const { quotePath } = require('./identifiers.js');

/** Between two questions while nobody answers. */
const PAUSE_MS = 25;
/** The longest wait for one answer: a server that is silent may have been replaced meanwhile. */
const PATIENCE_MS = 1000;
/** Rows that are deleted at a time. */
const BATCH = 1000;

/** @typedef {(sql: string, params: unknown[], session: undefined, limits?: { timeoutMs?: number }) => Promise<any[]>} Query */
/** Asks for a statement of the transaction. @typedef {(sql: string, params: Uint8Array[] | undefined, flags?: number) => Promise<unknown>} Ask */
/** @typedef {{ event: 'commit-resolved', xid: string, status: string, ms: number }} Resolved */

/** A transaction takes no marker behind this: the server refuses to write in it. */
const READ_ONLY =
  /^\s*set\s+(?:local\s+)?transaction(?:_read_only\s*(?:=|\bto\b)\s*'?(?:on|true|yes|1)\b|\s[^;]*\bread\s+only\b)/i;

class Markers {
  #query;
  #table;
  #resolveTimeoutMs;
  #tell;

  /**
   * @param {string | readonly string[]} table @param {number} resolveTimeoutMs
   * @param {Query} query on the primary of then @param {(event: Resolved) => void} tell
   */
  constructor(table, resolveTimeoutMs, query, tell) {
    this.#table = quotePath(table);
    this.#resolveTimeoutMs = resolveTimeoutMs;
    this.#query = query;
    this.#tell = tell;
  }

  /**
   * What the transaction's end is marked by behind this statement: nothing if it may not write any more.
   * @param {unknown} sql @returns {this | undefined}
   */
  behind(sql) {
    return typeof sql === 'string' && READ_ONLY.test(sql) ? undefined : this;
  }

  /** A transaction that has written nothing leaves none, so that reading stays reading. */
  get #statement() {
    return `INSERT INTO ${this.#table} (id) SELECT $1::pg_catalog.uuid WHERE pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL`;
  }

  /**
   * Ends a transaction: its marker goes in front of COMMIT, in the same packet. Resolves when it committed.
   * @param {Ask} inside @param {() => Promise<unknown>} end by COMMIT
   * @param {{ timeoutMs?: number | undefined, signal?: AbortSignal | undefined }} limits
   */
  async commit(inside, end, { timeoutMs, signal }) {
    const id = require('node:crypto').randomUUID();
    const began = performance.now();
    // A string may have to wait for the type of its parameter; the bytes of the id do not.
    const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
    const asked = [inside(this.#statement, [bytes]), end()];
    const [marker, commit] = await Promise.allSettled(asked);
    if (commit?.status !== 'rejected') return;
    if (commit.reason?.outcome === 'unknown') {
      const left =
        timeoutMs === undefined ? undefined : Math.max(0, timeoutMs - (performance.now() - began));
      await this.resolve(id, commit.reason, left, signal);
      return;
    }
    // COMMIT says no more than that something had failed: the table of the markers, perhaps.
    const isOwn = marker?.status === 'rejected' && marker.reason.code !== '25P02';
    throw isOwn && commit.reason instanceof TransactionRolledBackError
      ? marker.reason
      : commit.reason;
  }

  /**
   * What became of a COMMIT without an answer. Resolves when it committed.
   *
   * It is not looked for, it is written: behind the row of a transaction that is still open the server waits for its end, and
   * once this one is there, that one can never be. As a write it is confirmed as far as the transaction has to be.
   * @param {string} id @param {any} error what left it open @param {number} [patienceMs]
   * @param {AbortSignal} [signal] whoever gives up hears that it is open; it is looked for all the same
   */
  async resolve(id, error, patienceMs = this.#resolveTimeoutMs, signal = undefined) {
    const until = performance.now() + Math.min(patienceMs, this.#resolveTimeoutMs);
    const status = await unlessAborted(this.#find(id, until), signal);
    if (status === 'committed') return;
    if (status === 'aborted') {
      const message = 'the COMMIT was lost, and its marker says that it did not happen';
      const known = { outcome: /** @type {const} */ ('failed'), transient: true, code: '40000' };
      throw new CommitAbortedError(message, { ...known, cause: error });
    }
    throw error;
  }

  /** @param {string} id @param {number} until */
  async #find(id, until) {
    const began = performance.now();
    const status = await this.#ask(id, until);
    try {
      this.#tell({ event: 'commit-resolved', xid: id, status, ms: performance.now() - began });
    } catch (failure) {
      // A listener's own, as with every other event: the COMMIT is what it is.
      nextTick(() => {
        throw failure;
      });
    }
    return status;
  }

  /** @param {string} id @param {number} until */
  async #ask(id, until) {
    const sql = `INSERT INTO ${this.#table} (id, committed) VALUES ($1::pg_catalog.uuid, false)
      ON CONFLICT (id) DO UPDATE SET at = excluded.at RETURNING committed`;
    for (;;) {
      const left = Math.ceil(until - performance.now());
      if (left <= 0) return 'nobody could be asked in time';
      try {
        const timeoutMs = Math.min(left, PATIENCE_MS);
        const [row] = await this.#query(sql, [id], undefined, { timeoutMs });
        return row.committed ? 'committed' : 'aborted';
      } catch (error) {
        // Asking twice is harmless. What the server refuses for good stays refused.
        const { code, transient } = /** @type {any} */ (error);
        const isTimeout = code === '57014';
        if (error instanceof ServerError && !transient && !isTimeout && code !== '25006') {
          return 'the server refuses to say';
        }
        if (code === 'ERR_CLOSED') return 'closed before it was known';
      }
      await sleep(PAUSE_MS);
    }
  }

  /** Deletes old markers a batch at a time. @param {number} olderThanMs @returns {Promise<number>} how many */
  async prune(olderThanMs) {
    const sql = `DELETE FROM ${this.#table} WHERE id IN (SELECT id FROM ${this.#table}
      WHERE at operator(pg_catalog.<) (pg_catalog.now() operator(pg_catalog.-)
        ($1 operator(pg_catalog.*) interval '1 millisecond')) LIMIT ${BATCH}) RETURNING 1 AS one`;
    for (let deleted = 0; ; ) {
      const rows = await this.#query(sql, [olderThanMs], undefined);
      deleted += rows.length;
      if (rows.length < BATCH) return deleted;
    }
  }
}

/**
 * @param {Promise<string>} finding @param {AbortSignal | undefined} signal
 * @returns {Promise<string>} what was found, or that nobody waits for it
 */
async function unlessAborted(finding, signal) {
  if (signal === undefined) return finding;
  let stopHearing = () => {};
  const left = new Promise((resolve) => {
    stopHearing = hearAbort(signal, () => resolve('given up'));
    if (signal.aborted) resolve('given up');
  });
  try {
    return await Promise.race([finding, left]);
  } finally {
    stopHearing();
  }
}

module.exports = { Markers };
