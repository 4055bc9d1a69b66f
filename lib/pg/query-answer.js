// The answer to a Query object: rows become events while they arrive.
'use strict';

const { AsyncResource } = require('node:async_hooks');
const { StatementAnswer } = require('../answer.js');
const { noteCopy, toResult, toFields } = require('./result.js');

/** @import { FrameView } from '../../types/rows.js' */
/** @typedef {InstanceType<typeof import('./query.js').Query>} Query */
/** @typedef {InstanceType<typeof import('../decoders.js').Decoders>} Decoders */

class QueryAnswer extends StatementAnswer {
  #query;
  #format;
  /** Events are heard where the query was made. */
  #context = new AsyncResource('pg-berth.Query');
  /** Results that listeners have seen already, by outcome. @type {Map<object, any>} */
  #seen = new Map();
  /** Rows of the present result that were told of. */
  #told = 0;

  /**
   * @param {Query} query @param {Decoders} decoders @param {string} format of the columns
   * @param {(answer: any) => void} resolve @param {(reason: any) => void} reject
   */
  constructor(query, decoders, format, resolve, reject) {
    super(decoders, resolve, reject);
    this.#query = query;
    this.#format = format;
  }

  /** @override @param {number} shape @param {FrameView} view @param {number} offset @param {number} rows */
  frame(shape, view, offset, rows) {
    const before = this.result;
    super.frame(shape, view, offset, rows);
    const { result } = this;
    if (result !== before) this.#told = 0;
    if (this.failure !== undefined || this.#query.listenerCount('row') === 0) return;
    const seen = this.#resultOf(result);
    if (seen.fields.length === 0) {
      seen.fields = toFields(this.decoders.fields(shape), this.#format);
    }
    const fresh = result.rows.slice(this.#told);
    // Somebody listens and nobody waits for all of them: rows are not kept.
    if (this.#query.callback) this.#told = result.rows.length;
    else result.rows.length = 0;
    process.nextTick(() => this.run(() => this.#tell(fresh, seen)));
  }

  /** @param {unknown[]} rows @param {any} result */
  #tell(rows, result) {
    for (const row of rows) {
      try {
        this.#query.emit('row', row, result);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }

  /** @param {InstanceType<typeof StatementAnswer>['result']} outcome */
  #resultOf(outcome) {
    let result = this.#seen.get(outcome);
    if (result === undefined) {
      result = toResult(outcome, this.decoders, this.#query.rowMode, this.#format);
      this.#seen.set(outcome, result);
    }
    return result;
  }

  /** What the query ends with. */
  results() {
    const all = [...(this.earlier ?? []), this.result].map((outcome) => {
      const seen = this.#seen.get(outcome);
      const result = toResult(outcome, this.decoders, this.#query.rowMode, this.#format);
      if (seen === undefined) return result;
      // A listener may have added rows to what it was given.
      const { rows } = seen;
      return Object.assign(seen, result, { rows });
    });
    if (all.some(({ command }) => command === 'COPY')) noteCopy(this.#query.text);
    return all.length === 1 ? all[0] : all;
  }

  /** @param {() => void} fn */
  run(fn) {
    this.#context.runInAsyncScope(fn);
  }
}

module.exports = { QueryAnswer };
