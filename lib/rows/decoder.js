// Compiles the decoder of a shape: row frames into rows.
'use strict';

const { lazy } = require('../lazy.js');
const { canGenerate, interned } = require('./code-generation.js');
const kinds = require('./kinds.js');
const { plainDecoder } = require('./plain.js');

const generator = lazy(() => require('./generate.js'));
const userOids = lazy(() => require('./user-oids.js'));
const userTypes = lazy(() => require('./user-types.js'));

/** @import { Column, CompileOptions, Decode, Shape } from '../../types/rows.js' */

/** Beyond so many columns a literal is slower than a loop (measured: 49 against 32 ns a cell at 1100 columns). */
const MAX_LITERAL = 500;

/** Generating costs as much as the first hundred rows take without it, and many shapes are seen once. */
const GENERATE_AFTER_ROWS = 64;

/**
 * The decoder reads one frame per call and appends its rows to a list. It throws what a user's parser throws, and when the
 * JSON of a column does not fit its rows; then only that frame's query has failed.
 *
 * @param {Shape} shape as `native.shape` describes it
 * @param {CompileOptions} [options]
 * @returns {Decode}
 */
function compile(shape, options = {}) {
  const { rowMode = 'object', generateAfterRows = GENERATE_AFTER_ROWS } = options;
  const columns = columnsOf(shape, options);
  const plain = plainDecoder(columns, rowMode);
  if (columns.length > MAX_LITERAL || !canGenerate()) return plain;
  let left = generateAfterRows;
  /** @type {Decode | undefined} */
  let dense;
  /** @type {Decode | undefined} */
  let nullable;
  /** @param {boolean} hasNulls */
  const generated = (hasNulls) => {
    const loaded = loadedGenerator();
    // The next rows do without as well.
    if (loaded === undefined) left = generateAfterRows;
    return loaded?.generateDecoder(columns, rowMode, hasNulls);
  };
  return function decode(view, offset, rows, out, index) {
    if (left > 0) {
      left -= rows;
      if (left > 0) return plain(view, offset, rows, out, index);
    }
    if (view.i32[offset / 4 + 2] === 0) {
      dense ??= generated(false);
      return (dense ?? plain)(view, offset, rows, out, index);
    }
    nullable ??= generated(true);
    return (nullable ?? plain)(view, offset, rows, out, index);
  };
}

/** `undefined` where a process that is out of file descriptors cannot load it; that may pass. */
function loadedGenerator() {
  try {
    return generator();
  } catch {
    return undefined;
  }
}

/** @param {Shape} shape @param {CompileOptions} options @returns {Column[]} */
function columnsOf(shape, options) {
  const { jsonParser, parserFor, typeInfo } = options;
  return shape.kinds.map((kind, i) => {
    const field = /** @type {Shape['fields'][number]} */ (shape.fields[i]);
    const name = interned(field[0]);
    const isParsed = kind === kinds.CUSTOM || kind === kinds.STR || kind === kinds.RAW;
    if (!isParsed) return { name, kind, parser: undefined };
    const oid = field[3];
    const parser =
      parserFor?.(oid) ??
      (kind === kinds.STR && typeInfo && oid >= userOids().FIRST_USER_OID
        ? userTypes().parserOfUserType(oid, typeInfo, jsonParser)
        : undefined);
    return { name, kind, parser };
  });
}

module.exports = { compile };
