// Option `library`: opens connections that a Client class of the caller's carries in place of the engine.
'use strict';

const { parseConnectionString } = require('./connection-string.js');
const { reapOnce } = require('./emergency.js');
const { LibraryConnection } = require('./library-connection.js');
const { ServerClock } = require('./server-clock.js');
const upkeep = require('./upkeep.js');

/** @import { ServerlessLibrary } from '../../types/serverless.js' */
/** @import { News, Watcher } from './connection.js' */
/** @typedef {InstanceType<typeof import('./lease.js').LeaseManager>} LeaseManager */

/**
 * The connection string without a name, however often and in whatever spelling it has one: the lease wins over it (rule SC-17).
 * @param {string} text
 */
function withoutName(text) {
  const [, before, query = '', behind] = /^([^?]*)\?([^#]*)(.*)$/s.exec(text) ?? [];
  const pairs = query.split('&');
  const kept = pairs.filter((pair) => !new URLSearchParams(pair).has('application_name'));
  if (kept.length === pairs.length) return text;
  return `${before}${kept.length > 0 ? `?${kept.join('&')}` : ''}${behind}`;
}

/** Opens connections of one client. */
class LibrarySeam {
  #Client;
  #connection;
  #name;
  #given;
  #lease;
  #leases;
  #clock = new ServerClock();
  #log;

  /**
   * @param {ServerlessLibrary} library
   * @param {{ connection: Record<string, any>, applicationName: string, lease: Record<string, any> | undefined }} options
   * @param {LeaseManager | null} leases
   * @param {(message: () => string) => void} log
   */
  constructor(library, { connection, applicationName, lease }, leases, log) {
    this.#Client = library.Client;
    this.#connection = connection;
    this.#name = applicationName;
    this.#given = lease;
    this.#lease = lease === undefined ? undefined : upkeep.withDefaults(lease);
    this.#leases = leases;
    this.#log = log;
  }

  /** @param {Watcher} watcher @param {number} limitMs @returns {Promise<InstanceType<typeof LibraryConnection>>} */
  async open(watcher, limitMs) {
    const [lease, leases] = [this.#lease, this.#leases];
    const isLeased = lease !== undefined && leases !== null && lease.pooler !== 'on';
    const expiry = isLeased ? Math.round(this.#clock.now() + lease.ttlMs) : 0;
    const config = { ...this.#connection };
    if (lease !== undefined && config.connectionString) {
      config.connectionString = withoutName(config.connectionString);
    }
    config.application_name = isLeased ? leases.generateAppName(expiry) : this.#name;
    const connection = new LibraryConnection(this.#Client, config, watcher);
    await connection.connect(limitMs);
    if (lease !== undefined && leases !== null) {
      connection.keep((client, home) => {
        const log = (/** @type {any[]} */ ...words) => this.#log(() => words.join(' '));
        const place = placeOf(config);
        return new upkeep.Upkeep(client, leases, lease, this.#clock, place, expiry, {
          ...home,
          log,
        });
      });
    }
    return connection;
  }

  /**
   * One pass over a connection of its own, when the server has no room for another (rule SC-18).
   * @param {Record<string, any>} settings under pg's names @param {number} limitMs
   * @returns {Promise<News | undefined>} nothing when there was none
   */
  async reapOnce(settings, limitMs) {
    const [lease, leases] = [this.#given, this.#leases];
    if (lease === undefined || leases === null) return undefined;
    const config = { ...placeIn(this.#connection), ...settings };
    const open = (/** @type {string} */ name, /** @type {number} */ ms) =>
      this.#alone({ ...config, application_name: name }, ms);
    return reapOnce({ place: placeOf(this.#connection), leases, lease, open }, limitMs);
  }

  /** @param {Record<string, any>} config @param {number} limitMs */
  async #alone(config, limitMs) {
    if (config.connectionString) config.connectionString = withoutName(config.connectionString);
    const connection = new LibraryConnection(this.#Client, config, { lost() {}, news() {} });
    await connection.connect(limitMs);
    const close = async (/** @type {boolean} */ isStuck) => {
      // A server that says nothing more would not say goodbye either.
      if (isStuck) connection.cut();
      await connection.close();
    };
    return { client: connection.client, close };
  }
}

/** The server and the database, for a connection of another role. @param {Record<string, any>} config */
function placeIn({ connectionString, ...options }) {
  const parts = connectionString ? parseConnectionString(connectionString) : options;
  const { host, port, database } = parts;
  return { host, port, database };
}

/** What passes of one process are counted for. @param {Record<string, any>} config */
function placeOf({ connectionString, host, port, database }) {
  if (!connectionString) return `${host ?? ''}:${port ?? ''}/${database ?? ''}`;
  // Without the parameters, and without the secret in front of the host.
  return withoutName(String(connectionString)).replace(/^.*@|\?.*$/g, '');
}

module.exports = { LibrarySeam };
