// Transactions of the cluster face: BEGIN travels with the first statement, COMMIT's tag is checked.
'use strict';

const {
  AcquireTimeoutError,
  ClosedError,
  TransactionLostError,
  wrongArgument,
} = require('./error-classes.js');
const { throwIfAborted } = require('./abort-hearers.js');
const { leave, openSession, release } = require('./handles.js');
const { stackOf, unwatch, watch } = require('./leaked-transactions.js');
const { FLAG, flush } = require('./mailbox.js');
const { END_OPTIONS, readOptions: readTable, readStreamOptions } = require('./options.js');
const queryable = require('./queryable.js');
const { lazy } = require('./lazy.js');
const { endTransaction, enrol, traceTransaction, within } = require('./tracing/index.js');
const { endOf, endableOf } = require('./transaction-ends.js');
const { Limits } = require('./transaction-limits.js');
const { Unanswered, rolledBackFor } = require('./unanswered.js');

const copies = lazy(() => require('./copy.js'));
const streams = lazy(() => require('./stream.js'));
const effects = lazy(() => require('./sql-effects.js'));

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
/** The same in a transaction that asked for no writes. @type {Manner} */
const READING = Object.freeze({ flags: FLAG.TRANSACTION, readsOnly: true });

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
  #limits;
  #trace;
  #inside;
  #savepoints = 0;
  /** @type {InstanceType<typeof Unanswered> | undefined} */
  #unanswered;
  /** Why a part that failed is still in it. @type {Error | undefined} */
  #notUndone;
  #markers;
  /** `fresh`: nothing asked; `open`; `over`. */
  #state = 'fresh';
  /** How it ended. @type {'committed' | 'rolled-back' | 'failed' | 'unknown' | undefined} */
  #outcome;
  /** A statement was answered, so BEGIN was as well. */
  #isBegun = false;
  #opened = () => {
    if (this.#state === 'fresh') this.#state = 'open';
  };
  /** BEGIN on its way in front of a COPY, which follows it. @type {Promise<unknown> | undefined} */
  #preparing;
  #begun = () => {
    this.#isBegun = true;
  };
  #refuse = (/** @type {unknown} */ cause) => this.#owed().refuse(cause);

  /**
   * @param {Target} pool
   * @param {Reading} reading
   * @param {Begin} options checked
   * @param {Target} [session] that has its connection already
   */
  constructor(pool, reading, options, session = openSession(pool, 'cluster')) {
    this.#target = session;
    this.#reading = reading;
    this.#begin = beginText(options);
    const writes = options.accessMode !== 'read-only';
    const isMarked = writes && (!reading.resolves || options.accessMode === 'read-write');
    this.#markers = isMarked ? reading.markers : undefined;
    const isProbed = reading.resolves && writes && this.#markers === undefined;
    this.#inside = isProbed ? PROBED : writes ? INSIDE : READING;
    this.#limits = Limits.of(options);
    this.#trace = traceTransaction(this.#target.about, this.#begin);
    enrol(this.#target, this.#trace);
    const { leaks } = reading;
    const stack = leaks?.stacks ? stackOf(Transaction) : null;
    const [target, trace] = [this.#target, this.#trace];
    watch(this, { target, began: performance.now(), leaks, stack, trace });
  }

  /** Runs a closure as this transaction. @template T @param {Transaction} tx @param {(tx: any) => T | Promise<T>} fn */
  static run(tx, fn) {
    const work = within(tx.#trace, async () => fn(tx));
    if (tx.#limits === undefined) return work;
    return tx.#limits.leaveInTime(
      work,
      async () => tx.#unanswered?.settled(),
      () => Transaction.isOver(tx),
      () => tx.rollback(),
    );
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

  /** Gives up waiting for a connection; `false`: it has one. @param {Transaction} tx @param {number} waitedMs */
  static leave(tx, waitedMs) {
    return leave(tx.#target, waitedMs);
  }

  /** Is any of its time left? @param {Transaction} tx */
  static hasTime(tx) {
    return tx.#limits?.hasTime() ?? true;
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
    this.#markers = this.#markers?.behind(sql);
    const isLimited = this.#limits !== undefined || this.#reading.isLimited === true;
    if (isLimited || options !== undefined || this.#state === 'over' || endOf(sql) !== undefined) {
      return this.#rows(sql, params, options);
    }
    const manner = this.#manner();
    const begun = this.#isBegun ? undefined : this.#begun;
    const refuse = this.#refuse;
    return queryable.runPlain(this.#target, sql, params, this.#reading, manner, refuse, begun);
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
    this.#markers = this.#markers?.behind(sql);
    const answer = await this.#query(sql, params, options);
    this.#isBegun = true;
    return queryable.toResult(answer);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} [params] @param {object} [options]
   * @returns {AsyncIterableIterator<any>}
   */
  stream(sql, params, options) {
    checkGoesOn(sql);
    const { batchSize, ...rest } = readStreamOptions(options);
    this.#checkOpen();
    /** @type {AbortSignal | undefined} */
    let signal;
    return new (streams().RowStream)({
      target: this.#target,
      sql,
      params,
      batchSize,
      options: rest,
      reading: this.#reading,
      manner: () => {
        this.#checkOpen();
        const limited = this.#limited(rest);
        signal = limited.signal;
        return { ...this.#manner(), ...limited };
      },
      isOwner: false,
      onOpen: (answer, isRefused) => this.#owed().note(answer, signal, isRefused),
    });
  }

  /** @param {string} sql @param {object} [options] */
  copyFrom(sql, options) {
    checkGoesOn(sql);
    const { CopyFromStream, readCopyOptions } = copies();
    const read = readCopyOptions(options);
    this.#checkOpen();
    const limited = this.#limited(read);
    return this.#copy(new CopyFromStream(sql, limited), limited);
  }

  /** @param {string} sql @param {object} [options] */
  copyTo(sql, options) {
    checkGoesOn(sql);
    const { CopyToStream, readCopyOptions } = copies();
    const read = readCopyOptions(options);
    this.#checkOpen();
    const limited = this.#limited(read);
    return this.#copy(new CopyToStream(sql, limited), limited);
  }

  /**
   * COPY cannot bring BEGIN along; an empty statement in front of it does, if there is still need of one.
   * @template {CopyFromStream | CopyToStream} T
   * @param {T} stream @param {StatementOptions} limited
   * @returns {T}
   */
  #copy(stream, { timeoutMs, wholeMs, signal }) {
    const limits = /** @type {StatementOptions} */ ({ timeoutMs, wholeMs, signal });
    const begun = this.#isBegun ? undefined : this.#run('', undefined, limits, this.#manner());
    this.#preparing = begun?.then(this.#begun, () => {});
    stream.begin({
      target: this.#target,
      face: 'cluster',
      flags: FLAG.TRANSACTION,
      readsOnly: this.#inside.readsOnly,
      onEnd: this.#owed().noteCopy(stream, signal),
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
    // It must not stand in front of a COPY that was asked for before, or it would take that along when it is rolled back to.
    if (!this.#isBegun) await this.#preparing;
    this.#savepoints += 1;
    const name = `berth_${this.#savepoints}`;
    await this.query(`SAVEPOINT ${name}`);
    try {
      const value = await fn(this);
      // As with COMMIT: what nobody has heard of was not left out on purpose.
      const missing = this.#isComplete() ? undefined : await this.#unanswered?.missing(undefined);
      if (missing !== undefined) throw queryable.asError(missing.cause);
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
    const isFresh = this.#state === 'fresh';
    this.#state = 'over';
    try {
      const left = this.#isComplete() ? limits : await this.#complete(limits);
      if (isFresh) return;
      const flags = Number(this.#inside.flags) | FLAG.COMMIT | FLAG.FINISH;
      const markers = this.#markers;
      const read = this.#limited(left);
      if (markers !== undefined) {
        const inside = (/** @type {string} */ sql, /** @type {any} */ params) =>
          this.#run(sql, params, read, this.#inside);
        const end = () => this.#run('COMMIT', undefined, read, { flags });
        await markers.commit(inside, end, read);
      } else if (read === queryable.NO_OPTIONS)
        await queryable.runEnd(this.#target, 'COMMIT', this.#reading, { flags });
      else await this.#run('COMMIT', undefined, read, { flags });
    } catch (error) {
      this.#close(isOpen(error) ? 'unknown' : 'failed', error);
      throw error;
    } finally {
      this.#close('committed');
    }
  }

  #owed() {
    this.#unanswered ??= new Unanswered();
    return this.#unanswered;
  }

  #isComplete() {
    const isAnswered = this.#unanswered === undefined || this.#unanswered.size === 0;
    return isAnswered && this.#notUndone === undefined;
  }

  /**
   * Without what was given up before it was sent the rest is not committed, unless its owner has heard of that and goes on.
   * @param {StatementOptions} limits
   * @returns {Promise<StatementOptions>} what is left of them
   */
  async #complete(limits) {
    const began = performance.now();
    const { timeoutMs } = limits;
    const failed = this.#notUndone && { cause: this.#notUndone };
    const missing = failed ?? (await this.#unanswered?.missing(timeoutMs));
    const left =
      timeoutMs === undefined
        ? limits
        : {
            timeoutMs: Math.max(1, Math.ceil(timeoutMs - (performance.now() - began))),
            wholeMs: timeoutMs,
          };
    if (missing === undefined) return left;
    await this.#undo(left);
    const why = failed && 'a savepoint could not be rolled back to';
    throw rolledBackFor(queryable.asError(missing.cause), why);
  }

  /** @param {{ timeoutMs?: number }} [options] */
  async rollback(options) {
    const limits = readEnd(options);
    this.#checkOpen();
    this.#state = 'over';
    await this.#undo(limits);
  }

  /** @param {StatementOptions} limits */
  async #undo(limits) {
    try {
      this.#unanswered?.giveUpCopies();
      flush();
      // It never got a connection: there is nothing to be rolled back, and one may be far away.
      if (leave(this.#target, 0)) return;
      const flags = FLAG.TRANSACTION | FLAG.FINISH;
      await this.#run('ROLLBACK', undefined, { ...this.#limits?.patience(), ...limits }, { flags });
    } catch (error) {
      // The server rolls back what it loses the connection of; what got none has done nothing.
      if (!wasLost(error) && !(error instanceof AcquireTimeoutError)) throw error;
    } finally {
      this.#close('rolled-back');
    }
  }

  async [Symbol.asyncDispose]() {
    if (this.#state !== 'over') await this.rollback();
  }

  /** @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions | undefined} options */
  async #query(sql, params, options) {
    this.#checkOpen();
    /** @type {StatementOptions} */
    let limited;
    try {
      queryable.checkText(sql);
      const read = queryable.readOptions(options);
      const end = endableOf(sql);
      if (end !== undefined) {
        throwIfAborted(read.signal);
        return this.#endByHand(end, read);
      }
      limited = this.#limited(read);
    } catch (error) {
      return this.#refuse(error);
    }
    return this.#run(sql, params, limited, this.#manner());
  }

  /**
   * A text that ends the transaction is its end: behind it nothing runs that would stand outside of it.
   * @param {'commit' | 'rollback'} end @param {StatementOptions} options
   */
  async #endByHand(end, { timeoutMs }) {
    await this[end](timeoutMs === undefined ? undefined : { timeoutMs });
    return queryable.emptyAnswer(end.toUpperCase(), this.#reading);
  }

  /**
   * @param {string} sql @param {readonly unknown[] | undefined} params @param {StatementOptions} options
   * @param {Manner} manner
   */
  #run(sql, params, options, manner) {
    let isAsked = false;
    const onAsked = () => {
      isAsked = true;
      manner.onAsked?.();
    };
    const how = { ...manner, onAsked };
    const answer = queryable.run(this.#target, sql, params, options, this.#reading, how);
    return this.#owed().note(answer, options.signal, () => !isAsked);
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

  /** @param {StatementOptions} options @returns {StatementOptions} */
  #limited(options) {
    return this.#limits === undefined ? options : this.#limits.narrow(options);
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

/** Streams and COPYs have rows: they end no transaction. @param {any} sql */
function checkGoesOn(sql) {
  queryable.checkText(sql);
  // A COPY may be one of several statements.
  const isSeveral = sql.includes(';');
  const isEnd = (/** @type {string} */ effect) => effect === 'commit' || effect === 'rollback';
  if (endOf(sql) !== undefined || (isSeveral && effects().effectsOf(sql).some(isEnd)))
    throw wrongArgument('sql ends the transaction: use commit() or rollback()');
}

/** @param {{ timeoutMs?: number } | undefined} options @returns {StatementOptions} */
function readEnd(options) {
  return options === undefined ? queryable.NO_OPTIONS : readTable(END_OPTIONS, options);
}

/** Does nobody know whether it was committed? @param {any} error */
function isOpen(error) {
  return error?.outcome === 'unknown';
}

/** @param {any} error */
function wasLost(error) {
  return error instanceof TransactionLostError || error?.code === '08006';
}

module.exports = { Transaction };
