// Rows without code generation: a loop over readers. Used for a shape's first rows, for very wide rows, and where
// generating code is forbidden; gives the same values as generate.js.
'use strict';

const { put } = require('./code-generation.js');
const kinds = require('./kinds.js');
const { Cursor } = require('./cursor.js');
const { readerOf, skipperOf } = require('./readers.js');

/** @import { Column, Decode } from '../../types/rows.js' */

/** @typedef {(cursor: InstanceType<typeof Cursor>, row: number, isNull: boolean) => unknown} Cell */

/**
 * @param {readonly Column[]} columns
 * @param {'object' | 'array'} rowMode
 * @returns {Decode}
 */
function plainDecoder(columns, rowMode) {
  const cells = cellsOf(columns);
  const asArray = rowMode === 'array';
  return function decode(view, offset, rows, out, index) {
    const cursor = new Cursor(view, offset, rows);
    const hasNulls = cursor.hasNulls;
    let bit = 0;
    let at = index;
    for (let row = 0; row < rows; row += 1) {
      /** @type {unknown[]} */
      const list = [];
      /** @type {Record<string, unknown>} */
      const object = {};
      for (const [column, cell] of cells.entries()) {
        const value = cell(cursor, row, hasNulls && cursor.isNull(bit));
        bit += 1;
        if (asArray) list.push(value);
        else put(object, /** @type {Column} */ (columns[column]).name, value);
      }
      out[at] = asArray ? list : object;
      at += 1;
    }
    return at;
  };
}

/** @param {readonly Column[]} columns */
function cellsOf(columns) {
  let jsonColumns = 0;
  return columns.map(({ kind, parser }) => {
    if (kind === kinds.JSON) {
      const column = jsonColumns;
      jsonColumns += 1;
      return /** @type {Cell} */ ((cursor, row) => cursor.json[column]?.[row]);
    }
    const read = readerOf(kind);
    if (kind === kinds.VOID) return /** @type {Cell} */ (read);
    const skip = skipperOf(kind);
    const convert = parser ?? ((/** @type {any} */ value) => value);
    return /** @type {Cell} */ (
      (cursor, _row, isNull) => {
        if (!isNull) return convert(/** @type {any} */ (read(cursor)));
        skip(cursor);
        return null;
      }
    );
  });
}

module.exports = { plainDecoder };
