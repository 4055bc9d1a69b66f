// Rules for the options of health, resilience, shutdown and debug, which also take ranges.
'use strict';

const { argumentError } = require('./error-classes.js');
const { MAX_MS, isObject } = require('./option-rules.js');

/** @import { Rule } from './option-rules.js' */

/** @type {Rule} */
const number = { accepts: (value) => typeof value === 'number', says: 'a number' };

/** @type {Rule} */
const logger = {
  accepts: (value) => isObject(value) || typeof value === 'function',
  says: 'an object with methods trace, debug, info, warn, error, fatal',
};

/** Anything may stand where a pool is asked for: what has no `getMetrics` gives no figures. @type {Rule} */
const pool = {
  accepts: (value) => value === null || isObject(value) || typeof value === 'function',
  says: 'a pool',
};

/**
 * The value, or a RangeError that names the option.
 * @param {string} option @param {number} value @param {(value: number) => boolean} isRight @param {string} says
 */
function inRange(option, value, isRight, says) {
  if (isRight(value)) return value;
  throw argumentError(new RangeError(`option "${option}" must be ${says}, got ${value}`), {
    code: 'ERR_CONFIG',
    option,
  });
}

/** @param {string} option @param {number} value milliseconds */
function aboveZero(option, value) {
  return inRange(
    option,
    value,
    (ms) => Number.isFinite(ms) && ms > 0,
    'a finite number above 0 (milliseconds)',
  );
}

/** @param {string} option @param {number} value milliseconds */
function notBelowZero(option, value) {
  return inRange(
    option,
    value,
    (ms) => Number.isFinite(ms) && ms >= 0,
    'a finite number not below 0 (milliseconds)',
  );
}

/** Milliseconds a timer can take; a longer one would fire at once. @param {number} ms */
const timerMs = (ms) => Math.min(ms, MAX_MS);

module.exports = { aboveZero, inRange, logger, notBelowZero, number, pool, timerMs };
