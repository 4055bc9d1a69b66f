// What programs read of a pool of pg, and what it does with a client of its own for them.
'use strict';

const { EventEmitter } = require('node:events');
const { Client } = require('./client.js');
const { SETTLE, keepReal } = require('./for-pools.js');
const { wrong } = require('../option-rules.js');
const { hide } = require('./connection-parameters.js');
const { readPoolOptions } = require('./pool-options.js');
const { acquiring } = require('../tracing/connecting.js');

/** What its traces are known by, for pg-berth/opentelemetry; its clients read it of their options. */
const KEY = Symbol.for('pg-berth.key');

/** Who is told how the wait for a client went, if anybody listens. @param {any} pool */
function acquiringOf(pool) {
  const { database, user } = pool.options;
  return acquiring({ face: 'pg', database, user, key: pool });
}

class PoolFields extends EventEmitter {
  /** @param {any} [options] @param {any} [Maker] class of the clients */
  constructor(options, Maker) {
    super();
    /** @type {any} */
    this.options = readPoolOptions(options);
    const { log, Promise: Own, Client: Given } = this.options;
    /** Told what the pool does, in the words of pg-pool. @type {(...words: any[]) => void} */
    this.log = log || (() => {});
    /** @type {any} */
    this.Client = Given || Maker || Client;
    /** @type {any} */
    if (this.options.resetQuery !== undefined && !this.Client.prototype?.[SETTLE]) {
      throw wrong('resetQuery', 'needs clients of this package, not those of another "Client"');
    }
    this.Promise = Own || Promise;
    keepReal(this);
    hide(this.options, KEY, this);
  }

  get [KEY]() {
    return this;
  }

  /** @param {readonly any[]} queries texts and configs @param {unknown} [options] */
  batch(queries, options) {
    return require('./batch.js').runOnPool(this, queries, options);
  }

  /** @param {string | readonly string[]} table @param {Iterable<any> | AsyncIterable<any>} rows @param {unknown} [options] */
  insertMany(table, rows, options) {
    return require('./insert-many.js').insertManyOnPool(this, table, rows, options);
  }
}

module.exports = { PoolFields, acquiringOf };
