// Connection strings as `pg` reads them: their parts under the names of its options.
'use strict';

const { wrong } = require('../option-rules.js');

const OPTION = 'connectionString';

/** Stands for a host that was left out. */
const NO_HOST = 'no-host.invalid';

/** Percent signs that begin no escape, and blanks: tolerated, as in `pg`. */
const UNESCAPED = /%(?![0-9a-f]{2})| /gi;

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong(OPTION, 'has percent escapes that are not UTF-8');
  }
}

/** The text is nowhere quoted: a delimiter in a password moves it to any part. @param {string} text @returns {URL} */
function toUrl(text) {
  const escaped = text.replace(UNESCAPED, (char) => (char === ' ' ? '%20' : '%25'));
  for (const candidate of [escaped, escaped.replace('@/', `@${NO_HOST}/`)]) {
    try {
      return new URL(candidate, `postgres://${NO_HOST}`);
    } catch {
      // The second one is for `postgres://user@/database`, which is no URL.
    }
  }
  throw wrong(OPTION, 'is not a valid URL');
}

/**
 * @param {string} text a URL of any scheme, or `/folder` or `/folder database` for a Unix socket
 * @returns {Record<string, string>} without empty parts; of a parameter that comes twice the last one
 * @throws {TypeError} which shows nothing of the text
 */
function parseConnectionString(text) {
  /** @type {Record<string, string>} */
  const parts = Object.create(null);
  if (text.startsWith('/')) {
    const [host = '', database] = text.split(' ');
    return Object.assign(parts, { host }, database ? { database } : {});
  }
  const url = toUrl(text);
  for (const [name, value] of url.searchParams) parts[name] = value;
  /** @param {string} name @param {string} value */
  const offer = (name, value) => {
    if (!parts[name] && value) parts[name] = value;
  };
  offer('user', decode(url.username));
  offer('password', decode(url.password));
  if (url.protocol === 'socket:') {
    const { db, encoding, ...rest } = parts;
    return {
      ...rest,
      host: decode(url.pathname),
      ...(db ? { database: db } : {}),
      ...(encoding ? { client_encoding: encoding } : {}),
    };
  }
  const host = url.hostname === NO_HOST ? '' : url.hostname;
  offer('host', decode(host.replace(/^\[(.+)\]$/, '$1')));
  offer('port', url.port);
  const path = decode(url.pathname.slice(1));
  if (path) parts.database = path;
  for (const [name, value] of Object.entries(parts)) if (value === '') delete parts[name];
  return parts;
}

module.exports = { parseConnectionString };
