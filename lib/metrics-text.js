// The figures of a native pool in Prometheus' text format.
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

/**
 * @param {api.NativePoolMetrics} now @param {api.PoolStats} stats @param {unknown} options
 * @returns {string}
 */
function metricsText(now, stats, options) {
  const { prefix = 'pgberth', labels = {} } = readOptions(TEXT_OPTIONS, options);
  for (const name of Object.keys(labels)) {
    if (LABEL.test(name)) continue;
    const message = `option "labels" must have names of letters, digits and underscores, got ${JSON.stringify(name.slice(0, 64))}`;
    throw argumentError(new TypeError(message), { code: 'ERR_CONFIG', option: 'labels' });
  }
  /** @type {string[]} */
  const lines = [];
  /**
   * @param {string} name @param {'gauge' | 'counter'} type @param {string} help
   * @param {[more: Record<string, unknown>, value: number][]} samples
   */
  const add = (name, type, help, samples) => {
    lines.push(`# HELP ${prefix}_${name} ${help}`, `# TYPE ${prefix}_${name} ${type}`);
    for (const [more, value] of samples) {
      lines.push(`${prefix}_${name}${labelText({ ...labels, ...more })} ${value}`);
    }
  };
  /** @param {string} name @param {string} help @param {api.Histogram} times */
  const addTimes = (name, help, times) => {
    lines.push(`# HELP ${prefix}_${name} ${help}`, `# TYPE ${prefix}_${name} histogram`);
    for (const bound of BOUNDS) {
      const below = times.count - times.countAbove(bound * 1000);
      lines.push(`${prefix}_${name}_bucket${labelText({ ...labels, le: bound })} ${below}`);
    }
    lines.push(`${prefix}_${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${times.count}`);
    lines.push(`${prefix}_${name}_sum${labelText(labels)} ${times.sum / 1000}`);
    lines.push(`${prefix}_${name}_count${labelText(labels)} ${times.count}`);
  };
  add('connections', 'gauge', 'Connections by state.', [
    [{ state: 'idle' }, now.idle],
    [{ state: 'active' }, now.active],
    [{ state: 'connecting' }, now.connecting],
  ]);
  add('connections_max', 'gauge', 'The most connections there can be.', [[{}, now.max]]);
  add('connections_min', 'gauge', 'Connections kept although idle.', [[{}, now.min]]);
  add('waiting', 'gauge', 'Requests waiting for a connection.', [[{}, now.waiting]]);
  add('connections_opened_total', 'counter', 'Connections opened.', [[{}, stats.opened]]);
  add(
    'connections_closed_total',
    'counter',
    'Connections closed, by reason.',
    Object.entries(stats.closed).map(([reason, count]) => [{ reason }, count]),
  );
  add('acquired_total', 'counter', 'Connections handed out.', [[{}, stats.acquisitions]]);
  add('acquire_timeouts_total', 'counter', 'Waiters that got no connection in time.', [
    [{}, stats.acquisitionTimeouts],
  ]);
  add('statements_total', 'counter', 'Statements that have ended.', [[{}, stats.queries]]);
  add(
    'errors_total',
    'counter',
    'Statements that failed, by class of SQLSTATE.',
    Object.entries(stats.errors).map(([error_class, count]) => [{ class: error_class }, count]),
  );
  add('rows_total', 'counter', 'Rows received.', [[{}, stats.rows]]);
  add('received_bytes_total', 'counter', 'Bytes received.', [[{}, stats.bytesReceived]]);
  add('sent_bytes_total', 'counter', 'Bytes sent.', [[{}, stats.bytesSent]]);
  addTimes('acquire_seconds', 'Waits for a connection.', stats.acquireTime);
  addTimes('statement_seconds', 'Times of statements.', stats.statementTime);
  addTimes(
    'round_trip_seconds',
    'From sending a statement to its first answer.',
    stats.roundTripTime,
  );
  return `${lines.join('\n')}\n`;
}

module.exports = { metricsText };
