// Which parser reads which type: the option `types` in all its forms, resolved for one query.
'use strict';

const { lazy } = require('../lazy.js');

const typeParsers = lazy(() => require('./type-parsers.js'));

/** @import { ResolvedTypes, TextParser, TypesOption } from '../../types/rows.js' */

/** @typedef {'pg' | 'lossless'} Preset */

/** Maps of parsers are options of pools and clients: they do not change, and their resolution is kept. */
const resolved = /** @type {WeakMap<object, Map<ResolvedTypes, ResolvedTypes>>} */ (new WeakMap());

/** @type {Readonly<Record<Preset, ResolvedTypes>>} */
const PRESETS = Object.freeze({ pg: preset('pg'), lossless: preset('lossless') });

/** @param {Preset} name @returns {ResolvedTypes} */
function preset(name) {
  return Object.freeze({
    preset: name,
    custom: [],
    raw: [],
    parserFor: () => undefined,
    volatile: false,
  });
}

/**
 * Lays the option of a query over what its pool has, or that of a pool over the preset of its face.
 *
 * @param {TypesOption | undefined} option a preset's name replaces everything; parsers by OID or type name, or an object
 *   with `getTypeParser`, come before those of `base`
 * @param {ResolvedTypes} base
 * @returns {ResolvedTypes} the same object for the same arguments, unless it is volatile
 */
function resolveTypes(option, base) {
  if (option === undefined || option === null) return base;
  if (typeof option === 'string') {
    if (option !== 'pg' && option !== 'lossless') throw new TypeError(unknownPreset(option));
    return PRESETS[option];
  }
  if (typeof option !== 'object') throw new TypeError(unknownPreset(typeof option));
  const { TypeParsers } = typeParsers();
  // One behind a Proxy is somebody else's.
  if (TypeParsers.isReal(option)) return fromParsers(option, base);
  if (typeof option.getTypeParser === 'function') {
    return fromForeign(/** @type {{ getTypeParser: GetTypeParser }} */ (option), base);
  }
  return remember(option, base, () =>
    fromMap(/** @type {Readonly<Record<string, TextParser>>} */ (option), base),
  );
}

/** @typedef {(oid: number, format?: 'text' | 'binary') => TextParser} GetTypeParser */

/** @param {object} key @param {ResolvedTypes} base @param {() => ResolvedTypes} make */
function remember(key, base, make) {
  let byBase = resolved.get(key);
  if (byBase === undefined) {
    byBase = new Map();
    resolved.set(key, byBase);
  }
  let types = byBase.get(base);
  if (types === undefined) {
    types = make();
    // A base that is volatile or of an old version would be kept here for nothing.
    if (byBase.size > 8) byBase.clear();
    byBase.set(base, types);
  }
  return types;
}

/** @param {Readonly<Record<string, TextParser>>} map @param {ResolvedTypes} base @returns {ResolvedTypes} */
function fromMap(map, base) {
  const parsers = new Map(Object.entries(map).map(([key, parser]) => [typeOid(key), parser]));
  return Object.freeze({
    preset: base.preset,
    custom: sorted([...base.custom, ...parsers.keys()]),
    raw: base.raw,
    parserFor: (/** @type {number} */ oid) => parsers.get(oid) ?? base.parserFor(oid),
    volatile: base.volatile,
  });
}

/**
 * `types` of this package or a `TypeOverrides`: changes are counted, so the result holds until the next one.
 * @param {InstanceType<typeof import('./type-parsers.js').TypeParsers>} parsers @param {ResolvedTypes} base @returns {ResolvedTypes}
 */
function fromParsers(parsers, base) {
  if (parsers.isForeign) return fromForeign(parsers, base);
  return remember(parsers.snapshot(), base, () => fromLookup(parsers, base, false));
}

/**
 * An object of someone else, which may answer differently every time: it is asked anew for each result.
 * @param {{ getTypeParser: GetTypeParser }} foreign @param {ResolvedTypes} base
 */
function fromForeign(foreign, base) {
  return fromLookup(foreign, base, true);
}

/** @param {{ getTypeParser: GetTypeParser }} source @param {ResolvedTypes} base @param {boolean} volatile */
function fromLookup(source, base, volatile) {
  const { TEXT_PARSERS, identity } = require('./pg-types.js');
  /** @param {number} oid */
  const parserFor = (oid) => {
    const parser = source.getTypeParser(oid, 'text');
    return parser === (TEXT_PARSERS.get(oid) ?? identity) ? undefined : parser;
  };
  // Other types stay text under the preset, so a parser can be laid over them without the engine knowing.
  const custom = [...TEXT_PARSERS.keys()].filter((oid) => isOwn(parserFor, oid));
  const { preset, raw } = base;
  return Object.freeze({ preset, custom: sorted(custom), raw, parserFor, volatile });
}

/** What `binary: true` reads with as long as nobody has set a parser of bytes. */
const BINARY = preset('pg');

/**
 * For `binary: true` of pg: the user's parsers of bytes, and the preset's values where he has none. Those of text are not
 * asked.
 * @param {{ getTypeParser: GetTypeParser }} source
 * @returns {ResolvedTypes}
 */
function resolveBinary(source) {
  const { TypeParsers } = typeParsers();
  if (TypeParsers.isReal(source) && !source.isForeign) {
    return remember(source.snapshot(), BINARY, () => ofBytes(source, source.binaryOids, false));
  }
  // It may answer for any type; those that users have made come as text.
  const { TYPE_NAMES } = require('./builtins.js');
  return ofBytes(source, [...TYPE_NAMES.values()].flat(), true);
}

/** @param {{ getTypeParser: GetTypeParser }} source @param {number[]} oids @param {boolean} volatile */
function ofBytes(source, oids, volatile) {
  const { BINARY_PARSERS } = require('./binary-parsers.js');
  const { identity } = require('./pg-types.js');
  /** @param {number} oid */
  const parserOf = (oid) => {
    const parser = source.getTypeParser(oid, 'binary');
    return parser === (BINARY_PARSERS.get(oid) ?? identity) ? undefined : parser;
  };
  const raw = sorted(oids.filter((oid) => isOwn(parserOf, oid)));
  if (raw.length === 0) return BINARY;
  const wanted = new Set(raw);
  const parserFor = (/** @type {number} */ oid) => (wanted.has(oid) ? parserOf(oid) : undefined);
  return Object.freeze({ preset: 'pg', custom: [], raw, parserFor, volatile });
}

/**
 * Is there a parser of the user's? One that refuses types it does not know counts for results that have them.
 * @param {(oid: number) => unknown} parserOf @param {number} oid
 */
function isOwn(parserOf, oid) {
  try {
    return parserOf(oid) !== undefined;
  } catch {
    return true;
  }
}

/**
 * `20`, `'20'`, `'int8'`, `'INT8'`, `'int8[]'`
 * @param {string} key
 */
function typeOid(key) {
  if (/^[1-9]\d{0,9}$/.test(key) && Number(key) <= 0xffffffff) return Number(key);
  const isArray = key.endsWith('[]');
  const name = (isArray ? key.slice(0, -2) : key).toLowerCase();
  const { TYPE_NAMES } = require('./builtins.js');
  const oids = TYPE_NAMES.get(name);
  if (oids === undefined) {
    const { wrongArgument } = require('../error-classes.js');
    throw wrongArgument(
      `option "types": "${key}" is neither an OID nor the name of a built-in type`,
    );
  }
  return oids[isArray ? 1 : 0];
}

/** @param {readonly number[]} oids */
function sorted(oids) {
  return Object.freeze([...new Set(oids)].sort((a, b) => a - b));
}

/** @param {string} name or kind of what was given */
function unknownPreset(name) {
  return `option "types" must be "lossless", "pg", or an object of parsers, got "${name}"`;
}

module.exports = { PRESETS, resolveBinary, resolveTypes, typeOid };
