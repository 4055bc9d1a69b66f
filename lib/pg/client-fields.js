// What programs read of a pg client: where it connects to, and its small helpers.
'use strict';

const { EventEmitter } = require('node:events');
const { wrong } = require('../option-rules.js');
const { ConnectionParameters, hide } = require('./connection-parameters.js');
const { defaults } = require('./defaults.js');
const { scramIterations } = require('./settings.js');
const { escapeIdentifier, escapeLiteral } = require('./utils.js');

class ClientFields extends EventEmitter {
  /** @param {any} [config] a connection string or an object */
  constructor(config) {
    super();
    const given = (typeof config === 'object' && config) || {};
    for (const name of ['stream', 'connection']) {
      if (given[name]) throw wrong(name, 'is not supported: the engine owns the socket');
    }
    this.connectionParameters = new ConnectionParameters(config);
    const { user, database, port, host, password, replication, ssl } = this.connectionParameters;
    this.user = user;
    this.database = database;
    this.port = port;
    this.host = host;
    /** @type {any} */
    this.password = undefined;
    hide(this, 'password', password);
    this.replication = replication;
    this.binary = given.binary || defaults.binary;
    this.pipeline = Boolean(given.pipeline);
    this.enableChannelBinding = Boolean(given.enableChannelBinding);
    this.scramMaxIterations = scramIterations(given.scramMaxIterations);
    this.sslNegotiation = this.connectionParameters.sslnegotiation || 'postgres';
    /** @type {number | null} */
    this.processID = null;
    /** Known to the engine alone: with it anybody could cancel statements. */
    this.secretKey = null;
    this.ssl = ssl || false;
    /** Read by AWS X-Ray, Sequelize and pg-pool. */
    this._queryable = true;
    this._ending = false;
    /** For programs that ask whether they have connected already; a client stays so in pg. */
    this._connecting = false;
    this._connected = false;
    this._ended = false;
  }

  /** @param {string} text */
  escapeIdentifier(text) {
    return escapeIdentifier(text);
  }

  /** @param {unknown} text */
  escapeLiteral(text) {
    return escapeLiteral(text);
  }

  /** Where pg itself keeps it. */
  get _txStatus() {
    return /** @type {any} */ (this).getTransactionStatus();
  }

  /** As `activeQuery`, where pg keeps what has not begun. */
  get queryQueue() {
    const { activeQuery } = /** @type {any} */ (this);
    return activeQuery === null ? [] : [activeQuery];
  }

  /** The open connection keeps the process alive, as from the beginning. */
  ref() {
    /** @type {any} */ (this).connection.ref();
  }

  unref() {
    /** @type {any} */ (this).connection.unref();
  }

  /** @param {readonly any[]} queries texts and configs @param {unknown} [options] */
  batch(queries, options) {
    return require('./batch.js').runBatch(this, queries, options);
  }

  /**
   * @param {string | readonly string[]} table @param {Iterable<any> | AsyncIterable<any>} rows
   * @param {unknown} [options]
   * @returns {Promise<number>}
   */
  insertMany(table, rows, options) {
    return require('./insert-many.js').insertMany(this, table, rows, options);
  }

  /** @param {string} text of a COPY … FROM STDIN @param {unknown} [options] */
  copyFrom(text, options) {
    return /** @type {any} */ (this).query(require('./copy.js').copyFrom(text, options));
  }

  /** @param {string} text of a COPY … TO STDOUT @param {unknown} [options] */
  copyTo(text, options) {
    return /** @type {any} */ (this).query(require('./copy.js').copyTo(text, options));
  }
}

module.exports = { ClientFields };
