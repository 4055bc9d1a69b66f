// `utils` of pg: one value as a parameter, and text made safe to stand in SQL.
'use strict';

const { wrongArgument } = require('../error-classes.js');
const { prepareValue: prepare } = require('../rows/pg-value.js');
const { defaults } = require('./defaults.js');

/**
 * What is sent for a value. Further arguments are ignored, so it can be given to `map`.
 * @param {unknown} value
 */
function prepareValue(value) {
  return prepare(value, defaults.parseInputDatesAsUTC);
}

/**
 * What `query` was called with as one config; that of the caller is copied.
 * @param {any} config @param {any} [values] @param {any} [callback]
 */
function normalizeQueryConfig(config, values, callback) {
  const copy = typeof config === 'string' ? { text: config } : copyOf(config);
  if (typeof values === 'function') copy.callback = values;
  else if (values) copy.values = values;
  if (callback) copy.callback = callback;
  return copy;
}

/** With its prototype and its getters. @param {any} config */
function copyOf(config) {
  if (config === null || config === undefined) return config;
  const properties = Object.getOwnPropertyDescriptors(config);
  return Object.create(Object.getPrototypeOf(config), properties);
}

/** @param {string} text */
function escapeIdentifier(text) {
  refuseUnsendable(text, 'a name');
  return `"${text.replace(/"/g, '""')}"`;
}

/** @param {unknown} text anything but a string becomes an empty literal, as in pg */
function escapeLiteral(text) {
  if (typeof text !== 'string') return "''";
  refuseUnsendable(text, 'a literal');
  const escaped = `'${text.replace(/['\\]/g, '$&$&')}'`;
  return text.includes('\\') ? ` E${escaped}` : escaped;
}

/** What no message can hold; in one it would be refused with the words for its SQL text. @param {string} text @param {string} what */
function refuseUnsendable(text, what) {
  if (text.includes('\0')) throw wrongArgument(`${what} cannot contain U+0000`);
  if (!text.isWellFormed()) throw wrongArgument(`${what} cannot contain a lone surrogate`);
}

module.exports = {
  escapeIdentifier,
  escapeLiteral,
  normalizeQueryConfig,
  prepareValue,
  refuseUnsendable,
};
