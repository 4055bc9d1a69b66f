// Options of createPool that say how a server is trusted and how it lets us in: TLS, login, files with settings.
'use strict';

const { flag, isText, oneOf, positive, text } = require('./option-rules.js');

/** @import { Rule, Table } from './option-rules.js' */

/** The path of a file, or what would be in it. @type {Rule} */
const pathOrPem = {
  // Text in front of the first block, as `openssl x509 -text` writes it, would make it look like a path.
  copy: (value) => {
    if (!(value instanceof Uint8Array)) return value;
    const text = Buffer.from(value).toString();
    return text.slice(Math.max(0, text.indexOf('-----BEGIN ')));
  },
  accepts: isText,
  says: 'the path of a PEM file, PEM text, or a Buffer of it',
};

/** A text that may be empty, or a function that gives one. @type {Rule} */
const password = {
  accepts: (value) =>
    typeof value === 'function' || (typeof value === 'string' && !value.includes('\0')),
  says: 'a string without U+0000, or a function that returns one or a promise of one',
  secret: true,
};

const tlsVersion = oneOf('TLSv1.2', 'TLSv1.3');

/** @type {Table} Names and meanings of libpq, in this package's spelling where it has one. */
const LOGIN_OPTIONS = Object.freeze({
  password,
  passfile: text,
  service: text,
  servicefile: text,
  hostaddr: text,
  sslmode: oneOf('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'),
  sslnegotiation: oneOf('postgres', 'direct'),
  sslrootcert: pathOrPem,
  sslcrl: pathOrPem,
  sslcrldir: text,
  sslcert: pathOrPem,
  sslkey: { ...pathOrPem, secret: true },
  sslpassword: { ...text, secret: true },
  sslcertmode: oneOf('disable', 'allow', 'require'),
  sslsni: flag,
  ssl_min_protocol_version: tlsVersion,
  ssl_max_protocol_version: tlsVersion,
  channelBinding: oneOf('disable', 'prefer', 'require'),
  requireAuth: text,
  allowCleartext: flag,
  scramMaxIterations: positive,
  minProtocolVersion: oneOf('3.0', '3.2'),
  maxProtocolVersion: oneOf('3.0', '3.2', 'latest'),
});

module.exports = { LOGIN_OPTIONS };
