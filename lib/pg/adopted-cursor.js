// Cursors and streams of the packages pg-cursor and pg-query-stream: they believe to speak with the server themselves.
'use strict';

const { AsyncResource } = require('node:async_hooks');
const { EventEmitter } = require('node:events');
const { setImmediate } = require('node:timers');
const { StatementAnswer } = require('../answer.js');
const { OPERATION } = require('../mailbox.js');
const { describe } = require('./failures.js');
const { toFields } = require('./result.js');
const { MOST_ROWS, OCCUPY, cursorText } = require('./submittable.js');

/** @import { Lane } from './submittable.js' */
/** @typedef {InstanceType<typeof StatementAnswer>} Answer */

/** The exact text of the server: these classes parse by themselves. */
const RAW = { getTypeParser: () => (/** @type {string} */ text) => text };

/** What such a class takes for a connection: its calls are carried out by the engine, the answers given to its handlers. */
class CursorConnection extends EventEmitter {
  #lane;
  #foreign;
  #context;
  #decoders;
  #text = '';
  /** @type {any[] | undefined} */
  #values;
  /** What the next flush asks for. @type {{ operation: number, batch: number } | undefined} */
  #wanted;
  #isOver = false;
  /** What was asked and has no answer: the first read may be sent right behind the opening. */
  #unanswered = 0;

  /** @param {Lane} lane @param {any} foreign @param {AsyncResource} context of whoever asked */
  constructor(lane, foreign, context) {
    super();
    this.#lane = lane;
    this.#foreign = foreign;
    this.#context = context;
    this.#decoders = lane.decodersOf(RAW, 'array');
  }

  /** Nothing of it is on its way. */
  get isIdle() {
    return this.#unanswered === 0;
  }

  /** @param {{ text: string }} message */
  parse({ text }) {
    this.#text = text;
  }

  /** @param {{ values?: any[] | null }} message */
  bind({ values }) {
    this.#values = values ?? undefined;
  }

  describe() {
    this.#wanted = { operation: OPERATION.CURSOR_OPEN, batch: 0 };
  }

  /** @param {{ rows?: number }} message */
  execute({ rows }) {
    this.#wanted = { operation: OPERATION.CURSOR_FETCH, batch: Math.min(rows || 0, MOST_ROWS) };
  }

  flush() {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted !== undefined) this.#ask(wanted.operation, wanted.batch);
  }

  /** The engine sends it where it is needed. */
  sync() {}

  close() {
    if (this.#isOver) process.nextTick(() => this.emit('readyForQuery'));
    else this.#ask(OPERATION.CURSOR_CLOSE, 0);
  }

  /** @param {number} operation @param {number} batch */
  #ask(operation, batch) {
    const answer = new StatementAnswer(
      this.#decoders,
      (done) => this.#later(() => this.#answered(done, operation)),
      (reason) =>
        this.#later(() => {
          if (answer.isSuspended) this.#abandon();
          this.fail(describe(reason));
        }),
    );
    const isOpening = operation === OPERATION.CURSOR_OPEN;
    this.#unanswered++;
    try {
      const text = isOpening ? cursorText(this.#text) : undefined;
      const values = isOpening ? this.#values : undefined;
      this.#lane.ask(text, values, this.#decoders, { operation, batch }, answer);
    } catch (error) {
      this.#later(() => {
        if (!isOpening) this.#abandon();
        this.fail(error);
      });
    }
  }

  /** A batch could not be read, or not asked for: the portal is still open, and everything else would wait behind it. */
  #abandon() {
    if (!this.#isOver) this.#ask(OPERATION.CURSOR_CLOSE, 0);
  }

  /** @param {() => void} tell */
  #later(tell) {
    process.nextTick(() => this.#context.runInAsyncScope(tell));
  }

  /** @param {Answer} answer @param {number} operation */
  #answered({ result, isSuspended, decoders }, operation) {
    if (this.#isOver) return;
    this.#unanswered--;
    this.#lane.idle();
    const { shape, rows, command, affected } = result;
    if (operation === OPERATION.CURSOR_OPEN) {
      if (shape === 0) this.emit('noData');
      else {
        const message = { fields: toFields(decoders.fields(shape), 'text') };
        this.emit('rowDescription', message);
        this.#lane.describe(message);
        this.#foreign.handleRowDescription(message);
      }
      return;
    }
    for (const fields of rows) this.#foreign.handleDataRow({ fields });
    if (isSuspended) {
      this.#foreign.handlePortalSuspended();
      return;
    }
    this.#isOver = true;
    try {
      if (operation === OPERATION.CURSOR_FETCH) {
        if (command) this.#foreign.handleCommandComplete({ text: tagOf(command, affected) });
        else this.#foreign.handleEmptyQuery();
      }
      this.#foreign.handleReadyForQuery();
      this.emit('readyForQuery');
    } finally {
      // Behind the reads, which are answered in immediates of their own.
      setImmediate(() => this.#lane.leave());
    }
  }

  /** @param {any} error */
  fail(error) {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      this.#foreign.handleError(error);
      this.emit('readyForQuery');
    } finally {
      setImmediate(() => this.#lane.leave());
    }
  }
}

/** @param {string} command @param {number} affected */
function tagOf(command, affected) {
  if (Number.isNaN(affected)) return command;
  return command === 'INSERT' ? `INSERT 0 ${affected}` : `${command} ${affected}`;
}

/** @param {any} given */
function isCursor(given) {
  const { read, close, handlePortalSuspended } = given;
  const methods = [read, close, handlePortalSuspended];
  return 'text' in given && methods.every((method) => typeof method === 'function');
}

/** @param {any} foreign */
function adoptCursor(foreign) {
  if (!isCursor(foreign) && !(foreign.cursor && isCursor(foreign.cursor))) return undefined;
  /** @type {InstanceType<typeof CursorConnection> | undefined} */
  let connection;
  const context = new AsyncResource('pg-berth.Cursor');
  return {
    /** @param {Lane} lane */
    [OCCUPY](lane) {
      connection = new CursorConnection(lane, foreign, context);
      const { _result: result } = foreign;
      if (result && !result._types) result._types = lane.parsers;
      foreign.submit(connection);
    },
    get isIdle() {
      return connection?.isIdle ?? true;
    },
    /** @param {Error} error */
    handleError(error) {
      context.runInAsyncScope(() => {
        if (connection === undefined) foreign.handleError(error);
        else connection.fail(error);
      });
    },
  };
}

module.exports = { adoptCursor };
