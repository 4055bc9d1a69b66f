// The hooks of a pool that hear of single statements: all, slow ones, failed ones.
'use strict';

const { callHook } = require('./hooks.js');
const { wrong } = require('./option-rules.js');

/** @import { LogEvent } from '../types/pool-extras.js' */
/** @import { PoolOptions } from '../types/pool.js' */

const DEFAULT_SLOW_MS = 1000;

/**
 * One function that tells whom it concerns; what they throw is theirs.
 * @param {Pick<PoolOptions, 'logger' | 'slowQueryMs' | 'onSlowQuery' | 'onQueryError'>} hooks
 * @returns {((event: LogEvent) => void) | undefined} undefined when nobody wants to hear anything
 */
function queryHooks({ logger, slowQueryMs = DEFAULT_SLOW_MS, onSlowQuery, onQueryError }) {
  if (onSlowQuery === undefined && slowQueryMs !== DEFAULT_SLOW_MS) {
    throw wrong('slowQueryMs', 'needs "onSlowQuery"');
  }
  if (logger === undefined && onSlowQuery === undefined && onQueryError === undefined) {
    return undefined;
  }
  return (event) => {
    callHook(logger, [event]);
    if (event.durationMs > slowQueryMs) callHook(onSlowQuery, [event]);
    if (event.error !== undefined) callHook(onQueryError, [event]);
  };
}

module.exports = { queryHooks };
