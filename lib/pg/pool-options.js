// Options of a pool of pg, with the defaults filled in.
'use strict';

const { wrong } = require('../option-rules.js');
const { readClientLease } = require('../lease-options.js');
const { readHooks } = require('../query-hooks.js');
const { hide, hideSecrets } = require('./connection-parameters.js');
const { RESET } = require('./for-pools.js');

const DEFAULT_IDLE_MS = 10_000;

/** As `createPool`: more adds latency and no throughput. */
const DEFAULT_DEPTH = 8;

/** How printers ask; by name, so that this works without `node:util`. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** What stands in the place of a password. */
const MASK = '***';

/**
 * A copy; what is secret cannot be printed.
 * @param {any} options an object or a connection string
 */
function readPoolOptions(options) {
  const given = typeof options === 'string' ? { connectionString: options } : options;
  const own = { ...given };
  if (given && 'password' in given) hide(own, 'password', given.password);
  if (given?.lease) {
    readClientLease(given.lease, undefined);
    hide(own, 'lease', given.lease);
  }
  hideSecrets(own.ssl);
  own.max = own.max || own.poolSize || 10;
  own.min = own.min || 0;
  own.maxUses = own.maxUses || Number.POSITIVE_INFINITY;
  own.allowExitOnIdle = own.allowExitOnIdle || false;
  own.maxLifetimeSeconds = own.maxLifetimeSeconds || 0;
  if (own.idleTimeoutMillis === undefined) own.idleTimeoutMillis = DEFAULT_IDLE_MS;
  checkDepth(own.pipelineDepth);
  checkSwitch('rollbackOnRelease', own.rollbackOnRelease);
  checkReset(own.resetQuery);
  if (own.resetQuery !== undefined) own[RESET] = own.resetQuery;
  // Its clients read them; what is wrong with them is said here.
  readHooks(own);
  // A connection string stays where copies of the options find it, as Kysely makes them.
  hide(own, INSPECT, () => shown(own));
  hide(own, 'toJSON', () => shown(own));
  return own;
}

/** What may be printed. @param {any} options */
function shown(options) {
  const { connectionString } = options;
  if (typeof connectionString !== 'string') return { ...options };
  return { ...options, connectionString: withoutPassword(connectionString) };
}

/**
 * Rather too much of a text that is hard to read than a part of the password.
 * @param {string} text
 */
function withoutPassword(text) {
  return text
    .replace(/^([^/]*\/\/[^:@]*):.*@/s, `$1:${MASK}@`)
    .replace(/([?&](?:ssl)?password=)[^&#]*/gi, `$1${MASK}`)
    .replace(/(^|\s)((?:ssl)?password\s*=\s*)(?:'(?:\\.|[^'\\])*'?|\S+)/gis, `$1$2${MASK}`);
}

/** @param {unknown} given */
function checkDepth(given) {
  if (given === undefined || (Number.isInteger(given) && Number(given) >= 1)) return;
  throw wrong('pipelineDepth', 'must be a whole number of at least 1');
}

/** @param {string} name @param {unknown} given */
function checkSwitch(name, given) {
  if (given !== undefined && typeof given !== 'boolean') throw wrong(name, 'must be a boolean');
}

/** @param {unknown} given */
function checkReset(given) {
  if (given === undefined || (typeof given === 'string' && given.trim() !== '')) return;
  throw wrong('resetQuery', 'must be a statement, for example DISCARD ALL');
}

module.exports = { DEFAULT_DEPTH, readPoolOptions };
