// One text for equal values, whatever the client calls them, and a checksum over rows of them.
'use strict';

const { createHash } = require('node:crypto');

/** bench/limit/src/canon.rs writes the same. */
function canon(value) {
  if (value === null || value === undefined) return '\\N';
  if (typeof value !== 'object') return String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return createHash('sha256').update(value).digest('hex');
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return `[${Array.from(value, canon).join(',')}]`;
  }
  const entries = Object.keys(value).sort();
  return `{${entries.map((key) => `${key}:${canon(value[key])}`).join(',')}}`;
}

/** The order of rows is the server's choice (synchronized scans), so lines are sorted by bytes. */
function checksum(rows) {
  const lines = rows.map((row) => Buffer.from(Object.values(row).map(canon).join('\x1f')));
  lines.sort(Buffer.compare);
  const hash = createHash('sha256');
  for (const line of lines) hash.update(line).update('\n');
  return hash.digest('hex');
}

module.exports = { canon, checksum };
