// The metrics of OpenTelemetry's conventions for database clients; labels come from lists and from configuration only.
'use strict';

const { callHook } = require('./hooks.js');

/** @import { Meter, BatchObservableResult } from '@opentelemetry/api' */
/** @import { Attributes, Trace } from '../types/tracing.js' */
/** @import { ObservedPool } from '../types/opentelemetry.js' */

/** Seconds, as the conventions advise. */
const BOUNDARIES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
/** Labels of a statement that come from configuration, or from a list (lib/sql-text.js). */
const LABELS = [
  'db.system.name',
  'db.namespace',
  'server.address',
  'server.port',
  'db.operation.name',
];
/** Classes of SQLSTATE, which is what a server may say (native/src/metrics.rs). */
const CLASSES = new Set('08 0A 21 22 23 25 28 40 42 53 54 55 57 58 P0 XX'.split(' '));
const POOL = 'db.client.connection.pool.name';
/** What a pool is known by, and what it does as well (lib/tracing/traces.js). */
const KEY = Symbol.for('pg-berth.key');

/** @param {any} error */
function errorType(error) {
  const { code, severity, name } = error;
  if (severity === undefined) return /Error$/.test(name) ? name : '_OTHER';
  const known = CLASSES.has(String(code).slice(0, 2));
  return known ? String(code).slice(0, 2) : '_OTHER';
}

/** @param {Trace} trace */
function labelsOf({ attributes, error }) {
  /** @type {Attributes} */
  const labels = {};
  for (const name of LABELS) {
    const value = attributes[name];
    if (value !== undefined) labels[name] = value;
  }
  if (error !== undefined) labels['error.type'] = errorType(error);
  return labels;
}

class DatabaseMetrics {
  #meter;
  #durations;
  #creations;
  #waits;

  /** @param {Meter} meter @param {Record<string, ObservedPool>} pools */
  constructor(meter, pools) {
    this.#meter = meter;
    this.pools = pools;
    /** @param {string} name @param {string} description */
    const histogram = (name, description) =>
      meter.createHistogram(name, {
        description,
        unit: 's',
        advice: { explicitBucketBoundaries: BOUNDARIES },
      });
    this.#durations = histogram(
      'db.client.operation.duration',
      'Duration of database client operations.',
    );
    this.#creations = histogram(
      'db.client.connection.create_time',
      'The time it took to create a new connection.',
    );
    this.#waits = histogram(
      'db.client.connection.wait_time',
      'The time it took to obtain an open connection from the pool.',
    );
  }

  /** @param {'query' | 'connect' | 'acquire'} name @param {Trace} trace that is over */
  record(name, trace) {
    const seconds = (trace.durationMs ?? 0) / 1000;
    if (name === 'query') {
      this.#durations.record(seconds, labelsOf(trace));
    } else if (trace.error === undefined) {
      const times = name === 'connect' ? this.#creations : this.#waits;
      times.record(seconds, this.#poolOf(trace));
    }
  }

  /**
   * Its pool, by the name that was given to that; one without a name by its hosts and database, which others may share.
   * @param {any} trace @returns {Attributes}
   */
  #poolOf(trace) {
    const key = trace[KEY];
    /** @type {[string, any][]} */
    const pools = Object.entries(this.pools);
    const given = key && pools.find(([, pool]) => pool?.[KEY] === key);
    const name = given?.[0] ?? trace.pool;
    return name === undefined ? {} : { [POOL]: name };
  }

  /** Has the pools looked at whenever metrics are collected. @returns {() => void} ends that */
  observe() {
    const meter = this.#meter;
    /** @param {string} name @param {string} unit @param {string} description */
    const gauge = (name, unit, description) =>
      meter.createObservableUpDownCounter(`db.client.connection.${name}`, { unit, description });
    const count = gauge('count', '{connection}', 'Connections by state.');
    const most = gauge('max', '{connection}', 'The maximum number of open connections allowed.');
    const least = gauge('idle.min', '{connection}', 'The minimum number of idle open connections.');
    const pending = gauge('pending_requests', '{request}', 'Requests waiting for a connection.');
    const timeouts = meter.createObservableCounter('db.client.connection.timeouts', {
      unit: '{timeout}',
      description: 'Requests that got no connection in time.',
    });
    const all = [count, most, least, pending, timeouts];
    /** @param {BatchObservableResult} result @param {string} name @param {ObservedPool} pool */
    const lookAt = (result, name, pool) => {
      const now = pool.getMetrics();
      const lost = pool.getStats?.().acquisitionTimeouts;
      const labels = { [POOL]: name };
      const state = 'db.client.connection.state';
      result.observe(count, now.idle, { ...labels, [state]: 'idle' });
      result.observe(count, now.active, { ...labels, [state]: 'used' });
      result.observe(pending, now.waiting, labels);
      if (now.max !== undefined) result.observe(most, now.max, labels);
      if (now.min !== undefined) result.observe(least, now.min, labels);
      if (lost !== undefined) result.observe(timeouts, lost, labels);
    };
    /** @param {BatchObservableResult} result */
    const look = (result) => {
      // One that fails is missing, the others are not.
      for (const [name, pool] of Object.entries(this.pools)) callHook(lookAt, [result, name, pool]);
    };
    meter.addBatchObservableCallback(look, all);
    return () => meter.removeBatchObservableCallback(look, all);
  }
}

module.exports = { DatabaseMetrics };
