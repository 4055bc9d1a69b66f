// The logger of health, resilience, shutdown and debug: the user's, made harmless, or the console.
'use strict';

const { callHook } = require('./hooks.js');

/** @import { Logger, LogLevel } from '../types/logger.js' */

const LEVELS = /** @type {LogLevel[]} */ (['trace', 'debug', 'info', 'warn', 'error', 'fatal']);

/** @typedef {Record<LogLevel, (message: string, ...args: unknown[]) => void>} SafeLogger */

/** Consoles without these levels have a method that comes near. */
const CONSOLE = /** @type {Record<LogLevel, 'debug' | 'info' | 'warn' | 'error'>} */ ({
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
});

/**
 * A logger that has every level and never throws: a level the user's lacks is dropped, and so is what it throws.
 * @param {Partial<Logger> | undefined} given
 * @returns {SafeLogger}
 */
function loggerOf(given) {
  /** @type {Partial<SafeLogger>} */
  const logger = {};
  for (const level of LEVELS) {
    logger[level] = given
      ? (...args) => callHook(bound(given, level), args)
      : (message, ...args) =>
          // biome-ignore lint/suspicious/noConsole: the default of the interface is the console.
          callHook(console[CONSOLE[level]], [`[pg-berth] [${level}] ${message}`, ...args]);
  }
  return /** @type {SafeLogger} */ (logger);
}

/** @param {any} given @param {LogLevel} level */
function bound(given, level) {
  return (/** @type {unknown[]} */ ...args) => {
    if (typeof given[level] === 'function') return given[level](...args);
  };
}

module.exports = { loggerOf };
