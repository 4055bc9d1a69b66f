// Transactions of the cluster face: BEGIN travels with the first statement, COMMIT's tag is checked.
'use strict';

const { hearAbort } = require('./abort-hearers.js');
const { anySignal } = require('./any-signal.js');
const {
  ClosedError,
  TimeoutError,
  TransactionLostError,
  TransactionRolledBackError,
  wrongArgument,
} = require('./error-classes.js');
const { openSession, release } = require('./handles.js');
const { stackOf, unwatch, watch } = require('./leaked-transactions.js');
const { FLAG } = require('./mailbox.js');
const { END_OPTIONS, readOptions: readTable, readStreamOptions } = require('./options.js');
const queryable = require('./queryable.js');
const { lazy } = require('./lazy.js');
const { endTransaction, enrol, traceTransaction, within } = require('./tracing/index.js');

const copies = lazy(() => require('./copy.js'));
const streams = lazy(() => require('./stream.js'));

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Manner } from './request.js' */
/** @typedef {InstanceType<typeof import('./copy.js').CopyFromStream>} CopyFromStream */
/** @typedef {InstanceType<typeof import('./copy.js').CopyToStream>} CopyToStream */
/** @import { Target } from '../types/internal.js' */
/** @import { QueryResult, Rows, Transaction as TransactionInterface } from '../types/pool.js' */

/** @typedef {{ isolation?: string, accessMode?: string, deferrable?: boolean, timeoutMs?: number, signal?: AbortSignal, until?: number | undefined }} Begin `until`: the end of `timeoutMs`, by `performance.now` */

/** How statements behind BEGIN are asked for. @type {Manner} */
const INSIDE = Object.freeze({ flags: FLAG.TRANSACTION });
/** The same, with what their outcome can be found out by. @type {Manner} */
const PROBED = Object.freeze({ flags: FLAG.TRANSACTION | FLAG.PROBE });

/** What a ROLLBACK may take when the transaction's own time is over. */
const PATIENCE_MS = 2000;

/** @param {Begin} options */
function beginText({ isolation, accessMode, deferrable }) {
  const modes = [];
  if (isolation !== undefined)
    modes.push(`ISOLATION LEVEL ${isolation.replace('-', ' ').toUpperCase()}`);
  if (accessMode !== undefined) modes.push(accessMode.replace('-', ' ').toUpperCase());
  if (deferrable !== undefined) modes.push(deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE');
  return modes.length === 0 ? 'BEGIN' : `BEGIN ${modes.join(', ')}`;
}

/** @implements {TransactionInterface} */
class Transaction {
  #target;
  #reading;
  #begin;
  #deadline;
  #timeoutMs;
  #signal;
  #trace;
  #inside;
  #savepoints = 0;
  /** Why a part that failed is still in it. @type {Error | undefined} */
  #notUndone;
  /** Statements of a limited one that are not answered. @type {Set<Promise<unknown>> | undefined} */
  #running;
  #writes;
  /** `fresh`: nothing asked; `open`; `over`. */
  #state = 'fresh';
  /** How it ended. @type {'committed' | 'rolled-back' | 'failed' | 'unknown' | undefined} */
  #outcome;
  /** A statement was answered, so BEGIN was as well. */
  #isBegun = false;
  #opened = () => {
    if (this.#state === 'fresh') this.#state = 'open';
  };
  #begun = () => {
    this.#isBegun = true;
  };

  /**
   * @param {Target} pool
   * @param {Reading} reading
   * @param {Begin} options checked
   */
  constructor(pool, reading, options) {
    this.#target = openSession(pool, 'cluster');
    this.#reading = reading;
    this.#begin = beginText(options);
    this.#writes = options.accessMode !== 'read-only';
    this.#inside = reading.resolves && this.#writes ? PROBED : INSIDE;
    this.#timeoutMs = options.timeoutMs;
    this.#deadline = options.until ?? deadlineOf(options.timeoutMs);
    this.#signal = options.signal;
    this.#trace = traceTransaction(this.#target.about, this.#begin);
    enrol(this.#target, this.#trace);
    const { leaks } = reading;
    const stack = leaks?.stacks ? stackOf(Transaction) : null;
    watch(this, { target: this.#target, began: performance.now(), leaks, stack });
  }

  /** Runs a closure as this transaction. @template T @param {Transaction} tx @param {(tx: any) => T | Promise<T>} fn */
  static run(tx, fn) {
    const work = within(tx.#trace, async () => fn(tx));
    return tx.#isLimited ? tx.#whileAllowed(work) : work;
  }

  /**
   * A closure that does not return is left at the end of the transaction's time, or when its signal fires, unless it has
   * ended the transaction. One that waits for a statement hears of that by the statement's own error, which knows more.
   * @template T @param {Promise<T>} work @returns {Promise<T>}
   */
  #whileAllowed(work) {
    return new Promise((resolve, reject) => {
      const signal = this.#signal;
      /** @param {() => unknown} reason */
      const leave = async (reason) => {
        stop();
        await Promise.allSettled(this.#running ?? []);
        setImmediate(async () => {
          if (this.#state === 'over') return;
          await this.rollback().catch(() => {});
          reject(reason());
        });
      };
      const onAbort = () => leave(() => signal?.reason);
      const left = this.#deadline === undefined ? undefined : this.#deadline - performance.now();
      const timer =
        left === undefined
          ? undefined
          : setTimeout(leave, Math.ceil(left), () => this.#outOfTime('failed'));
      const stopHearing = signal && hearAbort(signal, onAbort);
      const stop = () => {
        clearTimeout(timer);
        stopHearing?.();
      };
      if (signal?.aborted) onAbort();
      work.then(resolve, reject).finally(stop);
    });
  }

  /** Sends BEGIN now instead of with the first statement. @param {Transaction} tx */
  static async start(tx) {
    tx.#state = 'open';
    try {
      const limited = tx.#limited(queryable.NO_OPTIONS);
      const manner = { flags: FLAG.TRANSACTION };
      await within(tx.#trace, () => tx.#run(tx.#begin, undefined, limited, manner));
      tx.#isBegun = true;
    } catch (error) {
      tx.#close('failed', error);
      throw error;
    }
    return tx;
  }

  /** Is any of its time left? A timer may ring a little early. @param {Transaction} tx */
  static hasTime(tx) {
    return tx.#deadline === undefined || performance.now() < tx.#deadline - 1;
  }

  /** Has it been ended by its owner? @param {Transaction} tx */
  static isOver(tx) {
    return tx.#state === 'over';
  }

  /** Has its owner ended it by a COMMIT that is not known to have failed? @param {Transaction} tx */
  static mayHaveCommitted(tx) {
    return tx.#state === 'over' && tx.#outcome !== 'rolled-back' && tx.#outcome !== 'failed';
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [options]
   * @returns {Promise<Rows<any>>}
   */
  query(sql, params, options) {
    if (options !== undefined || this.#state === 'over' || this.#isLimited) {
      return this.#rows(sql, params, options);
    }
    const begun = this.#isBegun ? undefined : this.#begun;
    return queryable.runPlain(this.#target, sql, params, this.#reading, this.#manner(), begun);
  }

  /** @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions | undefined} options */
  async #rows(sql, params, options) {
    const answer = await this.#query(sql, params, options);
    this.#isBegun = true;
    return queryable.toRows(answer);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {StatementOptions} [options]
   * @returns {Promise<QueryResult<any>>}
   */
  async queryResult(sql, params, options) {
    const answer = await this.#query(sql, params, options);
    this.#isBegun = true;
    return queryable.toResult(answer);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {object} [options]
   * @returns {AsyncIterableIterator<any>}
   */
  stream(sql, params, options) {
    queryable.checkText(sql);
    const { batchSize, ...rest } = readStreamOptions(options);
    this.#checkOpen();
    return new (streams().RowStream)({
      target: this.#target,
      sql,
      params,
      batchSize,
      options: rest,
      reading: this.#reading,
      manner: () => ({ ...this.#manner(), ...this.#limited(rest) }),
      isOwner: false,
    });
  }

  /** @param {string} sql @param {object} [options] */
  copyFrom(sql, options) {
    queryable.checkText(sql);
    const { CopyFromStream, readCopyOptions } = copies();
    const read = readCopyOptions(options);
    this.#checkOpen();
    return this.#copy(new CopyFromStream(sql, this.#limited(read)));
  }

  /** @param {string} sql @param {object} [options] */
  copyTo(sql, options) {
    queryable.checkText(sql);
    const { CopyToStream, readCopyOptions } = copies();
    const read = readCopyOptions(options);
    this.#checkOpen();
    return this.#copy(new CopyToStream(sql, this.#limited(read)));
  }

  /**
   * COPY cannot bring BEGIN along; an empty statement in front of it does, if there is still need of one.
   * @template {CopyFromStream | CopyToStream} T
   * @param {T} stream
   * @returns {T}
   */
  #copy(stream) {
    const begun = this.#isBegun
      ? undefined
      : this.#run('', undefined, this.#limited(queryable.NO_OPTIONS), undefined);
    begun?.then(this.#begun, () => {});
    stream.begin({
      target: this.#target,
      face: 'cluster',
      flags: FLAG.TRANSACTION,
      ...(begun === undefined ? {} : { prepare: () => begun }),
    });
    return stream;
  }

  /**
   * @template T
   * @param {(tx: Transaction) => T | Promise<T>} fn
   * @returns {Promise<T>}
   */
  async savepoint(fn) {
    if (typeof fn !== 'function') throw wrongArgument(`fn must be a function, got ${typeof fn}`);
    this.#savepoints += 1;
    const name = `berth_${this.#savepoints}`;
    await this.query(`SAVEPOINT ${name}`);
    try {
      const value = await fn(this);
      await this.query(`RELEASE SAVEPOINT ${name}`);
      return value;
    } catch (error) {
      // If the transaction is lost as well, its own end says so; the caller wants to know why this part failed.
      await this.query(`ROLLBACK TO SAVEPOINT ${name}`).catch((/** @type {any} */ cause) => {
        // Then nothing has undone this part, and the transaction could still commit it.
        if (cause?.outcome === 'not-sent') this.#notUndone ??= cause;
      });
      throw error;
    }
  }

  /**
   * @template T
   * @param {(tx: Transaction) => T | Promise<T>} fn
   * @returns {Promise<T>}
   */
  transaction(fn) {
    return this.savepoint(fn);
  }

  /** @param {{ timeoutMs?: number }} [options] */
  async commit(options) {
    const limits = readEnd(options);
    this.#checkOpen();
    if (this.#notUndone !== undefined) {
      await this.rollback(options);
      const message = 'commit: rolled back, because a savepoint could not be rolled back to';
      const cause = this.#notUndone;
      throw new TransactionRolledBackError(message, { code: '25P02', outcome: 'failed', cause });
    }
    const isFresh = this.#state === 'fresh';
    this.#state = 'over';
    try {
      if (isFresh) return;
      const flags = Number(this.#inside.flags) | FLAG.COMMIT | FLAG.FINISH;
      const { markers } = this.#reading;
      const read = this.#limited(limits);
      if (markers !== undefined && this.#writes) await this.#commitMarked(markers, read, flags);
      else if (read === queryable.NO_OPTIONS)
        await queryable.runEnd(this.#target, 'COMMIT', this.#reading, { flags });
      else await this.#run('COMMIT', undefined, read, { flags });
    } catch (error) {
      this.#close(isOpen(error) ? 'unknown' : 'failed', error);
      throw error;
    } finally {
      this.#close('committed');
    }
  }

  /**
   * The marker goes in front of COMMIT, in the same packet.
   * @param {NonNullable<Reading['markers']>} markers @param {StatementOptions} limits @param {number} flags of COMMIT
   */
  async #commitMarked(markers, limits, flags) {
    const id = markers.make();
    const began = performance.now();
    const marked = this.#run(markers.statement, [id], limits, this.#inside);
    const ended = this.#run('COMMIT', undefined, limits, { flags });
    const [marker, commit] = await Promise.allSettled([marked, ended]);
    if (commit.status === 'fulfilled') return;
    if (isOpen(commit.reason)) {
      const left =
        limits.timeoutMs === undefined
          ? undefined
          : Math.max(0, limits.timeoutMs - (performance.now() - began));
      await markers.resolve(id, commit.reason, left);
      return;
    }
    // COMMIT says no more than that something had failed: the table of the markers, perhaps.
    const isOwn = marker.status === 'rejected' && marker.reason.code !== '25P02';
    throw isOwn && commit.reason instanceof TransactionRolledBackError
      ? marker.reason
      : commit.reason;
  }

  /** @param {{ timeoutMs?: number }} [options] */
  async rollback(options) {
    const limits = readEnd(options);
    this.#checkOpen();
    const isFresh = this.#state === 'fresh';
    this.#state = 'over';
    try {
      if (isFresh) return;
      const flags = FLAG.TRANSACTION | FLAG.FINISH;
      await this.#run('ROLLBACK', undefined, { ...this.#patience(), ...limits }, { flags });
    } catch (error) {
      // The server rolls back what it loses the connection of.
      if (!wasLost(error)) throw error;
    } finally {
      this.#close('rolled-back');
    }
  }

  async [Symbol.asyncDispose]() {
    if (this.#state !== 'over') await this.rollback();
  }

  /** @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions | undefined} options */
  async #query(sql, params, options) {
    queryable.checkText(sql);
    const read = queryable.readOptions(options);
    this.#checkOpen();
    return this.#run(sql, params, this.#limited(read), undefined);
  }

  /**
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} options
   * @param {Manner | undefined} manner
   */
  #run(sql, params, options, manner) {
    const how = manner ?? this.#manner();
    const answer = queryable.run(this.#target, sql, params, options, this.#reading, how);
    if (this.#isLimited) {
      this.#running ??= new Set();
      const running = this.#running;
      running.add(answer);
      const over = () => running.delete(answer);
      answer.then(over, over);
    }
    return answer;
  }

  /**
   * Statements bring BEGIN along until one was answered, because those before may never be sent: a parameter was wrong,
   * a signal fired. The engine sends the first one it needs (native/src/conn/exchange.rs).
   * @returns {Manner}
   */
  #manner() {
    if (this.#isBegun) return this.#inside;
    return { ...this.#inside, begin: this.#begin, onAsked: this.#opened };
  }

  /**
   * A statement's own limits within those of the transaction.
   * @param {StatementOptions} options
   * @returns {StatementOptions}
   */
  #limited(options) {
    if (!this.#isLimited) return options;
    const limited = /** @type {StatementOptions} */ ({ ...options });
    if (this.#deadline !== undefined) {
      const left = Math.ceil(this.#deadline - performance.now());
      if (left <= 0) throw this.#outOfTime('not-sent');
      limited.timeoutMs = Math.min(left, options.timeoutMs ?? left);
    }
    const signals = [this.#signal, options.signal].filter((signal) => signal !== undefined);
    if (signals.length > 0)
      limited.signal =
        signals.length === 1 ? /** @type {AbortSignal} */ (signals[0]) : anySignal(signals);
    return limited;
  }

  /** How long a limited one waits for its ROLLBACK: a server that is frozen would never answer. */
  #patience() {
    const until = this.#deadline ?? (this.#signal?.aborted ? 0 : Number.POSITIVE_INFINITY);
    const left = Math.max(PATIENCE_MS, Math.ceil(until - performance.now()));
    return left === Number.POSITIVE_INFINITY ? {} : { timeoutMs: left };
  }

  /** @param {'not-sent' | 'failed'} outcome */
  #outOfTime(outcome) {
    const message = `query: cancelled after timeout of ${this.#timeoutMs}ms`;
    return new TimeoutError(message, { code: '57014', outcome, transient: true });
  }

  get #isLimited() {
    return this.#deadline !== undefined || this.#signal !== undefined;
  }

  #checkOpen() {
    if (this.#state === 'over') {
      throw new ClosedError('transaction: already committed or rolled back', {
        code: 'ERR_CLOSED',
        outcome: 'not-sent',
        transient: false,
      });
    }
  }

  /** Only the first end counts. @param {'committed' | 'rolled-back' | 'failed' | 'unknown'} outcome @param {unknown} [error] */
  #close(outcome, error) {
    this.#outcome ??= outcome;
    endTransaction(this.#trace, outcome, error);
    this.#trace = undefined;
    this.#state = 'over';
    unwatch(this);
    release(this.#target);
  }
}

/** @param {{ timeoutMs?: number } | undefined} options @returns {StatementOptions} */
function readEnd(options) {
  return options === undefined ? queryable.NO_OPTIONS : readTable(END_OPTIONS, options);
}

/** @param {number | undefined} timeoutMs */
function deadlineOf(timeoutMs) {
  return timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
}

/** Does nobody know whether it was committed? @param {any} error */
function isOpen(error) {
  return error?.outcome === 'unknown';
}

/** @param {any} error */
function wasLost(error) {
  return error instanceof TransactionLostError || error?.code === '08006';
}

/**
 * May the whole closure run again? Serialization failures, a read-only server, and everything that certainly neither
 * committed nor is the statement's own fault.
 * @param {any} error
 */
function mayRunAgain(error) {
  // What took longer than its caller allowed would again.
  if (error instanceof TimeoutError) return false;
  if (typeof error?.code !== 'string' || error.outcome === undefined || error.outcome === 'unknown')
    return false;
  if (['40001', '40P01', '25006', '26000'].includes(error.code)) return true;
  return error.transient === true && error.name !== 'error';
}

module.exports = { Transaction, deadlineOf, mayRunAgain };
