// Names in SQL text: the one function that quotes them (rule Q02).
'use strict';

const { wrongArgument } = require('./error-classes.js');

/**
 * A name as PostgreSQL reads it back unchanged: any characters but U+0000, which no name can hold.
 * @param {string} name
 */
function quoteIdentifier(name) {
  if (name.includes('\0')) throw wrongArgument('a name cannot contain U+0000');
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * A table, as one name or as schema and name.
 * @param {string | readonly string[]} name
 */
function quotePath(name) {
  const parts = typeof name === 'string' ? [name] : name;
  const isPath = Array.isArray(parts) && parts.length > 0;
  if (!isPath || !parts.every((part) => typeof part === 'string' && part !== '')) {
    throw wrongArgument('a table must be a name, or an array of names');
  }
  return parts.map(quoteIdentifier).join('.');
}

module.exports = { quoteIdentifier, quotePath };
