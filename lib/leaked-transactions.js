// Ends a transaction that was forgotten, with its connection, and says so (CP-86).
'use strict';

// Taken now: a test may put another clock in its place.
const { setTimeout } = require('node:timers');
const { release } = require('./handles.js');
const { endTransaction } = require('./tracing/index.js');

/** @import { Target } from '../types/internal.js' */
/** @typedef {NonNullable<import('./queryable.js').Reading['leaks']>} Leaks */
/** @typedef {{ target: Target, began: number, leaks: Leaks | undefined, stack: string | null, trace: Parameters<typeof endTransaction>[0] }} Facts */

/** @type {FinalizationRegistry<Facts>} */
const registry = new FinalizationRegistry(({ target, began, leaks, stack, trace }) => {
  release(target);
  endTransaction(trace, 'rolled-back');
  leaks?.tell({ event: 'leaked-transaction', openMs: performance.now() - began, stack });
});

/** Few are open for so long, and those that are not need not enter the registry only to leave it again. */
const YOUNG_MS = 250;

/** Begun since the last look. @type {Map<object, Facts>} */
const young = new Map();
let isPlanned = false;

function look() {
  isPlanned = false;
  for (const [transaction, facts] of young) registry.register(transaction, facts, transaction);
  young.clear();
}

/** @param {object} transaction @param {Facts} facts which must not hold it */
function watch(transaction, facts) {
  young.set(transaction, facts);
  if (isPlanned) return;
  isPlanned = true;
  setTimeout(look, YOUNG_MS).unref();
}

/** It has ended. @param {object} transaction */
function unwatch(transaction) {
  if (!young.delete(transaction)) registry.unregister(transaction);
}

/** Where the caller of `above` is. @param {Function} above */
function stackOf(above) {
  const here = /** @type {{ stack?: string }} */ ({});
  Error.captureStackTrace(here, above);
  return here.stack?.slice(here.stack.indexOf('\n') + 1) ?? null;
}

module.exports = { stackOf, unwatch, watch };
