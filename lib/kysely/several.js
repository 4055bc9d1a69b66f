// Does a text hold more than one statement? Those can only travel by the simple protocol.
'use strict';

const { behindComment } = require('../sql-blocks.js');

/**
 * What a semicolon may stand in without ending a statement: comments, quoted names, strings, dollar quotes. A quote that is
 * doubled is taken for two behind one another, because a group that repeats has no room on the stack for megabytes.
 */
const OPAQUE = [
  /'[^']*'/y,
  /--[^\n\r]*/y,
  /"[^"]*"/y,
  /(?<![\w$\u0080-\uffff])\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?\$\1\$/y,
];

/** A backslash escapes only in what begins like this. */
const ESCAPING = /(?<![\w$\u0080-\uffff])[eE]'/y;
const ESCAPED = /[^'\\]*(?:\\[\s\S]|'')/y;
const ENDING = /[^'\\]*'/y;

/** @param {string} text @param {number} at behind the first quote of an E'…' @returns {number} behind its last one */
function behindEscaped(text, at) {
  let end = at;
  for (ESCAPED.lastIndex = at; ESCAPED.test(text); ) end = ESCAPED.lastIndex;
  ENDING.lastIndex = end;
  return ENDING.test(text) ? ENDING.lastIndex : text.length;
}

/** @param {string} text @param {number} at @returns {number} behind what begins there, or `at` */
function behindOpaque(text, at) {
  if (text.startsWith('/*', at)) return behindComment(text, at);
  ESCAPING.lastIndex = at;
  if (ESCAPING.test(text)) return behindEscaped(text, ESCAPING.lastIndex);
  for (const pattern of OPAQUE) {
    pattern.lastIndex = at;
    if (pattern.test(text)) return pattern.lastIndex;
  }
  return at;
}

/**
 * @param {string} text
 * @returns {boolean}
 */
function hasSeveral(text) {
  // What stands in front of the first semicolons may be nothing.
  let isBegun = false;
  let isEnded = false;
  // Most texts end here.
  if (!text.includes(';')) return false;
  for (let at = 0; at < text.length; ) {
    const character = text.charAt(at);
    const behind = behindOpaque(text, at);
    const isComment = behind > at && (character === '-' || character === '/');
    if (!isComment && !/[\s;]/.test(character)) {
      if (isEnded) return true;
      isBegun = true;
    }
    if (behind === at && character === ';') isEnded = isBegun;
    at = Math.max(behind, at + 1);
  }
  return false;
}

module.exports = { hasSeveral };
