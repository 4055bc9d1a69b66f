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
 * `last`: number of the probe behind which nothing more is heard; `joined`: who waits for which probe, at least.
 * @typedef {{
 *   hear: Hear, timeoutMs: number, skipped: number, last: number, joined: { number: number, tell: (result: any) => void }[],
 * }} Monitor
 *
 * What is made of the newest report. `skipped`: probes left out so far; `isRegular`: it came at its time, not because
 * somebody asked for it.
 * @typedef {(report: Report, skipped: number, isRegular: boolean) => unknown} Hear
 */

/** @param {any} report @returns {Report} */
function read(report) {
  const { error } = report;
  return error === undefined ? report : { ...report, error: fromNative(error, 'cluster') };
}

/** @param {Monitor} monitor @param {Report} report @param {number} number @param {boolean} isRegular */
function hand(monitor, report, number, isRegular) {
  const result = monitor.hear(report, monitor.skipped, isRegular);
  const { joined } = monitor;
  monitor.joined = joined.filter((one) => one.number > number);
  for (const one of joined) if (one.number <= number) one.tell(result);
}

/**
 * Whoever waits for a check of his own expects the process to wait too.
 * @param {Monitor} monitor @param {number} number @returns {Promise<any>}
 */
function joined(monitor, number) {
  const letGo = keepAlive();
  return new Promise((resolve) => {
    const tell = (/** @type {any} */ result) => {
      letGo();
      resolve(result);
    };
    monitor.joined.push({ number, tell });
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
   * @param {number} intervalMs @param {number} timeoutMs @param {boolean} keepsAlive @param {Hear} hear
   * @returns {{ stop: () => void, now: () => Promise<any> | undefined }} `stop`: behind the probe under way, whose report is
   *   heard; `now`: what `hear` makes of the probe under way, or of one that begins at once; nothing if there will be none
   */
  repeat(intervalMs, timeoutMs, keepsAlive, hear) {
    const { slot, generation } = this.#pool;
    const id = this.#begin(intervalMs, timeoutMs);
    /** @type {Monitor} */
    const monitor = { hear, timeoutMs, skipped: 0, last: Number.POSITIVE_INFINITY, joined: [] };
    const letGo = keepsAlive ? keepAlive() : undefined;
    if (id === undefined) {
      this.#report(monitor);
      return { stop: () => letGo?.(), now: () => undefined };
    }
    this.#monitors.set(id, monitor);
    return {
      stop: () => {
        letGo?.();
        const last = native.poolUnmonitor(slot, generation, id);
        if (last === null) this.#drop(id, monitor);
        else monitor.last = last;
      },
      now() {
        const number = native.poolProbeNow(slot, generation, id);
        return number === null ? undefined : joined(monitor, number);
      },
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
    hand(monitor, await this.once(1), Number.POSITIVE_INFINITY, true);
  }

  /** The engine says that a monitor has a report. @param {number} id */
  heard(id) {
    const { slot, generation } = this.#pool;
    const monitor = this.#monitors.get(id);
    const text = monitor && native.poolProbed(slot, generation, id);
    if (!monitor || !text) return;
    const { report, number, isRegular, skipped } = JSON.parse(text);
    monitor.skipped = skipped;
    const isLast = number >= monitor.last;
    hand(monitor, read(report), number, isRegular);
    if (isLast) this.#drop(id, monitor);
  }

  /**
   * The engine probes for it no more. Whoever waits for a probe that was still to begin gets one of his own.
   * @param {number} id @param {Monitor} monitor
   */
  async #drop(id, monitor) {
    this.#monitors.delete(id);
    if (monitor.joined.length === 0) return;
    hand(monitor, await this.once(monitor.timeoutMs), Number.POSITIVE_INFINITY, false);
  }

  /** The engine's monitors have ended with the pool; the last word of each must not be that all is well. */
  #ended() {
    for (const monitor of this.#monitors.values()) this.#report(monitor);
    this.#monitors.clear();
  }
}

module.exports = { Probes };
