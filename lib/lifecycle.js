// What a Kysely instance on BerthDialect shares with health checks and shutdown: its pool, and how it is to end.
'use strict';

const LIFECYCLE = Symbol.for('pg-berth.lifecycle');

/** `pool`: as soon as there is one. @typedef {{ pool?: any, patienceMs?: number, report?: any }} Lifecycle */

/** The instance is known by its adapter. @param {any} db @returns {Lifecycle | undefined} */
function lifecycleOf(db) {
  try {
    if (typeof db?.getExecutor !== 'function') return undefined;
    return db.getExecutor().adapter?.[LIFECYCLE];
  } catch {
    return undefined;
  }
}

module.exports = { LIFECYCLE, lifecycleOf };
