// pg-berth/kysely: a Kysely dialect on the native pool.
'use strict';

const { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } = require('kysely');
const { LIFECYCLE } = require('../lifecycle.js');
const { BerthDriver } = require('./driver.js');
const { readDialectOptions } = require('./options.js');
const { readFromStandby } = require('./standby-reads.js');

/** @import * as api from '../../types/kysely.js' */

/** @implements {api.BerthDialect} */
class BerthDialect {
  #config;
  /** @type {import('../lifecycle.js').Lifecycle} */
  #lifecycle = {};

  /** @param {api.BerthDialectConfig} config */
  constructor(config) {
    this.#config = readDialectOptions(config);
    const { pool } = this.#config;
    // A function makes it at the first query.
    if (typeof pool === 'object') this.#lifecycle.pool = pool;
  }

  createDriver() {
    return /** @type {any} */ (new BerthDriver(this.#config, this.#lifecycle));
  }

  createQueryCompiler() {
    return new PostgresQueryCompiler();
  }

  createAdapter() {
    return Object.assign(new PostgresAdapter(), { [LIFECYCLE]: this.#lifecycle });
  }

  /** @param {import('kysely').Kysely<any>} db */
  createIntrospector(db) {
    return new PostgresIntrospector(db);
  }
}

module.exports = { BerthDialect, readFromStandby };
