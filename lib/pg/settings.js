// What a pg client connects with, in the engine's words.
'use strict';

const { MAX_MS, isObject, wrong } = require('../option-rules.js');
const { AuthError, argumentError } = require('../error-classes.js');
const { readSsl } = require('../ssl-options.js');
const { RESET } = require('./for-pools.js');

/** @typedef {InstanceType<typeof import('./connection-parameters.js').ConnectionParameters>} ConnectionParameters */

/** Limits the server gets with the start-up packet, in milliseconds; pg sends each only when it is set. */
const LIMITS = /** @type {const} */ (['lock_timeout', 'idle_in_transaction_session_timeout']);

const MAX_SCRAM_ITERATIONS = 100_000;

/** Of the name of a session. */
const MAX_NAME_BYTES = 255;

/**
 * @param {{ connectionParameters: ConnectionParameters, enableChannelBinding: any, scramMaxIterations: any }} client
 * @param {any} config of the client @param {any} password text, or a function the engine asks
 * @returns {Record<string, any>}
 * @throws {TypeError} naming the option
 */
function toSettings(client, config, password) {
  const { connectionParameters: parameters, enableChannelBinding, scramMaxIterations } = client;
  const { host, port, user, database } = parameters;
  if (parameters.replication) {
    throw wrong('replication', 'is not supported: the engine does not speak that protocol');
  }
  /** @type {Record<string, string>} */
  const session = {};
  for (const name of LIMITS) {
    if (parameters[name]) session[name] = String(wholeMs(name, parameters[name]));
  }
  const statementTimeoutMs = wholeMs('statement_timeout', parameters.statement_timeout);
  return {
    host,
    port,
    user,
    password,
    database,
    options: startOptions(parameters, statementTimeoutMs),
    applicationName: sessionName('application_name', parameters),
    fallbackApplicationName: sessionName('fallback_application_name', parameters),
    parameters: session,
    lease: parameters.lease,
    resetQuery: config[RESET],
    statementTimeoutMs: statementTimeoutMs || undefined,
    ssl: toTls(parameters.ssl, parameters.sslnegotiation, host),
    channelBinding: enableChannelBinding ? 'prefer' : 'disable',
    // As pg: whoever asks for plain text gets it.
    allowCleartext: true,
    scramMaxIterations: scramLimit(scramMaxIterations),
    connectTimeoutMs: milliseconds(config.connectionTimeoutMillis),
    keepalive: toKeepalive(config),
  };
}

/**
 * Fractions are cut off, text counts. What is no time the server refuses in pg, and here nobody asks it.
 * @param {string} option @param {any} given
 */
function wholeMs(option, given) {
  if (!given) return 0;
  const ms = Number.parseInt(given, 10);
  if (ms >= 0 && ms <= MAX_MS) return ms;
  const shown = Number.isNaN(ms) ? 'what is no number' : ms;
  throw wrong(option, `must be from 0 to ${MAX_MS} (milliseconds), got ${shown}`);
}

/**
 * A limit of 0 that is text pg sends, and the server takes back with it what the role or the database has; the engine sends none.
 * @param {ConnectionParameters} parameters @param {number} statementTimeoutMs
 */
function startOptions({ options, statement_timeout: given }, statementTimeoutMs) {
  const isLifted = given && statementTimeoutMs === 0;
  return [options, isLifted && '-c statement_timeout=0'].filter(Boolean).join(' ') || undefined;
}

/**
 * What the engine refuses in a name is refused here, by the name that the program gave the option.
 * @param {'application_name' | 'fallback_application_name'} option @param {ConnectionParameters} parameters
 */
function sessionName(option, { [option]: given }) {
  if (!given) return undefined;
  if (typeof given !== 'string') throw wrong(option, 'must be a string');
  if (/\p{Cc}/u.test(given)) throw wrong(option, 'must not contain control characters');
  if (Buffer.byteLength(given) > MAX_NAME_BYTES)
    throw wrong(option, `must not be longer than ${MAX_NAME_BYTES} bytes`);
  return given;
}

/** @param {unknown} given pg takes anything; what is no time is none */
function milliseconds(given) {
  const ms = Math.trunc(Number(given));
  return ms > 0 ? Math.min(ms, MAX_MS) : 0;
}

/** The option as a number. @param {unknown} given */
function scramIterations(given) {
  const isNumber = typeof given === 'number' || (typeof given === 'string' && given.trim() !== '');
  const limit = isNumber ? Number(given) : Number.NaN;
  return Number.isFinite(limit) ? limit : MAX_SCRAM_ITERATIONS;
}

/** @param {unknown} given */
function scramLimit(given) {
  const limit = scramIterations(given);
  if (limit < 0) return MAX_SCRAM_ITERATIONS;
  // As in pg, 0 means none.
  return limit === 0 ? Number.MAX_SAFE_INTEGER : Math.trunc(limit);
}

/** @param {any} config */
function toKeepalive({ keepAlive, keepAliveInitialDelayMillis }) {
  if (keepAlive === false) return false;
  const idleMs = milliseconds(keepAliveInitialDelayMillis);
  // The operating systems count in seconds.
  if (idleMs > 0) return { idleMs: Math.max(idleMs, 1000) };
  return keepAlive === undefined || keepAlive === null ? undefined : true;
}

/**
 * @param {unknown} ssl @param {unknown} negotiation @param {unknown} host
 * @returns {import('../ssl-options.js').EngineSsl}
 * @throws {TypeError} naming the member
 */
function toTls(ssl, negotiation, host) {
  const read = readSsl(isObject(ssl) ? ssl : Boolean(ssl));
  if (typeof read === 'boolean') return read;
  // As in pg: a host that is a name is the name to check, whatever `servername` says.
  if (typeof host === 'string' && require('node:net').isIP(host) === 0) delete read.servername;
  if (negotiation === 'direct') read.direct = true;
  return read;
}

/** What a client that has no password says, in the words of pg. */
const NO_PASSWORD = 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string';

/**
 * What needs JavaScript while it is blocked is refused.
 * @param {any} password @param {any} ssl
 */
function refuseFunctions(password, ssl) {
  const cannotRun = 'is a function, which cannot run during connectSync; use connect';
  if (typeof password === 'function') throw wrong('password', cannotRun);
  if (typeof ssl?.checkServerIdentity === 'function') {
    throw wrong('ssl.checkServerIdentity', cannotRun);
  }
}

/** A password for one connection: text, or a function that is asked once, and only when the server wants one. */
class PasswordSource {
  /** What the function threw, or what is wrong with what it gave. @type {unknown} */
  failure;
  /** @type {Promise<string> | undefined} */
  #asked;
  #isEmpty = false;
  #password;
  #parameters;

  /** @param {any} password @param {ConnectionParameters} parameters what the function is given */
  constructor(password, parameters) {
    this.#password = password;
    this.#parameters = parameters;
  }

  /** In the form the engine takes. @returns {string | (() => Promise<string>) | undefined} */
  get value() {
    const password = this.#password;
    if (typeof password === 'function') {
      return () => {
        this.#asked ??= this.#ask();
        return this.#asked;
      };
    }
    if (password === null || password === undefined || password === '') return undefined;
    if (typeof password === 'string') return password;
    throw argumentError(new TypeError('Password must be a string'), { code: 'ERR_CONFIG' });
  }

  /** What an attempt to connect failed with, in the words of pg. @param {any} error */
  failureOf(error) {
    // What is thrown without being anything would be no failure to whoever waits for the connection.
    if (this.failure) return this.failure;
    if (this.#isEmpty && error?.code === '28P01') {
      error.cause ??= new Error('the password function returned an empty string');
    }
    const lacks = error?.code === 'ERR_AUTH' && this.value === undefined;
    return lacks && error.message.includes('SCRAM')
      ? new AuthError(NO_PASSWORD, { code: error.code, host: error.host, cause: error })
      : error;
  }

  async #ask() {
    try {
      const given = await this.#password(this.#parameters);
      if (given === undefined) {
        const message = `${NO_PASSWORD}: the password function returned undefined`;
        throw new AuthError(message, { code: 'ERR_AUTH' });
      }
      if (typeof given !== 'string') throw new TypeError('Password must be a string');
      this.#isEmpty = given === '';
      return given;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}

/** @param {unknown} given @returns {'named' | 'unnamed'} */
function preparedStatements(given = 'named') {
  if (given === 'named' || given === 'unnamed') return given;
  throw wrong('preparedStatements', 'must be one of "named", "unnamed"');
}

/** How long a query may take, in ms; 0 = for ever. @param {{ timeout?: any }} asked @param {any} ofClient */
function limitOf(asked, ofClient) {
  return asked.timeout || ofClient ? milliseconds(asked.timeout || ofClient) : 0;
}

module.exports = {
  PasswordSource,
  limitOf,
  milliseconds,
  preparedStatements,
  refuseFunctions,
  scramIterations,
  toSettings,
  toTls,
};
