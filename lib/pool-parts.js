// What stands behind a pool once it is used: how it reads and repeats, and who hears of what its engine does.
'use strict';

const { keepAlive } = require('./mailbox.js');
const { lazy } = require('./lazy.js');
const { FOLLOWING } = require('./options.js');
const { PoolEvents, hearEvents, leaksOf } = require('./pool-events.js');
const queryable = require('./queryable.js');
const { Singles } = require('./single.js');
const { resolveTypes, PRESETS } = require('./rows/types.js');
const { TypeCatalog } = require('./type-catalog.js');

const catalogs = lazy(() => require('./catalog-query.js'));
const figures = lazy(() => require('./pool-figures.js'));
const jsonTypes = lazy(() => require('./rows/json-types.js'));
const probes = lazy(() => require('./pool-probes.js'));

/** @import { Reading } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */
/** @import { Tally } from './pool-events.js' */
/** @typedef {InstanceType<typeof import('./log-positions.js').LogPositions>} LogPositions */

const DEFAULT_RETRY = Object.freeze({
  ...{ maxAttempts: 3, baseDelayMs: 50, maxDelayMs: 1000 },
  jitter: /** @type {'half' | 'decorrelated'} */ ('half'),
});
const DEFAULT_ACQUIRE_MS = 5000;
const DEFAULT_RESOLVE_MS = 10_000;
/** Modes whose statements only read: run again unless they say otherwise. */
const READS = new Set(['read-only', 'prefer-standby']);

/**
 * What only the pool itself can do.
 * @typedef {{
 *   positions: (limits: { acquireTimeoutMs: number, maxLagBytes: number | undefined }) => LogPositions,
 *   marked: import('./single.js').Marked,
 * }} Own
 */
/** @typedef {ReturnType<typeof makeParts>} Parts */

/**
 * @param {Target} target @param {Record<string, any>} given checked options of the pool @param {Tally} tally @param {Own} own
 */
function makeParts(target, given, tally, own) {
  const { types, rowMode = 'object', retry: policy, unref = true, maxLagBytes } = given;
  // What the engine has read from all sources, or the thread of the pool that was joined.
  const mode = target.about.mode ?? given.mode;
  const { commitResolution = 'xid', exactlyOnce = false, commitMarkerTable } = given;
  const { acquireTimeoutMs = DEFAULT_ACQUIRE_MS, resolveTimeoutMs = DEFAULT_RESOLVE_MS } = given;
  const events = new PoolEvents(tally);
  const probed = probesOf(target, events);
  const unlisten = hearEvents(target, events, probed);
  const resolved = resolveTypes(types, PRESETS.lossless);
  const ask = askerOf(target);
  const catalog = new TypeCatalog(ask);
  const { json, jsonNumbers } = given;
  const isPlain = json === undefined && jsonNumbers === undefined;
  const read = isPlain ? resolved : jsonTypes().withJson(resolved, { json, jsonNumbers });
  const decoders = queryable.decodersFor(read, rowMode, catalog);
  // A standby takes no marker.
  const isMarking = commitResolution === 'marker' && !FOLLOWING.has(mode);
  const resolves = commitResolution !== 'off' && !isMarking;
  const isLimited = given.maxStatementMs !== undefined;
  const retry = { ...DEFAULT_RETRY, ...policy };
  const leaks = leaksOf(events);
  /** @type {Reading} */
  const reading = {
    types: resolved,
    json: { json, jsonNumbers },
    rowMode,
    catalog,
    decoders,
    resolves,
    exactlyOnce,
    isLimited,
    leaks,
  };
  if (commitMarkerTable !== undefined) {
    const { Markers } = require('./commit-markers.js');
    const tell = (/** @type {any} */ event) => events.tell(event);
    reading.markers = new Markers(commitMarkerTable, resolveTimeoutMs, ask, tell);
  }
  const positions = lazy(() => own.positions({ acquireTimeoutMs, maxLagBytes }));
  if (maxLagBytes !== undefined) reading.near = (limits) => positions().near(limits);
  const singles = new Singles({
    target,
    reading,
    retry,
    retries: READS.has(mode),
    readsOnly: (host) => events.readsOnly(host, figures().statusOf(target, tally).nodes),
    exactlyOnce,
    acquireTimeoutMs,
    positions,
    isLagLimited: maxLagBytes !== undefined,
    marked: reading.markers && own.marked,
    onRetry: () => {
      tally.retries += 1;
    },
  });
  const letGo = unref ? undefined : keepAlive();
  return { ask, events, letGo, probed, reading, retry, singles, unlisten };
}

// Made apart: functions side by side share their variables, so listeners and decoders would hold a pool that is forgotten.
/** @param {Target} target @returns {ReturnType<typeof import('./catalog-query.js').catalogQuery>} */
function askerOf(target) {
  const query = lazy(() => catalogs().catalogQuery(target));
  return (...asked) => query()(...asked);
}

/** @param {Target} target @param {InstanceType<typeof PoolEvents>} events */
function probesOf(target, events) {
  return lazy(() => new (probes().Probes)(target, (hear) => events.atEnd(hear)));
}

module.exports = { makeParts };
