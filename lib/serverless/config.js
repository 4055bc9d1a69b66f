// Connection options of `pg` in the engine's words; the serverless and the pg face share this.
'use strict';

const { MAX_MS, wrong } = require('../option-rules.js');
const { TimeoutError } = require('../errors.js');
const { parseConnectionString } = require('./connection-string.js');
const { askedTls } = require('../pg/connection-parameters.js');
const { toTls } = require('../pg/settings.js');

/** @typedef {() => unknown} PasswordFunction asked for every new connection */

/**
 * @typedef {object} ConnectionSettings
 * @property {Record<string, any>} engine options of the engine (native/src/config/settings.rs), the password left out
 * @property {string | PasswordFunction | undefined} password
 * @property {number | undefined} connectTimeoutMs 0: no limit
 * @property {number} queryTimeoutMs 0: no limit
 * @property {string | undefined} applicationName of the connection string
 */

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
  if (!connect_timeout) return undefined;
  if (/^\d{1,6}$/.test(connect_timeout)) return Number(connect_timeout) * 1000;
  throw wrong(
    'connectionString',
    'has a connect_timeout that is no number of seconds from 0 to 999999',
  );
}

/**
 * @param {Record<string, any>} given checked options under pg's names
 * @returns {ConnectionSettings}
 * @throws {TypeError} naming the option
 */
function readConnection(given) {
  const { connectionString, ...options } = given;
  const parts = connectionString ? parseConnectionString(connectionString) : {};
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
    ssl: toTls(askedTls(merged.ssl), merged.sslnegotiation, merged.host),
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
 * What the engine opens one connection with, which takes no longer than the call allows.
 * @param {ConnectionSettings} settings @param {number} limitMs
 */
async function startUp(settings, limitMs) {
  const asked = performance.now();
  const password = await askPassword(settings, limitMs);
  const left = Math.max(1, Math.ceil(limitMs - (performance.now() - asked)));
  // Whatever has set the timeout, PGCONNECT_TIMEOUT too, which the engine reads.
  return { ...settings.engine, password, connectLimitMs: Math.min(left, MAX_MS) };
}

/**
 * The password for one connection.
 * @param {ConnectionSettings} settings
 * @param {number} limitMs what the call has left, beside the limit of the settings
 * @returns {Promise<string | undefined>} rejects with what the function threw
 */
async function askPassword({ password, connectTimeoutMs, engine }, limitMs) {
  if (typeof password !== 'function') return password;
  const { user, database, host, port } = engine;
  const asked = /** @type {Function} */ (password)({ user, database, host, port });
  const answer = await within(asked, Math.min(connectTimeoutMs || limitMs, limitMs));
  if (answer === undefined || answer === null) return undefined;
  if (typeof answer !== 'string') throw new TypeError('Password must be a string');
  return answer;
}

/** @param {unknown} answer @param {number} ms */
async function within(answer, ms) {
  if (ms > MAX_MS) return answer;
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    const phase = /** @type {const} */ ('connect');
    const details = { code: 'ERR_TIMEOUT', transient: true, phase, afterMs: ms };
    timer = setTimeout(() => reject(new TimeoutError('timeout expired', details)), Math.max(1, ms));
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { readConnection, startUp };
