// The connection strings of pg, with the three functions of the package pg-connection-string.
'use strict';

const fs = require('node:fs');
const { acceptAnyName } = require('../ssl-options.js');

/** Stands for the host in `postgres://user@/database`, which is no URL. */
const NO_HOST = '___DUMMY___';

let hasWarned = false;

/** @param {string} text @returns {{ url: URL, hasHost: boolean }} */
function toUrl(text) {
  // Blanks and bare percent signs are tolerated; what was escaped already stays so.
  const escaped = / |%[^a-f0-9]|%[a-f0-9][^a-f0-9]/i.test(text)
    ? encodeURI(text).replace(/%25(\d\d)/g, '%$1')
    : text;
  try {
    return { url: new URL(escaped, 'postgres://base'), hasHost: true };
  } catch {
    try {
      const url = new URL(escaped.replace('@/', `@${NO_HOST}/`), 'postgres://base');
      return { url, hasHost: false };
    } catch (error) {
      // The text holds a password, and errors are logged.
      const shown = /** @type {{ input?: string }} */ (error);
      if (shown.input) shown.input = '*****REDACTED*****';
      throw error;
    }
  }
}

/**
 * @param {string} text a URL of any scheme, or `/folder` or `/folder database` for a Unix socket
 * @param {{ useLibpqCompat?: boolean }} [options]
 * @returns {any} an object without prototype; absent parts are empty or null
 */
function parse(text, options = {}) {
  if (text.startsWith('/')) {
    const [host, database] = text.split(' ');
    return { host, database };
  }
  const { url, hasHost } = toUrl(text);
  const config = Object.create(null);
  for (const [name, value] of url.searchParams) config[name] = value;
  config.user ||= decodeURIComponent(url.username);
  config.password ||= decodeURIComponent(url.password);
  if (url.protocol === 'socket:') {
    config.host = decodeURI(url.pathname);
    config.database = url.searchParams.get('db');
    config.client_encoding = url.searchParams.get('encoding');
    return config;
  }
  readPlace(config, url, hasHost);
  readTls(config, options);
  return config;
}

/** @param {any} config @param {URL} url @param {boolean} hasHost */
function readPlace(config, url, hasHost) {
  const hostname = (hasHost ? url.hostname : '').replace(/^\[(.+)\]$/, '$1');
  let { pathname } = url;
  if (!config.host) config.host = decodeURIComponent(hostname);
  // The folder of a Unix socket in front of the database.
  else if (/^%2f/i.test(hostname)) pathname = hostname + pathname;
  config.port ||= url.port;
  const path = pathname.slice(1);
  config.database = path ? decodeURI(path) : null;
}

/** @param {any} config @param {{ useLibpqCompat?: boolean }} options */
function readTls(config, { useLibpqCompat }) {
  const { sslcert, sslkey, sslrootcert, sslmode } = config;
  if (config.ssl === 'true' || config.ssl === '1') config.ssl = true;
  if (config.ssl === '0') config.ssl = false;
  if (sslcert || sslkey || sslrootcert || sslmode) config.ssl = {};
  if (config.sslnegotiation === 'direct') config.ssl ??= true;
  if (sslcert) config.ssl.cert = fs.readFileSync(sslcert).toString();
  if (sslkey) config.ssl.key = fs.readFileSync(sslkey).toString();
  if (sslrootcert) config.ssl.ca = fs.readFileSync(sslrootcert).toString();
  if (useLibpqCompat && config.uselibpqcompat) {
    throw new Error('Both useLibpqCompat and uselibpqcompat are set. Please use only one of them.');
  }
  if (sslmode === 'disable') config.ssl = false;
  else if (config.uselibpqcompat === 'true' || useLibpqCompat) readLibpqMode(config);
  else if (sslmode === 'no-verify') config.ssl.rejectUnauthorized = false;
  else if (['prefer', 'require', 'verify-ca'].includes(sslmode)) warnOnce(sslmode);
}

/** @param {any} config */
function readLibpqMode({ sslmode, sslrootcert, ssl }) {
  if (sslmode === 'prefer' || (sslmode === 'require' && !sslrootcert)) {
    ssl.rejectUnauthorized = false;
  } else if (sslmode === 'require') {
    ssl.checkServerIdentity = acceptAnyName;
  } else if (sslmode === 'verify-ca') {
    if (!ssl.ca) {
      throw new Error(
        'SECURITY WARNING: Using sslmode=verify-ca requires specifying a CA with sslrootcert. If a public CA is used, ' +
          'verify-ca allows connections to a server that somebody else may have registered with the CA. Either specify ' +
          'a custom CA certificate with sslrootcert or use sslmode=verify-full.',
      );
    }
    ssl.checkServerIdentity = acceptAnyName;
  }
}

/** @param {string} mode */
function warnOnce(mode) {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    `sslmode "${mode}" verifies certificate and name here, as in pg; say sslmode=verify-full to mean that, or ` +
      'uselibpqcompat=true for the meaning of libpq',
    { code: 'PG_BERTH_SSLMODE' },
  );
}

/** @param {Record<string, any>} config result of `parse` @returns {any} without what is absent, the port as a number */
function toClientConfig(config) {
  const read = Object.create(null);
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined || value === null) continue;
    if (name === 'ssl') {
      if (typeof value === 'boolean') read.ssl = value;
      else if (typeof value === 'object') {
        const given = Object.entries(value).filter(([, one]) => one !== undefined && one !== null);
        read.ssl = Object.assign(Object.create(null), Object.fromEntries(given));
      }
    } else if (name !== 'port') {
      read[name] = value;
    } else if (value !== '') {
      const port = Number.parseInt(value, 10);
      if (Number.isNaN(port)) throw new Error(`Invalid port: ${value}`);
      read.port = port;
    }
  }
  return read;
}

/** @param {string} text */
function parseIntoClientConfig(text) {
  return toClientConfig(parse(text));
}

module.exports = { parse, parseIntoClientConfig, toClientConfig };
