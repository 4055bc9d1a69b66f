// The transaction of a ServerlessClient that subscribers of pg-berth:transaction hear of, and where it runs.
'use strict';

const { enrol, traceTransaction } = require('../tracing/index.js');
const { Connection } = require('./connection.js');

class Told {
  #settings;
  /** @type {ReturnType<typeof traceTransaction>} */
  #trace;

  /** @param {() => { database?: string, user?: string }} settings of the connection */
  constructor(settings) {
    this.#settings = settings;
  }

  /** @param {string} text of its BEGIN */
  begin(text) {
    const { database, user } = this.#settings();
    this.#trace = traceTransaction({ face: 'pg', database, user }, text);
    return this.#trace;
  }

  /** Its statements are asked there from now on. @param {import('./connection.js').AnyConnection} connection */
  at(connection) {
    if (connection instanceof Connection) enrol(Connection.targetOf(connection), this.#trace);
  }
}

module.exports = { Told };
