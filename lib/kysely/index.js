// pg-berth/kysely: a Kysely dialect on the native pool.
'use strict';

const { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } = require('kysely');
const { BerthDriver } = require('./driver.js');
const { readDialectOptions } = require('./options.js');
const { readFromStandby } = require('./standby-reads.js');

/** @import * as api from '../../types/kysely.js' */

/** By it a graceful shutdown tells the driver how long it may take, and learns what became of the statements. */
const LIFECYCLE = Symbol.for('pg-berth.lifecycle');

/** @implements {api.BerthDialect} */
class BerthDialect {
  #config;
  /** @type {{ patienceMs?: number, report?: unknown }} */
  #lifecycle = {};

  /** @param {api.BerthDialectConfig} config */
  constructor(config) {
    this.#config = readDialectOptions(config);
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
