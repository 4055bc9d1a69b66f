// `types` and `TypeOverrides` of `pg`: parsers that can be replaced at run time.
'use strict';

const { BINARY_PARSERS } = require('./binary-parsers.js');
const { BUILTINS } = require('./builtins.js');
const { TEXT_PARSERS, arrayParser, identity } = require('./pg-types.js');

/** @typedef {'text' | 'binary'} Format */
/** A parser of text gets a string, one of bytes a Buffer. @typedef {(value: any) => any} AnyParser */
/** @typedef {{ getTypeParser(oid: number, format?: Format): AnyParser }} ParserSource */

/** @typedef {Record<number, AnyParser>} Parsers */

/**
 * Parsers of its own over those of another source, in the end over the built-in ones. They are plain properties, as in
 * `pg`: programs copy such an object with its prototype (MikroORM does), and copies answer as it does.
 */
class TypeParsers {
  #state = { base: /** @type {object | undefined} */ (undefined) };

  /**
   * Was it made by the constructor? Then its changes are known.
   * @param {unknown} parsers @returns {parsers is TypeParsers}
   */
  static isReal(parsers) {
    return parsers instanceof TypeParsers && #state in parsers;
  }

  /** @param {ParserSource} [base] what answers for types that are not set here */
  constructor(base) {
    this._types = base;
    this.text = /** @type {Parsers} */ ({});
    this.binary = /** @type {Parsers} */ ({});
  }

  /**
   * @param {number} oid
   * @param {Format | AnyParser} format may be left out: text
   * @param {AnyParser} [parser]
   */
  setTypeParser(oid, format, parser) {
    const isShort = typeof format === 'function';
    const parsers = !isShort && format === 'binary' ? this.binary : this.text;
    const replacement = isShort ? format : parser;
    if (typeof replacement !== 'function') {
      throw new TypeError(
        `the parser of type ${oid} must be a function, got ${typeof replacement}`,
      );
    }
    parsers[oid] = replacement;
    if (#state in this) this.#state = { base: undefined };
  }

  /** @param {number} oid @param {Format} [format] @returns {AnyParser} */
  getTypeParser(oid, format = 'text') {
    const isBinary = format === 'binary';
    const own = (isBinary ? this.binary : this.text)[oid];
    if (own !== undefined) return own;
    if (this._types !== undefined) return this._types.getTypeParser(oid, format);
    return (isBinary ? BINARY_PARSERS : TEXT_PARSERS).get(Number(oid)) ?? identity;
  }

  /** Types that have a parser of bytes set here or below. @returns {number[]} */
  get binaryOids() {
    const below = TypeParsers.isReal(this._types) ? this._types.binaryOids : [];
    return [...Object.keys(this.binary).map(Number), ...below];
  }

  /** Does an object that is not of this class answer for some types? @returns {boolean} */
  get isForeign() {
    return (
      this._types !== undefined && !(TypeParsers.isReal(this._types) && !this._types.isForeign)
    );
  }

  /** An object that is another one after every change here or below. @returns {object} */
  snapshot() {
    const base = TypeParsers.isReal(this._types) ? this._types.snapshot() : undefined;
    if (this.#state.base !== base) this.#state = { base };
    return this.#state;
  }
}

/** `types` of pg: what holds for the whole process. */
class GlobalTypes extends TypeParsers {
  builtins = BUILTINS;
  arrayParser = arrayParser;

  constructor() {
    super();
    // Functions of a module in `pg`: programs take them off, hand them on and spread them (the adapter of Prisma does).
    const getTypeParser = this.getTypeParser.bind(this);
    const setTypeParser = this.setTypeParser.bind(this);
    Object.assign(this, { getTypeParser, setTypeParser });
    for (const name of ['_types', 'text', 'binary']) {
      Object.defineProperty(this, name, { enumerable: false });
    }
  }
}

const types = new GlobalTypes();

module.exports = { TypeParsers, types };
