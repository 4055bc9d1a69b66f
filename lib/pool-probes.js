// Signs of life of a pool's server, asked for by the engine: at once, or at regular times.
'use strict';

const native = require('./native.js');
const { fromNative } = require('./errors.js');
const { keepAlive } = require('./mailbox.js');

/** @import { Target } from '../types/internal.js' */

/** As milliseconds for the engine. @param {number} ms */
const whole = (ms) => Math.min(Math.max(1, Math.round(ms)), 2 ** 31 - 1);

/**
 * What came of a probe. `lagMs`: how long the report has waited for the event loop.
 * @typedef {{ waitedMs: number, roundTripMs: number, version: string | null, host: string, lagMs: number, error?: Error }} Report
 */

/**
 * `skipped`: probes left out so far; `stop`: what is to be done behind the first report, `undefined` when that was heard;
 * `joined`: who else waits for that one.
 * @typedef {{
 *   hear: (report: Report, skipped: number) => unknown, skipped: number, stop: (() => void) | undefined,
 *   joined: ((heard: any) => void)[],
 * }} Monitor
 */

/** @param {any} report @returns {Report} */
function read(report) {
  const { error } = report;
  return error === undefined ? report : { ...report, error: fromNative(error, 'cluster') };
}

/** @param {Report} report @param {Monitor} monitor */
function hand(report, monitor) {
  const { stop } = monitor;
  monitor.stop = undefined;
  const heard = monitor.hear(report, monitor.skipped);
  for (const tell of monitor.joined.splice(0)) tell(heard);
  stop?.();
}

/** Whoever waits for a check of his own expects the process to wait too. @param {Monitor} monitor @returns {Promise<any>} */
function joined(monitor) {
  const letGo = keepAlive();
  return new Promise((resolve) => {
    monitor.joined.push((heard) => {
      letGo();
      resolve(heard);
    });
  });
}

class Probes {
  #pool;
  /** @type {Map<number, Monitor>} */
  #monitors = new Map();

  /** @param {Target} pool @param {(hear: () => void) => void} atEnd has it told when the pool has ended */
  constructor(pool, atEnd) {
    this.#pool = pool;
    atEnd(() => this.#ended());
  }

  /** @param {number} timeoutMs @returns {Promise<Report>} never rejects */
  async once(timeoutMs) {
    const { slot, generation } = this.#pool;
    try {
      return read(JSON.parse(await native.poolProbe(slot, generation, whole(timeoutMs))));
    } catch (error) {
      const { fields } = /** @type {{ fields?: string }} */ (error);
      const known = fields === undefined ? error : fromNative(JSON.parse(fields), 'cluster');
      return /** @type {any} */ ({ error: known, lagMs: 0 });
    }
  }

  /**
   * At once and then every `intervalMs`, whatever the event loop does.
   * @param {number} intervalMs @param {number} timeoutMs @param {boolean} keepsAlive
   * @param {(report: Report, skipped: number) => unknown} hear the newest report, and how many probes were left out so far
   * @returns {{ stop: () => void, join: () => Promise<any> | undefined }} `stop`: behind the first report, because that one is
   *   under way; `join`: to what `hear` makes of that one, nothing when it was heard
   */
  repeat(intervalMs, timeoutMs, keepsAlive, hear) {
    const { slot, generation } = this.#pool;
    const id = this.#begin(intervalMs, timeoutMs);
    /** @type {Monitor} */
    const monitor = { hear, skipped: 0, stop: () => {}, joined: [] };
    if (id === undefined) this.#report(monitor);
    else this.#monitors.set(id, monitor);
    const letGo = keepsAlive ? keepAlive() : undefined;
    const stop = () => {
      monitor.hear = () => {};
      if (id === undefined) return;
      this.#monitors.delete(id);
      native.poolUnmonitor(slot, generation, id);
    };
    return {
      stop() {
        letGo?.();
        if (monitor.stop === undefined) stop();
        else monitor.stop = stop;
      },
      join: () => (monitor.stop === undefined ? undefined : joined(monitor)),
    };
  }

  /** @param {number} intervalMs @param {number} timeoutMs @returns {number | undefined} nothing when the pool has ended */
  #begin(intervalMs, timeoutMs) {
    const { slot, generation } = this.#pool;
    try {
      return native.poolMonitor(slot, generation, whole(intervalMs), whole(timeoutMs));
    } catch (error) {
      const { fields } = /** @type {{ fields?: string }} */ (error);
      if (fields === undefined) throw error;
      return undefined;
    }
  }

  /** What a probe says of a pool that has ended. @param {Monitor} monitor */
  async #report(monitor) {
    hand(await this.once(1), monitor);
  }

  /** The engine says that a monitor has a report. @param {number} id */
  heard(id) {
    const { slot, generation } = this.#pool;
    const monitor = this.#monitors.get(id);
    const text = monitor && native.poolProbed(slot, generation, id);
    if (!monitor || !text) return;
    const { report, skipped } = JSON.parse(text);
    monitor.skipped = skipped;
    hand(read(report), monitor);
  }

  /** The engine's monitors have ended with the pool; the last word of each must not be that all is well. */
  #ended() {
    for (const monitor of this.#monitors.values()) this.#report(monitor);
  }
}

module.exports = { Probes };
