// Results in the shape of `pg`, built from what the engine answered.
'use strict';

const { types: globalTypes } = require('../rows/type-parsers.js');

/** @import { ShapeField } from '../../types/rows.js' */
/** @typedef {InstanceType<typeof import('../answer.js').StatementAnswer>} StatementAnswer */
/** @typedef {InstanceType<typeof import('../decoders.js').Decoders>} Decoders */

/**
 * A column, as `pg` describes it.
 * @typedef {{
 *   name: string, tableID: number, columnID: number, dataTypeID: number, dataTypeSize: number, dataTypeModifier: number,
 *   format: string,
 * }} Field
 */

/** Word, OID and number of a command tag. */
const TAG = /^([A-Za-z]+)(?: (\d+))?(?: (\d+))?/;

/** What every query of the pg face resolves to. All of its public members are own properties. */
class Result {
  /** Set while a program feeds the result by itself, as the package pg-cursor does. @type {((text: any) => unknown)[]} */
  #parsers = [];
  #types;

  /** @param {string} [rowMode] @param {any} [types] whose parsers read the rows given to `parseRow` */
  constructor(rowMode, types) {
    /** @type {string | null} */
    this.command = null;
    /** @type {number | null} */
    this.rowCount = null;
    /** @type {number | null} */
    this.oid = null;
    /** @type {any[]} */
    this.rows = [];
    /** @type {Field[]} */
    this.fields = [];
    this.rowAsArray = rowMode === 'array';
    this.#types = types;
  }

  /** Where clients of pg put their parsers for what reads rows by itself. */
  get _types() {
    return this.#types;
  }

  set _types(types) {
    this.#types = types;
  }

  /** @param {unknown} row */
  addRow(row) {
    this.rows.push(row);
  }

  /** @param {Field[]} fields */
  addFields(fields) {
    this.fields = fields;
    const source = this.#types ?? globalTypes;
    this.#parsers = fields.map(({ dataTypeID, format }) =>
      source.getTypeParser(dataTypeID, format || 'text'),
    );
  }

  /** @param {readonly any[]} cells texts of the server */
  parseRow(cells) {
    const values = cells.map((cell, i) => (cell === null ? null : this.#parsers[i]?.(cell)));
    if (this.rowAsArray) return values;
    // By definition, not by assignment: a column may be called __proto__.
    return Object.fromEntries(this.fields.map(({ name }, i) => [name, values[i]]));
  }

  /** @param {{ text?: string, command?: string }} message */
  addCommandComplete({ text, command }) {
    const [, word, first, second] = TAG.exec(text ?? command ?? '') ?? [];
    if (word === undefined) return;
    this.command = word;
    if (second !== undefined) this.oid = Number(first);
    const count = second ?? first;
    if (count !== undefined) this.rowCount = Number(count);
  }
}

/**
 * @param {StatementAnswer['result']} outcome @param {Decoders} decoders
 * @param {string | undefined} rowMode @param {string} format of the columns
 */
function toResult(outcome, decoders, rowMode, format) {
  const result = new Result(rowMode);
  const { command, affected, shape } = outcome;
  // An empty text has no tag.
  if (command) result.command = command;
  if (!Number.isNaN(affected)) result.rowCount = affected;
  // Tables with OIDs are gone since version 12; the server still says 0.
  if (command === 'INSERT') result.oid = 0;
  result.rows = outcome.rows;
  if (shape !== 0) result.fields = toFields(decoders.fields(shape), format);
  return result;
}

/**
 * What an answered request resolves to.
 * @param {StatementAnswer} answer @param {{ text: any, rowMode: any }} asked @param {string} format
 * @returns {any} one result, or an array of them when the text had several statements
 */
function toResults({ earlier, result, decoders }, { text, rowMode }, format) {
  const last = toResult(result, decoders, rowMode, format);
  if (earlier === undefined) {
    if (last.command === 'COPY') noteCopy(text);
    return last;
  }
  const all = [...earlier.map((one) => toResult(one, decoders, rowMode, format)), last];
  if (all.some(({ command }) => command === 'COPY')) noteCopy(text);
  return all;
}

let hasWarned = false;

/** `pg` leaves out the data of a COPY TO STDOUT that comes as an ordinary query: here that is said once. @param {any} text */
function noteCopy(text) {
  if (hasWarned || !/\bto\s+stdout\b/i.test(text)) return;
  hasWarned = true;
  const advice =
    'the data of a COPY TO STDOUT was left out, as in pg: client.copyTo(text) gives it';
  process.emitWarning(advice, { code: 'PG_BERTH_COPY_DATA' });
}

/** @param {readonly ShapeField[]} fields @param {string} format @returns {Field[]} */
function toFields(fields, format) {
  // By number: taken apart like a list each would cost three times as much until V8 has optimised this.
  return fields.map((field) => ({
    name: field[0],
    tableID: field[1],
    columnID: field[2],
    dataTypeID: field[3],
    dataTypeSize: field[4],
    dataTypeModifier: field[5],
    format,
  }));
}

module.exports = { Result, noteCopy, toFields, toResult, toResults };
