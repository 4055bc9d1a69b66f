// The transaction that a stream or a batch has of its own: what its statements bring along, and how it ends.
'use strict';

const { FLAG } = require('./mailbox.js');
const queryable = require('./queryable.js');
const { limitsOfEnd } = require('./transaction-limits.js');

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */

/** Flags of its statements: with what becomes of a COMMIT without an answer. @param {Reading} reading */
function insideOf({ resolves }) {
  return FLAG.TRANSACTION | (resolves ? FLAG.PROBE : 0);
}

/**
 * @param {Target} session @param {Reading} reading @param {'COMMIT' | 'ROLLBACK'} word
 * @param {StatementOptions} options of its statements @param {number} [more] flags of its end
 * @returns {Promise<unknown>}
 */
function endOwn(session, reading, word, options, more = FLAG.FINISH) {
  const inside = insideOf(reading);
  const commit = word === 'COMMIT' ? FLAG.COMMIT : 0;
  const limits = limitsOfEnd(word, options);
  /** @type {import('./commit-markers.js').Ask} */
  const ask = (text, params, flags = inside) =>
    queryable.run(session, text, params, limits, reading, { flags });
  const end = () => ask(word, undefined, inside | more | commit);
  // Where an id says what became of it, no marker is needed.
  const markers = commit && !reading.resolves ? reading.markers : undefined;
  if (markers === undefined) return end();
  return markers.commit(ask, end, { ...limits, signal: options.signal });
}

module.exports = { endOwn, insideOf };
