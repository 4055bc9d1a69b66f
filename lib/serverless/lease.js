// Leases: the signed claim on a connection that travels as its application_name.
'use strict';

const native = require('../native.js');
const { LeaseError, fromNative } = require('../errors.js');

/** Most bytes of a lease. */
const APP_NAME_MAX_LEN = 63;
/** Characters of a signature. */
const SIG_LEN = 11;

/** What is longer no reader takes for a time. */
const LEAST_BEYOND = 1e15;

/** @import { Lease, LeaseManager as Contract } from '../../types/serverless.js' */

/** @template T @param {() => T} call @returns {T} */
function asking(call) {
  try {
    return call();
  } catch (error) {
    const { fields } = /** @type {{ fields?: string }} */ (error);
    throw fields === undefined ? error : fromNative(JSON.parse(fields), 'pg');
  }
}

/** @implements {Contract} */
class LeaseManager {
  static APP_NAME_MAX_LEN = APP_NAME_MAX_LEN;
  static SIG_LEN = SIG_LEN;

  /** @type {string} */ serviceName;
  /** @type {string} */ instanceId;

  /** @param {string} serviceName @param {string} instanceId @param {string} secret */
  constructor(serviceName, instanceId, secret) {
    if (!secret) {
      throw new LeaseError('LeaseManager requires a non-empty secret', { code: 'ERR_LEASE' });
    }
    const given = [String(serviceName || ''), String(instanceId || ''), String(secret)];
    const [service, instance, key] = /** @type {[string, string, string]} */ (given);
    const token = JSON.parse(asking(() => native.leaseToken(service, instance, key)));
    // As they stand in a lease. Signing makes the same of them again only from what was given.
    this.serviceName = token.service;
    this.instanceId = token.instance;
    this.#given = { service, instance };
    this.#secret = key;
  }

  #given;
  #secret;

  /** Readable, as in the predecessor, but in no listing, no JSON and no inspection, hidden members included (rule SC-23). */
  get secret() {
    return this.#secret;
  }

  /** @param {number} expMs */
  generateAppName(expMs) {
    const { service, instance } = this.#given;
    const exp = Math.round(expMs);
    if (!(exp >= 0 && exp < LEAST_BEYOND)) {
      throw new RangeError('expMs must be Unix time in milliseconds, of at most 15 digits');
    }
    return asking(() => native.leaseSign(service, instance, this.#secret, exp));
  }

  /** @param {string} text @returns {Lease | null} */
  parseAndVerify(text) {
    if (typeof text !== 'string') return null;
    const lease = asking(() => native.leaseVerify(text, this.#secret, Date.now()));
    return lease === null ? null : { ...JSON.parse(lease), isValidSignature: true };
  }
}

/** Eight characters, new for each client. */
function newInstanceId() {
  return native.leaseInstance();
}

module.exports = { LeaseManager, newInstanceId };
