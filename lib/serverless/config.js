// Connection options of `pg` in the engine's words; the serverless and the pg face share this.
'use strict';

const { LATER, wrong } = require('../option-rules.js');
const { TimeoutError } = require('../errors.js');
const { parseConnectionString } = require('./connection-string.js');
const { readSsl } = require('../ssl-options.js');
const { sslOfEnvironment, sslOfString } = require('./tls-options.js');

/** @typedef {() => unknown} PasswordFunction asked for every new connection */

/**
 * @typedef {object} ConnectionSettings
 * @property {Record<string, any>} engine options of the engine (native/src/config/settings.rs), the password left out
 * @property {string | PasswordFunction | undefined} password
 * @property {number | undefined} connectTimeoutMs 0: no limit
 * @property {number} queryTimeoutMs 0: no limit
 * @property {string | undefined} applicationName of the connection string
 */

const MAX_MS = 2 ** 31 - 1;

/** Parameters of a connection string that are options, and those that sslOfString reads. */
const STRING_OPTIONS = new Set(
  [
    'user password host port database options application_name fallback_application_name client_encoding',
    'statement_timeout lock_timeout idle_in_transaction_session_timeout query_timeout',
    'connectionTimeoutMillis connect_timeout keepAlive keepAliveInitialDelayMillis',
    'ssl sslmode sslrootcert sslcert sslkey sslnegotiation uselibpqcompat',
  ].flatMap((names) => names.split(' ')),
);

/** Parameters that are known elsewhere, and so may be named without showing a piece of a password. */
const KNOWN_ELSEWHERE = new Set(
  [
    'channel_binding sslpassword sslcrl target_session_attrs replication service',
    'gssencmode require_auth load_balance_hosts passfile keepalives keepalives_idle binary pipeline max schema',
    'pgbouncer connection_limit pool_timeout socket_timeout sslaccept statement_cache_size',
  ].flatMap((names) => names.split(' ')),
);

/** Values of parameters that ask for what is done anyway. */
const HARMLESS = /** @type {Record<string, string>} */ ({
  channel_binding: 'prefer',
  gssencmode: 'disable',
  target_session_attrs: 'any',
});

/** @param {Record<string, string>} parts */
function checkString(parts) {
  for (const [name, value] of Object.entries(parts)) {
    if (STRING_OPTIONS.has(name) || HARMLESS[name] === value) continue;
    throw wrong(
      'connectionString',
      KNOWN_ELSEWHERE.has(name)
        ? `has the parameter ${name}, which ${LATER}`
        : `has an unknown parameter; known are ${[...STRING_OPTIONS].join(', ')}`,
    );
  }
}

/**
 * A time in milliseconds; text counts, fractions are cut off, and as in `pg` nothing, false and 0 mean none.
 * @param {string} name @param {unknown} value
 */
function readMs(name, value) {
  if (value === undefined || value === null || value === false || value === '') return 0;
  const ms = typeof value === 'string' && !/^\d+$/.test(value) ? Number.NaN : Number(value);
  if (!(ms >= 0 && ms <= MAX_MS)) throw wrong(name, `must be from 0 to ${MAX_MS} (milliseconds)`);
  return Math.trunc(ms);
}

/** @param {unknown} value */
function readPort(value) {
  const port = Number(value);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw wrong('port', 'must be an integer from 1 to 65535');
}

/** @param {unknown} value */
function checkEncoding(value) {
  if (!value || /^(utf-?8|unicode)$/i.test(String(value))) return;
  throw wrong('client_encoding', 'must be utf8: JavaScript has no other strings');
}

/** @param {unknown} keepAlive @param {number} delayMs */
function readKeepalive(keepAlive, delayMs) {
  if (keepAlive === false || keepAlive === 'false') return false;
  // The operating systems count in seconds.
  if (delayMs > 0) return { idleMs: Math.max(delayMs, 1000) };
  return keepAlive === undefined ? undefined : true;
}

/** @param {Record<string, any>} merged */
function connectTimeout({ connectionTimeoutMillis, connect_timeout }) {
  if (connectionTimeoutMillis !== undefined && connectionTimeoutMillis !== null) {
    return readMs('connectionTimeoutMillis', connectionTimeoutMillis);
  }
  return connect_timeout ? readMs('connectionString', connect_timeout) * 1000 : undefined;
}

/**
 * @param {Record<string, any>} given checked options under pg's names
 * @param {Readonly<Record<string, string | undefined>>} [env]
 * @returns {ConnectionSettings}
 * @throws {TypeError} naming the option
 */
function readConnection(given, env = process.env) {
  const { connectionString, ssl, ...options } = given;
  const parts = connectionString ? parseConnectionString(connectionString) : {};
  checkString(parts);
  /** @type {Record<string, any>} */
  const merged = { ...options, ...parts };
  checkEncoding(merged.client_encoding);
  /** @type {Record<string, string>} */
  const parameters = {};
  for (const name of ['lock_timeout', 'idle_in_transaction_session_timeout']) {
    const ms = readMs(name, merged[name]);
    if (ms > 0) parameters[name] = String(ms);
  }
  const connectTimeoutMs = connectTimeout(merged);
  const delayMs = readMs('keepAliveInitialDelayMillis', merged.keepAliveInitialDelayMillis);
  const engine = {
    // Empty texts count as absent, so that the environment decides, as in `pg`.
    host: merged.host || undefined,
    port: merged.port ? readPort(merged.port) : undefined,
    user: merged.user || undefined,
    database: merged.database || undefined,
    options: merged.options || undefined,
    fallbackApplicationName: merged.fallback_application_name || undefined,
    statementTimeoutMs: readMs('statement_timeout', merged.statement_timeout) || undefined,
    connectTimeoutMs,
    keepalive: readKeepalive(merged.keepAlive, delayMs),
    parameters,
    ...(sslOfString(parts) ?? {
      ssl: ssl === undefined ? sslOfEnvironment(env.PGSSLMODE) : readSsl(ssl ?? false),
    }),
  };
  return {
    engine,
    password: merged.password || undefined,
    connectTimeoutMs,
    queryTimeoutMs: readMs('query_timeout', merged.query_timeout),
    applicationName: parts.application_name || undefined,
  };
}

/**
 * The password for one connection.
 * @param {ConnectionSettings} settings
 * @returns {Promise<string | undefined>} rejects with what the function threw
 */
async function askPassword({ password, connectTimeoutMs = 0, engine }) {
  if (typeof password !== 'function') return password;
  const { user, database, host, port } = engine;
  const asked = /** @type {Function} */ (password)({ user, database, host, port });
  const answer = await within(asked, connectTimeoutMs);
  if (answer === undefined || answer === null) return undefined;
  if (typeof answer !== 'string') throw new TypeError('Password must be a string');
  return answer;
}

/** @param {unknown} answer @param {number} ms 0: no limit */
async function within(answer, ms) {
  if (ms === 0) return answer;
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    const details = { code: 'ERR_TIMEOUT', phase: /** @type {const} */ ('connect'), afterMs: ms };
    timer = setTimeout(() => reject(new TimeoutError('timeout expired', details)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { askPassword, readConnection };
