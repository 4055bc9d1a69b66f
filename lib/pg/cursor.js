// Cursor, as the package pg-cursor has it: the rows of one query, so many at a time, with or without a transaction.
'use strict';

const { EventEmitter } = require('node:events');
const { setImmediate } = require('node:timers');
const { StatementAnswer } = require('../answer.js');
const { OPERATION } = require('../mailbox.js');
const { bound } = require('./bound.js');
const { defaults } = require('./defaults.js');
const { describe } = require('./failures.js');
const { heldValues } = require('./held-values.js');
const { promiseOf } = require('./promises.js');
const { Result, toFields } = require('./result.js');
const { MOST_ROWS, OCCUPY, cursorText } = require('./submittable.js');
const { prepareValue } = require('./utils.js');

/** @import { Lane } from './submittable.js' */

/**
 * How many rows a read is for: as pg sends it to the server, for which nothing and more than it can count are all.
 * @param {any} wanted @returns {number} NaN for what is no number of rows
 */
function countOf(wanted) {
  if (!wanted) return MOST_ROWS;
  const isNumber = ['number', 'string', 'bigint', 'boolean'].includes(typeof wanted);
  const count = isNumber ? Math.trunc(Number(wanted)) : Number.NaN;
  if (count < 0) return Number.NaN;
  return count === 0 ? MOST_ROWS : Math.min(count, MOST_ROWS);
}

const noCount = () => new RangeError('the number of rows to read must be a number from 0 upwards');

/** What a read comes to; `isFailed` because anything may be thrown. @typedef {{ rows?: any[], isFailed?: boolean }} Read */
/** @typedef {(read: Read) => void} Done */

/** A read behind the end. @type {Read} */
const PAST = Object.freeze({ rows: [] });
/** @typedef {InstanceType<typeof import('../decoders.js').Decoders>} Decoders */

class Cursor extends EventEmitter {
  #config;
  /** @type {Lane | undefined} */
  #lane;
  /** @type {Decoders | undefined} */
  #decoders;
  /** Reads that wait, and the one that runs. @type {{ count: number, done: Done }[]} */
  #reads = [];
  /** The portal is open on the server. */
  #isOpen = false;
  #isBusy = false;
  #isClosing = false;
  /** Rows were read: what fails behind them takes them back, or nobody knows. */
  #hasRows = false;
  /** A failure that no read was told of; whoever closes the cursor is. */
  #isUnheard = false;
  /** @type {any} */
  #failure;
  /** @type {any} */
  #error;
  /** @type {((error?: Error) => void)[]} */
  #closed = [];

  /** @param {string} text @param {any[] | null} [values] @param {{ rowMode?: 'array', types?: any, Promise?: PromiseConstructorLike }} [config] */
  constructor(text, values, config) {
    super();
    this.#config = config ?? {};
    this.text = text;
    this.values = values
      ? heldValues(values).map((/** @type {any} */ value) => prepareValue(value))
      : null;
    /** @type {'initialized' | 'submitted' | 'idle' | 'busy' | 'done' | 'error'} */
    this.state = 'initialized';
    this._result = new Result(this.#config.rowMode, this.#config.types);
  }

  /** What a client knows submittables by; it gives this one a lane instead of a socket. @returns {undefined} */
  submit() {
    return undefined;
  }

  /** @param {Lane} lane */
  [OCCUPY](lane) {
    this.occupy(lane);
  }

  /** Nothing of it is on its way. */
  get isIdle() {
    return !this.#isBusy;
  }

  /** Its turn has come. @param {Lane} lane */
  occupy(lane) {
    if (this.state === 'done') {
      // Closed before its turn came.
      lane.leave();
      return;
    }
    this.#lane = lane;
    this.state = 'submitted';
    this.#next();
  }

  /** Asks for what is wanted next, one thing at a time. */
  #next() {
    const lane = this.#lane;
    if (lane === undefined || this.#isBusy || this.state === 'done' || this.state === 'error')
      return;
    const read = this.#reads[0];
    if (!this.#isOpen) {
      // Without a read the columns are asked for, so that a wrong text does not wait for one.
      this.#isOpen = true;
      const { types, rowMode } = this.#config;
      this.#ask(OPERATION.CURSOR_OPEN, read?.count ?? 0, () => {
        this.#decoders = lane.decodersOf(types, rowMode === 'array' ? 'array' : 'object');
      });
    } else if (read !== undefined) {
      this.#ask(OPERATION.CURSOR_FETCH, read.count);
    } else if (this.#isClosing) {
      this.#ask(OPERATION.CURSOR_CLOSE, 0);
    }
  }

  /** @param {number} operation @param {number} batch @param {() => void} [prepare] may throw what the user's code throws */
  #ask(operation, batch, prepare) {
    const lane = /** @type {Lane} */ (this.#lane);
    const isOpening = operation === OPERATION.CURSOR_OPEN;
    this.#isBusy = true;
    if (this.#reads.length > 0) this.state = 'busy';
    try {
      prepare?.();
      const decoders = /** @type {Decoders} */ (this.#decoders);
      const answer = new StatementAnswer(
        decoders,
        (done) => process.nextTick(() => this.#answered(done, operation, batch)),
        (reason) => process.nextTick(() => this.#failed(reason, answer)),
      );
      const manner = { operation, batch, utcDates: defaults.parseInputDatesAsUTC };
      const text = isOpening ? cursorText(this.text) : undefined;
      lane.ask(text, isOpening ? (this.values ?? undefined) : undefined, decoders, manner, answer);
    } catch (error) {
      // Of what could not be asked of it the portal is still open.
      process.nextTick(() => this.#failed(error, isOpening ? undefined : { isSuspended: true }));
    }
  }

  /** @param {InstanceType<typeof StatementAnswer>} answer @param {number} operation @param {number} batch */
  #answered({ result, isSuspended, decoders }, operation, batch) {
    if (this.state === 'error') return;
    this.#isBusy = false;
    const { shape, rows, command, affected } = result;
    if (shape !== 0 && this._result.fields.length === 0) {
      this._result.fields = toFields(decoders.fields(shape), 'text');
      this.#lane?.describe({ fields: this._result.fields });
    }
    if (operation !== OPERATION.CURSOR_CLOSE && batch > 0) {
      this.#tellRows(rows);
      this.#hasRows = true;
      const read = this.#reads.shift();
      if (!isSuspended) {
        if (command) this._result.command = command;
        if (!Number.isNaN(affected)) this._result.rowCount = affected;
        if (command === 'INSERT') this._result.oid = 0;
      }
      setImmediate(() => {
        this._result.rows = rows;
        read?.done({ rows });
      });
    }
    if (isSuspended) {
      this.state = 'idle';
      this.#lane?.idle();
      this.#next();
    } else {
      this.#finish();
    }
  }

  /** @param {any[]} rows */
  #tellRows(rows) {
    if (this.listenerCount('row') === 0) return;
    for (const row of rows) {
      try {
        this.emit('row', row, this._result);
      } catch (error) {
        // A failure of the listener's own: the cursor goes on.
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }

  /** The portal is gone, and the client goes on. */
  #finish() {
    this.state = 'done';
    for (const { done } of this.#reads.splice(0)) setImmediate(done, PAST);
    // Behind the reads: whoever awaits one goes on before the next statement is answered.
    setImmediate(() => this.#lane?.leave());
    for (const closed of this.#closed.splice(0)) setImmediate(closed);
    this.emit('end', this._result);
  }

  /** @param {any} reason @param {{ isSuspended: boolean } | undefined} answer */
  #failed(reason, answer) {
    if (this.state === 'error' || this.state === 'done') return;
    this.#failure = reason;
    this.state = 'error';
    this.#isBusy = false;
    // A parser threw, or a batch could not be read: the portal is still open.
    if (answer?.isSuspended) this.#abandon();
    else this.#lane?.leave();
    const reads = this.#reads.splice(0);
    for (const { done } of reads) process.nextTick(done, { isFailed: true });
    this.#isUnheard = this.#hasRows && reads.length === 0;
    for (const closed of this.#closed.splice(0)) setImmediate(() => this.#tellClosed(closed));
    process.nextTick(() => {
      if (this.listenerCount('error') > 0) this.emit('error', this.#described());
    });
  }

  #abandon() {
    const lane = /** @type {Lane} */ (this.#lane);
    const decoders = /** @type {Decoders} */ (this.#decoders);
    const leave = () => lane.leave();
    const answer = new StatementAnswer(decoders, leave, leave);
    lane.ask(undefined, undefined, decoders, { operation: OPERATION.CURSOR_CLOSE }, answer);
  }

  /** The one error that every read gets; made in the chain of whoever sees it first, then the stack is his. */
  #described() {
    this.#error ??= describe(this.#failure);
    return this.#error;
  }

  /** The client refused it, or was lost. @param {Error} error */
  handleError(error) {
    this.#failed(error, undefined);
  }

  /** @param {number} count @param {Done} done */
  #start(count, done) {
    if (this.state === 'error') {
      this.#isUnheard = false;
      setImmediate(done, { isFailed: true });
    } else if (this.state === 'done' || this.#isClosing) setImmediate(done, PAST);
    else {
      this.#reads.push({ count, done });
      this.#next();
    }
  }

  /**
   * @param {any} [wanted] 0, or left out: all that are left
   * @param {(error: Error | null, rows?: any[], result?: InstanceType<typeof Result>) => void} [callback]
   */
  read(wanted, callback) {
    const count = countOf(wanted);
    if (callback) {
      const done = bound(callback);
      if (Number.isNaN(count)) setImmediate(() => done(noCount()));
      else
        this.#start(count, (read) => {
          if (read.isFailed) done(this.#described());
          else if (read === PAST) done(null, []);
          else done(null, read.rows, this._result);
        });
      return undefined;
    }
    return promiseOf(this.#config.Promise, this.#read(count));
  }

  /** @param {number} count @returns {Promise<any[]>} */
  async #read(count) {
    if (Number.isNaN(count)) throw noCount();
    const { rows = [], isFailed } = await new Promise((/** @type {Done} */ resolve) => {
      this.#start(count, resolve);
    });
    if (isFailed) throw this.#described();
    return rows;
  }

  /** @param {(error?: Error) => void} [callback] */
  close(callback) {
    if (callback) {
      this.#close(bound(callback));
      return undefined;
    }
    const closed = this.#closeAwaited();
    // Who does not wait for it has not asked.
    closed.catch(() => {});
    return promiseOf(this.#config.Promise, closed);
  }

  async #closeAwaited() {
    const error = await new Promise((/** @type {(error?: Error) => void} */ resolve) => {
      this.#close(resolve);
    });
    if (error) throw error;
  }

  /** @param {(error?: Error) => void} done */
  #close(done) {
    if (this.state === 'done' || this.state === 'error') {
      setImmediate(() => this.#tellClosed(done));
    } else if (this.#lane === undefined) {
      this.state = 'done';
      for (const read of this.#reads.splice(0)) setImmediate(read.done, PAST);
      setImmediate(done);
    } else {
      this.#isClosing = true;
      this.#closed.push(done);
      this.#next();
    }
  }

  /** @param {(error?: Error) => void} done */
  #tellClosed(done) {
    if (this.#isUnheard) done(this.#described());
    else done();
  }
}

module.exports = { Cursor };
