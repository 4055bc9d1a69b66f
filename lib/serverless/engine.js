// Opens the connections of one ServerlessClient through the engine.
'use strict';

const { readConnection, startUp } = require('./config.js');
const { Connection } = require('./connection.js');

/** @import { ConnectionSettings } from './config.js' */
/** @import { News, Watcher } from './connection.js' */
/** @typedef {InstanceType<typeof import('./lease.js').LeaseManager>} LeaseManager */

/** How long the goodbye of a pass of its own may take, which a call waits for. */
const PATIENCE_MS = 500;

class EngineSeam {
  #settings;
  #lease;
  #leases;
  #name;
  #hooks;
  #log;

  /**
   * @param {ConnectionSettings} settings @param {Record<string, any> | undefined} lease with its instance
   * @param {{ applicationName: string, watching: import('../handles.js').Hooks }} options
   * @param {LeaseManager | null} leases
   * @param {(message: () => string) => void} log
   */
  constructor(settings, lease, { applicationName, watching }, leases, log) {
    this.#settings = settings;
    this.#lease = lease;
    this.#leases = leases;
    this.#name = applicationName;
    this.#hooks = watching;
    this.#log = log;
  }

  /** @param {Watcher} watcher @param {number} limitMs */
  async open(watcher, limitMs) {
    return Connection.open(await this.#startUp(limitMs), watcher, this.#hooks);
  }

  /** What the engine connects with; of the lease it makes the name in the startup packet. @param {number} limitMs */
  async #startUp(limitMs) {
    const lease = this.#lease;
    if (lease !== undefined && lease.pooler !== 'on' && this.#settings.applicationName) {
      this.#log(() => 'application_name of the connectionString is used only without a lease');
    }
    const given = await startUp(this.#settings, limitMs);
    return { ...given, ...(lease === undefined ? { applicationName: this.#name } : { lease }) };
  }

  /**
   * One pass over a connection of its own, when the server has no room for another (rule SC-18).
   * @param {Record<string, any>} given under pg's names @param {number} limitMs
   * @returns {Promise<News | undefined>} nothing when there was none
   */
  async reapOnce(given, limitMs) {
    const [lease, leases] = [this.#lease, this.#leases];
    if (lease === undefined || leases === null) return undefined;
    const { database, host, port } = this.#settings.engine;
    const place = `${host ?? ''}:${port ?? ''}/${database ?? ''}`;
    const settings = readConnection({ database, host, port, ...given });
    // Here, because hardly any process ever does this.
    const { reapOnce } = require('./emergency.js');
    return reapOnce({ place, leases, lease, open: (...args) => alone(settings, ...args) }, limitMs);
  }
}

/**
 * A connection without upkeep, for somebody who knows clients of `pg`'s shape.
 * @param {ConnectionSettings} settings @param {string} applicationName @param {number} limitMs
 */
async function alone(settings, applicationName, limitMs) {
  const given = { ...(await startUp(settings, limitMs)), applicationName };
  const connection = await Connection.open(given, { lost() {}, news() {} }, {});
  const { processID } = connection;
  return {
    client: { processID, query: Connection.queryOf(connection) },
    close: () => connection.close(PATIENCE_MS),
  };
}

module.exports = { EngineSeam };
