// The options of ServerlessClient: names and defaults of pg-aequor, and the rules about its secret.
'use strict';

const rules = require('../option-rules.js');
const { callback, count, flag, group, isObject, nullable, oneOf, readOptions, wrong } = rules;
const { LEASE_OPTIONS, LEAST_SECRET, probability, roundedTtl } = require('../lease-options.js');
const { JSON_OPTIONS } = require('../options.js');
const { HOOK_OPTIONS, hooksOf } = require('../query-hooks.js');

/** @import { Rule, Table } from '../option-rules.js' */
/** @import { JsonOptions } from '../../types/rows.js' */
/** @import { ServerlessLibrary } from '../../types/serverless.js' */

/** PostgreSQL cuts `application_name` at NAMEDATALEN - 1 bytes. */
const NAME_BYTES = 63;

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
    (typeof value === 'number'
      ? Number.isFinite(value) && value >= 0
      : typeof value === 'string' && /^\d+$/.test(value)),
  says: 'a number not below 0, or its decimal text',
};

/** @type {Table} Handed on as they are, under pg's names. */
const CONNECTION_OPTIONS = nullable({
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
const HOOKS = nullable({
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
});

/** @type {Table} */
const RETRY_OPTIONS = Object.freeze({
  retries: count,
  minBackoff: count,
  maxBackoff: count,
  maxConnectRetryTimeMs: count,
  maxQueryRetryTimeMs: count,
  retryMode: oneOf('safe', 'legacy', 'never'),
  exactlyOnce: flag,
});

/** Source: pg-aequor 0.1.4; retryMode is this project's. */
const RETRY_DEFAULTS = Object.freeze({
  retries: 3,
  minBackoff: 100,
  maxBackoff: 2000,
  maxConnectRetryTimeMs: 15_000,
  maxQueryRetryTimeMs: 15_000,
  retryMode: /** @type {'safe' | 'legacy' | 'never'} */ ('safe'),
  exactlyOnce: /** @type {boolean} */ (false),
});

/** @type {Table} The predecessor takes null for absent. */
const SERVERLESS_OPTIONS = nullable({
  ...CONNECTION_OPTIONS,
  secret,
  coordinationSecret: secret,
  leaseMode: oneOf('required', 'optional'),
  ...LEASE_OPTIONS,
  ...RETRY_OPTIONS,
  connUtilization: probability,
  reaperConnection: {
    accepts: (value) =>
      value === null || isObject(value) || (typeof value === 'string' && value !== ''),
    says: 'a connection string or an object of connection options',
    secret: true,
  },
  serviceName: optionalText,
  application_name: optionalText,
  applicationName: optionalText,
  defaultQueryTimeoutMs: numeric,
  ...JSON_OPTIONS,
  hooks: group(() => HOOKS),
  ...HOOK_OPTIONS,
  debug: flag,
  library: {
    accepts: (value) =>
      value === null ||
      ((isObject(value) || typeof value === 'function') &&
        typeof (/** @type {any} */ (value).Client) === 'function'),
    says: 'a module with a class Client, such as pg',
  },
});

/**
 * @typedef {object} ServerlessOptions
 * @property {string | undefined} secret undefined: leases are off
 * @property {'required' | 'optional'} leaseMode
 * @property {Record<string, any> | undefined} lease for the engine, without instance and connection; undefined: leases are off
 * @property {typeof RETRY_DEFAULTS} retry
 * @property {ServerlessLibrary | undefined} library carries the traffic in place of the engine
 * @property {Record<string, any> | undefined} reaperConnection under pg's names
 * @property {string} serviceName
 * @property {string} applicationName name of the connection while leases are off
 * @property {Record<string, Function>} hooks
 * @property {import('../handles.js').Hooks} watching who hears of single statements, and what comment they carry
 * @property {boolean} debug
 * @property {JsonOptions} json
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
  const read = readOptions(SERVERLESS_OPTIONS, config);
  const leaseMode = read.leaseMode ?? 'required';
  const serviceName = read.serviceName || env.AWS_LAMBDA_FUNCTION_NAME || 'sls_pg';
  /** @type {Record<string, any>} */
  const connection = {};
  for (const name of Object.keys(CONNECTION_OPTIONS))
    if (read[name] !== undefined) connection[name] = read[name];
  if (read.defaultQueryTimeoutMs) connection.query_timeout ??= read.defaultQueryTimeoutMs;
  const secret = readSecret(
    read.secret || undefined,
    read.coordinationSecret || undefined,
    leaseMode,
  );
  if (read.library) refuseForLibrary(read);
  const applicationName = cutToBytes(
    read.application_name || read.applicationName || serviceName,
    NAME_BYTES,
  );
  return {
    secret,
    leaseMode,
    lease:
      secret === undefined
        ? undefined
        : { ...readLease(read), secret, serviceName, plainName: applicationName },
    retry: readRetry(read),
    library: read.library ?? undefined,
    reaperConnection: readReaperConnection(read.reaperConnection),
    serviceName,
    applicationName,
    hooks: read.hooks ?? {},
    watching: hooksOf(read),
    debug: read.debug ?? false,
    json: { json: read.json, jsonNumbers: read.jsonNumbers },
    connection,
  };
}

/** What only the engine does. @param {Record<string, any>} read */
function refuseForLibrary({ exactlyOnce, types, ...read }) {
  const names = Object.keys({ ...HOOK_OPTIONS, ...JSON_OPTIONS });
  const [watched] = names.filter((name) => read[name] !== undefined);
  const engines = exactlyOnce ? 'exactlyOnce' : watched;
  if (engines) throw wrong(engines, 'is done by the engine, not through "library"');
  if (typeof types === 'string' && types !== 'pg') {
    throw wrong('types', 'must be an object with getTypeParser where "library" is given');
  }
}

/** @param {Record<string, any>} read */
function readLease(read) {
  /** @type {Record<string, any>} */
  const lease = {};
  for (const name of Object.keys(LEASE_OPTIONS))
    if (read[name] !== undefined) lease[name] = read[name];
  if (read.connUtilization !== undefined) lease.reaperRunProbability ??= read.connUtilization;
  return roundedTtl(lease);
}

/** @param {Record<string, any>} read */
function readRetry(read) {
  /** @type {Record<string, any>} */
  const retry = { ...RETRY_DEFAULTS };
  for (const name of Object.keys(RETRY_OPTIONS))
    if (read[name] !== undefined) retry[name] = read[name];
  return /** @type {typeof RETRY_DEFAULTS} */ (retry);
}

/** @param {string | object | null | undefined} given */
function readReaperConnection(given) {
  if (given === null || given === undefined) return undefined;
  const options = typeof given === 'string' ? { connectionString: given } : given;
  return { ...readOptions(CONNECTION_OPTIONS, options, [], 'reaperConnection.') };
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

module.exports = { readServerlessOptions };
