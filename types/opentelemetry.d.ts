// pg-berth/opentelemetry: spans and metrics under OpenTelemetry's stable conventions for databases.

import type { MeterProvider, Span, TracerProvider } from '@opentelemetry/api';
import type { Trace } from './tracing.js';

/** A pool whose connections are counted: one of createPool, or what `createMetricsPool` gives. */
export interface ObservedPool {
  getMetrics(): { idle: number; active: number; waiting: number; max?: number; min?: number };
  getStats?(): { acquisitionTimeouts: number };
}

export interface PgBerthInstrumentationConfig {
  /** Default true. */
  enabled?: boolean;
  /** What gets spans. Default `['query', 'transaction', 'failover']`. */
  spans?: readonly ('query' | 'transaction' | 'connect' | 'acquire' | 'failover' | 'lease')[];
  /** Default true. */
  metrics?: boolean;
  /** `db.query.text` on spans; without literals unless the values travel as parameters. Default true. */
  queryText?: boolean;
  /** No span without one around it. Default false. */
  requireParentSpan?: boolean;
  /** Called before a span ends. What it throws is swallowed. */
  spanHook?: (span: Span, trace: Trace) => void;
  /**
   * Pools whose connections are counted, by the name they get in metrics: `createPool`'s, and those of `pg`'s Pool by way of
   * `createMetricsPool`. Pools of one process that have no name here are told apart by their hosts and database only.
   */
  pools?: Record<string, ObservedPool>;
}

/**
 * Subscribes to the channels of this package; nothing is patched, and the order of imports does not matter. Has the members
 * that `registerInstrumentations` of `@opentelemetry/instrumentation` asks for.
 *
 * The status of a span that failed has the error's message, unless the server quotes values and literals in it (SQLSTATE
 * class 22 and 42601). `disable` ends the spans of what goes on.
 *
 * Metrics: `db.client.operation.duration`, `db.client.connection.create_time`, `.wait_time`, and for `pools` `.count`,
 * `.max`, `.idle.min`, `.pending_requests`, `.timeouts`.
 *
 * @example
 * const instrumentation = new PgBerthInstrumentation({ pools: { main: pool } });
 */
export class PgBerthInstrumentation {
  constructor(config?: PgBerthInstrumentationConfig);
  readonly instrumentationName: string;
  readonly instrumentationVersion: string;
  enable(): void;
  disable(): void;
  setTracerProvider(provider: TracerProvider): void;
  setMeterProvider(provider: MeterProvider): void;
  getConfig(): PgBerthInstrumentationConfig;
  setConfig(config: PgBerthInstrumentationConfig): void;
}

/**
 * The active span, for the option `sqlComment` of createPool; nothing unless it is sampled.
 * @example
 * const pool = createPool({ sqlComment: traceContext });
 */
export function traceContext(): Record<string, string> | undefined;
