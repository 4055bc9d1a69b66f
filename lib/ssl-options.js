// The option `ssl` as `pg` and Node's TLS take it, mapped to what the engine takes: the one place of this mapping.
'use strict';

const fs = require('node:fs');
const { callback, isObject, readOptions, wrong } = require('./option-rules.js');

/** @import { Rule, Table } from './option-rules.js' */

/**
 * What the engine takes. Texts are PEM.
 * @typedef {{
 *   ca?: string | string[],
 *   cert?: string | string[],
 *   key?: string,
 *   passphrase?: string,
 *   crl?: string | string[],
 *   rejectUnauthorized?: boolean,
 *   servername?: string,
 *   minVersion?: string,
 *   maxVersion?: string,
 *   checkName?: boolean,
 *   checkServerIdentity?: (host: string, certificate: object) => unknown,
 *   sni?: boolean,
 *   direct?: boolean,
 * }} EngineSslObject
 */
/** @typedef {boolean | EngineSslObject} EngineSsl */

/** Members of Node's object that cannot be obeyed, and what to do about each. */
const REFUSED = /** @type {Record<string, string>} */ ({
  pfx: 'is not supported; convert it to PEM (openssl pkcs12) and give cert and key',
  secureContext: 'is not supported; give ca, cert and key themselves',
  ciphers: 'is not supported; the ciphers of TLS 1.2 and 1.3 that are still safe are offered',
  secureProtocol: 'is not supported; use minVersion and maxVersion',
});

/** What is not to be printed. */
const HIDDEN = ['key', 'passphrase'];

/** A `checkServerIdentity` that only switches the check of names off: what `uselibpqcompat` stands for. @returns {undefined} */
const acceptAnyName = () => undefined;

/** PEM as text or bytes, one or several. @param {string} says @param {boolean} [secret] @returns {Rule} */
function pem(says, secret = false) {
  return {
    copy: (value) => (Array.isArray(value) ? value.map(textOf) : textOf(value)),
    accepts: (value) =>
      Array.isArray(value)
        ? value.length > 0 && value.every((one) => typeof one === 'string' && one !== '')
        : typeof value === 'string' && value !== '',
    says,
    secret,
  };
}

/** @param {unknown} value */
function textOf(value) {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : value;
}

/** A key may come with a passphrase of its own, or as the only one of a list. @type {Rule} */
const key = {
  copy: (value) => textOf(Array.isArray(value) && value.length === 1 ? value[0] : value),
  accepts: (value) =>
    (typeof value === 'string' && value !== '') ||
    (isObject(value) && typeof textOf(Object(value).pem) === 'string'),
  says: 'one private key as PEM text, a Buffer of it, or { pem, passphrase }',
  secret: true,
};

/** @type {Rule} */
const text = {
  accepts: (value) => typeof value === 'string' && !value.includes('\0'),
  says: 'a string without U+0000',
};
/** @type {Rule} */
const flag = { accepts: (value) => typeof value === 'boolean', says: 'true or false' };
const CERTIFICATES = 'PEM text, a Buffer of it, or an array of these';

/** @type {Table} */
const SSL_OPTIONS = Object.freeze({
  ca: pem(CERTIFICATES),
  cert: pem(CERTIFICATES),
  key,
  passphrase: { ...text, secret: true },
  crl: pem(CERTIFICATES),
  rejectUnauthorized: flag,
  servername: text,
  minVersion: text,
  maxVersion: text,
  checkName: flag,
  checkServerIdentity: callback,
  // Sequelize's; TLS is required with any object.
  require: { accepts: (value) => value === true, says: 'true' },
});

/**
 * @param {unknown} given the option `ssl`: a boolean, or options of Node's `tls.connect`
 * @returns {EngineSsl}
 * @throws {TypeError} naming the member
 */
function readSsl(given) {
  if (typeof given === 'boolean') return given ? { ca: rootsOfNode() } : false;
  if (!isObject(given)) throw wrong('ssl', 'must be true, false, or an object of TLS options');
  /** @type {Record<string, unknown>} */
  const members = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const refusal = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (refusal !== undefined) throw wrong(`ssl.${name}`, refusal);
    members[name] = value;
  }
  // The pg face hides these of the caller's object by making them not enumerable, as `pg` does with the key.
  for (const name of HIDDEN) {
    const hidden = /** @type {Record<string, unknown>} */ (given)[name];
    if (hidden !== undefined && hidden !== null) members[name] = hidden;
  }
  const ssl = { ...readOptions(SSL_OPTIONS, members, [], 'ssl.') };
  if (isObject(ssl.key)) {
    const { pem: own, passphrase } = /** @type {{ pem: unknown, passphrase?: unknown }} */ (
      ssl.key
    );
    ssl.key = textOf(own);
    if (typeof passphrase === 'string') ssl.passphrase = passphrase;
  }
  // As in Node: no name is sent, and the host's own is checked.
  delete ssl.require;
  // Nobody needs to be asked about that.
  if (ssl.checkServerIdentity === acceptAnyName) {
    delete ssl.checkServerIdentity;
    ssl.checkName = false;
  }
  if (ssl.servername === '') {
    delete ssl.servername;
    ssl.sni = false;
  }
  if (ssl.ca === undefined && ssl.rejectUnauthorized !== false) ssl.ca = rootsOfNode();
  return ssl;
}

/** @type {string | undefined} */
let roots;

/** The certificates that Node trusts when it is given none: what `ssl: true` means in `pg`. */
function rootsOfNode() {
  roots ??= nodeRoots().join('\n');
  return roots;
}

/** @returns {readonly string[]} */
function nodeRoots() {
  // Slow to load, and only needed here.
  const tls = require('node:tls');
  const { getCACertificates } = /** @type {{ getCACertificates?: (type: string) => string[] }} */ (
    tls
  );
  // From Node 22.15 it knows of --use-system-ca and the like.
  if (getCACertificates !== undefined) return getCACertificates('default');
  const extra = process.env.NODE_EXTRA_CA_CERTS;
  if (!extra) return tls.rootCertificates;
  try {
    return [...tls.rootCertificates, fs.readFileSync(extra, 'utf8')];
  } catch {
    // Node itself has warned about the file.
    return tls.rootCertificates;
  }
}

module.exports = { acceptAnyName, readSsl };
