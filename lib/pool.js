// createPool: the cluster face of the engine's pool.
'use strict';

const { inspect } = require('node:util');
const handles = require('./handles.js');
const { lazy } = require('./lazy.js');
const { wrong } = require('./option-rules.js');
const options = require('./options.js');
const { hooksOf } = require('./query-hooks.js');

const { end, expect, forgotten, openPool, release } = handles;

const errors = lazy(() => require('./error-classes.js'));
const attempts = lazy(() => require('./transaction-attempts.js'));
const batches = lazy(() => require('./batch.js'));
const copies = lazy(() => require('./copy.js'));
const figures = lazy(() => require('./pool-figures.js'));
const mailbox = lazy(() => require('./mailbox.js'));
const parts = lazy(() => require('./pool-parts.js'));
const queryable = lazy(() => require('./queryable.js'));
const sharing = lazy(() => require('./shared-pool.js'));
const transactions = lazy(() => require('./transaction.js'));

/** @import { Parts } from './pool-parts.js' */
/** @import { StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */
/** @import { Pool as PoolInterface, QueryResult, Rows } from '../types/pool.js' */
/** @import { PoolStatus } from '../types/pool-extras.js' */
/** @typedef {InstanceType<typeof import('./transaction.js').Transaction>} Transaction */
/** @typedef {{ slot: number, generation: number, described: any }} Joined */
/** @import { Tally } from './pool-events.js' */

const DEFAULT_END_MS = 5000;
/** Of a transaction that nothing was asked of. @type {Record<string, any>} */
const UNLIMITED = Object.freeze({});

/** @implements {PoolInterface} */
class Pool {
  #target;
  #given;
  /** Made when something is asked of the pool: until then it is a handle. @type {Parts | undefined} */
  #made;
  #tally = newTally();
  /** Asks the primary where it is, for a pool that bounds how far its standbys lag. @type {Pool | undefined} */
  #leader;
  /** @type {Promise<void> | undefined} */
  #ending;
  /** What was counted, once the engine has forgotten it. @type {any} */
  #lastFigures;
  #ended = { drained: 0, rejected: 0, cancelled: 0, open: 0 };
  /** Opened by another thread, which ends it. */
  #isGuest;

  /** @param {Record<string, any>} given checked options @param {Joined} [joined] the pool of another thread */
  constructor(given, joined) {
    const heard = hooksOf(given, failureCounter(this.#tally));
    const { types } = given;
    // What is wrong with them is said before anything is opened.
    if (typeof types === 'object') {
      const { PRESETS, resolveTypes } = require('./rows/types.js');
      resolveTypes(types, PRESETS.lossless);
    }
    this.#given = given;
    this.#isGuest = joined !== undefined;
    this.#target =
      joined === undefined
        ? openPool(engineOptions(given), 'cluster', heard)
        : handles.joinPool(joined, 'cluster', heard);
    handles.hearPool(this.#target);
    forgotten.register(this, this.#target, this);
    // Then something happens, and is counted, although nobody asks.
    const isBusy = joined !== undefined || given.minIdle > 0 || given.unref === false;
    if (isBusy) this.#parts();
  }

  #parts() {
    this.#made ??= parts().makeParts(this.#target, this.#given, this.#tally, {
      positions: (limits) => this.#positions(limits),
      marked: {
        run: (work, limits) => this.transaction(work, { ...limits, maxAttempts: 1 }),
        leave: (tx, waitedMs) => transactions().Transaction.leave(tx, waitedMs),
      },
    });
    return this.#made;
  }

  /** Something is about to be sent. While the rest of the code for it is loaded, its connection is opened. */
  #use() {
    if (this.#made !== undefined) return this.#made;
    expect(this.#target);
    return this.#parts();
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Promise<Rows<any>>}
   */
  query(sql, params, given) {
    const made = this.#made;
    if (made === undefined) return this.#queryFirst(sql, params, given);
    const { reading, singles } = made;
    if (given !== undefined || singles.isSpecial) {
      return singles.run(sql, params, given, queryable().toRows, 'query');
    }
    return queryable().runPlain(this.#target, sql, params, reading, singles.plain);
  }

  /**
   * A file that cannot be loaded is a rejection like any other.
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions | undefined} given
   * @returns {Promise<Rows<any>>}
   */
  async #queryFirst(sql, params, given) {
    this.#use();
    return await this.query(sql, params, given);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Promise<QueryResult<any>>}
   */
  async queryResult(sql, params, given) {
    return this.#use().singles.run(sql, params, given, queryable().toResult, 'queryResult');
  }

  /** @param {{ acquireTimeoutMs: number, maxLagBytes: number | undefined }} limits */
  #positions(limits) {
    const { LogPositions, followLeader, leaderOptions } = require('./log-positions.js');
    const { reading } = this.#parts();
    if (limits.maxLagBytes === undefined) return new LogPositions(this.#target, reading, limits);
    const leader = new Pool(leaderOptions(this.#given));
    this.#leader = leader;
    const { ask } = leader.#parts();
    const path = followLeader(leader.#target, this.#given.mode, (sql, asked) =>
      ask(sql, [], undefined, asked),
    );
    return new LogPositions(this.#target, reading, limits, path);
  }

  /** Where the log is behind what was written. @param {number} began @param {{ timeoutMs?: number, signal?: AbortSignal }} limits */
  #position(began, limits) {
    return require('./log-positions.js').positionBehind(this.#parts().ask, began, limits);
  }

  /**
   * @param {string | readonly string[]} table @param {Record<string, unknown>} row @param {object} [given]
   * @returns {Promise<any>}
   */
  async insert(table, row, given) {
    const began = performance.now();
    const { insertStatement } = require('./insert.js');
    const { tryUntilDone } = require('./tries.js');
    const { sql, params, limits, isIdempotent, lsn } = insertStatement(table, row, given);
    const ask = (/** @type {number} */ _attempt = 1, timeoutMs = limits.timeoutMs) =>
      this.query(sql, params, timeoutMs === undefined ? limits : { ...limits, timeoutMs });
    const onRetry = () => {
      this.#tally.retries += 1;
    };
    const { signal, timeoutMs } = limits;
    const { retry } = this.#parts();
    const isHarmless = () => false;
    const terms = {
      retry,
      signal,
      timeoutMs,
      onRetry,
      mayTwice: true,
      isHarmless,
      waitsOnce: false,
    };
    const rows = await (isIdempotent ? tryUntilDone(ask, terms) : ask());
    if (lsn) Object.defineProperty(rows, 'lsn', { value: await this.#position(began, limits) });
    return rows;
  }

  /** @param {number} olderThanMs @returns {Promise<number>} */
  async pruneCommitMarkers(olderThanMs) {
    if (!Number.isFinite(olderThanMs) || olderThanMs < 0) {
      throw errors().wrongArgument('olderThanMs must be a number not below 0');
    }
    const { markers } = this.#parts().reading;
    if (markers === undefined) throw wrong('commitMarkerTable', 'is not set on this pool');
    return markers.prune(olderThanMs);
  }

  /** @param {string} event @param {(detail: any) => void} listener */
  on(event, listener) {
    this.#parts().events.change('on', event, listener);
    return this;
  }

  /** @param {string} event @param {(detail: any) => void} listener */
  once(event, listener) {
    this.#parts().events.change('once', event, listener);
    return this;
  }

  /** @param {string} event @param {(detail: any) => void} listener */
  off(event, listener) {
    this.#parts().events.change('off', event, listener);
    return this;
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {object} [given]
   * @returns {AsyncIterableIterator<any>}
   */
  stream(sql, params, given) {
    queryable().checkText(sql);
    const { reading } = this.#use();
    return require('./pool-stream.js').streamOnPool(this.#target, reading, sql, params, given);
  }

  /** @param {readonly unknown[]} statements @param {object} [given] @returns {Promise<any>} */
  async batch(statements, given) {
    const { maxStatementMs } = this.#given;
    return batches().runBatch(this.#target, this.#use().reading, statements, given, maxStatementMs);
  }

  /**
   * @param {string | readonly string[]} table @param {Iterable<any> | AsyncIterable<any>} rows @param {object} [given]
   * @returns {Promise<number>}
   */
  async insertMany(table, rows, given) {
    /** @type {import('./insert-many.js').Query} */
    const query = (sql, params, limits) =>
      this.query(sql, params, { types: 'lossless', rowMode: 'object', ...limits });
    this.#use();
    const { insertMany } = require('./insert-many.js');
    return insertMany(this.#target, query, table, rows, given, this.#given);
  }

  /** @param {string} sql @param {object} [given] */
  copyFrom(sql, given) {
    queryable().checkText(sql);
    this.#use();
    const { CopyFromStream, copyOnPool, readCopyOptions } = copies();
    const read = readCopyOptions(given, this.#given.maxStatementMs);
    return copyOnPool(this.#target, new CopyFromStream(sql, read));
  }

  /** @param {string} sql @param {object} [given] */
  copyTo(sql, given) {
    queryable().checkText(sql);
    const { near } = this.#use().reading;
    const { CopyToStream, copyOnPool, readCopyOptions } = copies();
    const read = readCopyOptions(given, this.#given.maxStatementMs);
    return copyOnPool(this.#target, new CopyToStream(sql, read), near && (() => near(read)));
  }

  /** @param {object} [given] */
  async begin(given) {
    const read = options.readBeginOptions(given);
    const { reading } = this.#use();
    return attempts().beginTransaction(this.#target, reading, read);
  }

  /**
   * @template T
   * @param {(tx: Transaction) => T | Promise<T>} fn @param {object} [given]
   * @returns {Promise<any>}
   */
  async transaction(fn, given) {
    if (typeof fn !== 'function')
      throw errors().wrongArgument(`fn must be a function, got ${typeof fn}`);
    const read =
      given === undefined
        ? UNLIMITED
        : options.readBeginOptions(given, options.TRANSACTION_OPTIONS);
    const began = performance.now();
    const { reading, retry } = this.#use();
    const { runTransaction } = attempts();
    const value = await runTransaction({ target: this.#target, reading, retry }, fn, read, () => {
      this.#tally.retries += 1;
    });
    return read.lsn ? { value, lsn: await this.#position(began, read) } : value;
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [given]
   * @returns {Rows<any>}
   */
  querySync(sql, params, given) {
    queryable().checkText(sql);
    const read = queryable().readOptions(given);
    if (read.signal !== undefined) {
      throw wrong('signal', 'has no effect on a blocking call; use timeoutMs');
    }
    if (this.#given.maxLagBytes !== undefined) {
      throw wrong('maxLagBytes', 'is not kept to by a blocking call; use query, or maxLagMs');
    }
    const { block } = require('./blocking.js');
    const { maxStatementMs } = this.#given;
    const answer = block(this.#target, this.#use().reading, maxStatementMs, sql, params, read);
    return queryable().toRows(answer);
  }

  /** @returns {PoolStatus} */
  status() {
    return figures().statusOf(this.#target, this.#tally);
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
    const { reading } = pool.#parts();
    const decoders = queryable().decodersOf(reading, { rowMode: 'object' });
    return { target: pool.#target, reading: { ...reading, decoders } };
  }

  /**
   * As `end`, and says what became of the statements.
   * @param {Pool} pool @param {number} [timeoutMs]
   * @returns {Promise<{ drained: number, rejected: number, cancelled: number, open: number }>}
   */
  static async close(pool, timeoutMs = DEFAULT_END_MS) {
    await pool.end({ timeoutMs });
    return pool.#ended;
  }

  share() {
    // What the other threads have it do is counted here.
    this.#parts();
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
    const made = this.#made;
    // What was asked for before is asked for before.
    if (made !== undefined) mailbox().flush();
    made?.letGo?.();
    const leader = this.#leader?.end({ timeoutMs });
    if (this.#isGuest) {
      this.#lastFigures = figures().figuresOf(this.#target);
      release(this.#target);
    } else {
      const { figures: last, ...ended } = JSON.parse(await end(this.#target, timeoutMs));
      this.#lastFigures = last;
      this.#ended = ended;
    }
    this.#tally.cancels = this.#lastFigures.cancels;
    await leader;
    made?.unlisten();
    made?.events.end();
    forgotten.unregister(this);
  }

  /** For pg-berth/health, which loads no native code. @param {number} timeoutMs */
  [Symbol.for('pg-berth.probe')](timeoutMs) {
    return this.#parts().probed().once(timeoutMs);
  }

  /**
   * @param {number} intervalMs @param {number} timeoutMs @param {boolean} keepsAlive
   * @param {(report: any, skipped: number, isRegular: boolean) => void} hear
   */
  [Symbol.for('pg-berth.monitor')](intervalMs, timeoutMs, keepsAlive, hear) {
    return this.#parts().probed().repeat(intervalMs, timeoutMs, keepsAlive, hear);
  }

  /** @param {number} timeoutMs */
  [Symbol.for('pg-berth.close')](timeoutMs) {
    return Pool.close(this, timeoutMs);
  }

  /** For pg-berth/opentelemetry: what the traces of this pool are known by. */
  get [Symbol.for('pg-berth.key')]() {
    return this.#target.about.key;
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

/** What happened so often, for `status()`. @returns {Tally} */
function newTally() {
  return {
    connects: 0,
    failedConnects: 0,
    evictions: {},
    retries: 0,
    cancels: 0,
    inDoubt: 0,
    resolved: 0,
    failedLoggers: 0,
  };
}

// Made apart: a function of the pool's own would hold one that is forgotten.
/** @param {Tally} tally */
function failureCounter(tally) {
  return () => {
    tally.failedLoggers += 1;
  };
}

/** Without what is for this side. @param {Record<string, any>} given checked options */
function engineOptions({ types, rowMode, retry, commitResolution, exactlyOnce, ...given }) {
  const { commitMarkerTable, unref, maxLagBytes, json, jsonNumbers, ...others } = given;
  const { logger, slowQueryMs, onSlowQuery, onQueryError, sqlComment, ...rest } = others;
  return { defaultMode: 'read-write', ...rest };
}

/**
 * @param {import('../types/pool-options.js').ClusterPoolOptions | string | undefined} given
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
