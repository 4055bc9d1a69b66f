// pg-berth/pool: the figures of pools that other drivers made.
'use strict';

/** @import { DatabasePool, MetricsPool, PoolMetrics } from '../types/pool-metrics.js' */

/** What a pool nobody knows is said to have, and the default of pg and mysql2. */
const USUAL_MAX = 10;

/**
 * One kind of pool: how it is known, what it says of itself, and what it lacks.
 * @typedef {{
 *   matches: (pool: any) => boolean,
 *   figures: (pool: any) => PoolMetrics,
 *   end?: (pool: any) => unknown,
 * }} Kind
 */

/** @type {Kind} */
const PG = {
  matches: (pool) => 'totalCount' in pool && 'idleCount' in pool,
  figures(pool) {
    const max = numberOr(pool.options?.max, USUAL_MAX);
    return {
      total: pool.totalCount || max,
      idle: pool.idleCount,
      active: pool.totalCount - pool.idleCount,
      waiting: numberOr(pool.waitingCount, 0),
      max,
    };
  },
};

/** The promise pool of mysql2 keeps the callback pool, which has everything, in `pool`. @param {any} pool */
const mysqlInner = (pool) => (pool._allConnections ? pool : pool.pool);

/** @type {Kind} */
const MYSQL = {
  matches: (pool) => Boolean(mysqlInner(pool)?._allConnections),
  figures(pool) {
    const inner = mysqlInner(pool);
    const idle = numberOr(inner._freeConnections?.length, 0);
    const max = numberOr(
      inner.config?.connectionLimit,
      numberOr(pool.config?.connectionLimit, USUAL_MAX),
    );
    return {
      total: max,
      idle,
      active: inner._allConnections.length - idle,
      waiting: numberOr(inner._connectionQueue?.length, 0),
      max,
    };
  },
};

/** @type {Kind} */
const SQLITE = {
  matches: (pool) => 'open' in pool && 'memory' in pool,
  figures: (pool) => ({ total: 1, idle: 0, active: pool.open ? 1 : 0, waiting: 0, max: 1 }),
  end: (pool) => pool.close(),
};

/** @type {Kind} */
const UNKNOWN = {
  matches: () => true,
  figures: () => ({ total: USUAL_MAX, idle: 0, active: 0, waiting: 0 }),
};

const KINDS = [PG, MYSQL, SQLITE, UNKNOWN];

/** @param {unknown} value @param {number} other */
function numberOr(value, other) {
  return typeof value === 'number' ? value : other;
}

/**
 * @param {DatabasePool} pool
 * @returns {MetricsPool}
 */
function createMetricsPool(pool) {
  if (pool === null || (typeof pool !== 'object' && typeof pool !== 'function')) {
    throw new TypeError(`pool must be an object, got ${pool === null ? 'null' : typeof pool}`);
  }
  if (isMetricsPool(pool)) return pool;
  const kind = KINDS.find(({ matches }) => matches(pool)) ?? UNKNOWN;
  /** @type {Record<PropertyKey, unknown>} */
  const added = { getMetrics: () => kind.figures(pool) };
  if (kind.end && typeof (/** @type {any} */ (pool).end) !== 'function') {
    added.end = async () => void kind.end?.(pool);
  }
  /** @type {any} */
  const metrics = new Proxy(
    pool,
    forwardTo(added, () => metrics),
  );
  return metrics;
}

/**
 * A proxy whose members run on the pool itself, because private fields are not the proxy's.
 * @param {Record<PropertyKey, unknown>} added @param {() => unknown} itself
 * @returns {ProxyHandler<any>}
 */
function forwardTo(added, itself) {
  /** One function per method, so that `pool.query === pool.query`. @type {WeakMap<Function, Function>} */
  const bound = new WeakMap();
  return {
    get(pool, name) {
      if (Object.hasOwn(added, name)) return added[name];
      const value = Reflect.get(pool, name, pool);
      if (
        typeof value !== 'function' ||
        name === 'constructor' ||
        isClass(value) ||
        isFixed(pool, name)
      )
        return value;
      let method = bound.get(value);
      if (method === undefined) {
        method = new Proxy(value, {
          apply(target, _, args) {
            const result = Reflect.apply(target, pool, args);
            // Of `on` and its like, which are chained.
            return result === pool ? itself() : result;
          },
        });
        bound.set(value, /** @type {Function} */ (method));
      }
      return method;
    },
    set: (pool, name, value) => Reflect.set(pool, name, value, pool),
    has: (pool, name) => Object.hasOwn(added, name) || Reflect.has(pool, name),
  };
}

/** Classes have statics, and are compared with: a bound one is another one. @param {Function} value */
function isClass(value) {
  return Object.getOwnPropertyDescriptor(value, 'prototype')?.writable === false;
}

/** A proxy has to give such a property as it is. @param {object} pool @param {PropertyKey} name */
function isFixed(pool, name) {
  const own = Reflect.getOwnPropertyDescriptor(pool, name);
  return own !== undefined && !own.configurable && !own.writable;
}

/**
 * @param {unknown} pool
 * @returns {pool is MetricsPool}
 */
function isMetricsPool(pool) {
  return typeof (/** @type {any} */ (pool)?.getMetrics) === 'function';
}

module.exports = { createMetricsPool, isMetricsPool };
