// Turns `$1` texts into calls of a template tag, the documented way of postgres and of Bun's SQL.
'use strict';

/** One strings array per text, as a literal in source code has: both libraries cache by it. */
const templates = new Map();

function template(text) {
  let strings = templates.get(text);
  if (!strings) {
    const parts = text.split(/\$\d+/);
    // not enumerable, as in a real template object: Bun checks it
    strings = Object.freeze(
      Object.defineProperty(parts, 'raw', { value: Object.freeze([...parts]) }),
    );
    templates.set(text, strings);
  }
  return strings;
}

/** @returns {(statement: {text: string}, values?: unknown[]) => Promise<any[]>} */
function tagged(sql) {
  return (statement, values = []) => sql(template(statement.text), ...values);
}

module.exports = { tagged };
