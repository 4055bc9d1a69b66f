// The options of ServerlessClient: names and defaults of pg-aequor, and the rules about its secret.
'use strict';

const rules = require('../option-rules.js');
const { callback, flag, group, isObject, oneOf, positive, readOptions, wrong } = rules;

/** @import { Rule, Table } from '../option-rules.js' */

/** Bytes of UTF-8. Source: pg-aequor 0.1.4. */
const LEAST_SECRET = 16;
/** PostgreSQL cuts `application_name` at NAMEDATALEN - 1 bytes. */
const NAME_BYTES = 63;

/** What pg-aequor has and this version does not do yet; refused, because ignoring it would be a lie. */
const NOT_AVAILABLE = Object.freeze(
  [
    'reaperRunProbability connUtilization reaperCooldownMs reaperErrorMode minConnectionIdleTimeSec',
    'maxIdleConnectionsToKill retries minBackoff maxBackoff maxConnectRetryTimeMs maxQueryRetryTimeMs',
    'heartbeatSoftRemainingMs heartbeatHardWaitRemainingMs heartbeatTimeoutMs heartbeatErrorMode retryMode',
    'reapIdleInTransaction minIdleInTransactionSec reaperTimeoutMs reaperConnection pooler leaseGraceMs library',
  ]
    .join(' ')
    .split(' '),
);

/** Secrets may be empty, which counts as absent. @type {Rule} */
const secret = {
  accepts: (value) => value === null || typeof value === 'string',
  says: 'a string',
  secret: true,
};

/** Texts that `pg` also takes as null, for absent. @type {Rule} */
const optionalText = {
  accepts: (value) => value === null || (typeof value === 'string' && !value.includes('\0')),
  says: 'a string without U+0000',
};

/** Numbers that `pg` also takes as text. @type {Rule} */
const numeric = {
  accepts: (value) =>
    value === null ||
    value === false ||
    (typeof value === 'number' ? Number.isFinite(value) && value >= 0 : /^\d+$/.test(value)),
  says: 'a number not below 0, or its decimal text',
};

/** @type {Table} Handed on as they are, under pg's names. */
const CONNECTION_OPTIONS = Object.freeze({
  connectionString: { ...optionalText, secret: true },
  host: optionalText,
  port: numeric,
  user: optionalText,
  password: {
    accepts: (value) => value === null || typeof value === 'string' || typeof value === 'function',
    says: 'a string, or a function that returns one or a promise of one',
    secret: true,
  },
  database: optionalText,
  ssl: {
    accepts: (value) => value === null || typeof value === 'boolean' || isObject(value),
    says: 'true, false, or an object of TLS options',
  },
  options: optionalText,
  statement_timeout: numeric,
  lock_timeout: numeric,
  idle_in_transaction_session_timeout: numeric,
  query_timeout: numeric,
  connectionTimeoutMillis: numeric,
  keepAlive: flag,
  keepAliveInitialDelayMillis: numeric,
  client_encoding: optionalText,
  fallback_application_name: optionalText,
  types: {
    accepts: (value) =>
      value === 'pg' ||
      value === 'lossless' ||
      (isObject(value) && typeof (/** @type {any} */ (value).getTypeParser) === 'function'),
    says: '"pg", "lossless", or an object with getTypeParser',
    words: ['pg', 'lossless'],
  },
});

/** @type {Table} */
const HOOKS = {
  onClientDead: callback,
  onConnect: callback,
  onHeartbeat: callback,
  onHeartbeatFail: callback,
  onQueryEnd: callback,
  onQueryError: callback,
  onQueryRetry: callback,
  onQueryStart: callback,
  onReap: callback,
  onReconnect: callback,
};

/** @type {Table} */
const SERVERLESS_OPTIONS = Object.freeze({
  ...CONNECTION_OPTIONS,
  secret,
  coordinationSecret: secret,
  leaseMode: oneOf('required', 'optional'),
  leaseTtlMs: positive,
  serviceName: optionalText,
  application_name: optionalText,
  applicationName: optionalText,
  defaultQueryTimeoutMs: numeric,
  reaper: {
    accepts: (value) => value === false,
    says: 'false, because this version does not reap',
  },
  hooks: group(HOOKS),
  debug: flag,
});

/**
 * @typedef {object} ServerlessOptions
 * @property {string | undefined} secret undefined: leases are off
 * @property {'required' | 'optional'} leaseMode
 * @property {number} leaseTtlMs
 * @property {string} serviceName
 * @property {string} applicationName name of the connection while leases are off
 * @property {Record<string, Function>} hooks
 * @property {boolean} debug
 * @property {Record<string, any>} connection what is left, under pg's names
 */

/**
 * @param {unknown} config
 * @param {Readonly<Record<string, string | undefined>>} [env]
 * @returns {ServerlessOptions}
 * @throws {TypeError} naming the option
 * @throws {Error} when the secret is missing or too short
 */
function readServerlessOptions(config, env = process.env) {
  const read = readOptions(SERVERLESS_OPTIONS, config, NOT_AVAILABLE);
  const leaseMode = read.leaseMode ?? 'required';
  const serviceName = read.serviceName || env.AWS_LAMBDA_FUNCTION_NAME || 'sls_pg';
  /** @type {Record<string, any>} */
  const connection = {};
  for (const name of Object.keys(CONNECTION_OPTIONS))
    if (read[name] !== undefined) connection[name] = read[name];
  if (read.defaultQueryTimeoutMs) connection.query_timeout ??= read.defaultQueryTimeoutMs;
  return {
    secret: readSecret(read.secret || undefined, read.coordinationSecret || undefined, leaseMode),
    leaseMode,
    leaseTtlMs: read.leaseTtlMs ?? 90_000,
    serviceName,
    applicationName: cutToBytes(
      read.application_name || read.applicationName || serviceName,
      NAME_BYTES,
    ),
    hooks: read.hooks ?? {},
    debug: read.debug ?? false,
    connection,
  };
}

/** @param {string | undefined} own @param {string | undefined} alias @param {string} leaseMode */
function readSecret(own, alias, leaseMode) {
  if (own !== undefined && alias !== undefined && own !== alias) {
    throw wrong('secret', 'and its alias "coordinationSecret" differ; give one of them');
  }
  const chosen = own ?? alias;
  if (chosen === undefined) {
    if (leaseMode === 'optional') return undefined;
    throw new Error(
      'Missing config.coordinationSecret: give option "secret" (at least 16 bytes), or leaseMode="optional" to work without leases',
    );
  }
  const bytes = Buffer.byteLength(chosen);
  if (bytes < LEAST_SECRET) {
    throw new Error(
      `option "secret" is too short: it must have at least ${LEAST_SECRET} bytes, got ${bytes}`,
    );
  }
  return chosen;
}

/**
 * Cuts at the border of a character.
 * @param {string} name @param {number} limit
 */
function cutToBytes(name, limit) {
  let cut = '';
  let bytes = 0;
  for (const character of name) {
    bytes += Buffer.byteLength(character);
    if (bytes > limit) break;
    cut += character;
  }
  return cut;
}

module.exports = { NOT_AVAILABLE, SERVERLESS_OPTIONS, readServerlessOptions };
