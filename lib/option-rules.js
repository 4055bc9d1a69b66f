// Checks options objects against tables of what each option accepts.
'use strict';

const { lazy } = require('./lazy.js');

const errors = lazy(() => require('./error-classes.js'));

/**
 * One option: which values are right, how the message goes on after `must be`, which words may be quoted back, the largest
 * number if `says` does not name it, which right words this version has to refuse, whether values are never shown, whether null
 * counts as not given, and how an object is copied, so that it is read once and later changes of the caller's are not seen.
 * @typedef {{
 *   accepts: (value: any) => boolean,
 *   says: string,
 *   words?: readonly string[],
 *   most?: number,
 *   refused?: readonly string[],
 *   secret?: boolean,
 *   nullable?: boolean,
 *   copy?: (value: object, name: string) => any,
 * }} Rule
 */
/** @typedef {Readonly<Record<string, Rule>>} Table */

/** The longest timer of Node, and well inside the engine's 32 bits: about 24.8 days. */
const MAX_MS = 2 ** 31 - 1;

/** How a message about something the interface knows and this version does not do goes on. */
const LATER = 'is not available in this version';

/**
 * Reads an options object: each option once, no option that the table does not have, nothing written to it. Options that
 * are `undefined` count as not given. Accessors of a class count too; a getter that throws is the caller's error.
 *
 * @param {Table} table
 * @param {unknown} options
 * @param {readonly string[]} [refused] options that are known and not available in this version
 * @param {string} [prefix] of names in messages, for options inside options
 * @returns {Record<string, any>} a new object without prototype, holding what was given
 * @throws {TypeError} naming the option; never holds a value that could be a secret
 */
function readOptions(table, options, refused = [], prefix = '') {
  /** @type {Record<string, any>} */
  const read = Object.create(null);
  if (options === undefined || options === null) return read;
  if (typeof options !== 'object' || Array.isArray(options)) {
    throw errors().argumentError(
      new TypeError(`options must be an object, got ${describe(options)}`),
      {
        code: 'ERR_CONFIG',
      },
    );
  }
  for (const name of namesOf(options, table)) {
    if (refused.includes(name)) throw wrong(prefix + name, LATER);
    const rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (rule === undefined) throw unknownOption(prefix, name, table);
    const given = /** @type {any} */ (options)[name];
    if (given === undefined || (given === null && rule.nullable)) continue;
    const value =
      rule.copy && typeof given === 'object' && given !== null
        ? rule.copy(given, prefix + name)
        : given;
    if (rule.refused?.includes(value))
      throw wrong(prefix + name, `${JSON.stringify(value)} ${LATER}`);
    if (!rule.accepts(value)) {
      const isOver = Number.isInteger(value) && value > (rule.most ?? value);
      const limit = isOver ? ` up to ${rule.most}` : '';
      throw wrong(prefix + name, `must be ${rule.says}${limit}, got ${describe(value, rule)}`);
    }
    read[name] = value;
  }
  return read;
}

/**
 * Own names, and those of the table that a class between the object and `Object.prototype` defines. What somebody put on
 * `Object.prototype` is nobody's option.
 * @param {object} options @param {Table} table
 */
function namesOf(options, table) {
  const names = new Set(Object.getOwnPropertyNames(options));
  let proto = Object.getPrototypeOf(options);
  while (proto !== null && Object.getPrototypeOf(proto) !== null) {
    for (const name of Object.getOwnPropertyNames(proto))
      if (Object.hasOwn(table, name)) names.add(name);
    proto = Object.getPrototypeOf(proto);
  }
  return names;
}

/**
 * The error for an option, to be thrown.
 * @param {string} option @param {string} problem goes on after the name; must not contain a secret
 */
function wrong(option, problem) {
  return errors().argumentError(new TypeError(`option "${option}" ${problem}`), {
    code: 'ERR_CONFIG',
    option,
  });
}

/** @param {string} prefix @param {string} name @param {Table} table */
function unknownOption(prefix, name, table) {
  const option = prefix + name.slice(0, 64);
  const near = nearest(Object.keys(table), name);
  const hint = near ? `; did you mean "${prefix}${near}"?` : '';
  return errors().argumentError(new TypeError(`unknown option ${JSON.stringify(option)}${hint}`), {
    code: 'ERR_CONFIG',
    option,
  });
}

/**
 * Numbers are shown unless secret; a text only where one of a few words was expected, because it may be a secret in the wrong place.
 * @param {unknown} value @param {Rule} [rule]
 */
function describe(value, rule) {
  if (value === null) return 'null';
  if (typeof value === 'string')
    return rule?.words && value.length <= 32 ? JSON.stringify(value) : 'a string';
  if ((typeof value === 'number' || typeof value === 'boolean') && !rule?.secret)
    return String(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * The name that was probably meant: the same but for case, underscores, or two typing errors.
 * @param {readonly string[]} names @param {string} given
 */
function nearest(names, given) {
  const wanted = fold(given.slice(0, 64));
  let best;
  let least = wanted.length > 3 ? 3 : 1;
  for (const name of names) {
    const steps = distance(fold(name), wanted);
    if (steps < least) [best, least] = [name, steps];
  }
  return best;
}

/** @param {string} name */
function fold(name) {
  return name
    .replaceAll('_', '')
    .toLowerCase()
    .replace(/millis$/, 'ms');
}

/**
 * Levenshtein's distance.
 * @param {string} a @param {string} b
 */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** @param {unknown} value */
const isText = (value) => typeof value === 'string' && value !== '' && !value.includes('\0');

/** @param {unknown} value @returns {value is object} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @type {Rule} */
const text = { accepts: isText, says: 'a non-empty string without U+0000' };
/** @type {Rule} */
const flag = { accepts: (value) => typeof value === 'boolean', says: 'true or false' };
/** @type {Rule} */
const callback = { accepts: (value) => typeof value === 'function', says: 'a function' };
/** @type {Rule} */
const signal = {
  // Not instanceof: signals of other realms work as well. Old polyfills lack the last two, or a reason, without which none works.
  accepts: (value) =>
    isObject(value) &&
    ['aborted', 'reason', 'addEventListener', 'removeEventListener', 'throwIfAborted'].every(
      (name) => name in value,
    ),
  says: 'an AbortSignal',
};

/** @param {number} least @param {number} most @param {string} says @returns {Rule} */
function integer(least, most, says) {
  const accepts = (/** @type {any} */ value) =>
    Number.isInteger(value) && value >= least && value <= most;
  // A text that names it says it itself.
  return says.includes(String(most)) ? { accepts, says } : { accepts, says, most };
}

const positive = integer(1, MAX_MS, 'a positive integer');
const count = integer(0, MAX_MS, 'an integer not below 0');
const ms = integer(1, MAX_MS, `a positive integer (milliseconds, at most ${MAX_MS})`);
const msOrNever = integer(
  0,
  MAX_MS,
  `an integer not below 0 (milliseconds, at most ${MAX_MS}; 0 = never)`,
);
const port = integer(1, 65_535, 'an integer from 1 to 65535');

/** @param {...string} words @returns {Rule} */
function oneOf(...words) {
  const says =
    words.length === 1 ? `"${words[0]}"` : `one of ${words.map((word) => `"${word}"`).join(', ')}`;
  return { accepts: (value) => words.includes(value), says, words };
}

/** The table of an interface whose options are also absent when they are null. @param {Table} table @returns {Table} */
function nullable(table) {
  const named = Object.entries(table).map(([name, rule]) => [
    name,
    rule.accepts(null) ? rule : { ...rule, nullable: true },
  ]);
  return Object.freeze(Object.fromEntries(named));
}

/** An object with a table of its own. @param {() => Table} table loaded when it is needed @returns {Rule} */
function group(table) {
  return {
    accepts: isObject,
    says: 'an object',
    copy: (value, name) =>
      isObject(value) ? { ...readOptions(table(), value, [], `${name}.`) } : value,
  };
}

module.exports = {
  LATER,
  MAX_MS,
  callback,
  count,
  flag,
  group,
  integer,
  isObject,
  isText,
  ms,
  msOrNever,
  nullable,
  oneOf,
  port,
  positive,
  readOptions,
  signal,
  text,
  wrong,
};
