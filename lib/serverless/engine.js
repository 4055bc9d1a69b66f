// Opens the connections of one ServerlessClient through the engine.
'use strict';

const { readConnection, startUp } = require('./config.js');
const { Connection } = require('./connection.js');
const { cooldownOf } = require('./cooldown.js');
const { reapOnce } = require('./emergency.js');

/** @import { ConnectionSettings } from './config.js' */
/** @import { News, Watcher } from './connection.js' */

/** Default of `reaperCooldownMs` (native/src/config/lease.rs). */
const COOLDOWN_MS = 30_000;

class EngineSeam {
  #settings;
  #lease;
  #name;
  #hooks;
  #log;

  /**
   * @param {ConnectionSettings} settings @param {Record<string, any> | undefined} lease with its instance
   * @param {{ applicationName: string, watching: import('../handles.js').Hooks }} options
   * @param {(message: () => string) => void} log
   */
  constructor(settings, lease, { applicationName, watching }, log) {
    this.#settings = settings;
    this.#lease = lease;
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
   * @returns {Promise<News | undefined>} nothing when another pass of this process was not long ago
   */
  async reapOnce(given, limitMs) {
    if (this.#lease === undefined) return undefined;
    const { database, host, port } = this.#settings.engine;
    const { serviceName, reaperCooldownMs = COOLDOWN_MS } = this.#lease;
    // Asked before anything is opened: what it takes is one of few slots, which all others of the fleet want as well.
    const cooldown = cooldownOf(`${host ?? ''}:${port ?? ''}/${database ?? ''}/${serviceName}`);
    if (!cooldown.claim(reaperCooldownMs)) return undefined;
    const began = performance.now();
    const settings = readConnection({ database, host, port, ...given });
    const pass = await reapOnce(settings, this.#lease, limitMs);
    if (pass !== undefined) cooldown.finish(began, pass.locked && !pass.error);
    return pass;
  }
}

module.exports = { EngineSeam };
