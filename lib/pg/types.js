// `types` and `TypeOverrides` of pg, and the decoders a client reads results with.
'use strict';

const { Decoders } = require('../decoders.js');
const { PRESETS, resolveBinary, resolveTypes } = require('../rows/types.js');
const { TypeParsers, types } = require('../rows/type-parsers.js');

/** @import { ResolvedTypes } from '../../types/rows.js' */

/** Parsers of one client, over those of the process or of an object like `types`. */
class TypeOverrides extends TypeParsers {
  /** @param {any} [base] */
  constructor(base) {
    super(base || types);
  }
}

/** Values are sent as `pg` sends them, however results are read. */
class PgEncodedDecoders extends Decoders {
  /** @override */
  encoding = /** @type {const} */ ('pg');
}

/** Decoders by what they read with; shared by all clients. @type {WeakMap<ResolvedTypes, Partial<Record<string, InstanceType<typeof Decoders>>>>} */
const shared = new WeakMap();

/** @param {ResolvedTypes} resolved @param {'object' | 'array'} rowMode */
function decodersFor(resolved, rowMode) {
  if (resolved.volatile) return new PgEncodedDecoders(resolved, rowMode, undefined);
  let pair = shared.get(resolved);
  if (pair === undefined) {
    pair = {};
    shared.set(resolved, pair);
  }
  pair[rowMode] ??= new PgEncodedDecoders(resolved, rowMode, undefined);
  return /** @type {InstanceType<typeof Decoders>} */ (pair[rowMode]);
}

/** How one client reads results: its own parsers, else those of its option `types`, else those of the process. */
class Reading {
  /** The option of the client. @type {any} */
  #option;
  /** @type {InstanceType<typeof TypeOverrides> | undefined} */
  #own;
  /** The state of the global parsers that `#plain` was made for. @type {object | undefined} */
  #seen;
  /** @type {InstanceType<typeof Decoders> | undefined} */
  #plain;

  /** @param {any} option `getTypeParser`, a preset's name, or parsers by OID or type name */
  constructor(option) {
    this.#option = option || undefined;
  }

  /** The parsers of this client, to be asked or changed. */
  get overrides() {
    const option = this.#option;
    this.#own ??= new TypeOverrides(typeof option?.getTypeParser === 'function' ? option : types);
    return this.#own;
  }

  /** For what parses rows by itself; undefined where the parsers of the process do. */
  get parsers() {
    const isSource = typeof this.#option?.getTypeParser === 'function';
    return isSource || this.#own !== undefined ? this.overrides : undefined;
  }

  /**
   * @param {any} ofQuery option `types` of the query: in place of everything the client has
   * @param {'object' | 'array'} rowMode @param {boolean} [isBinary]
   */
  decodersOf(ofQuery, rowMode, isBinary = false) {
    if (isBinary) {
      const source = this.#bytesSource(ofQuery);
      if (source !== undefined) return decodersFor(resolveBinary(source), rowMode);
    }
    if (!ofQuery && this.#own === undefined && this.#option === undefined && rowMode === 'object') {
      const now = types.snapshot();
      if (this.#seen !== now || this.#plain === undefined) {
        this.#seen = now;
        this.#plain = decodersFor(resolveTypes(types, PRESETS.pg), rowMode);
      }
      return this.#plain;
    }
    return decodersFor(this.#resolve(ofQuery), rowMode);
  }

  /** Who answers for parsers of bytes; undefined for presets and maps, which have none. @param {any} ofQuery */
  #bytesSource(ofQuery) {
    const source = ofQuery || this.#own || this.#option || types;
    return typeof source.getTypeParser === 'function' ? source : undefined;
  }

  /** @param {any} ofQuery @returns {ResolvedTypes} */
  #resolve(ofQuery) {
    if (typeof ofQuery?.getTypeParser === 'function') return resolveTypes(ofQuery, PRESETS.pg);
    const option = this.#option;
    const isMap = option !== undefined && typeof option.getTypeParser !== 'function';
    const global = resolveTypes(types, PRESETS.pg);
    let resolved = isMap ? resolveTypes(option, global) : global;
    if (this.#own !== undefined) resolved = resolveTypes(this.#own, resolved);
    else if (!isMap && option !== undefined) resolved = resolveTypes(option, PRESETS.pg);
    return ofQuery ? resolveTypes(ofQuery, resolved) : resolved;
  }
}

module.exports = { Reading, TypeOverrides, types };
