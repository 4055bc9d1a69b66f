// The figures of a native pool in Prometheus' format: as text, and as what a registry of prom-client collects.
'use strict';

const { argumentError } = require('./error-classes.js');
const { isObject, isText, readOptions } = require('./option-rules.js');

/** @import * as api from '../types/pool-figures.js' */

/** Names as Prometheus allows them; `le` is its own. */
const METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^(?!le$)(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

const TEXT_OPTIONS = Object.freeze({
  prefix: {
    accepts: (/** @type {unknown} */ value) => isText(value) && METRIC.test(String(value)),
    says: 'a name of letters, digits and underscores',
  },
  labels: {
    accepts: (/** @type {unknown} */ value) => isObject(value),
    says: 'an object of names and texts',
    copy: (/** @type {object} */ value) => ({ ...value }),
  },
});

/** Seconds; upper ends of the buckets that are exported. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** @param {unknown} text */
function escaped(text) {
  return String(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** @param {Record<string, unknown>} labels */
function labelText(labels) {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

/** @typedef {{ metricName?: string, labels: Record<string, string | number>, value: number }} Sample */
/** @typedef {{ name: string, type: api.PromMetric['type'], help: string, values: Sample[] }} Family */

/** @param {string} name @param {string} help @param {api.Histogram} times @returns {Family} */
function timesFamily(name, help, times) {
  const values = BOUNDS.map((bound) => ({
    metricName: `${name}_bucket`,
    labels: { le: /** @type {string | number} */ (bound) },
    value: times.count - times.countAbove(bound * 1000),
  }));
  values.push({ metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: times.count });
  const totals = [
    { metricName: `${name}_sum`, labels: {}, value: times.sum / 1000 },
    { metricName: `${name}_count`, labels: {}, value: times.count },
  ];
  return { name, type: 'histogram', help, values: [...values, ...totals] };
}

/** @param {api.NativePoolMetrics} now @param {api.PoolStats} stats @returns {Family[]} without prefix and labels */
function familiesOf(now, stats) {
  /** @type {Family[]} */
  const families = [];
  /** @param {string} name @param {'gauge' | 'counter'} type @param {string} help @param {Sample[]} values */
  const add = (name, type, help, values) => {
    families.push({ name, type, help, values });
  };
  const one = (/** @type {number} */ value) => [{ labels: {}, value }];
  /** @param {string} label @param {Record<string, number>} counts */
  const each = (label, counts) =>
    Object.entries(counts).map(([key, value]) => ({ labels: { [label]: key }, value }));
  const { idle, active, connecting } = now;
  const states = each('state', { idle, active, connecting });
  add('connections', 'gauge', 'Connections by state.', states);
  add('connections_max', 'gauge', 'The most connections there can be.', one(now.max));
  add('connections_min', 'gauge', 'Connections kept although idle.', one(now.min));
  add('waiting', 'gauge', 'Requests waiting for a connection.', one(now.waiting));
  add('connections_opened_total', 'counter', 'Connections opened.', one(stats.opened));
  const reasons = each('reason', stats.closed);
  add('connections_closed_total', 'counter', 'Connections closed, by reason.', reasons);
  add('acquired_total', 'counter', 'Connections handed out.', one(stats.acquisitions));
  const late = one(stats.acquisitionTimeouts);
  add('acquire_timeouts_total', 'counter', 'Waiters that got no connection in time.', late);
  add('statements_total', 'counter', 'Statements that have ended.', one(stats.queries));
  const classes = each('class', stats.errors);
  add('errors_total', 'counter', 'Statements that failed, by class of SQLSTATE.', classes);
  add('rows_total', 'counter', 'Rows received.', one(stats.rows));
  add('received_bytes_total', 'counter', 'Bytes received.', one(stats.bytesReceived));
  add('sent_bytes_total', 'counter', 'Bytes sent.', one(stats.bytesSent));
  const trips = 'From sending a statement to its first answer.';
  families.push(
    timesFamily('acquire_seconds', 'Waits for a connection.', stats.acquireTime),
    timesFamily('statement_seconds', 'Times of statements.', stats.statementTime),
    timesFamily('round_trip_seconds', trips, stats.roundTripTime),
  );
  return families;
}

/** @param {unknown} options @returns {{ prefix: string, labels: Record<string, string | number> }} checked */
function readTextOptions(options) {
  const { prefix = 'pgberth', labels = {} } = readOptions(TEXT_OPTIONS, options);
  for (const name of Object.keys(labels)) {
    if (LABEL.test(name)) continue;
    const message = `option "labels" must have names of letters, digits and underscores, got ${JSON.stringify(name.slice(0, 64))}`;
    throw argumentError(new TypeError(message), { code: 'ERR_CONFIG', option: 'labels' });
  }
  return { prefix, labels };
}

/**
 * @param {api.NativePoolMetrics} now @param {api.PoolStats} stats @param {unknown} options
 * @returns {string}
 */
function metricsText(now, stats, options) {
  const { prefix, labels } = readTextOptions(options);
  const lines = familiesOf(now, stats).flatMap(({ name, type, help, values }) => [
    `# HELP ${prefix}_${name} ${help}`,
    `# TYPE ${prefix}_${name} ${type}`,
    ...values.map(
      ({ metricName = name, labels: own, value }) =>
        `${prefix}_${metricName}${labelText({ ...labels, ...own })} ${value}`,
    ),
  ]);
  return `${lines.join('\n')}\n`;
}

/** One family, in the form of prom-client's metrics. @implements {api.PromMetric} */
class PromMetric {
  #read;
  #prefix;
  #labels;
  /** Of several registries a cluster of processes has. */
  aggregator = /** @type {const} */ ('sum');

  /** @param {Family} family @param {() => Family} read @param {string} prefix @param {Record<string, string | number>} labels */
  constructor({ name, type, help }, read, prefix, labels) {
    this.name = `${prefix}_${name}`;
    this.type = type;
    this.help = help;
    this.#read = read;
    this.#prefix = prefix;
    this.#labels = labels;
  }

  get() {
    const { name, type, help, aggregator } = this;
    const values = this.#read().values.map(({ metricName, labels, value }) => ({
      ...(metricName === undefined ? {} : { metricName: `${this.#prefix}_${metricName}` }),
      labels: { ...this.#labels, ...labels },
      value,
    }));
    return { name, type, help, aggregator, values };
  }

  /** The engine counts over the life of the pool; nobody resets it. */
  reset() {}
}

/**
 * @param {() => { now: api.NativePoolMetrics, stats: api.PoolStats }} look @param {unknown} options
 * @returns {api.PromMetric[]}
 */
function promMetrics(look, options) {
  const { prefix, labels } = readTextOptions(options);
  /** What all metrics of one collection are read from. @type {Family[] | undefined} */
  let seen;
  const read = () => {
    if (seen === undefined) {
      const { now, stats } = look();
      seen = familiesOf(now, stats);
      queueMicrotask(() => {
        seen = undefined;
      });
    }
    return seen;
  };
  return read().map((family, index) => {
    const latest = () => read()[index] ?? family;
    return new PromMetric(family, latest, prefix, labels);
  });
}

module.exports = { metricsText, promMetrics };
