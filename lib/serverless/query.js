// What `query()` was called with, and its result in the shape of `pg`.
'use strict';

const { LATER, MAX_MS, wrong } = require('../option-rules.js');
const { Decoders } = require('../decoders.js');
const { FLAG, OPERATION } = require('../mailbox.js');
const { decodersFor, toField } = require('../queryable.js');
const { withJson } = require('../rows/json-types.js');
const { PRESETS, resolveTypes } = require('../rows/types.js');

/** @import { JsonOptions, ResolvedTypes } from '../../types/rows.js' */
/** @import { ServerlessResult } from '../../types/serverless.js' */
/** @typedef {InstanceType<typeof import('../answer.js').StatementAnswer>} StatementAnswer */

/**
 * @typedef {object} Query
 * @property {string | undefined} text
 * @property {string | undefined} name
 * @property {readonly unknown[] | undefined} values
 * @property {'object' | 'array'} rowMode
 * @property {any} types
 * @property {boolean} isSimple
 * @property {number | undefined} timeoutMs
 * @property {boolean} isIdempotent may be run twice
 * @property {boolean | undefined} isExactlyOnce undefined: as the client says
 */

/** Members of a query that would change what it does, here or on other faces, and that are not obeyed here. */
const REFUSED = Object.entries({
  binary: LATER,
  rows: LATER,
  portal: LATER,
  signal: `${LATER}; query_timeout limits how long it may take`,
  timeoutMs: 'is called query_timeout',
  json: 'is an option of the client',
  jsonNumbers: 'is an option of the client',
});

/** Programs written for callbacks would wait for ever. @param {readonly any[]} args */
function refuseCallbacks(args) {
  const [query] = args;
  if (args.some((arg) => typeof arg === 'function') || typeof query?.callback === 'function') {
    throw new TypeError('query() takes no callback; await the promise it returns');
  }
  if (typeof query?.submit === 'function') {
    throw new TypeError('query() takes no submittable (a cursor, a stream, a Query object)');
  }
}

/**
 * @param {readonly any[]} args without callbacks
 * @returns {Query}
 * @throws {TypeError}
 */
function readQuery([query, values]) {
  if (query === null || query === undefined) {
    throw new TypeError('Client was passed a null or undefined query');
  }
  const config = typeof query === 'object' ? query : { text: query };
  for (const [name, why] of REFUSED) if (config[name]) throw wrong(name, `of a query ${why}`);
  const { text, name, rowMode, types, queryMode, query_timeout: timeout } = config;
  const given = values ?? config.values ?? undefined;
  if (given !== undefined && !Array.isArray(given)) {
    throw new TypeError('Query values must be an array');
  }
  if (typeof text !== 'string' && typeof name !== 'string') {
    throw new TypeError(
      'A query must have either text or a name. Supplying neither is unsupported.',
    );
  }
  for (const name of ['idempotent', 'exactlyOnce']) {
    if (config[name] !== undefined && typeof config[name] !== 'boolean') {
      throw wrong(name, 'must be true or false');
    }
  }
  if (timeout && !(Number.isInteger(timeout) && timeout > 0 && timeout <= MAX_MS)) {
    throw wrong('query_timeout', `must be an integer from 0 to ${MAX_MS} (milliseconds)`);
  }
  return {
    text: typeof text === 'string' ? text : undefined,
    name: name || undefined,
    values: given,
    rowMode: rowMode === 'array' ? 'array' : 'object',
    types: types ?? undefined,
    isSimple: !name && queryMode !== 'extended' && (given === undefined || given.length === 0),
    timeoutMs: timeout ? timeout : undefined,
    isIdempotent: config.idempotent === true,
    isExactlyOnce: config.exactlyOnce,
  };
}

/**
 * How the engine is asked; without a name nothing is left prepared on the server, as in `pg`.
 * @param {Query} query @param {number} part flags of a statement of a transaction, else 0
 */
function mannerOf({ isSimple, name, text }, part) {
  // Only several statements in one text need the simple protocol. The other one tells more about a statement that was lost,
  // and brings probes along.
  if (isSimple && text?.includes(';')) return { operation: OPERATION.SIMPLE, flags: part };
  return { operation: OPERATION.EXECUTE, flags: part | (name === undefined ? FLAG.UNNAMED : 0) };
}

/** Values are sent as `pg` sends them, however results are read. */
class PgEncodedDecoders extends Decoders {
  /** @override */
  encoding = /** @type {const} */ ('pg');

  /** @param {ResolvedTypes} types @param {'object' | 'array'} rowMode */
  constructor(types, rowMode) {
    super(types, rowMode, undefined);
    this.jsonParams = types.jsonParams;
  }
}

/** The decoders of one client. */
class Reading {
  #types;
  #json;
  /** @type {Partial<Record<'object' | 'array', InstanceType<typeof Decoders>>>} */
  #own = {};

  /** @param {any} types the option of the client @param {JsonOptions} json */
  constructor(types, json) {
    this.#types = resolveTypes(types, PRESETS.pg);
    this.#json = json;
  }

  /** @param {Query} query */
  decodersOf({ types, rowMode }) {
    const ofQuery = types === undefined ? this.#types : resolveTypes(types, this.#types);
    const made = () => decoders(withJson(ofQuery, this.#json), rowMode);
    if (types !== undefined || ofQuery.volatile) return made();
    const own = this.#own[rowMode] ?? made();
    this.#own[rowMode] = own;
    return own;
  }
}

/** @param {ResolvedTypes} types @param {'object' | 'array'} rowMode */
function decoders(types, rowMode) {
  return types.preset === 'pg'
    ? decodersFor(types, rowMode, undefined)
    : new PgEncodedDecoders(types, rowMode);
}

/**
 * @param {StatementAnswer} answer
 * @returns {any} one result, or an array of them when the text had several statements
 */
function toResult({ earlier, result, decoders }) {
  if (earlier === undefined) return toOne(result, decoders);
  return [...earlier, result].map((one) => toOne(one, decoders));
}

/**
 * @param {StatementAnswer['result']} outcome @param {StatementAnswer['decoders']} decoders
 * @returns {ServerlessResult}
 */
function toOne({ rows, shape, command, affected }, decoders) {
  return {
    // An empty text has no tag, which `pg` reports as null.
    command: /** @type {string} */ (command || null),
    rowCount: Number.isNaN(affected) ? null : affected,
    // Tables with OIDs are gone since version 12; the server still says 0.
    oid: command === 'INSERT' ? 0 : null,
    rows: /** @type {any[]} */ (rows),
    fields: shape === 0 ? [] : decoders.fields(shape).map(toField),
  };
}

/** Calls of transactions whose statement was handed over. @type {WeakSet<readonly any[]>} */
const handed = new WeakSet();

/** @param {readonly any[]} args of a call */
function handOver(args) {
  handed.add(args);
}

/** @param {readonly any[]} args of a call that has failed */
function wasHandedOver(args) {
  return handed.has(args);
}

/** A ROLLBACK that had nothing left to roll back. @returns {ServerlessResult} */
function rolledBack() {
  return { command: 'ROLLBACK', rowCount: null, oid: null, rows: [], fields: [] };
}

module.exports = {
  Reading,
  handOver,
  mannerOf,
  readQuery,
  refuseCallbacks,
  rolledBack,
  toResult,
  wasHandedOver,
};
