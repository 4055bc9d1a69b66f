// A connection of the Kysely dialect: takes its place on the server with the first statement.
'use strict';

const { hearAbort, throwIfAborted } = require('../abort-hearers.js');
const { anySignal } = require('../any-signal.js');
const { StatementAnswer } = require('../answer.js');
const { CancelledError } = require('../errors.js');
const { leave, openSession, release, serialOf } = require('../handles.js');
const { FLAG, OPERATION, cancel, flush } = require('../mailbox.js');
const { endOwn } = require('../own-transactions.js');
const queryable = require('../queryable.js');
const { ask } = require('../request.js');
const { RowStream } = require('../stream.js');
const { endTransaction, enrol, traceTransaction, within } = require('../tracing/index.js');
const {
  isLoss,
  isReasonOf,
  meantFor,
  pardonLoss,
  stopped,
  stoppedHere,
  tooLate,
  withCaller,
} = require('./failures.js');
const { IdleWatch } = require('./idle-watch.js');
const { isLogged, logged, workOf } = require('./kysely-log.js');
const { Running, deferred } = require('./running.js');
const { hasSeveral } = require('./several.js');
const { mayReadFromStandby } = require('./standby-reads.js');
const { TransactionState, failureBehindEnd } = require('./transaction-state.js');
const { rolledBackFor } = require('../unanswered.js');

/** @import { Manner } from '../request.js' */
/** @import { Reading } from '../queryable.js' */
/** @import { Target } from '../../types/internal.js' */

/** @typedef {{ sql: string, parameters: readonly unknown[], query?: { kind?: string }, queryId?: object }} Compiled */
/** @typedef {{ target: Target, reading: Reading }} Engine */

/** Commands whose number is that of changed rows. */
const CHANGING = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/** @typedef {{ trace: ReturnType<typeof traceTransaction> }} Told */

/** Ends what was forgotten, and its trace. @type {FinalizationRegistry<{ session: Target, told: Told }>} */
const forgotten = new FinalizationRegistry(({ session, told }) => {
  release(session);
  endTransaction(told.trace, 'rolled-back');
});

class BerthConnection {
  #engine;
  /** Where it runs unless a transaction or a query that may read elsewhere moved it. */
  #home;
  #readers;
  /** @type {Target | undefined} */
  #session;
  #transaction = new TransactionState();
  /** Of whose COMMIT a marker is to tell. @type {Reading['markers']} */
  #markers;
  /** The BEGIN that Kysely's log has not heard of yet. @type {string | undefined} */
  #unlogged;
  /** The statement that was to bring it was never sent. */
  #isUnsent = false;
  #onError;
  #running = new Running();
  /** The place on the server whose loss was told of. @type {Target | undefined} */
  #lost;
  /** Its place on the server was given up for good. */
  #isGone = false;
  #why = 'the connection was given back';
  /** Gives up the wait for a place on the server. @type {AbortSignal | undefined} */
  #acquiring;
  /** The transaction that is told of. @type {Told} */
  #told = { trace: undefined };
  #idle = new IdleWatch();

  /**
   * @param {Engine} engine @param {Engine | undefined} readers standbys, if reads may go there
   * @param {(error: Error) => void} onError told when the connection is lost
   * @param {AbortSignal} [acquiring] of whoever wants the connection, which its first statement waits for
   */
  constructor(engine, readers, onError, acquiring) {
    this.#engine = engine;
    this.#readers = readers;
    this.#home = engine;
    this.#onError = onError;
    this.#acquiring = acquiring;
  }

  /**
   * @param {Compiled} query @param {{ signal?: AbortSignal }} [options]
   */
  executeQuery(query, options) {
    const asked = { isSent: false };
    const answer = this.#execute(query, options, asked);
    return this.#transaction.noted(answer, options?.signal, () => !asked.isSent);
  }

  /** @param {Compiled} query @param {{ signal?: AbortSignal } | undefined} options @param {{ isSent: boolean }} asked */
  async #execute(query, options, asked) {
    const work = workOf(query);
    if (work !== undefined) {
      await work();
      return { rows: [] };
    }
    const { sql, parameters, ...compiled } = query;
    this.#isUnsent = false;
    this.#markers = this.#markers?.behind(sql);
    const isAway = this.#goToStandby(compiled);
    try {
      const { exactlyOnce } = this.#engine.reading;
      const here = this.#transaction.manner(exactlyOnce);
      const manner = isAway ? { ...here, readsOnly: true } : here;
      if (parameters.length === 0 && hasSeveral(sql)) {
        await this.#beginAlone(options?.signal);
        const { readsOnly = false } = manner;
        const simple = { ...this.#transaction.manner(), operation: OPERATION.SIMPLE, readsOnly };
        this.#transaction.heed(sql);
        await this.#run(sql, [], simple, options?.signal, asked);
        return { rows: [] };
      }
      this.#transaction.heed(sql);
      const { result } = await this.#run(sql, parameters, manner, options?.signal, asked);
      const { command = '', affected, rows } = result;
      return CHANGING.has(command) ? { numAffectedRows: BigInt(affected), rows } : { rows };
    } catch (error) {
      this.#noteUnsent(error, options?.signal, this.#acquiring);
      throw withCaller(error, options?.signal, this.#acquiring);
    } finally {
      if (isAway) this.#comeHome();
      if (this.#unlogged !== undefined) await this.#logBegin();
    }
  }

  /** @param {any} error of the statement that was to bring BEGIN @param {(AbortSignal | undefined)[]} signals */
  #noteUnsent(error, ...signals) {
    if (this.#unlogged === undefined) return;
    // A signal's reason says nothing of the statement: one that had no connection was not sent.
    const session = this.#session;
    const isPlaced = !this.#isGone && session !== undefined && serialOf(session) !== 0;
    const isReason = isReasonOf(error, signals);
    this.#isUnsent = isReason ? !isPlaced : error?.outcome === 'not-sent';
  }

  /** BEGIN has travelled with a statement: it stands in the log before that. */
  async #logBegin() {
    const text = this.#unlogged;
    if (text === undefined || this.#isUnsent || !this.#transaction.isKnown) return;
    this.#unlogged = undefined;
    await logged(this, text, async () => {});
  }

  /**
   * A connection that was used stays where it is, and so does a transaction.
   * @param {Pick<Compiled, 'query' | 'queryId'>} compiled @returns {boolean} does the query run elsewhere?
   */
  #goToStandby(compiled) {
    if (!mayReadFromStandby(compiled)) return false;
    if (this.#readers === undefined) {
      throw new TypeError('readFromStandby() needs the option readOnlyTransactions: "standby"');
    }
    if (this.#session !== undefined || this.#transaction.isOpen) return false;
    this.#engine = this.#readers;
    return true;
  }

  /** Several statements in one text cannot bring BEGIN along. @param {AbortSignal | undefined} signal */
  async #beginAlone(signal) {
    const { pending } = this.#transaction;
    if (pending !== undefined) await this.#run('select 1', [], this.#transaction.manner(), signal);
  }

  /**
   * @param {string} sql @param {readonly unknown[]} parameters @param {Manner} manner @param {AbortSignal | undefined} [signal]
   * @param {{ isSent: boolean }} [asked] hears that it was not refused
   * @returns {Promise<InstanceType<typeof StatementAnswer>>}
   */
  async #run(sql, parameters, manner, signal, asked) {
    throwIfAborted(signal);
    const isFirst = this.#session === undefined && this.#acquiring !== signal;
    const waiting = isFirst ? this.#acquiring : undefined;
    const session = this.#place();
    const { promise, resolve, reject } = deferred();
    const answer = new StatementAnswer(this.#engine.reading.decoders, resolve, reject);
    const id = ask(session, sql, parameters, this.#engine.reading.decoders, manner, answer);
    if (asked) asked.isSent = true;
    let isStopped = false;
    const stop = () => {
      isStopped = true;
      cancel(session, id, answer);
    };
    const over = this.#running.add({ stop, ended: promise });
    const leaveQueue = () => {
      // What the statement does on its connection is Kysely's decision; a place in the queue is of no use any more.
      flush();
      if (leave(session, 0)) this.#forget();
    };
    const stopHearing = signal && hearAbort(signal, leaveQueue);
    const stopWaiting = waiting && hearAbort(waiting, leaveQueue);
    try {
      const answered = await promise;
      this.#transaction.answered();
      return answered;
    } catch (cause) {
      if (signal?.aborted && this.#isGone) throw signal.reason;
      if (waiting?.aborted && this.#isGone) throw waiting.reason;
      const error = this.#report(queryable.asError(cause, sql));
      if (isStopped && error instanceof CancelledError) throw stoppedHere(error);
      throw meantFor(error, (Number(manner.flags) & FLAG.TRANSACTION) !== 0);
    } finally {
      stopHearing?.();
      stopWaiting?.();
      over();
      this.#idle.touch();
    }
  }

  /** @template E @param {E} error @returns {E} */
  #report(error) {
    // All that was asked for on it fails with it, and its ROLLBACK too: it is lost once.
    if (isLoss(error) && this.#lost !== this.#session) {
      this.#lost = this.#session;
      this.#onError(/** @type {any} */ (error));
    }
    return error;
  }

  /** @returns {Target} */
  #place() {
    if (this.#isGone) throw tooLate(`query: ${this.#why}`);
    if (this.#session === undefined) {
      this.#session = openSession(this.#engine.target, 'cluster');
      enrol(this.#session, this.#told.trace);
      forgotten.register(this, { session: this.#session, told: this.#told }, this);
    }
    return this.#session;
  }

  /**
   * @param {Compiled} compiled @param {number} chunkSize @param {{ signal?: AbortSignal }} [options]
   */
  async *streamQuery({ sql, parameters, ...compiled }, chunkSize, options) {
    if (!Number.isInteger(chunkSize) || chunkSize <= 0) {
      throw new Error('chunkSize must be a positive integer');
    }
    const stopper = new AbortController();
    const signal = options?.signal ? anySignal([stopper.signal, options.signal]) : stopper.signal;
    // A portal lives in a transaction: outside of one the stream has its own.
    const isOwn = !this.#transaction.holdsPortals;
    const isAway = this.#goToStandby(compiled);
    this.#isUnsent = false;
    if (isOwn) this.#transaction.begin('begin', this.#engine.reading.resolves === true, isAway);
    const { number } = this.#transaction;
    const stream = new RowStream({
      target: this.#place(),
      sql,
      params: parameters,
      batchSize: chunkSize,
      options: { signal },
      reading: this.#engine.reading,
      manner: () => {
        // Its portal went with the transaction; asked for in the next one it would fail that.
        if (this.#isGone || number !== this.#transaction.number)
          throw tooLate('stream: the transaction it was read in is over');
        return { ...this.#transaction.manner(), signal };
      },
      isOwner: false,
      onOpen: (answer, isRefused) => {
        return isOwn ? answer : this.#transaction.noted(answer, signal, isRefused);
      },
    });
    const { promise: ended, resolve: end } = deferred();
    const over = this.#running.add({ stop: () => stopper.abort(stopped()), ended });
    let failed = true;
    try {
      for (;;) {
        const rows = await this.#chunk(stream, chunkSize);
        if (rows.length === 0) break;
        yield { rows };
      }
      failed = false;
    } catch (cause) {
      const error = meantFor(this.#report(queryable.asError(cause)), true);
      this.#noteUnsent(error, options?.signal);
      throw withCaller(error, options?.signal);
    } finally {
      try {
        await this.#close(stream, { isOwn, hasFailed: failed, signal });
      } finally {
        end(undefined);
        over();
        this.#idle.touch();
      }
    }
  }

  /**
   * Ends a stream and the transaction it has of its own, whatever becomes of the other.
   * @param {InstanceType<typeof RowStream>} stream
   * @param {{ isOwn: boolean, hasFailed: boolean, signal: AbortSignal }} how `hasFailed`: not all rows were read
   */
  async #close(stream, { isOwn, hasFailed, signal }) {
    let isUndone = hasFailed && stream.isOver;
    try {
      await stream.return();
      // The signal has cancelled the batch that was read ahead: the caller hears of the signal, not of that.
      if (signal.aborted && stream.hasFailed) isUndone = true;
    } catch (error) {
      isUndone = true;
      throw error;
    } finally {
      // What goes wrong with a ROLLBACK as well is of no interest to the caller.
      if (isOwn && isUndone) await this.#end('rollback', signal).catch(() => {});
      else if (isOwn) await this.#end('commit', signal);
      else await this.#logBegin();
    }
  }

  /** @param {InstanceType<typeof RowStream>} stream @param {number} size */
  async #chunk(stream, size) {
    const rows = [];
    while (rows.length < size) {
      const { done, value } = await stream.next();
      if (done) break;
      this.#transaction.answered();
      rows.push(value);
    }
    return rows;
  }

  /** Has it a place on a server that may be a standby? In a transaction of the program's own no BEGIN is sent. */
  get isHeldOnStandby() {
    const { about } = this.#engine.target;
    const isHeld = this.#session !== undefined && !this.#transaction.holdsPortals;
    return isHeld && about.mode !== 'read-write';
  }

  /**
   * Begins a transaction with its first statement.
   * @param {string} text @param {boolean} reads it asks for no writes
   * @param {boolean} mayMove it may run on a standby, if the connection was not used yet
   */
  begin(text, reads, mayMove) {
    if (mayMove && this.#readers !== undefined && this.#session === undefined) {
      this.#engine = this.#readers;
    }
    const { resolves, markers } = this.#engine.reading;
    const isMarked = !reads && (!resolves || text.endsWith(' read write'));
    this.#markers = isMarked ? markers : undefined;
    const isProbed = resolves === true && !reads && this.#markers === undefined;
    this.#transaction.begin(text, isProbed, reads);
    this.#unlogged = isLogged(this) ? text : undefined;
    this.#told.trace = traceTransaction(this.#engine.target.about, text);
    if (this.#session !== undefined) enrol(this.#session, this.#told.trace);
    within(this.#told.trace, async () => {});
  }

  async commit() {
    const missing = await this.#transaction.missing();
    if (missing === undefined) return this.#endLogged('commit');
    await this.rollback();
    throw rolledBackFor(queryable.asError(missing.cause));
  }

  rollback() {
    return pardonLoss(this.#endLogged('rollback'));
  }

  /** What the server has never heard of has no place in the log. @param {'commit' | 'rollback'} text */
  async #endLogged(text) {
    if (this.#isUnsent || !this.#transaction.isKnown) return this.#end(text);
    await this.#logBegin();
    return logged(this, text, () => this.#end(text));
  }

  /** @param {'commit' | 'rollback'} text @param {AbortSignal} [signal] of a stream, whose own it is */
  async #end(text, signal) {
    this.#idle.stop();
    this.#unlogged = undefined;
    this.#isUnsent = false;
    const commit = text === 'commit';
    const { isKnown, isLeft, flags, last } = this.#transaction.end(commit);
    const markers = isLeft ? undefined : this.#markers;
    this.#markers = undefined;
    const trace = this.#told.trace;
    try {
      // Given up in the queue there is nothing to be rolled back, and a connection may be far away.
      if (isKnown && (commit || !this.#leaveQueue())) {
        const end = () => this.#run(text, [], { flags: last });
        const inside = (/** @type {string} */ sql, /** @type {any} */ params) =>
          this.#run(sql, params, { flags });
        if (signal !== undefined) await this.#endOwn(commit ? 'COMMIT' : 'ROLLBACK', signal);
        else await (commit && markers ? markers.commit(inside, end, {}) : end());
      }
      endTransaction(trace, commit ? 'committed' : 'rolled-back');
    } catch (cause) {
      const error = isLeft && commit ? failureBehindEnd(cause) : cause;
      const { outcome } = /** @type {any} */ (error);
      endTransaction(trace, outcome === 'unknown' ? 'unknown' : 'failed', error);
      throw error;
    } finally {
      this.#comeHome();
    }
  }

  /** @param {'COMMIT' | 'ROLLBACK'} word @param {AbortSignal} signal */
  async #endOwn(word, signal) {
    try {
      await endOwn(this.#place(), this.#engine.reading, word, { signal }, 0);
    } catch (error) {
      throw this.#report(/** @type {Error} */ (error));
    }
  }

  /** Gives up its place in the queue for a connection. @returns {boolean} was that all it had? */
  #leaveQueue() {
    const session = this.#session;
    if (session === undefined || this.#isGone) return false;
    flush();
    if (!leave(session, 0)) return false;
    forgotten.unregister(this);
    this.#session = undefined;
    return true;
  }

  /** What follows a transaction that has run elsewhere runs here again. */
  #comeHome() {
    if (this.#engine === this.#home) return;
    this.#engine = this.#home;
    const session = this.#session;
    if (session === undefined || this.#isGone) return;
    forgotten.unregister(this);
    this.#session = undefined;
    flush();
    leave(session);
  }

  /**
   * Ends a transaction in which nothing happens for so long.
   * @param {number} limitMs @param {Error} report of the place where it was begun
   */
  watch(limitMs, report) {
    const end = () => {
      this.discard(`the transaction was closed after ${limitMs}ms without a statement`);
      this.#onError(report);
    };
    this.#idle.start(limitMs, () => !this.#running.isEmpty, end);
  }

  /** Takes a connection now. @param {AbortSignal | undefined} signal @returns {Promise<number>} its number in this process */
  async acquire(signal) {
    await this.#run('select 1', [], {}, signal);
    return serialOf(/** @type {Target} */ (this.#session));
  }

  /** The server knows the session by its key: nothing to collect. */
  async collectSessionInfo() {}

  /** Resolves when the statement has ended, the last of several; does nothing when none runs. */
  async cancelQuery() {
    await this.#running.stopLast();
  }

  async killSession() {
    await this.cancelQuery();
    this.discard('the connection was closed by killSession()');
  }

  /** Gives the connection back; one that is not idle is brought to rest first. */
  release() {
    this.#idle.stop();
    const session = this.#session;
    if (session === undefined || this.#isGone) return;
    this.#forget();
    flush();
    leave(session);
  }

  /** Closes the connection; one that no statement has taken yet takes none any more. @param {string} [why] */
  discard(why) {
    this.#idle.stop();
    const session = this.#session;
    if (this.#isGone) return;
    this.#why = why ?? this.#why;
    this.#forget();
    if (session !== undefined) release(session);
  }

  #forget() {
    this.#isGone = true;
    // What its owner left open, the server rolls back.
    endTransaction(this.#told.trace, 'rolled-back');
    forgotten.unregister(this);
  }
}

module.exports = { BerthConnection };
