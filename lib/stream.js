// Rows of one statement in batches: a portal inside a transaction, the next batch asked for ahead of its use.
'use strict';

const { ClosedError } = require('./error-classes.js');
const { OPERATION } = require('./mailbox.js');
const { endOwn, insideOf } = require('./own-transactions.js');
const queryable = require('./queryable.js');
const { execute } = require('./request.js');

/** @typedef {InstanceType<typeof import('./answer.js').StatementAnswer>} StatementAnswer */
/** @typedef {InstanceType<typeof import('./decoders.js').Decoders>} Decoders */
/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Manner } from './request.js' */
/** @import { Target } from '../types/internal.js' */

/** Rows of a batch unless the caller says otherwise: about 100 kB of ordinary rows. */
const DEFAULT_BATCH = 500;

let lastPortal = 0;

/**
 * @typedef {{
 *   target: Target,
 *   sql: string,
 *   params: readonly unknown[] | undefined,
 *   batchSize: number | undefined,
 *   options: StatementOptions,
 *   reading: Reading,
 *   manner: () => Manner,
 *   isOwner: boolean,
 *   find?: () => Promise<Target>,
 *   isPlaced?: () => boolean,
 *   onOpen?: (answer: Promise<StatementAnswer>, isRefused: () => boolean) => Promise<StatementAnswer>,
 *   onEnd?: () => void,
 * }} Source `manner` is asked before each request; `isRefused`: nothing was asked; `isOwner`: the transaction belongs to the stream and ends with it;
 *   `find`: the session, where that is looked for in front of the first request; `isPlaced`: it has a connection
 */

/** @implements {AsyncIterableIterator<any>} */
class RowStream {
  #source;
  #target;
  #decoders;
  #portal;
  #batchSize;
  /** @type {unknown[]} */
  #rows = [];
  #index = 0;
  /** @type {'fresh' | 'open' | 'drained' | 'over'} */
  #state = 'fresh';
  /** The batch on its way. @type {Promise<StatementAnswer> | undefined} */
  #ahead;
  /** Calls of `next` and `return` take turns. @type {Promise<unknown>} */
  #turn = Promise.resolve();
  /** Calls that wait for theirs. */
  #waiting = 0;
  /** Something went out, so there may be a transaction to be ended. */
  #isAsked = false;
  #hasFailed = false;

  /** @param {Source} source */
  constructor(source) {
    this.#source = source;
    this.#target = source.target;
    this.#decoders = /** @type {Decoders} */ (queryable.decodersOf(source.reading, source.options));
    this.#batchSize = source.batchSize ?? DEFAULT_BATCH;
    lastPortal = (lastPortal + 1) % 2 ** 32;
    this.#portal = lastPortal;
  }

  /** Everything was read, it failed, or it was left. */
  get isOver() {
    return this.#state === 'over';
  }

  /** A batch failed that nobody has waited for: the transaction it was read in has failed. */
  get hasFailed() {
    return this.#hasFailed;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** @returns {Promise<IteratorResult<any>>} */
  next() {
    // The usual case, a row that is here already, does not wait for anything.
    if (this.#waiting === 0 && this.#index < this.#rows.length && this.#state !== 'over') {
      return Promise.resolve({ done: false, value: this.#take() });
    }
    return this.#inTurn(() => this.#advance());
  }

  /** Ends the stream early. @param {any} [value] @returns {Promise<IteratorResult<any>>} */
  return(value) {
    return this.#inTurn(async () => {
      await this.#finish();
      return { done: true, value };
    });
  }

  /** @param {unknown} error @returns {Promise<IteratorResult<any>>} */
  throw(error) {
    return this.#inTurn(async () => {
      await this.#finish();
      throw error;
    });
  }

  async [Symbol.asyncDispose]() {
    await this.return();
  }

  /** @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  async #inTurn(work) {
    // What is asked for alone is asked for now: what the caller asks for next, COMMIT perhaps, must not overtake it.
    const begun = this.#waiting === 0 ? work() : this.#turn.then(work);
    this.#waiting += 1;
    const turn = begun.finally(() => {
      this.#waiting -= 1;
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  #take() {
    const row = this.#rows[this.#index];
    this.#rows[this.#index++] = undefined;
    // Half of the batch is used: the next one can be fetched while the rest is.
    if (this.#index * 2 >= this.#rows.length && this.#state === 'open') this.#fetchAhead();
    return row;
  }

  /** @returns {Promise<IteratorResult<any>>} */
  async #advance() {
    while (this.#index >= this.#rows.length) {
      if (this.#state === 'over') return { done: true, value: undefined };
      if (this.#state === 'drained') {
        await this.#finish();
        return { done: true, value: undefined };
      }
      try {
        await this.#nextBatch();
      } catch (error) {
        await this.#abandon();
        throw queryable.asError(error, this.#source.sql);
      }
    }
    return { done: false, value: this.#take() };
  }

  async #nextBatch() {
    if (this.#state === 'fresh') {
      this.#state = 'open';
      const { sql, params, find } = this.#source;
      if (find !== undefined) this.#target = await find();
      const opened = this.#ask(sql, params, OPERATION.OPEN);
      this.#ahead = this.#source.onOpen?.(opened, () => !this.#isAsked) ?? opened;
    } else if (this.#ahead === undefined) {
      this.#fetchAhead();
    }
    const answer = await this.#ahead;
    this.#ahead = undefined;
    if (answer === undefined) return;
    this.#rows = answer.result.rows;
    this.#index = 0;
    if (!answer.isSuspended) this.#state = 'drained';
  }

  #fetchAhead() {
    if (this.#ahead !== undefined) return;
    this.#ahead = this.#ask(undefined, undefined, OPERATION.FETCH);
    // Whoever takes the batch sees its failure; if nobody does, it is not an unhandled one.
    this.#ahead.catch(() => {});
  }

  /**
   * @param {string | undefined} sql @param {readonly unknown[] | undefined} params @param {number} operation
   */
  async #ask(sql, params, operation) {
    const manner = this.#source.manner();
    // What was given up has to be closed all the same.
    const signal = operation === OPERATION.CLOSE ? undefined : manner.signal;
    return execute(this.#target, sql, params, this.#decoders, {
      ...manner,
      signal,
      onAsked: () => {
        this.#isAsked = true;
        manner.onAsked?.();
      },
      operation,
      portal: this.#portal,
      batch: this.#batchSize,
    });
  }

  /** The end without an error: the portal is closed, or the stream's own transaction is committed. */
  async #finish() {
    const state = this.#state;
    if (state === 'over') return;
    this.#state = 'over';
    this.#rows = [];
    this.#index = 0;
    try {
      if (state === 'fresh') return;
      /** @type {unknown} */
      let failure;
      await this.#ahead?.catch((error) => {
        this.#hasFailed = true;
        failure = error;
      });
      if (this.#source.isOwner && this.#hasFailed) {
        // The batch is nobody's any more, but with it everything is rolled back that the statement has done.
        await this.#end('ROLLBACK').catch(() => {});
        throw failure;
      }
      if (this.#source.isOwner) await this.#end('COMMIT');
      else if (state === 'open' && !this.#hasFailed) {
        await this.#ask(undefined, undefined, OPERATION.CLOSE).catch(unlessOver);
      }
    } catch (error) {
      throw queryable.asError(error, this.#source.sql);
    } finally {
      this.#source.onEnd?.();
    }
  }

  /** The end after an error, which the caller is about to see: what goes wrong here as well is of no interest to him. */
  async #abandon() {
    this.#state = 'over';
    if (!this.#source.isOwner) return;
    // Given up in the queue there is nothing to be rolled back, and a connection may be far away.
    const mayHaveBegun = this.#isAsked && this.#source.isPlaced?.() !== false;
    if (mayHaveBegun) await this.#end('ROLLBACK').catch(() => {});
    this.#source.onEnd?.();
  }

  /** @param {'COMMIT' | 'ROLLBACK'} word */
  #end(word) {
    const { reading, options } = this.#source;
    return endOwn(this.#target, reading, word, options);
  }
}

/** What it was read in is over, and its portal with it: there is nothing left to be closed. @param {any} error */
function unlessOver(error) {
  if (error?.kind !== 'closed' && !(error instanceof ClosedError)) throw error;
}

module.exports = { RowStream, insideOf };
