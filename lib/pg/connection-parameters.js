// What a client connects with: its config over the environment over `defaults`.
'use strict';

const { parse } = require('./connection-string.js');
const { readClientLease } = require('../lease-options.js');
const { defaults } = require('./defaults.js');

/** Modes of PGSSLMODE; others leave it to `defaults.ssl`. */
const MODES = /** @type {Record<string, any>} */ ({
  disable: false,
  prefer: true,
  require: true,
  'verify-ca': true,
  'verify-full': true,
});

/**
 * @param {string} name @param {any} config @param {string | false} [variable] of the environment, by default PG and the name
 */
function pick(name, config, variable = `PG${name.toUpperCase()}`) {
  if (config[name]) return config[name];
  return (variable !== false && process.env[variable]) || defaults[name];
}

/** @param {any} target @param {PropertyKey} name @param {unknown} value */
function hide(target, name, value) {
  const shown = { configurable: true, enumerable: false, writable: true, value };
  Object.defineProperty(target, name, shown);
}

class ConnectionParameters {
  /** @param {any} [given] a connection string, or the config of a client */
  constructor(given) {
    let config = typeof given === 'string' ? parse(given) : given || {};
    if (config.connectionString) config = { ...config, ...parse(config.connectionString) };
    this.user = pick('user', config);
    this.database = pick('database', config) ?? this.user;
    this.port = Number.parseInt(pick('port', config), 10);
    this.host = pick('host', config);
    /** @type {any} */
    this.password = undefined;
    hide(this, 'password', pick('password', config));
    this.binary = pick('binary', config);
    this.options = pick('options', config);
    this.ssl = askedTls(config.ssl);
    this.sslnegotiation = pick('sslnegotiation', config);
    checkNegotiation(this.sslnegotiation, this.ssl);
    this.client_encoding = pick('client_encoding', config);
    this.replication = pick('replication', config);
    this.isDomainSocket = (this.host || '').startsWith('/');
    this.application_name = pick('application_name', config, 'PGAPPNAME');
    this.fallback_application_name = pick('fallback_application_name', config, false);
    /** Not pg's: signs the connection. @type {Record<string, any> | undefined} */
    this.lease = undefined;
    const plainName = this.application_name || this.fallback_application_name || undefined;
    // A pool hides it, so no copy has it.
    hide(this, 'lease', given?.lease && readClientLease(given.lease, plainName));
    this.statement_timeout = pick('statement_timeout', config, false);
    this.lock_timeout = pick('lock_timeout', config, false);
    this.idle_in_transaction_session_timeout = pick(
      'idle_in_transaction_session_timeout',
      config,
      false,
    );
    this.query_timeout = pick('query_timeout', config, false);
    const { connectionTimeoutMillis, keepAlive, keepAliveInitialDelayMillis } = config;
    /** Seconds, for programs that look at it; what counts is `connectionTimeoutMillis`. @type {any} */
    this.connect_timeout =
      connectionTimeoutMillis === undefined
        ? process.env.PGCONNECT_TIMEOUT || 0
        : Math.floor(connectionTimeoutMillis / 1000);
    if (typeof keepAlive === 'boolean') this.keepalives = keepAlive ? 1 : 0;
    if (typeof keepAliveInitialDelayMillis === 'number') {
      this.keepalives_idle = Math.floor(keepAliveInitialDelayMillis / 1000);
    }
  }
}

/** Of the caller's own object, as in pg: from whoever prints it. @param {any} ssl */
function hideSecrets(ssl) {
  for (const name of ['key', 'passphrase']) if (ssl?.[name]) hide(ssl, name, ssl[name]);
}

/** What the option `ssl` asks for, or without it the environment. @param {any} given */
function askedTls(given) {
  const mode = process.env.PGSSLMODE ?? '';
  if (given === undefined) {
    if (mode === 'no-verify') return { rejectUnauthorized: false };
    return MODES[mode] ?? defaults.ssl;
  }
  if (given === 'no-verify') return { rejectUnauthorized: false };
  if (given === 'true') return true;
  hideSecrets(given);
  return given;
}

/** @param {unknown} negotiation @param {unknown} ssl */
function checkNegotiation(negotiation, ssl) {
  if (negotiation !== undefined && negotiation !== 'postgres' && negotiation !== 'direct') {
    throw new Error(
      `Invalid sslnegotiation value: "${negotiation}". Valid values are "postgres" and "direct".`,
    );
  }
  if (negotiation === 'direct' && !ssl) {
    throw new Error('sslnegotiation=direct requires SSL to be enabled');
  }
}

module.exports = { ConnectionParameters, askedTls, hide, hideSecrets };
