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

/**
 * TLS as a connection string asks for it, or nothing when it does not.
 * @param {Record<string, string>} parts
 * @returns {{ ssl?: EngineSsl, sslmode?: string, sslrootcert?: string } | undefined}
 */
function sslOfString({ ssl, sslmode, sslrootcert, uselibpqcompat }) {
  if (uselibpqcompat === 'true' && sslmode !== undefined) {
    return { sslmode, ...(sslrootcert === undefined ? {} : { sslrootcert }) };
  }
  if (sslmode !== undefined && MODES[sslmode] === undefined) {
    throw wrong('connectionString', `must have an sslmode of ${Object.keys(MODES).join(', ')}`);
  }
  if (sslmode !== undefined || sslrootcert !== undefined) {
    const mode = MODES[sslmode ?? 'verify-full'] ?? true;
    return { ssl: readSsl(mode === true && sslrootcert ? { ca: readRoots(sslrootcert) } : mode) };
  }
  return ssl === undefined ? undefined : { ssl: readSsl(WORDS[ssl] ?? true) };
}

/** @param {string} file */
function readRoots(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw wrong('connectionString', `names a file in sslrootcert that cannot be read (${code})`);
  }
}

/** Without any option: PGSSLMODE, else plain text. @param {string | undefined} mode @returns {EngineSsl} */
function sslOfEnvironment(mode) {
  return readSsl(MODES[mode ?? ''] ?? false);
}

module.exports = { sslOfEnvironment, sslOfString };
