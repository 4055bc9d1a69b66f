// HealthMonitor: checks a database again and again, and tells when its health changes.
'use strict';

const { LIMIT_OPTIONS, check, judged, limitsOf, nativeOf } = require('./health-check.js');
const { callHook, messageOf } = require('./hooks.js');
const { aboveZero, inRange, logger, number, pool, timerMs } = require('./infra-options.js');
const { loggerOf } = require('./infra-logger.js');
const { callback, flag, readOptions } = require('./option-rules.js');

/** @import * as api from '../types/health.js' */

const MONITOR_OPTIONS = Object.freeze({
  ...LIMIT_OPTIONS,
  pool,
  verbose: flag,
  logger,
  intervalMs: number,
  keepAlive: flag,
  failureThreshold: number,
  onStatusChange: callback,
});

const MONITOR = Symbol.for('pg-berth.monitor');

/** While the database stays unwell, the log says so once in this time. */
const REPEAT_MS = 60_000;

/** @implements {api.HealthMonitor} */
class HealthMonitor {
  #db;
  #options;
  #limits;
  #intervalMs;
  #failureThreshold;
  #logger;
  /** Ends the checks of this run. @type {(() => void) | undefined} */
  #stop;
  /** The engine's check of the last run that is under way or begins at once. @type {() => Promise<api.HealthCheckResult> | undefined} */
  #now = () => undefined;
  /** @type {api.HealthCheckCallback | undefined} */
  #onCheck;
  /** Counts starts and stops: a check belongs to the run it began in. */
  #run = 0;
  /** @type {Promise<api.HealthCheckResult> | undefined} */
  #probe;
  /** @type {api.HealthCheckResult | undefined} */
  #last;
  #stats = { checks: 0, skipped: 0 };
  /** The status that counts, after `failureThreshold`. @type {api.HealthStatus} */
  #status = 'healthy';
  #badInRow = 0;
  #warnedAt = Number.NEGATIVE_INFINITY;

  /** @param {any} db @param {api.HealthMonitorOptions} [options] */
  constructor(db, options) {
    const read = readOptions(MONITOR_OPTIONS, options);
    this.#db = db;
    this.#options = read;
    this.#limits = limitsOf(read);
    this.#intervalMs = aboveZero('intervalMs', read.intervalMs ?? 30_000);
    this.#failureThreshold = inRange(
      'failureThreshold',
      read.failureThreshold ?? 1,
      (value) => Number.isInteger(value) && value >= 1,
      'a whole number of at least 1',
    );
    this.#logger = loggerOf(read.logger);
  }

  /** @param {api.HealthCheckCallback} [onCheck] */
  start(onCheck) {
    if (this.#stop !== undefined) return;
    this.#onCheck = onCheck;
    this.#run++;
    this.#logger.debug(`Starting health monitor, one check every ${this.#intervalMs}ms`);
    const native = nativeOf(this.#db, this.#options.pool);
    this.#stop = native === undefined ? this.#repeat() : this.#hear(native);
  }

  /** @returns {() => void} */
  #repeat() {
    const timer = setInterval(() => this.#tick(), timerMs(this.#intervalMs));
    // Timers of some runtimes are numbers.
    if (!this.#options.keepAlive) callHook(timer?.unref?.bind(timer), []);
    this.#follow();
    return () => clearInterval(timer);
  }

  /** The engine checks, whatever the event loop does. @param {any} native @returns {() => void} */
  #hear(native) {
    const run = this.#run;
    const { timeoutMs } = this.#limits;
    const before = this.#stats.skipped;
    const hear = (
      /** @type {any} */ report,
      /** @type {number} */ skipped,
      /** @type {boolean} */ isRegular,
    ) => {
      const result = judged(report, native, this.#limits, this.#options.verbose === true);
      this.#last = result;
      this.#stats.checks++;
      this.#stats.skipped = before + skipped;
      if (isRegular) this.#tell(run, result);
      return result;
    };
    const keepsAlive = this.#options.keepAlive === true;
    const { stop, now } = native[MONITOR](this.#intervalMs, timeoutMs, keepsAlive, hear);
    this.#now = now;
    return stop;
  }

  stop() {
    if (this.#stop === undefined) return;
    this.#stop();
    this.#stop = undefined;
    this.#run++;
  }

  destroy() {
    this.stop();
  }

  [Symbol.dispose]() {
    this.stop();
  }

  isRunning() {
    return this.#stop !== undefined;
  }

  getLastCheck() {
    return this.#last;
  }

  getStats() {
    return { ...this.#stats };
  }

  checkNow() {
    this.#probe ??= this.#byEngine() ?? this.#check();
    return this.#probe;
  }

  #byEngine() {
    const result = this.#now();
    result?.then(() => {
      this.#probe = undefined;
    });
    return result;
  }

  async #check() {
    try {
      const { pool: given, verbose } = this.#options;
      const result = await check(this.#db, given, this.#limits, verbose === true);
      this.#last = result;
      this.#stats.checks++;
      return result;
    } finally {
      this.#probe = undefined;
    }
  }

  #tick() {
    if (this.#probe === undefined) this.#follow();
    else this.#stats.skipped++;
  }

  async #follow() {
    const run = this.#run;
    this.#tell(run, await this.checkNow());
  }

  /** @param {number} run the check belongs to it @param {api.HealthCheckResult} result */
  #tell(run, result) {
    if (run !== this.#run) return;
    this.#judge(result);
    callHook(this.#onCheck, [result], (error) => {
      this.#logger.error(`onCheck threw: ${messageOf(error)}`);
    });
  }

  /** @param {api.HealthCheckResult} result */
  #judge(result) {
    const isGood = result.status === 'healthy';
    this.#badInRow = isGood ? 0 : this.#badInRow + 1;
    const previous = this.#status;
    const status = isGood || this.#badInRow >= this.#failureThreshold ? result.status : previous;
    this.#status = status;
    if (status !== 'healthy') this.#warn(status, status !== previous);
    if (status === previous) return;
    callHook(this.#options.onStatusChange, [status, previous, result], (error) => {
      this.#logger.error(`onStatusChange threw: ${messageOf(error)}`);
    });
  }

  /** @param {api.HealthStatus} status @param {boolean} isNew */
  #warn(status, isNew) {
    const now = Date.now();
    if (!isNew && now - this.#warnedAt < REPEAT_MS && now >= this.#warnedAt) return;
    this.#warnedAt = now;
    this.#logger.warn(`Health check status: ${status}`);
  }
}

module.exports = { HealthMonitor };
