// Options that every face has: who hears of single statements, and what comment these carry.
'use strict';

const { lazy } = require('./lazy.js');
const { callback, count, readOptions, wrong } = require('./option-rules.js');

const hooks = lazy(() => require('./hooks.js'));

/** @import { LogEvent } from '../types/pool-extras.js' */
/** @import { About } from '../types/internal.js' */
/** @import { Table } from './option-rules.js' */

const DEFAULT_SLOW_MS = 1000;
/** What the traces of a pool of the pg face are known by. */
const KEY = Symbol.for('pg-berth.key');

/** @type {Table} */
const HOOK_OPTIONS = Object.freeze({
  slowQueryMs: count,
  onSlowQuery: callback,
  onQueryError: callback,
  sqlComment: callback,
});

/** Nobody hears, nothing is carried. @type {Pick<About, 'told' | 'comment'>} */
const NONE = Object.freeze({});

/**
 * One function that tells whom it concerns; what they throw is theirs.
 * @param {Record<string, any>} hooks @param {(() => void) | undefined} onFailure told when one throws
 * @returns {((event: LogEvent) => void) | undefined} undefined when nobody wants to hear anything
 */
function toldBy({ logger, slowQueryMs = DEFAULT_SLOW_MS, onSlowQuery, onQueryError }, onFailure) {
  if (onSlowQuery === undefined && slowQueryMs !== DEFAULT_SLOW_MS) {
    throw wrong('slowQueryMs', 'needs "onSlowQuery"');
  }
  if (logger === undefined && onSlowQuery === undefined && onQueryError === undefined) {
    return undefined;
  }
  const { callHook } = hooks();
  return (event) => {
    callHook(logger, [event], onFailure);
    if (event.durationMs > slowQueryMs) callHook(onSlowQuery, [event], onFailure);
    if (event.error !== undefined) callHook(onQueryError, [event], onFailure);
  };
}

/**
 * @param {Record<string, any>} options checked @param {() => void} [onFailure] told when a hook throws
 * @returns {Pick<About, 'told' | 'comment'>}
 */
function hooksOf(options, onFailure) {
  const { logger, slowQueryMs, onSlowQuery, onQueryError, sqlComment } = options;
  if ((logger ?? slowQueryMs ?? onSlowQuery ?? onQueryError ?? sqlComment) === undefined) {
    return NONE;
  }
  const comment = sqlComment && require('./sql-comment.js').commenter(sqlComment);
  return Object.freeze({ told: toldBy(options, onFailure), comment });
}

/** The same of options among others that are not checked. @param {Record<string, any>} options */
function readHooks(options) {
  /** @type {Record<string, any>} */
  const own = {};
  for (const name of Object.keys(HOOK_OPTIONS)) {
    if (options[name] !== undefined) own[name] = options[name];
  }
  return Object.freeze({
    ...hooksOf(readOptions(HOOK_OPTIONS, own)),
    key: /** @type {any} */ (options)[KEY],
  });
}

module.exports = { HOOK_OPTIONS, hooksOf, readHooks };
