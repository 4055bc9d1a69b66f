// What `query()` was called with, and the Query objects that tell of rows one by one.
'use strict';

const { EventEmitter } = require('node:events');

/**
 * A query as it was asked for.
 * @typedef {{
 *   text: any, values: any, name: any, rowMode: any, types: any, queryMode: any, rows: any, binary: any, portal: any,
 *   timeout: any, callback: any, signal?: any, isAhead?: boolean,
 * }} Asked `signal` gives it up; `isAhead`: it is sent ahead of the answers to others that are
 */

/**
 * Copies what counts: the config may be frozen, have getters, or be used again.
 * @param {any} config @param {any} values @param {any} callback
 * @returns {Asked}
 */
function readQuery(config, values, callback) {
  const isText = typeof config === 'string';
  const from = isText ? undefined : config;
  let given = isText ? undefined : config.values;
  let done = isText ? undefined : config.callback;
  if (typeof values === 'function') done = values;
  else if (values) given = values;
  if (callback) done = callback;
  return {
    text: isText ? config : config.text,
    values: given,
    name: from?.name,
    rowMode: from?.rowMode,
    types: from?.types,
    queryMode: from?.queryMode,
    rows: from?.rows,
    binary: from?.binary,
    portal: from?.portal,
    timeout: from?.query_timeout,
    callback: done,
    signal: from?.signal,
  };
}

/** Why a query cannot be sent, or undefined. @param {Asked} asked */
function complaint({ text, name, values, signal }) {
  if (typeof text !== 'string' && typeof name !== 'string') {
    return new Error('A query must have either text or a name. Supplying neither is unsupported.');
  }
  if (values && !Array.isArray(values)) return new Error('Query values must be an array');
  // Other members that pg does not know are ignored, as there; this one is ours.
  return signal === undefined || signal instanceof AbortSignal
    ? undefined
    : new TypeError('Query signal must be an AbortSignal');
}

/**
 * Without values, name and wishes of its own a query goes by the simple protocol, which takes several statements.
 * @param {Asked} asked
 */
function isSimple({ queryMode, name, rows, text, values }) {
  if (queryMode === 'extended' || name || rows) return false;
  return !text || !values || values.length === 0;
}

/** A query that tells of its rows by events. */
class Query extends EventEmitter {
  /** @param {any} config @param {any} [values] @param {any} [callback] */
  constructor(config, values, callback) {
    super();
    const asked = readQuery(config, values, callback);
    this.text = asked.text;
    this.values = asked.values;
    this.rows = asked.rows;
    this.types = asked.types;
    this.name = asked.name;
    this.queryMode = asked.queryMode;
    this.binary = asked.binary;
    this.portal = asked.portal || '';
    this.callback = asked.callback;
    this.rowMode = asked.rowMode;
    this.query_timeout = asked.timeout;
    if (asked.signal !== undefined) this.signal = asked.signal;
  }

  /** What a client knows Query objects by; it runs them itself. @returns {undefined} */
  submit() {
    return undefined;
  }

  /** @param {Error} error */
  handleError(error) {
    if (this.callback) this.callback(error);
    // Without anybody who listens nobody is interested: it must not end the process.
    else if (this.listenerCount('error') > 0) this.emit('error', error);
  }

  /** @param {any} results */
  handleEnd(results) {
    try {
      if (this.callback) this.callback(null, results);
    } finally {
      this.emit('end', results);
    }
  }
}

module.exports = { Query, complaint, isSimple, readQuery };
