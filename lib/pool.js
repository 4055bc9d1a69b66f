// createPool: the cluster face of the engine's pool.
'use strict';

const { inspect } = require('node:util');
const native = require('./native.js');
const { BlockingAnswer } = require('./answer.js');
const { ClosedError } = require('./error-classes.js');
const { end, forgotten, openPool, openSession, release, unheard } = require('./handles.js');
const { lazy } = require('./lazy.js');
const { FLAG, flush, listen, wait } = require('./mailbox.js');
const options = require('./options.js');
const { PoolEvents } = require('./pool-events.js');
const { hooksOf } = require('./query-hooks.js');
const queryable = require('./queryable.js');
const { resolveTypes, PRESETS } = require('./rows/types.js');
const { isPoolTraced } = require('./tracing/channels.js');
const { TypeCatalog } = require('./type-catalog.js');
const { send } = require('./request.js');

const batches = lazy(() => require('./batch.js'));
const copies = lazy(() => require('./copy.js'));
const figures = lazy(() => require('./pool-figures.js'));
const probes = lazy(() => require('./pool-probes.js'));
const streams = lazy(() => require('./stream.js'));
const tracing = lazy(() => require('./tracing/index.js'));
const transactions = lazy(() => require('./transaction.js'));

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */
/** @import { Pool as PoolInterface, PoolOptions, QueryResult, Rows } from '../types/pool.js' */
/** @import { PoolStatus } from '../types/pool-extras.js' */
/** @typedef {InstanceType<typeof import('./transaction.js').Transaction>} Transaction */

const DEFAULT_RETRY = Object.freeze({ maxAttempts: 3, baseDelayMs: 50, maxDelayMs: 1000 });
const DEFAULT_END_MS = 5000;
/** A blocking call without a time limit of its own ends after this. */
const DEFAULT_BLOCKING_MS = 30_000;
/** How much longer than its statement a blocking call waits: the time a cancel may take. */
const BLOCKING_GRACE_MS = 3000;

/** The status of a pool that has ended. */
const NOTHING_OPEN = Object.freeze({
  max: 0,
  size: 0,
  available: 0,
  waiting: 0,
  nodes: Object.freeze([]),
  primary: null,
  driver: 'engine',
});
/** Behind the statement, in its packet, is what its outcome can be found out by. */
const EXACTLY_ONCE = Object.freeze({ flags: FLAG.PROBE });

/** @implements {PoolInterface} */
class Pool {
  #target;
  /** @type {Reading} */
  #reading;
  #retry;
  /** How statements that stand for themselves are asked for. */
  #single;
  #maxStatementMs;
  /** @type {Promise<void> | undefined} */
  #ending;
  /** What was counted, once the engine has forgotten it. @type {any} */
  #lastFigures;
  #unlisten;
  #events = new PoolEvents();
  #probes;
  #ended = { drained: 0, rejected: 0, cancelled: 0 };

  /** @param {Record<string, any>} given checked options */
  constructor(given) {
    const { types, rowMode = 'object', retry, ...others } = given;
    const { commitResolution = 'xid', exactlyOnce = false, ...further } = others;
    const { logger, slowQueryMs, onSlowQuery, onQueryError, sqlComment, ...rest } = further;
    const hooks = { logger, slowQueryMs, onSlowQuery, onQueryError, sqlComment };
    const resolved = resolveTypes(types, PRESETS.lossless);
    this.#target = openPool({ defaultMode: 'read-write', ...rest }, 'cluster', hooksOf(hooks));
    const target = this.#target;
    this.#probes = lazy(() => new (probes().Probes)(target));
    this.#unlisten = hearEvents(target, this.#events, this.#probes);
    forgotten.register(this, this.#target, this);
    const catalog = new TypeCatalog(catalogQuery(this.#target));
    const decoders = queryable.decodersFor(resolved, rowMode, catalog);
    const resolves = commitResolution === 'xid';
    this.#reading = { types: resolved, rowMode, catalog, decoders, resolves };
    this.#single = singly(exactlyOnce);
    this.#retry = { ...DEFAULT_RETRY, ...retry };
    this.#maxStatementMs = /** @type {number | undefined} */ (rest.maxStatementMs);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Promise<Rows<any>>}
   */
  query(sql, params, given) {
    if (given !== undefined) return this.#query(sql, params, given);
    return queryable.runPlain(this.#target, sql, params, this.#reading, this.#single);
  }

  /** @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions | undefined} given */
  async #query(sql, params, given) {
    return queryable.toRows(await this.#run(sql, params, given));
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Promise<QueryResult<any>>}
   */
  async queryResult(sql, params, given) {
    return queryable.toResult(await this.#run(sql, params, given));
  }

  /** @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions | undefined} given */
  async #run(sql, params, given) {
    queryable.checkText(sql);
    const { exactlyOnce, ...read } = queryable.readOptions(given, options.SINGLE_OPTIONS);
    const manner = exactlyOnce === undefined ? this.#single : singly(exactlyOnce);
    return queryable.run(this.#target, sql, params, read, this.#reading, manner);
  }

  /**
   * @param {string | readonly string[]} table @param {Record<string, unknown>} row @param {object} [given]
   * @returns {Promise<Rows<any>>}
   */
  async insert(table, row, given) {
    const { insertStatement, mayInsertAgain } = require('./insert.js');
    const { sql, params, limits, isIdempotent } = insertStatement(table, row, given);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.query(sql, params, limits);
      } catch (error) {
        const isOver = !isIdempotent || attempt >= this.#retry.maxAttempts;
        if (isOver || !mayInsertAgain(error)) throw error;
      }
      await this.#pause(attempt, limits.signal);
    }
  }

  /** @param {string} event @param {(detail: any) => void} listener */
  on(event, listener) {
    this.#events.change('on', event, listener);
    return this;
  }

  /** @param {string} event @param {(detail: any) => void} listener */
  once(event, listener) {
    this.#events.change('once', event, listener);
    return this;
  }

  /** @param {string} event @param {(detail: any) => void} listener */
  off(event, listener) {
    this.#events.change('off', event, listener);
    return this;
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {object} [given]
   * @returns {AsyncIterableIterator<any>}
   */
  stream(sql, params, given) {
    queryable.checkText(sql);
    const { batchSize, ...rest } = options.readStreamOptions(given);
    const session = openSession(this.#target, 'cluster');
    let isFirst = true;
    const stream = new (streams().RowStream)({
      target: session,
      sql,
      params,
      batchSize,
      options: rest,
      reading: this.#reading,
      manner: () => {
        const begin = isFirst ? 'BEGIN' : undefined;
        isFirst = false;
        return { flags: FLAG.TRANSACTION, begin, ...rest };
      },
      isOwner: true,
      onEnd: () => {
        forgotten.unregister(stream);
        release(session);
      },
    });
    forgotten.register(stream, session, stream);
    return stream;
  }

  /** @param {readonly unknown[]} statements @param {object} [given] @returns {Promise<any>} */
  async batch(statements, given) {
    return batches().runBatch(this.#target, this.#reading, statements, given);
  }

  /**
   * @param {string | readonly string[]} table @param {Iterable<any> | AsyncIterable<any>} rows @param {object} [given]
   * @returns {Promise<number>}
   */
  async insertMany(table, rows, given) {
    const query = (/** @type {string} */ sql, /** @type {unknown[]} */ params) =>
      this.query(sql, params, { types: 'lossless', rowMode: 'object' });
    return require('./insert-many.js').insertMany(this.#target, query, table, rows, given);
  }

  /** @param {string} sql @param {object} [given] */
  copyFrom(sql, given) {
    queryable.checkText(sql);
    const { CopyFromStream, copyOnPool, readCopyOptions } = copies();
    return copyOnPool(this.#target, new CopyFromStream(sql, readCopyOptions(given)));
  }

  /** @param {string} sql @param {object} [given] */
  copyTo(sql, given) {
    queryable.checkText(sql);
    const { CopyToStream, copyOnPool, readCopyOptions } = copies();
    return copyOnPool(this.#target, new CopyToStream(sql, readCopyOptions(given)));
  }

  /** @param {object} [given] */
  async begin(given) {
    const read = options.readBeginOptions(given);
    const { Transaction: TransactionClass } = transactions();
    return TransactionClass.start(new TransactionClass(this.#target, this.#reading, read));
  }

  /**
   * @template T
   * @param {(tx: Transaction) => T | Promise<T>} fn @param {object} [given]
   * @returns {Promise<T>}
   */
  async transaction(fn, given) {
    if (typeof fn !== 'function') throw new TypeError(`fn must be a function, got ${typeof fn}`);
    const read = options.readBeginOptions(given, options.TRANSACTION_OPTIONS);
    const { maxAttempts = this.#retry.maxAttempts, ...begin } = read;
    const { Transaction: TransactionClass, mayRunAgain } = transactions();
    for (let attempt = 1; ; attempt++) {
      const tx = new TransactionClass(this.#target, this.#reading, begin);
      try {
        const value = await TransactionClass.run(tx, fn);
        if (!TransactionClass.isOver(tx)) await tx.commit();
        return value;
      } catch (error) {
        // Whatever the rollback says, the caller wants to know why it was needed.
        if (!TransactionClass.isOver(tx)) await tx.rollback().catch(() => {});
        if (attempt >= maxAttempts || !mayRunAgain(error)) throw error;
      }
      await this.#pause(attempt, begin.signal);
    }
  }

  /** @param {number} attempt @param {AbortSignal | undefined} signal */
  async #pause(attempt, signal) {
    const { baseDelayMs, maxDelayMs } = this.#retry;
    const delay =
      Math.min(baseDelayMs * 2 ** (attempt - 1), maxDelayMs) * (0.5 + Math.random() / 2);
    signal?.throwIfAborted();
    const { setTimeout: sleep } = require('node:timers/promises');
    await sleep(Math.round(delay), undefined, signal === undefined ? {} : { signal }).catch(
      (error) => {
        throw signal?.aborted ? signal.reason : error;
      },
    );
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Rows<any>}
   */
  querySync(sql, params, given) {
    queryable.checkText(sql);
    const read = queryable.readOptions(given);
    if (read.signal !== undefined) {
      throw new TypeError('option "signal" has no effect on a blocking call; use timeoutMs');
    }
    return queryable.toRows(this.#block(sql, params, read));
  }

  /** @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} read */
  #block(sql, params, read) {
    const decoders = queryable.decodersOf(this.#reading, read);
    const timeoutMs = read.timeoutMs ?? this.#maxStatementMs ?? DEFAULT_BLOCKING_MS;
    /** @type {unknown} */
    let failure;
    let hasFailed = false;
    const answer = new BlockingAnswer(
      decoders,
      () => {},
      (reason) => {
        failure = reason;
        hasFailed = true;
      },
    );
    send(this.#target, sql, params, decoders, { timeoutMs }, answer);
    if (!wait(() => answer.isDone, timeoutMs + BLOCKING_GRACE_MS)) {
      throw new Error(
        `querySync: the engine did not answer within ${timeoutMs + BLOCKING_GRACE_MS}ms`,
      );
    }
    if (hasFailed) throw queryable.asError(failure);
    answer.finish(() => {
      const lookUp = (/** @type {string} */ text, /** @type {unknown[]} */ values) =>
        this.#block(text, values, { types: 'lossless', rowMode: 'object' }).result.rows;
      this.#reading.catalog?.lookUpBlocking(decoders.unknown(), lookUp);
    });
    if (hasFailed) throw queryable.asError(failure);
    return answer;
  }

  /** @returns {PoolStatus} */
  status() {
    const text = native.poolStatus(this.#target.slot, this.#target.generation, true);
    const { max, size, available, waiting, nodes, primary, driver } =
      text === null ? NOTHING_OPEN : JSON.parse(text);
    const inUse = size - available;
    const counts = { maxSize: max, size, available, inUse, waiting };
    return { ...counts, driver, primary, nodes: nodes.map(toNode) };
  }

  stats() {
    return this.getStats();
  }

  getMetrics() {
    return figures().metricsOf(this.#target);
  }

  getStats() {
    return figures().statsOf(this.#lastFigures ?? figures().figuresOf(this.#target));
  }

  /** @param {import('../types/pool-figures.js').MetricsTextOptions} [given] */
  metricsText(given) {
    return require('./metrics-text.js').metricsText(this.getMetrics(), this.getStats(), given);
  }

  /** @param {import('../types/pool-figures.js').MetricsTextOptions} [given] */
  promMetrics(given) {
    const look = () => ({ now: this.getMetrics(), stats: this.getStats() });
    return require('./metrics-text.js').promMetrics(look, given);
  }

  /** Is it one of these, of this copy of the package? @param {any} value */
  static isPool(value) {
    return typeof value === 'object' && value !== null && #target in value;
  }

  /** What a dialect needs to run statements itself. @param {Pool} pool */
  static engineOf(pool) {
    const reading = pool.#reading;
    const decoders = queryable.decodersFor(reading.types, 'object', reading.catalog);
    return { target: pool.#target, reading: { ...reading, decoders } };
  }

  /**
   * As `end`, and says what became of the statements.
   * @param {Pool} pool @param {number} [timeoutMs]
   * @returns {Promise<{ drained: number, rejected: number, cancelled: number }>}
   */
  static async close(pool, timeoutMs = DEFAULT_END_MS) {
    await pool.end({ timeoutMs });
    return pool.#ended;
  }

  /** @param {{ timeoutMs?: number }} [given] */
  end(given) {
    this.#ending ??= this.#end(given);
    return this.#ending;
  }

  /** @param {{ timeoutMs?: number } | undefined} given */
  async #end(given) {
    const { timeoutMs = DEFAULT_END_MS } = options.readOptions(options.END_OPTIONS, given);
    // What was asked for before is asked for before.
    flush();
    const { figures: last, ...ended } = JSON.parse(await end(this.#target, timeoutMs));
    this.#lastFigures = last;
    this.#ended = ended;
    this.#unlisten();
    forgotten.unregister(this);
  }

  /** For pg-berth/health, which loads no native code. @param {number} timeoutMs */
  [Symbol.for('pg-berth.probe')](timeoutMs) {
    return this.#probes().once(timeoutMs);
  }

  /**
   * @param {number} intervalMs @param {number} timeoutMs @param {boolean} keepsAlive
   * @param {(report: any, skipped: number) => void} hear
   */
  [Symbol.for('pg-berth.monitor')](intervalMs, timeoutMs, keepsAlive, hear) {
    return this.#probes().repeat(intervalMs, timeoutMs, keepsAlive, hear);
  }

  /** @param {number} timeoutMs */
  [Symbol.for('pg-berth.close')](timeoutMs) {
    return Pool.close(this, timeoutMs);
  }

  [Symbol.asyncDispose]() {
    return this.end();
  }

  /** Counts only: the options hold a password. */
  [inspect.custom]() {
    const { nodes, ...counts } = this.status();
    return `Pool ${inspect(counts)}`;
  }
}

/** A node as users see it, out of what the engine says. @param {any} node @returns {import('../types/pool-extras.js').PoolNode} */
function toNode({ host, address, role, open, heardMs, tookMs, code, problem, failedMs }) {
  const at = (/** @type {number} */ ago) => new Date(Date.now() - ago).toISOString();
  const error = code === null ? null : { code, message: problem, at: at(failedMs) };
  const seenAt = heardMs === null ? null : at(heardMs);
  return { host, address, role, open, seenAt, tookMs, error };
}

/** @param {boolean} isProbed its outcome is to be known even if its answer is lost */
function singly(isProbed) {
  return isProbed ? EXACTLY_ONCE : undefined;
}

/**
 * What the engine does for a pool on its own is told to whoever traces it, to its listeners, and to those who have it probed.
 * @param {Target} pool @param {InstanceType<typeof PoolEvents>} listeners
 * @param {() => InstanceType<typeof import('./pool-probes.js').Probes>} probed
 */
function hearEvents(pool, listeners, probed) {
  const { slot, generation, about } = pool;
  native.poolHear(slot, generation);
  return listen(pool, (event) => {
    if (event.event === 'probed') {
      probed().heard(event.monitor);
      return;
    }
    if (isPoolTraced()) tracing().hearPool(about, event);
    listeners.tell(event);
  });
}

/**
 * How the catalog of a pool is asked: inside the transaction whose result is to be read, else on any connection.
 * @param {Target} pool
 * @returns {(sql: string, params: unknown[], session: Target | undefined) => Promise<any[]>}
 */
function catalogQuery(pool) {
  const types = PRESETS.lossless;
  const decoders = queryable.decodersFor(types, 'object', undefined);
  const { NO_OPTIONS, run } = queryable;
  /** @type {Reading} */
  const reading = { types, rowMode: 'object', catalog: undefined, decoders };
  return async (sql, params, session) => {
    if (session !== undefined) {
      try {
        const manner = { flags: FLAG.TRANSACTION };
        return (await run(unheard(session), sql, params, NO_OPTIONS, reading, manner)).result.rows;
      } catch (error) {
        // It ended behind the statement: what it made can be seen by everybody now.
        if (!(error instanceof ClosedError)) throw error;
      }
    }
    return (await run(unheard(pool), sql, params, NO_OPTIONS, reading, undefined)).result.rows;
  };
}

/**
 * @param {PoolOptions | string} given
 * @returns {Pool}
 */
function createPool(given) {
  return new Pool(options.readPoolOptions(given));
}

module.exports = { Pool, createPool };
