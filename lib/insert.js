// The statement of `insert`: one row, which may be sent again without a second effect if the caller says by what it is known.
'use strict';

const { argumentError } = require('./errors.js');
const { quoteIdentifier, quotePath } = require('./identifiers.js');
const { INSERT_OPTIONS, readOptions } = require('./options.js');
const { wrong } = require('./option-rules.js');

/**
 * @param {string | readonly string[]} table @param {unknown} row @param {unknown} given
 * @returns {{ sql: string, params: unknown[], limits: { timeoutMs?: number, signal?: AbortSignal }, isIdempotent: boolean, lsn: boolean }}
 */
function insertStatement(table, row, given) {
  const path = quotePath(/** @type {any} */ (typeof table === 'string' ? [table] : table));
  const { idempotency, conflictTarget, lsn, ...limits } = readOptions(INSERT_OPTIONS, given);
  if (conflictTarget !== undefined && !idempotency) {
    throw wrong('conflictTarget', 'needs "idempotency"');
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    throw argumentError(new TypeError('row must be an object with columns as keys'), {
      code: 'ERR_CONFIG',
    });
  }
  const columns = Object.keys(row);
  const names = columns.map(quoteIdentifier).join(', ');
  const places = columns.map((_, index) => `$${index + 1}`).join(', ');
  const values = columns.length === 0 ? 'DEFAULT VALUES' : `(${names}) VALUES (${places})`;
  const target = [conflictTarget ?? '_id'].flat().map(quoteIdentifier).join(', ');
  const conflict = idempotency ? ` ON CONFLICT (${target}) DO NOTHING` : '';
  return {
    sql: `INSERT INTO ${path} ${values}${conflict} RETURNING *`,
    params: Object.values(row),
    limits,
    isIdempotent: idempotency === true,
    lsn: lsn === true,
  };
}

module.exports = { insertStatement };
