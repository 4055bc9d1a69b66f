// pg-berth/shutdown: closes databases in time, once, and in the right order.
'use strict';

const { messageOf } = require('./hooks.js');
const { aboveZero, logger, number, timerMs } = require('./infra-options.js');
const { loggerOf } = require('./infra-logger.js');
const { lifecycleOf } = require('./lifecycle.js');
const { callback, flag, isText, readOptions, wrong } = require('./option-rules.js');
const { endWithin } = require('./shutdown-patience.js');
const { isWorker, onSignals, problemOf, processOf } = require('./shutdown-signals.js');

/** @import * as api from '../types/shutdown.js' */

/** One table for all functions, so that one object of options serves them all. */
const SHUTDOWN_OPTIONS = Object.freeze({
  timeout: number,
  onShutdown: callback,
  logger,
  signals: {
    accepts: (/** @type {unknown} */ value) => Array.isArray(value) && value.every(isText),
    says: 'an array of signal names',
    copy: (/** @type {object} */ value) => (Array.isArray(value) ? [...value] : value),
  },
  exit: flag,
  exitCode: callback,
});

/** What is kept back from `onShutdown` for closing: at most this, and at most this share of the whole. */
const RESERVE_MS = 5000;
const RESERVE_SHARE = 0.3;

/** Part of the time left that a pool of this package has for cancelling what still runs, and at most so long. */
const CANCEL_SHARE = 0.2;
const CANCEL_MS = 1000;

/** How a native pool is told of its time. */
const CLOSE = Symbol.for('pg-berth.close');

/** The shutdown of a database, under way or done: signals, controllers and direct calls share it. @type {WeakMap<object, Promise<any>>} */
const shutdowns = new WeakMap();

/** Databases whose shutdown was ever begun, also if it failed. @type {WeakSet<object>} */
const begun = new WeakSet();

/** @param {unknown} given */
function readShutdownOptions(given) {
  const read = readOptions(SHUTDOWN_OPTIONS, given);
  const { timeout = 30_000, onShutdown, signals = ['SIGTERM', 'SIGINT'], exit = true } = read;
  aboveZero('timeout', timeout);
  const problem = problemOf(signals);
  if (problem !== undefined) throw wrong('signals', problem);
  return {
    timeout,
    onShutdown,
    signals,
    exit,
    exitCode: read.exitCode,
    log: loggerOf(read.logger),
  };
}

/** @typedef {ReturnType<typeof readShutdownOptions>} Options */

/** What cannot be closed must be found out at the start of a program, not at its end. @param {any} db */
function checkDatabase(db) {
  if ([db?.destroy, db?.end, db?.[CLOSE]].some((close) => typeof close === 'function')) return;
  throw new TypeError(`db must have a method destroy or end, got ${db === null ? db : typeof db}`);
}

/** @param {any} db */
async function shutdownDatabase(db) {
  checkDatabase(db);
  if (typeof db.destroy === 'function') await db.destroy();
  else await db.end();
}

/**
 * Closes within the time left, and gives the report of a native pool.
 * @param {any} db @param {number} leftMs
 */
async function close(db, leftMs) {
  const patienceMs = Math.max(1, Math.floor(leftMs - Math.min(CANCEL_MS, leftMs * CANCEL_SHARE)));
  if (typeof db[CLOSE] === 'function') return db[CLOSE](patienceMs);
  const lifecycle = lifecycleOf(db);
  if (lifecycle) lifecycle.patienceMs = patienceMs;
  await endWithin(patienceMs, () => shutdownDatabase(db));
  return lifecycle?.report;
}

/**
 * @param {any} db
 * @param {api.ShutdownOptions} [options]
 * @returns {Promise<any>}
 */
async function gracefulShutdown(db, options) {
  checkDatabase(db);
  return shutDownOnce(db, readShutdownOptions(options));
}

/** @param {any} db @param {Options} options */
function shutDownOnce(db, options) {
  let shutdown = shutdowns.get(db);
  if (shutdown === undefined) {
    /** @type {(work: Promise<any>) => void} */
    let follow = () => {};
    shutdown = new Promise((resolve) => {
      follow = resolve;
    });
    // Known before onShutdown runs, which may ask for a shutdown too.
    shutdowns.set(db, shutdown);
    begun.add(db);
    // After a failure it may be tried again.
    shutdown.catch(() => shutdowns.delete(db));
    follow(shutDown(db, options));
  }
  return shutdown;
}

/** @param {any} db @param {Options} options */
async function shutDown(db, { timeout, onShutdown, log }) {
  const start = performance.now();
  const expired = new Error(`Shutdown timeout after ${timeout}ms`);
  const deadline = startTimer(timeout);
  /** @type {{ error: unknown } | undefined} */
  let failure;
  const note = (/** @type {unknown} */ error) => {
    log.error(`Error during shutdown: ${messageOf(error)}`);
    failure ??= { error };
  };
  try {
    if (onShutdown) {
      const share = startTimer(timeout - Math.min(RESERVE_MS, timeout * RESERVE_SHARE));
      const hooked = (async () => onShutdown())();
      try {
        if ((await Promise.race([hooked, share.expired])) === EXPIRED) note(expired);
      } catch (error) {
        note(error);
      }
      share.clear();
    }
    const closed = close(db, Math.max(1, timeout - (performance.now() - start)));
    let report;
    try {
      report = await Promise.race([closed, deadline.expired]);
    } catch (error) {
      note(error);
    }
    if (report === EXPIRED && failure?.error !== expired) note(expired);
    if (failure) throw failure.error;
    if (report === undefined) return undefined;
    if (report.open > 0) {
      log.warn(
        `Shutdown: ${report.open} open transactions or streams were closed, none was committed`,
      );
    }
    return { ...report, elapsedMs: Math.round(performance.now() - start) };
  } finally {
    deadline.clear();
  }
}

const EXPIRED = Symbol('expired');

/** @param {number} ms */
function startTimer(ms) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const expired = new Promise((resolve) => {
    timer = setTimeout(() => resolve(EXPIRED), timerMs(ms));
  });
  return { expired, clear: () => clearTimeout(timer) };
}

/**
 * @param {any} db
 * @param {api.RegisterShutdownOptions} [options]
 * @returns {() => void}
 */
function registerShutdownHandlers(db, options) {
  checkDatabase(db);
  return register(db, readShutdownOptions(options));
}

/** @param {any} db @param {Options} options */
function register(db, options) {
  const { log, signals, exit, exitCode = defaultExitCode } = options;
  if (processOf() === undefined) {
    log.warn('There is no process to listen to: no shutdown handlers registered');
    return () => {};
  }
  if (isWorker()) {
    log.warn('Signals do not arrive in worker threads: no shutdown handlers registered');
    return () => {};
  }
  return onSignals(signals, {
    exits: exit,
    exitCode,
    async begin(signal) {
      log.info(`Received ${signal}, starting graceful shutdown...`);
      try {
        await shutDownOnce(db, options);
        return {};
      } catch (error) {
        return { error: error ?? new Error('shutdown failed') };
      }
    },
  });
}

/** @param {unknown} error */
function defaultExitCode(error) {
  return error === undefined ? 0 : 1;
}

/**
 * @param {any} db
 * @param {api.RegisterShutdownOptions} [options]
 * @returns {api.ShutdownController}
 */
function createShutdownController(db, options) {
  checkDatabase(db);
  const read = readShutdownOptions(options);
  /** @type {Promise<any> | undefined} */
  let execution;
  return {
    execute() {
      execution ??= shutDownOnce(db, read);
      return execution;
    },
    registerSignals: () => register(db, read),
    isShuttingDown: () => begun.has(db),
  };
}

module.exports = {
  createShutdownController,
  gracefulShutdown,
  registerShutdownHandlers,
  shutdownDatabase,
};
