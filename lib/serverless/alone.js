// Which statements of a ServerlessClient are applied exactly once, in a transaction of their own.
'use strict';

const { wrong } = require('../option-rules.js');
const { effectsOf } = require('../sql-effects.js');

/** @import { Query } from './query.js' */

/**
 * Is a statement to be applied exactly once, and for itself?
 * @param {Query} asked @param {string} text
 * @param {{ byDefault: boolean, byLibrary: boolean }} client what it does with statements that do not say, and who carries them
 * @param {() => boolean} isWithin a transaction of the caller's
 * @throws {TypeError} where it was asked for and cannot be
 */
function standsAlone({ isExactlyOnce }, text, { byDefault, byLibrary }, isWithin) {
  if (!(isExactlyOnce ?? byDefault)) return false;
  const isPart = effectsOf(text).some((effect) => effect !== 'other');
  if (byLibrary) throw wrong('exactlyOnce', 'is done by the engine, not through "library"');
  if (!isPart && !isWithin()) return true;
  if (isExactlyOnce === undefined) return false;
  throw wrong('exactlyOnce', 'of a query is for statements outside a transaction');
}

module.exports = { standsAlone };
