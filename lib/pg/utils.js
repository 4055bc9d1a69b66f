// `utils` of pg: one value as a parameter, and text made safe to stand in SQL.
'use strict';

const { prepareValue: prepare } = require('../rows/pg-value.js');
const { defaults } = require('./defaults.js');

/**
 * What is sent for a value. Further arguments are ignored, so it can be given to `map`.
 * @param {unknown} value
 */
function prepareValue(value) {
  return prepare(value, defaults.parseInputDatesAsUTC);
}

/** @param {string} text */
function escapeIdentifier(text) {
  return `"${text.replace(/"/g, '""')}"`;
}

/** @param {unknown} text anything but a string becomes an empty literal, as in pg */
function escapeLiteral(text) {
  if (typeof text !== 'string') return "''";
  const escaped = `'${text.replace(/['\\]/g, '$&$&')}'`;
  return text.includes('\\') ? ` E${escaped}` : escaped;
}

module.exports = { escapeIdentifier, escapeLiteral, prepareValue };
