// `types` and `TypeOverrides` of `pg`: parsers that can be replaced at run time.
'use strict';

const { BINARY_PARSERS } = require('./binary-parsers.js');
const { BUILTINS } = require('./builtins.js');
const { TEXT_PARSERS, arrayParser, identity } = require('./pg-types.js');

/** @typedef {'text' | 'binary'} Format */
/** A parser of text gets a string, one of bytes a Buffer. @typedef {(value: any) => any} AnyParser */
/** @typedef {{ getTypeParser(oid: number, format?: Format): AnyParser }} ParserSource */

/** Parsers of its own over those of another source, in the end over the built-in ones. */
class TypeParsers {
  #text = /** @type {Map<number, AnyParser>} */ (new Map());
  #binary = /** @type {Map<number, AnyParser>} */ (new Map());
  #base;
  #state = { base: /** @type {object | undefined} */ (undefined) };

  /** Was it made by the constructor? @param {object} parsers */
  static isReal(parsers) {
    return #text in parsers;
  }

  /** @param {ParserSource} [base] what answers for types that are not set here */
  constructor(base) {
    this.#base = base;
  }

  /**
   * @param {number} oid
   * @param {Format | AnyParser} format may be left out: text
   * @param {AnyParser} [parser]
   */
  setTypeParser(oid, format, parser) {
    const isShort = typeof format === 'function';
    const parsers = !isShort && format === 'binary' ? this.#binary : this.#text;
    const replacement = isShort ? format : parser;
    if (typeof replacement !== 'function') {
      throw new TypeError(
        `the parser of type ${oid} must be a function, got ${typeof replacement}`,
      );
    }
    parsers.set(Number(oid), replacement);
    this.#state = { base: undefined };
  }

  /** @param {number} oid @param {Format} [format] @returns {AnyParser} */
  getTypeParser(oid, format = 'text') {
    const own = (format === 'binary' ? this.#binary : this.#text).get(Number(oid));
    if (own !== undefined) return own;
    if (this.#base !== undefined) return this.#base.getTypeParser(oid, format);
    const parsers = format === 'binary' ? BINARY_PARSERS : TEXT_PARSERS;
    return parsers.get(Number(oid)) ?? identity;
  }

  /** Types that have a parser of bytes set here or below. @returns {number[]} */
  get binaryOids() {
    const below = this.#base instanceof TypeParsers ? this.#base.binaryOids : [];
    return [...this.#binary.keys(), ...below];
  }

  /** Does an object that is not of this class answer for some types? @returns {boolean} */
  get isForeign() {
    return (
      this.#base !== undefined && !(this.#base instanceof TypeParsers && !this.#base.isForeign)
    );
  }

  /** An object that is another one after every change here or below. @returns {object} */
  snapshot() {
    const base = this.#base instanceof TypeParsers ? this.#base.snapshot() : undefined;
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
  }
}

const types = new GlobalTypes();

module.exports = { TypeParsers, types };
