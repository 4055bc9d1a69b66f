// The events of a pool under the names and in the shapes that its listeners see.
'use strict';

/** @type {(event: any) => any} */
const change = ({ host, address, from, to }) => ({ host, address, from, to });
/** @type {(event: any) => any} */
const failover = ({ from, to, ms, timeline }) => ({ from, to, tookMs: ms, timeline });

/** Name, what it carries, and whether it concerns listeners at all. @typedef {readonly [name: string, detail: (event: any) => any, when?: (event: any) => boolean]} Told */

/**
 * The events that follow from one of the engine's.
 * @type {Record<string, readonly Told[]>}
 */
const TOLD = {
  hostChange: [
    ['hostChange', change],
    ['node', change],
    [
      'fence',
      ({ host, address, to }) => ({ host, address, isFenced: to === 'fenced' }),
      ({ from, to }) => to === 'fenced' || from === 'fenced',
    ],
  ],
  failover: [
    ['failover', failover],
    ['primary', failover],
  ],
  connect: [
    [
      'search',
      ({ host, address, ms, error }) => ({ host, address, tookMs: ms, error: asError(error) }),
    ],
  ],
  'commit-resolved': [['commit-resolved', ({ xid, status, ms }) => ({ xid, status, tookMs: ms })]],
  'commit-while-fenced': [['commit-while-fenced', ({ address }) => ({ address })]],
  'leaked-transaction': [['leaked-transaction', ({ openMs, stack }) => ({ openMs, stack })]],
  retire: [['retire', ({ host, reason, error }) => ({ host, reason, error: asError(error) })]],
  warm: [
    [
      'warm',
      ({ host, address, statements, refused, ms }) => ({
        ...{ host, address, statements, tookMs: ms },
        refused: refused.map((/** @type {any} */ { sql, error }) => ({
          sql,
          error: asError(error),
        })),
      }),
    ],
  ],
};

const NAMES = Object.values(TOLD).flatMap((told) => told.map(([name]) => name));

/** @param {any} fields of the engine @returns {Error | null} */
function asError(fields) {
  return fields === null ? null : require('./errors.js').fromNative(fields, 'cluster');
}

/** @param {{ event: string }} event of the engine @returns {readonly Told[]} */
function toldOf({ event }) {
  return (Object.hasOwn(TOLD, event) ? TOLD[event] : undefined) ?? [];
}

module.exports = { NAMES, toldOf };
