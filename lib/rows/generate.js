// Source text of a decoder for one shape. Nothing of the server's reaches it but the kinds of columns (rule J01): names,
// parsers and helpers are passed as data.
'use strict';

const kinds = require('./kinds.js');
const { Cursor, WIDE } = require('./cursor.js');
const { dateOf, localDateOf } = require('./dates.js');
const { readerOf } = require('./readers.js');

/** @import { Column, Decode } from '../../types/rows.js' */

/** What the generated code calls by name. */
const HELPERS = { Cursor, dateOf, localDateOf };

/** Kinds that are read by generated code; the others by the cursor. */
const INLINE = new Set([
  kinds.I32,
  kinds.U32,
  kinds.F64,
  kinds.BOOL,
  kinds.STR,
  kinds.BIGINT,
  kinds.DATE,
  kinds.LOCAL_DATE,
  kinds.JSON,
  kinds.VOID,
  kinds.CUSTOM,
]);

/**
 * @param {readonly Column[]} columns
 * @param {'object' | 'array'} rowMode
 * @param {boolean} nullable do the frames have NULLs?
 * @returns {Decode}
 */
function generateDecoder(columns, rowMode, nullable) {
  const names = columns.map((column) => column.name);
  const readers = columns.map(({ kind }) => (INLINE.has(kind) ? undefined : readerOf(kind)));
  const parsers = columns.map((column) => column.parser);
  const make = new Function(
    'names',
    'readers',
    'parsers',
    'helpers',
    source(columns, rowMode, nullable),
  );
  return make(names, readers, parsers, HELPERS);
}

/** @param {readonly Column[]} columns @param {'object' | 'array'} rowMode @param {boolean} nullable */
function source(columns, rowMode, nullable) {
  let jsonColumns = 0;
  const values = columns.map(({ kind, parser }, column) => {
    const json = kind === kinds.JSON ? jsonColumns++ : -1;
    return cell(column, kind, parser !== undefined, nullable, json);
  });
  const constants = columns.map(
    (_, i) => `const n${i} = names[${i}], r${i} = readers[${i}], p${i} = parsers[${i}];`,
  );
  const json = Array.from({ length: jsonColumns }, (_, i) => `const j${i} = cursor.json[${i}];`);
  const row =
    rowMode === 'array'
      ? `[${columns.map((_, i) => `v${i}`).join(', ')}]`
      : `{ ${columns.map((_, i) => `[n${i}]: v${i}`).join(', ')} }`;
  return `'use strict';
const { Cursor, dateOf, localDateOf } = helpers;
${constants.join('\n')}
return function decode(view, offset, rows, out, index) {
  const cursor = new Cursor(view, offset, rows);
  const I = cursor.i32, F = cursor.f64, B = cursor.i64;
  let four = cursor.four, eight = cursor.eight, text = '', at = 0, length = 0, bit = 0, k = index;
  ${json.join('\n  ')}
  for (let row = 0; row < rows; row++) {
    ${values.join('\n    ')}
    out[k++] = ${row};${nullable ? `\n    bit += ${columns.length};` : ''}
  }
  return k;
};`;
}

/**
 * The statements that put the value of one column into `v<column>`.
 * @param {number} column @param {number} kind @param {boolean} parsed @param {boolean} nullable @param {number} json
 */
function cell(column, kind, parsed, nullable, json) {
  const v = `v${column}`;
  const isNull = nullable ? `cursor.isNull(bit + ${column})` : '';
  /** @param {string} slot @param {string} value */
  const slotted = (slot, value) =>
    nullable
      ? `const s${column} = ${slot}, ${v} = ${isNull} ? null : ${value};`
      : `const s${column} = ${slot}, ${v} = ${value};`;
  const s = `s${column}`;
  switch (kind) {
    case kinds.I32:
      return slotted('I[four++]', s);
    case kinds.U32:
      return slotted('I[four++]', `${s} >>> 0`);
    case kinds.BOOL:
      return slotted('I[four++]', `${s} !== 0`);
    case kinds.F64:
      return slotted('F[eight++]', s);
    case kinds.BIGINT:
      return slotted('B[eight++]', s);
    case kinds.DATE:
      return slotted('F[eight++]', `dateOf(${s})`);
    case kinds.LOCAL_DATE:
      return slotted('F[eight++]', `localDateOf(${s})`);
    case kinds.JSON:
      return `const ${v} = j${json}[row];`;
    case kinds.VOID:
      return `const ${v} = null;`;
    case kinds.STR:
    case kinds.CUSTOM:
      return text(column, isNull, parsed);
    default:
      return shared(column, isNull, parsed);
  }
}

/**
 * Text is cut from the window where it fits; the rest is left to the cursor, which then has another window.
 * @param {number} column @param {string} isNull @param {boolean} parsed
 */
function text(column, isNull, parsed) {
  const v = `v${column}`;
  const cut = `length = I[four++];
    if (length <= text.length - at) ${v} = text.substring(at, at += length);
    else {
      cursor.latinAt = at;
      ${v} = cursor.miss(length);
      if (length < ${WIDE}) { text = cursor.latin; at = cursor.latinAt; }
    }`;
  const nulled = isNull ? `\n    if (${isNull}) ${v} = null;` : '';
  const convert = parsed ? `\n    ${isNull ? 'else ' : ''}${v} = p${column}(${v});` : '';
  return `let ${v}; ${cut}${nulled}${convert}`;
}

/**
 * Kinds that only the cursor can read: the places are handed over and taken back. A NULL has an empty 4-byte slot.
 * @param {number} column @param {string} isNull @param {boolean} parsed
 */
function shared(column, isNull, parsed) {
  const skip = isNull && `if (${isNull}) four++;\n    else `;
  const value = parsed ? `p${column}(r${column}(cursor))` : `r${column}(cursor)`;
  return `let v${column} = null;
    ${skip}{
      cursor.four = four; cursor.eight = eight; cursor.latinAt = at;
      v${column} = ${value};
      four = cursor.four; eight = cursor.eight; text = cursor.latin; at = cursor.latinAt;
    }`;
}

module.exports = { generateDecoder };
