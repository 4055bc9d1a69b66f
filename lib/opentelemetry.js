// pg-berth/opentelemetry: spans and metrics from the diagnostics channels, under the stable conventions for databases.
'use strict';

const {
  SpanKind,
  SpanStatusCode,
  context,
  metrics,
  trace: tracing,
} = require('@opentelemetry/api');
const { version } = require('../package.json');
const { callHook } = require('./hooks.js');
const { callback, flag, isObject, readOptions } = require('./option-rules.js');
const { DatabaseMetrics } = require('./otel-metrics.js');
const { channels } = require('./tracing/channels.js');

/** @import { Context, Span, Tracer } from '@opentelemetry/api' */
/** @import * as api from '../types/opentelemetry.js' */

const NAME = 'pg-berth';

const TELLING = /** @type {const} */ ([
  'query',
  'transaction',
  'connect',
  'acquire',
  'failover',
  'lease',
]);

const OPTIONS = Object.freeze({
  enabled: flag,
  spans: {
    accepts: (/** @type {any} */ value) =>
      Array.isArray(value) && value.every((name) => TELLING.includes(name)),
    says: `an array of ${TELLING.map((name) => `"${name}"`).join(', ')}`,
    copy: (/** @type {any} */ value) => (Array.isArray(value) ? [...value] : value),
  },
  metrics: flag,
  queryText: flag,
  requireParentSpan: flag,
  spanHook: callback,
  pools: {
    accepts: (/** @type {any} */ value) => isObject(value),
    says: 'an object of pools by name',
    copy: (/** @type {any} */ value) => ({ ...value }),
  },
});

/** Spans of one thing that goes on. `outer`: what was active where it began. @typedef {{ span: Span, outer: Span | undefined }} Running */

/** @implements {api.PgBerthInstrumentation} */
class PgBerthInstrumentation {
  instrumentationName = NAME;
  instrumentationVersion = version;
  #config;
  /** @type {Tracer} */
  #tracer;
  #metrics;
  /** @type {Map<any, Running>} */
  #running = new Map();
  /** @type {(() => void)[]} */
  #disable = [];

  /** @param {api.PgBerthInstrumentationConfig} [config] */
  constructor(config) {
    this.#config = /** @type {api.PgBerthInstrumentationConfig} */ (readOptions(OPTIONS, config));
    this.#tracer = tracing.getTracer(NAME, version);
    this.#metrics = new DatabaseMetrics(metrics.getMeter(NAME, version), this.#config.pools ?? {});
    if (this.#config.enabled ?? true) this.enable();
  }

  getConfig() {
    return { ...this.#config };
  }

  /** @param {api.PgBerthInstrumentationConfig} config */
  setConfig(config) {
    const isEnabled = this.#disable.length > 0;
    const read = /** @type {api.PgBerthInstrumentationConfig} */ (readOptions(OPTIONS, config));
    this.#stop();
    this.#config = read;
    this.#metrics.pools = read.pools ?? {};
    if (isEnabled) this.enable();
  }

  /** @param {import('@opentelemetry/api').TracerProvider} provider */
  setTracerProvider(provider) {
    this.#tracer = provider.getTracer(NAME, version);
  }

  /** @param {import('@opentelemetry/api').MeterProvider} provider */
  setMeterProvider(provider) {
    const isEnabled = this.#disable.length > 0;
    this.#stop();
    this.#metrics = new DatabaseMetrics(provider.getMeter(NAME, version), this.#config.pools ?? {});
    if (isEnabled) this.enable();
  }

  enable() {
    if (this.#disable.length > 0) return;
    for (const name of this.#config.spans ?? ['query', 'transaction', 'failover']) {
      this.#follow(channels[name], {
        start: (trace) => this.#begin(name, trace),
        // What threw at once has no asynchronous part.
        end: (trace) => trace.error !== undefined && this.#finish(trace),
        asyncEnd: (trace) => this.#finish(trace),
      });
    }
    if (this.#config.metrics === false) return;
    for (const name of /** @type {const} */ (['query', 'connect', 'acquire'])) {
      this.#follow(channels[name], { asyncEnd: (trace) => this.#metrics.record(name, trace) });
    }
    this.#disable.push(this.#metrics.observe());
  }

  /** What goes on gets the end of its span here, for nobody is told of its own. */
  disable() {
    this.#stop();
    for (const trace of this.#running.keys()) callHook(() => this.#finish(trace), []);
  }

  #stop() {
    for (const undo of this.#disable.splice(0)) undo();
  }

  /**
   * @param {import('node:diagnostics_channel').TracingChannel<any, any>} channel
   * @param {Record<string, (trace: any) => void>} handlers what they throw reaches nobody
   */
  #follow(channel, handlers) {
    const safe = Object.entries(handlers).map(([event, handle]) => {
      return [event, (/** @type {any} */ trace) => callHook(handle, [trace])];
    });
    const subscribers = /** @type {any} */ (Object.fromEntries(safe));
    channel.subscribe(subscribers);
    this.#disable.push(() => channel.unsubscribe(subscribers));
  }

  /** @param {string} name @param {any} trace */
  #begin(name, trace) {
    const active = context.active();
    const outer = tracing.getSpan(active);
    if (this.#config.requireParentSpan && outer === undefined) return;
    const parent = this.#parentOf(trace, active, outer);
    const options = { kind: SpanKind.CLIENT, startTime: trace.startTime };
    const span = this.#tracer.startSpan(nameOf(name, trace), options, parent);
    this.#running.set(trace, { span, outer });
  }

  /**
   * A statement belongs to its transaction, unless a span of the program's own lies between; a wait to its statement.
   * @param {any} trace @param {Context} active @param {Span | undefined} outer @returns {Context}
   */
  #parentOf(trace, active, outer) {
    const statement = trace.query && this.#running.get(trace.query);
    if (statement) return tracing.setSpan(active, statement.span);
    const transaction = trace.transaction && this.#running.get(trace.transaction);
    const isDirect = transaction?.outer === outer;
    return transaction && isDirect ? tracing.setSpan(active, transaction.span) : active;
  }

  /** @param {any} trace */
  #finish(trace) {
    const running = this.#running.get(trace);
    if (running === undefined) return;
    this.#running.delete(trace);
    const { span } = running;
    const { 'db.query.text': text, ...attributes } = trace.attributes;
    span.setAttributes(attributes);
    if (text !== undefined && this.#config.queryText !== false) {
      span.setAttribute('db.query.text', text);
    }
    if (trace.error !== undefined) {
      span.setStatus({ code: SpanStatusCode.ERROR, ...messageOf(trace.error) });
    }
    callHook(this.#config.spanHook, [span, trace]);
    span.end(trace.durationMs === undefined ? undefined : trace.startTime + trace.durationMs);
  }
}

/**
 * What the server says of data and of syntax quotes values and literals: the code has to do for these.
 * @param {any} error
 */
function messageOf({ severity, code, message }) {
  const isQuoting = severity !== undefined && /^(?:22|42601$)/.test(String(code));
  return isQuoting ? {} : { message: String(message) };
}

/** @param {string} name @param {any} trace */
function nameOf(name, trace) {
  if (name === 'query') return trace.summary || 'postgresql';
  return name === 'transaction' ? 'TRANSACTION' : `pg-berth ${name}`;
}

/**
 * The active span as pairs for the option `sqlComment`; nothing unless it is sampled.
 * @returns {Record<string, string> | undefined}
 */
function traceContext() {
  const span = tracing.getSpanContext(context.active());
  if (span === undefined || (span.traceFlags & 1) === 0) return undefined;
  const state = span.traceState?.serialize();
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-01`,
    ...(state && { tracestate: state }),
  };
}

module.exports = { PgBerthInstrumentation, traceContext };
