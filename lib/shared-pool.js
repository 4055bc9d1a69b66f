// A pool that several threads of the process use: the token that stands for it, and what a thread that joins may choose.
'use strict';

const { ClosedError } = require('./error-classes.js');
const native = require('./native.js');
const { readOptions, wrong } = require('./option-rules.js');
const { POOL_OPTIONS } = require('./options.js');

/** @import { Target } from '../types/internal.js' */
/** @import { Table } from './option-rules.js' */
/** @import { PoolToken } from '../types/pool-extras.js' */

const KIND = 'pg-berth.pool';

/** What each thread has for itself; everything else is the pool's. */
const OWN = /** @type {const} */ ([
  'types',
  'rowMode',
  'json',
  'jsonNumbers',
  'retry',
  'commitResolution',
  'exactlyOnce',
  'logger',
  'onSlowQuery',
  'slowQueryMs',
  'onQueryError',
  'sqlComment',
]);
/** @type {Table} */
const JOIN_OPTIONS = Object.freeze(
  Object.fromEntries(OWN.map((name) => [name, /** @type {any} */ (POOL_OPTIONS)[name]])),
);
/** What the others get with the token, as far as it is no function. */
const HANDED_ON = [
  ...[
    'rowMode',
    'json',
    'jsonNumbers',
    'retry',
    'commitResolution',
    'commitMarkerTable',
    'exactlyOnce',
  ],
  ...['acquireTimeoutMs', 'resolveTimeoutMs', 'maxStatementMs'],
];

/**
 * @param {Target} target @param {Record<string, any>} given the checked options of the pool
 * @returns {PoolToken}
 */
function tokenOf({ slot, generation, about }, given) {
  if (native.poolStatus(slot, generation) === null) {
    throw new ClosedError('the pool has ended', { code: 'ERR_CLOSED', outcome: 'not-sent' });
  }
  if (given.maxLagBytes !== undefined) {
    throw wrong(
      'maxLagBytes',
      'keeps a pool to its thread: it asks the primary on a login of its own',
    );
  }
  const options = Object.fromEntries(
    HANDED_ON.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]),
  );
  options.mode = about.mode ?? given.mode;
  if (typeof given.types === 'string') options.types = given.types;
  const { database, user, hosts } = about;
  const described = /** @type {PoolToken['described']} */ ({ database, user, hosts });
  return Object.freeze({ kind: KIND, pid: process.pid, slot, generation, described, options });
}

/**
 * @param {unknown} token @param {unknown} given
 * @returns {{ slot: number, generation: number, described: any, options: Record<string, any> }} `options` of both
 */
function readToken(token, given) {
  const { kind, pid, slot, generation, described, options } = /** @type {any} */ (token ?? {});
  if (kind !== KIND) throw wrong('token', 'must be what pool.share() returned');
  if (pid !== process.pid) {
    throw wrong('token', `is of process ${pid}: a pool is shared by threads, not by processes`);
  }
  const own = readOptions(JOIN_OPTIONS, given);
  const { commitMarkerTable, ...both } = { ...options, ...own };
  if (both.commitResolution !== 'marker') return { slot, generation, described, options: both };
  if (commitMarkerTable === undefined) {
    throw wrong('commitResolution', '"marker" needs a pool with "commitMarkerTable"');
  }
  return { slot, generation, described, options: { ...both, commitMarkerTable } };
}

module.exports = { readToken, tokenOf };
