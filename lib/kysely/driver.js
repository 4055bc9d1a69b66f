// The driver of the Kysely dialect: gives out connections of the native pool and ends them all.
'use strict';

const { settledOrAborted, throwIfAborted } = require('../abort-hearers.js');
const { ClosedError, TimeoutError, TransactionRolledBackError } = require('../errors.js');
const { callHook } = require('../hooks.js');
const { wrong } = require('../option-rules.js');
const { Pool, createPool } = require('../pool.js');
const { BerthConnection } = require('./connection.js');
const { abortedTransaction, savepointCommand } = require('./kysely-parts.js');

/** @typedef {InstanceType<typeof BerthConnection>} Connection */

/** Isolation levels that every PostgreSQL knows; Kysely has more. */
const LEVELS = new Set(['read uncommitted', 'read committed', 'repeatable read', 'serializable']);

/** Numbers of connections whose hook has run; more than any pool has open. */
const MOST_SEEN = 4096;

class BerthDriver {
  #config;
  #lifecycle;
  /** @type {InstanceType<typeof Pool> | undefined} */
  #pool;
  /** For transactions that only read, if they may run on standbys. @type {InstanceType<typeof Pool> | undefined} */
  #readers;
  /** What the program's function gives, which an `init` that was given up has called already. @type {Promise<any> | undefined} */
  #making;
  #isDestroyed = false;
  /** In the order of their last use. @type {Set<number>} */
  #seen = new Set();

  /** @param {Record<string, any>} config checked @param {import('../lifecycle.js').Lifecycle} lifecycle */
  constructor(config, lifecycle) {
    this.#config = config;
    this.#lifecycle = lifecycle;
  }

  /** @param {{ signal?: AbortSignal }} [options] */
  async init(options) {
    throwIfAborted(options?.signal);
    const { pool, connection } = this.#config;
    if (connection !== undefined) {
      const given = typeof connection === 'string' ? { connectionString: connection } : connection;
      const typed = { ...given, types: given.types ?? 'pg' };
      if (typed.maxLagBytes !== undefined) throw lagIsNotKept();
      const own = createPool(typed);
      if (this.#config.readOnlyTransactions === 'standby') {
        try {
          this.#readers = createPool({ ...typed, mode: 'prefer-standby', minIdle: 0 });
        } catch (error) {
          // The next query begins anew, with a pool of its own.
          await own.end();
          throw error;
        }
      }
      this.#pool = own;
      this.#lifecycle.pool = own;
      return;
    }
    const made = typeof pool === 'function' ? await this.#made(options) : pool;
    if (!Pool.isPool(made)) throw new TypeError('option "pool" must be a pool of createPool');
    if (Pool.engineOf(made).reading.near !== undefined) throw lagIsNotKept();
    this.#pool = made;
    this.#lifecycle.pool = made;
  }

  /** @param {{ signal?: AbortSignal }} [options] */
  async #made(options) {
    this.#making ??= Promise.resolve(this.#config.pool(options));
    const making = this.#making;
    const again = () => {
      if (this.#making === making) this.#making = undefined;
    };
    making.catch(again);
    return settledOrAborted(() => making, options?.signal);
  }

  /** @param {{ signal?: AbortSignal }} [options] @returns {Promise<Connection>} */
  async acquireConnection(options) {
    throwIfAborted(options?.signal);
    if (this.#pool === undefined || this.#isDestroyed) {
      throw new ClosedError('driver has already been destroyed', { code: 'ERR_CLOSED' });
    }
    const { onCreateConnection, onReserveConnection, onConnectionError } = this.#config;
    const readers = this.#readers && Pool.engineOf(this.#readers);
    const report = (/** @type {Error} */ error) => callHook(onConnectionError, [error]);
    const engine = Pool.engineOf(this.#pool);
    const connection = new BerthConnection(engine, readers, report, options?.signal);
    if (onCreateConnection || onReserveConnection) await this.#introduce(connection, options);
    return connection;
  }

  /** @param {Connection} connection @param {{ signal?: AbortSignal } | undefined} options */
  async #introduce(connection, options) {
    const { onCreateConnection, onReserveConnection } = this.#config;
    try {
      const serial = await connection.acquire(options?.signal);
      if (onCreateConnection && !this.#seen.has(serial))
        await onCreateConnection(connection, options);
      this.#remember(serial);
      await onReserveConnection?.(connection, options);
    } catch (error) {
      // Whatever the hook has set up is in doubt: the next one begins anew.
      connection.discard();
      throw error;
    }
  }

  /** @param {number} serial */
  #remember(serial) {
    this.#seen.delete(serial);
    this.#seen.add(serial);
    if (this.#seen.size <= MOST_SEEN) return;
    const [oldest] = this.#seen;
    this.#seen.delete(/** @type {number} */ (oldest));
  }

  /** @param {Connection} connection @param {{ isolationLevel?: string, accessMode?: string }} settings */
  async beginTransaction(connection, { isolationLevel, accessMode }) {
    let text = 'begin';
    if (isolationLevel || accessMode) text = 'start transaction';
    if (isolationLevel) text += ` isolation level ${isolationLevel}`;
    if (accessMode) text += ` ${accessMode}`;
    // No standby takes these.
    const needsPrimary = isolationLevel === 'serializable' || accessMode === 'read write';
    // A BEGIN that is refused costs the place on the server: where it may be, the server is asked before.
    const isUnknown = isolationLevel !== undefined && !LEVELS.has(isolationLevel);
    if (isUnknown || (needsPrimary && connection.isHeldOnStandby)) {
      await connection.executeQuery({ sql: `${text}; rollback`, parameters: [] });
    }
    const reads = accessMode === 'read only';
    connection.begin(text, reads, reads && !needsPrimary);
    const { idleInTransactionMs } = this.#config;
    if (idleInTransactionMs === undefined) return;
    const message = `transaction: closed after ${idleInTransactionMs}ms without a statement; it was begun here`;
    connection.watch(
      idleInTransactionMs,
      new TimeoutError(message, { code: '25P03', outcome: 'failed' }),
    );
  }

  /** @param {Connection} connection */
  async commitTransaction(connection) {
    try {
      await connection.commit();
    } catch (error) {
      throw error instanceof TransactionRolledBackError ? abortedTransaction(error) : error;
    }
  }

  /** @param {Connection} connection */
  async rollbackTransaction(connection) {
    await connection.rollback();
  }

  /** @param {Connection} connection @param {string} name @param {Function} compile */
  async savepoint(connection, name, compile) {
    await connection.executeQuery(savepointCommand('savepoint', name, compile));
  }

  /** @param {Connection} connection @param {string} name @param {Function} compile */
  async rollbackToSavepoint(connection, name, compile) {
    await connection.executeQuery(savepointCommand('rollback to', name, compile));
  }

  /** @param {Connection} connection @param {string} name @param {Function} compile */
  async releaseSavepoint(connection, name, compile) {
    await connection.executeQuery(savepointCommand('release', name, compile));
  }

  /** @param {Connection} connection */
  async releaseConnection(connection) {
    connection.release();
  }

  /** @param {{ signal?: AbortSignal }} [options] */
  async destroy(options) {
    throwIfAborted(options?.signal);
    // Given up, it goes on: nobody could take it up again.
    await settledOrAborted(() => this.#destroy(), options?.signal);
  }

  async #destroy() {
    const pool = this.#pool ?? (await this.#making?.catch(() => undefined));
    if (!Pool.isPool(pool)) return;
    this.#isDestroyed = true;
    const [report, read] = await Promise.all([
      Pool.close(pool, this.#lifecycle.patienceMs),
      this.#readers && Pool.close(this.#readers, this.#lifecycle.patienceMs),
    ]);
    this.#lifecycle.report = read === undefined ? report : added(report, read);
  }
}

/** @param {Record<string, number>} one @param {Record<string, number>} other */
function added(one, other) {
  return Object.fromEntries(Object.entries(one).map(([name, n]) => [name, n + (other[name] ?? 0)]));
}

/** Its statements are asked for without a look at the standby in front of them. */
function lagIsNotKept() {
  return wrong('maxLagBytes', 'is not kept to by Kysely; use maxLagMs');
}

module.exports = { BerthDriver };
