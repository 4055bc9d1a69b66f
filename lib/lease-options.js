// The options of leases and of the reaper, the same on every face (defaults: native/src/config/lease.rs).
'use strict';

const rules = require('./option-rules.js');
const { count, flag, ms, oneOf } = rules;

/** @import { Rule, Table } from './option-rules.js' */

/** Bytes of UTF-8. Source: pg-aequor 0.1.4. */
const LEAST_SECRET = 16;

/** @type {Rule} */
const probability = {
  accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  says: 'a number from 0 to 1',
};

/** @type {Rule} */
const seconds = {
  accepts: (value) => typeof value === 'number' && value >= 0 && value < 2 ** 31,
  says: 'a number of seconds, not negative',
};

/** A fraction would be part of the signed name, where it has no room (rule A9): it is rounded. @type {Rule} */
const lifetime = {
  accepts: (value) => typeof value === 'number' && value >= 1 && value <= rules.MAX_MS,
  says: 'a number of milliseconds from 1',
  most: rules.MAX_MS,
};

/** @template {Record<string, any>} T @param {T} lease checked @returns {T} */
function roundedTtl(lease) {
  const { leaseTtlMs } = lease;
  return leaseTtlMs === undefined ? lease : { ...lease, leaseTtlMs: Math.round(leaseTtlMs) };
}

/** @type {Table} As the engine knows them. */
const LEASE_OPTIONS = Object.freeze({
  leaseTtlMs: lifetime,
  heartbeatSoftRemainingMs: count,
  heartbeatHardWaitRemainingMs: count,
  heartbeatTimeoutMs: ms,
  heartbeatErrorMode: oneOf('reconnect', 'swallow', 'throw'),
  pooler: oneOf('auto', 'on', 'off'),
  reaper: flag,
  reaperRunProbability: probability,
  reaperCooldownMs: count,
  reaperErrorMode: oneOf('swallow', 'throw'),
  reaperTimeoutMs: ms,
  minConnectionIdleTimeSec: seconds,
  minIdleInTransactionSec: seconds,
  reapIdleInTransaction: flag,
  maxIdleConnectionsToKill: count,
  leaseGraceMs: count,
});

/** What makes no sense on a pool: nothing waits for a renewal there, and nobody is told. */
const {
  heartbeatHardWaitRemainingMs: _hard,
  heartbeatErrorMode: _mode,
  reaperErrorMode: _errors,
  ...POOL_LEASE_OPTIONS
} = LEASE_OPTIONS;

/** @type {Table} The option `lease` of a pool. */
const POOL_LEASE = Object.freeze({
  ...POOL_LEASE_OPTIONS,
  secret: {
    accepts: (value) => typeof value === 'string' && Buffer.byteLength(value) >= LEAST_SECRET,
    says: `a string of at least ${LEAST_SECRET} bytes`,
    secret: true,
  },
  serviceName: rules.text,
});

/**
 * The option `lease` of a client of the pg face, or of its pool, in the engine's words.
 * @param {unknown} given @param {string | undefined} applicationName
 */
function readClientLease(given, applicationName) {
  return readPoolLease(rules.readOptions(POOL_LEASE, given, [], 'lease.'), applicationName);
}

/**
 * The option `lease` of a pool in the engine's words.
 * @param {Record<string, any>} lease checked @param {string | undefined} applicationName
 * @param {Readonly<Record<string, string | undefined>>} [env]
 */
function readPoolLease(lease, applicationName, env = process.env) {
  if (lease.secret === undefined) throw rules.wrong('lease.secret', 'must be given');
  require('./weak-secret.js').warnOfWeak('lease.secret', lease.secret);
  const serviceName = lease.serviceName ?? (env.AWS_LAMBDA_FUNCTION_NAME || 'sls_pg');
  // What a pool holds open is wanted, used or not.
  const kept = { always: true, heartbeatErrorMode: 'swallow' };
  return { ...roundedTtl(lease), serviceName, plainName: applicationName ?? serviceName, ...kept };
}

module.exports = {
  LEASE_OPTIONS,
  LEAST_SECRET,
  POOL_LEASE,
  probability,
  readClientLease,
  readPoolLease,
  roundedTtl,
};
