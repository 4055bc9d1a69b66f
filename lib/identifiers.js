// Names in SQL text: the one function that quotes them (rule Q02).
'use strict';

/**
 * A name as PostgreSQL reads it back unchanged: any characters but U+0000, which no name can hold.
 * @param {string} name
 */
function quoteIdentifier(name) {
  if (name.includes('\0')) throw new TypeError('a name cannot contain U+0000');
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * A table, as one name or as schema and name.
 * @param {string | readonly string[]} name
 */
function quotePath(name) {
  return typeof name === 'string' ? quoteIdentifier(name) : name.map(quoteIdentifier).join('.');
}

module.exports = { quoteIdentifier, quotePath };
