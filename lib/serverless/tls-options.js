// TLS as `pg` is asked for it: the option `ssl`, `sslmode` and its companions, PGSSLMODE.
'use strict';

const fs = require('node:fs');
const { LATER, isObject, wrong } = require('../option-rules.js');

/** @typedef {boolean | { ca?: string | string[], rejectUnauthorized?: boolean, servername?: string }} EngineSsl */

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
 * @param {unknown} given the option `ssl`: a boolean or the options of Node's `tls.connect`
 * @returns {EngineSsl}
 * @throws {TypeError} naming the member
 */
function readSsl(given) {
  if (!isObject(given)) return given === true;
  /** @type {{ ca?: string | string[], rejectUnauthorized?: boolean, servername?: string }} */
  const ssl = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (name === 'ca') ssl.ca = readCertificates(value);
    else if (name === 'rejectUnauthorized' && typeof value === 'boolean')
      ssl.rejectUnauthorized = value;
    else if (name === 'servername' && typeof value === 'string') ssl.servername = value;
    else if (name === 'rejectUnauthorized') throw wrong(`ssl.${name}`, 'must be true or false');
    else if (name === 'servername') throw wrong(`ssl.${name}`, 'must be a string');
    else throw wrong(`ssl.${name.slice(0, 64)}`, LATER);
  }
  return ssl;
}

/** @param {unknown} value */
function readCertificates(value) {
  const texts = (Array.isArray(value) ? value : [value]).map((one) =>
    one instanceof Uint8Array ? Buffer.from(one).toString() : one,
  );
  if (texts.every((text) => typeof text === 'string')) return texts;
  throw wrong('ssl.ca', 'must be PEM text, a Buffer of it, or an array of these');
}

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
    return { ssl: mode === true && sslrootcert ? { ca: readRoots(sslrootcert) } : mode };
  }
  return ssl === undefined ? undefined : { ssl: WORDS[ssl] ?? true };
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
  return MODES[mode ?? ''] ?? false;
}

module.exports = { readSsl, sslOfEnvironment, sslOfString };
