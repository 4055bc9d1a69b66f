// createPool: the cluster face of the engine's pool.
'use strict';

const { inspect } = require('node:util');
const handles = require('./handles.js');
const { lazy } = require('./lazy.js');
const { FLAG, flush, keepAlive } = require('./mailbox.js');
const { wrong } = require('./option-rules.js');
const options = require('./options.js');
const { PoolEvents, failureCounter, hearEvents, leaksOf } = require('./pool-events.js');
const { hooksOf } = require('./query-hooks.js');
const { Singles } = require('./single.js');
const queryable = require('./queryable.js');
const { resolveTypes, PRESETS } = require('./rows/types.js');
const { TypeCatalog } = require('./type-catalog.js');

const { end, forgotten, openPool, openSession, release } = handles;

const backoffs = lazy(() => require('./backoff.js'));
const batches = lazy(() => require('./batch.js'));
const catalogs = lazy(() => require('./catalog-query.js'));
const copies = lazy(() => require('./copy.js'));
const figures = lazy(() => require('./pool-figures.js'));
const probes = lazy(() => require('./pool-probes.js'));
const sharing = lazy(() => require('./shared-pool.js'));
const streams = lazy(() => require('./stream.js'));
const transactions = lazy(() => require('./transaction.js'));

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */
/** @import { Pool as PoolInterface, PoolOptions, QueryResult, Rows } from '../types/pool.js' */
/** @import { PoolStatus } from '../types/pool-extras.js' */
/** @typedef {InstanceType<typeof import('./transaction.js').Transaction>} Transaction */
/** @typedef {{ slot: number, generation: number, described: any }} Joined */

const DEFAULT_RETRY = Object.freeze({
  ...{ maxAttempts: 3, baseDelayMs: 50, maxDelayMs: 1000 },
  jitter: /** @type {'half' | 'decorrelated'} */ ('half'),
});
const DEFAULT_END_MS = 5000;
const DEFAULT_ACQUIRE_MS = 5000;
const DEFAULT_RESOLVE_MS = 10_000;
/** Modes whose statements only read: run again unless they say otherwise. */
const READS = new Set(['read-only', 'prefer-standby']);

/** @implements {PoolInterface} */
class Pool {
  #target;
  /** @type {Reading} */
  #reading;
  #retry;
  /** Statements that stand for themselves. */
  #singles;
  /** @type {InstanceType<typeof import('./commit-markers.js').Markers> | undefined} */
  #markers;
  /** @type {(() => void) | undefined} */
  #letGo;
  /** Asks the primary where it is, for a pool that bounds how far its standbys lag. @type {Pool | undefined} */
  #leader;
  #maxStatementMs;
  /** @type {Promise<void> | undefined} */
  #ending;
  /** What was counted, once the engine has forgotten it. @type {any} */
  #lastFigures;
  #unlisten;
  #events = new PoolEvents();
  #probes;
  #ended = { drained: 0, rejected: 0, cancelled: 0 };

  /** Opened by another thread, which ends it. */
  #isGuest;
  #given;

  /** @param {Record<string, any>} given checked options @param {Joined} [joined] the pool of another thread */
  constructor(given, joined) {
    const { types, rowMode = 'object', retry, ...others } = given;
    const { commitResolution = 'xid', exactlyOnce = false, commitMarkerTable, ...further } = others;
    const { logger, slowQueryMs, onSlowQuery, onQueryError, sqlComment, ...more } = further;
    const { unref = true, maxLagBytes, ...rest } = more;
    const hooks = { logger, slowQueryMs, onSlowQuery, onQueryError, sqlComment };
    const { tally } = this.#events;
    const heard = hooksOf(hooks, failureCounter(tally));
    const resolved = resolveTypes(types, PRESETS.lossless);
    this.#given = given;
    this.#isGuest = joined !== undefined;
    this.#target =
      joined === undefined
        ? openPool({ defaultMode: 'read-write', ...rest }, 'cluster', heard)
        : handles.joinPool(joined, 'cluster', heard);
    const target = this.#target;
    this.#probes = probesOf(target, this.#events);
    this.#unlisten = hearEvents(target, this.#events, this.#probes);
    forgotten.register(this, target, this);
    const ask = askerOf(target);
    const catalog = new TypeCatalog(ask);
    const decoders = queryable.decodersFor(resolved, rowMode, catalog);
    const resolves = commitResolution === 'xid';
    this.#retry = { ...DEFAULT_RETRY, ...retry };
    const leaks = leaksOf(this.#events);
    this.#reading = { types: resolved, rowMode, catalog, decoders, resolves, tally, leaks };
    const { acquireTimeoutMs = DEFAULT_ACQUIRE_MS, resolveTimeoutMs = DEFAULT_RESOLVE_MS } = rest;
    if (commitMarkerTable !== undefined) {
      const { Markers } = require('./commit-markers.js');
      const tell = (/** @type {any} */ event) => this.#events.tell(event);
      this.#markers = new Markers(commitMarkerTable, resolveTimeoutMs, ask, tell);
      this.#reading.markers = this.#markers;
    }
    this.#singles = new Singles({
      target,
      reading: this.#reading,
      retry: this.#retry,
      retries: READS.has(rest.mode),
      exactlyOnce,
      acquireTimeoutMs,
      positions: lazy(() => this.#positions(given, { acquireTimeoutMs, maxLagBytes })),
      isLagLimited: maxLagBytes !== undefined,
      marked: this.#markers && ((work) => this.transaction(work, { maxAttempts: 1 })),
      onRetry: () => {
        tally.retries += 1;
      },
    });
    if (!unref) this.#letGo = keepAlive();
    this.#maxStatementMs = /** @type {number | undefined} */ (rest.maxStatementMs);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Promise<Rows<any>>}
   */
  query(sql, params, given) {
    if (given !== undefined || this.#singles.isSpecial) {
      return this.#singles.run(sql, params, given, queryable.toRows, 'query');
    }
    return queryable.runPlain(this.#target, sql, params, this.#reading, this.#singles.plain);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Promise<QueryResult<any>>}
   */
  async queryResult(sql, params, given) {
    return this.#singles.run(sql, params, given, queryable.toResult, 'queryResult');
  }

  /** @param {Record<string, any>} given @param {{ acquireTimeoutMs: number, maxLagBytes: number | undefined }} limits */
  #positions(given, limits) {
    const { LogPositions, followLeader, leaderOptions } = require('./log-positions.js');
    if (limits.maxLagBytes === undefined)
      return new LogPositions(this.#target, this.#reading, limits);
    const leader = new Pool(leaderOptions(given));
    this.#leader = leader;
    const path = followLeader(leader.#target, this.#reading, given.mode, (sql) =>
      askerOf(leader.#target)(sql, [], undefined),
    );
    return new LogPositions(this.#target, this.#reading, limits, path);
  }

  /**
   * Where the log of the primary is, for reads that must see what was written here. What was written stays written although
   * nobody can say that afterwards.
   * @returns {Promise<string | null>}
   */
  async #position() {
    const { POSITION } = require('./log-positions.js');
    const ask = async () => (await askerOf(this.#target)(POSITION, [], undefined))[0].lsn;
    return ask().catch(() => null);
  }

  /**
   * @param {string | readonly string[]} table @param {Record<string, unknown>} row @param {object} [given]
   * @returns {Promise<Rows<any>>}
   */
  async insert(table, row, given) {
    const { insertStatement } = require('./insert.js');
    const { tryUntilDone } = require('./tries.js');
    const { sql, params, limits, isIdempotent, lsn } = insertStatement(table, row, given);
    const ask = () => this.query(sql, params, limits);
    const onRetry = () => {
      this.#events.tally.retries += 1;
    };
    const { signal } = limits;
    const terms = { retry: this.#retry, signal, onRetry, onlyReads: false, waitsOnce: false };
    const rows = await (isIdempotent ? tryUntilDone(ask, terms) : ask());
    if (lsn) Object.defineProperty(rows, 'lsn', { value: await this.#position() });
    return rows;
  }

  /** @param {number} olderThanMs @returns {Promise<number>} */
  async pruneCommitMarkers(olderThanMs) {
    if (!Number.isFinite(olderThanMs) || olderThanMs < 0) {
      throw new TypeError('olderThanMs must be a number not below 0');
    }
    if (this.#markers === undefined) throw wrong('commitMarkerTable', 'is not set on this pool');
    return this.#markers.prune(olderThanMs);
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
   * @returns {Promise<any>}
   */
  async transaction(fn, given) {
    if (typeof fn !== 'function') throw new TypeError(`fn must be a function, got ${typeof fn}`);
    const read = options.readBeginOptions(given, options.TRANSACTION_OPTIONS);
    const { maxAttempts = this.#retry.maxAttempts, lsn, ...begin } = read;
    const backoff = new (backoffs().Backoff)(this.#retry);
    const { Transaction: TransactionClass, deadlineOf, mayRunAgain } = transactions();
    // All attempts together.
    const until = deadlineOf(begin.timeoutMs);
    /** @type {{ value: any } | undefined} */
    let done;
    for (let attempt = 1; done === undefined; attempt++) {
      const tx = new TransactionClass(this.#target, this.#reading, { ...begin, until });
      try {
        const value = await TransactionClass.run(tx, fn);
        if (!TransactionClass.isOver(tx)) await tx.commit();
        done = { value };
      } catch (error) {
        // Whatever the rollback says, the caller wants to know why it was needed.
        if (!TransactionClass.isOver(tx)) await tx.rollback().catch(() => {});
        const isLast =
          attempt >= maxAttempts ||
          TransactionClass.mayHaveCommitted(tx) ||
          !TransactionClass.hasTime(tx);
        if (isLast || !mayRunAgain(error)) throw error;
        this.#events.tally.retries += 1;
        await backoff.pause(attempt, begin.signal);
      }
    }
    return lsn ? { ...done, lsn: await this.#position() } : done.value;
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
    const { block } = require('./blocking.js');
    const answer = block(this.#target, this.#reading, this.#maxStatementMs, sql, params, read);
    return queryable.toRows(answer);
  }

  /** @returns {PoolStatus} */
  status() {
    return figures().statusOf(this.#target, this.#events.tally);
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

  share() {
    return sharing().tokenOf(this.#target, this.#given);
  }

  /** @param {{ timeoutMs?: number }} [given] */
  end(given) {
    if (this.#ending === undefined) {
      try {
        const read = options.readOptions(options.END_OPTIONS, given);
        this.#ending = this.#end(read.timeoutMs ?? DEFAULT_END_MS);
      } catch (error) {
        // The caller's mistake ends nothing: the next call does.
        return Promise.reject(error);
      }
    }
    return this.#ending;
  }

  /** @param {number} timeoutMs */
  async #end(timeoutMs) {
    // What was asked for before is asked for before.
    flush();
    this.#letGo?.();
    const leader = this.#leader?.end({ timeoutMs });
    if (this.#isGuest) {
      this.#lastFigures = figures().figuresOf(this.#target);
      release(this.#target);
    } else {
      const { figures: last, ...ended } = JSON.parse(await end(this.#target, timeoutMs));
      this.#lastFigures = last;
      this.#ended = ended;
    }
    await leader;
    this.#unlisten();
    this.#events.end();
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

// Made apart: functions side by side share their variables, so listeners and decoders would hold a pool that is forgotten.
/** @param {Target} target @returns {ReturnType<typeof import('./catalog-query.js').catalogQuery>} */
function askerOf(target) {
  const query = lazy(() => catalogs().catalogQuery(target));
  return (...asked) => query()(...asked);
}

/** @param {Target} target @param {InstanceType<typeof PoolEvents>} events */
function probesOf(target, events) {
  return lazy(() => new (probes().Probes)(target, (hear) => events.atEnd(hear)));
}

/**
 * @param {PoolOptions | string} given
 * @returns {Pool}
 */
function createPool(given) {
  return new Pool(options.readPoolOptions(given));
}

/**
 * @param {import('../types/pool-extras.js').PoolToken} token
 * @param {import('../types/pool-extras.js').JoinOptions} [given]
 * @returns {Pool}
 */
function joinPool(token, given) {
  const { options: both, ...joined } = sharing().readToken(token, given);
  return new Pool(both, joined);
}

module.exports = { Pool, createPool, joinPool };
