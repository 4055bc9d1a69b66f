// TLS as `pg` is asked for it: the option `ssl`, `sslmode` and its companions, PGSSLMODE.
'use strict';

const fs = require('node:fs');
const { wrong } = require('../option-rules.js');
const { readSsl } = require('../ssl-options.js');

/** @import { EngineSsl } from '../ssl-options.js' */

const UNVERIFIED = Object.freeze({ rejectUnauthorized: false });

/** What `pg` makes of `sslmode`: everything that asks for TLS asks for a verified certificate. */
const MODES = /** @type {Record<string, EngineSsl>} */ ({
  disable: false,
  prefer: true,
  require: true,
  'verify-ca': true,
  'verify-full': true,
  'no-verify': UNVERIFIED,
});

/** What the parameter `ssl` of a connection string may say; other words ask for TLS. */
const WORDS = /** @type {Record<string, EngineSsl>} */ ({
  false: false,
  0: false,
  'no-verify': UNVERIFIED,
});

/** Parameters that are handed on as they are where libpq's meaning is asked for. */
const LIBPQ = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslnegotiation'];

/**
 * TLS as a connection string asks for it, or nothing when it does not.
 * @param {Record<string, string>} parts
 * @returns {Record<string, any> | undefined} options of the engine
 */
function sslOfString(parts) {
  const { ssl, sslmode, sslrootcert, sslcert, sslkey, sslnegotiation, uselibpqcompat } = parts;
  if (uselibpqcompat === 'true' && sslmode !== undefined) {
    return Object.fromEntries(
      LIBPQ.filter((name) => parts[name]).map((name) => [name, parts[name]]),
    );
  }
  if (sslmode !== undefined && MODES[sslmode] === undefined) {
    throw wrong('connectionString', `must have an sslmode of ${Object.keys(MODES).join(', ')}`);
  }
  if (!['postgres', 'direct', undefined].includes(sslnegotiation)) {
    throw wrong('connectionString', 'must have an sslnegotiation of postgres or direct');
  }
  const files = { ca: sslrootcert, cert: sslcert, key: sslkey };
  const hasFiles = Object.values(files).some((file) => file !== undefined);
  const isDirect = sslnegotiation === 'direct';
  if (sslmode === undefined && !hasFiles && ssl === undefined && !isDirect) return undefined;
  const asked =
    sslmode === undefined && !hasFiles
      ? (WORDS[ssl ?? ''] ?? true)
      : MODES[sslmode ?? 'verify-full'];
  if (asked === false) {
    if (isDirect) throw wrong('connectionString', 'asks for sslnegotiation=direct without TLS');
    return { ssl: false };
  }
  /** @type {Record<string, unknown>} */
  const members = typeof asked === 'object' ? { ...asked } : {};
  for (const [member, file] of Object.entries(files)) {
    if (file !== undefined) members[member] = readPem(file);
  }
  const read = readSsl(members);
  return { ssl: isDirect && typeof read === 'object' ? { ...read, direct: true } : read };
}

/** @param {string} file */
function readPem(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw wrong(
      'connectionString',
      `names a certificate or key file that cannot be read (${code})`,
    );
  }
}

/** Without any option: PGSSLMODE, else plain text. @param {string | undefined} mode @returns {EngineSsl} */
function sslOfEnvironment(mode) {
  return readSsl(MODES[mode ?? ''] ?? false);
}

module.exports = { sslOfEnvironment, sslOfString };
