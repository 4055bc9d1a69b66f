// Where a block comment of SQL ends: there may be others in it.
'use strict';

const EDGES = /\/\*|\*\//g;

/**
 * @param {string} sql @param {number} at the place of `/*`
 * @returns {number} behind the comment, or the end of a text that does not end it
 */
function behindComment(sql, at) {
  let depth = 1;
  EDGES.lastIndex = at + 2;
  for (let edge = EDGES.exec(sql); edge !== null; edge = EDGES.exec(sql)) {
    depth += edge[0] === '/*' ? 1 : -1;
    if (depth === 0) return EDGES.lastIndex;
  }
  return sql.length;
}

module.exports = { behindComment };
