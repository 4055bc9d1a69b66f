// The decoders of one way to read results: a profile for the engine, and a compiled decoder per shape.
'use strict';

const { loadAhead } = require('./environment.js');
const native = require('./native.js');
const { lazy } = require('./lazy.js');

const decoding = lazy(() => require('./rows/decoder.js'));
const userOids = lazy(() => require('./rows/user-oids.js'));

// In this turn the first statement is sent: while its connection is opened there is time for it.
loadAhead(decoding);

/** @import { Decode, ResolvedTypes, Shape, TypeInfo } from '../types/rows.js' */
/** @typedef {InstanceType<typeof import('./type-catalog.js').TypeCatalog>} TypeCatalog */
/** @typedef {import('./type-catalog.js').Within} Within */

/** Compiled decoders kept, and the columns of all of them; the least recently made ones go first (rule J04). */
const MAX_DECODERS = 1000;
const MAX_COLUMNS = 100_000;

/** `epoch`: of the catalog, undefined when nothing can change what the shape's types mean. @typedef {{ decode: Decode, fields: Shape['fields'], epoch: number | undefined, freshUntil: number }} Compiled */

class Decoders {
  /** @type {Map<number, Compiled>} */
  #compiled = new Map();
  #columns = 0;
  /** Shapes whose types are being looked up; the engine may have let go of them when they are known. @type {Map<number, Shape>} */
  #waiting = new Map();
  #types;
  #rowMode;
  #catalog;

  /**
   * @param {ResolvedTypes} types
   * @param {'object' | 'array'} rowMode
   * @param {TypeCatalog | undefined} catalog what users' types mean; without it they stay text
   */
  constructor(types, rowMode, catalog) {
    this.#types = types;
    this.#rowMode = rowMode;
    this.#catalog = types.preset === 'lossless' ? catalog : undefined;
    /** Number of the engine's profile. */
    this.profile = native.profile(types.preset, bytesOf(types.custom), bytesOf(types.raw));
    this.encoding = types.preset;
    const { jsonParams } = types;
    /** How JSON is sent, where it is not as the encoding has it: the lossless one has numbers for BigInts. */
    this.jsonParams = types.preset === 'pg' || jsonParams?.values ? jsonParams : undefined;
  }

  /**
   * @param {number} shape
   * @returns {Decode | undefined} undefined until the shape's types are looked up
   */
  get(shape) {
    const compiled = this.#compiled.get(shape);
    if (compiled === undefined) return this.#compile(shape)?.decode;
    const { epoch } = compiled;
    if (epoch === undefined || epoch === this.#catalog?.epochAt(compiled.freshUntil))
      return compiled.decode;
    return this.#compile(shape)?.decode;
  }

  /**
   * A value did not fit what is known about its type: it is looked up again.
   * @param {number} shape
   * @returns {Decode | undefined}
   */
  again(shape) {
    this.#catalog?.forget();
    return this.get(shape);
  }

  /** A statement was carried out: it may have changed what types mean. @param {string} command */
  carriedOut(command) {
    this.#catalog?.forgetAfter(command);
  }

  /** Columns of a shape that a result has just named. @param {number} shape */
  fields(shape) {
    const compiled = this.#compiled.get(shape);
    if (compiled !== undefined) return compiled.fields;
    return shapeOf(shape).fields;
  }

  /** @param {number} number */
  #compile(number) {
    const shape = this.#waiting.get(number) ?? shapeOf(number);
    const catalog = this.#catalog;
    if (catalog !== undefined && !catalog.knows(userOids().needsLookup(shape))) {
      this.#waiting.set(number, shape);
      return undefined;
    }
    this.#waiting.delete(number);
    const freshUntil =
      catalog?.freshUntil(userOids().needsLookup(shape)) ?? Number.POSITIVE_INFINITY;
    const compiled = {
      decode: decoding().compile(shape, {
        rowMode: this.#rowMode,
        jsonParser: this.#types.jsonParser,
        parserFor: this.#types.parserFor,
        typeInfo: catalog?.typeInfo,
      }),
      fields: shape.fields,
      epoch: freshUntil === Number.POSITIVE_INFINITY ? undefined : catalog?.epochAt(freshUntil),
      freshUntil,
    };
    this.#keep(number, compiled);
    return compiled;
  }

  /** @param {number} number @param {Compiled} compiled */
  #keep(number, compiled) {
    this.#drop(number);
    this.#compiled.set(number, compiled);
    this.#columns += compiled.fields.length;
    for (const oldest of this.#compiled.keys()) {
      const isFull = this.#compiled.size > MAX_DECODERS || this.#columns > MAX_COLUMNS;
      if (!isFull || oldest === number) break;
      this.#drop(oldest);
    }
  }

  /** @param {number} number */
  #drop(number) {
    this.#columns -= this.#compiled.get(number)?.fields.length ?? 0;
    this.#compiled.delete(number);
  }

  /**
   * The types that decoders of these shapes are waiting for. Those of others may be made in a transaction that is not
   * committed: whoever asks outside of it would find that they do not exist.
   * @param {Iterable<number>} shapes
   */
  unknown(shapes) {
    const waiting = [...shapes].flatMap((number) => this.#waiting.get(number) ?? []);
    return [...new Set(waiting.flatMap(userOids().needsLookup))];
  }

  /** Looks up what those types mean. @param {Iterable<number>} shapes @param {Within} within */
  async lookUp(shapes, within) {
    await this.#catalog?.lookUp(this.unknown(shapes), within);
  }
}

/** @param {readonly number[]} oids */
function bytesOf(oids) {
  return Buffer.from(new Uint32Array(oids).buffer);
}

/** @param {number} number @returns {Shape} */
function shapeOf(number) {
  return JSON.parse(native.shape(number));
}

module.exports = { Decoders };
