// QueryStream, as the package pg-query-stream has it: the rows of one query as a Readable, one batch per read.
'use strict';

const { Readable } = require('node:stream');
const { Cursor } = require('./cursor.js');
const { originOf, tracedTo } = require('./failures.js');
const { OCCUPY } = require('./submittable.js');

/** @import { Lane } from './submittable.js' */

/** Rows of a batch unless the caller says otherwise. */
const DEFAULT_BATCH = 100;

class QueryStream extends Readable {
  /** What a pool waits for before it takes the client back. @type {((error?: Error | null, result?: any) => void) | undefined} */
  callback;
  #origin = originOf(QueryStream);

  /**
   * @param {string} text @param {any[] | null} [values]
   * @param {{ batchSize?: number, highWaterMark?: number, rowMode?: 'array', types?: any }} [config]
   */
  constructor(text, values, config = {}) {
    const { batchSize, highWaterMark = DEFAULT_BATCH } = config;
    super({ objectMode: true, autoDestroy: true, highWaterMark: batchSize || highWaterMark });
    this.cursor = new Cursor(text, values, config);
    this.cursor
      .on('end', (result) => this.callback?.(null, result))
      .on('error', (error) => this.callback?.(error));
  }

  get text() {
    return this.cursor.text;
  }

  get values() {
    return this.cursor.values;
  }

  get _result() {
    return this.cursor._result;
  }

  /** @returns {undefined} */
  submit() {
    return undefined;
  }

  /** @param {Lane} lane */
  [OCCUPY](lane) {
    this.cursor.occupy(lane);
  }

  get isIdle() {
    return this.cursor.isIdle;
  }

  /** @param {Error} error */
  handleError(error) {
    this.cursor.handleError(error);
  }

  /** @override @param {Error | null} error @param {(error?: Error | null) => void} done */
  _destroy(error, done) {
    this.cursor.close(() => done(error));
  }

  /** @override @param {number} size */
  _read(size) {
    this.cursor.read(size, (error, rows = []) => {
      if (this.destroyed) return;
      if (error) {
        this.destroy(tracedTo(error, this.#origin));
        return;
      }
      for (const row of rows) this.push(row);
      if (rows.length < size) this.push(null);
    });
  }
}

module.exports = { QueryStream };
