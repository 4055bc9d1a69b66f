// The history behind the status page: figures of pools at regular times, health, breakers and leases.
'use strict';

const { tracingChannel } = require('node:diagnostics_channel');
const { HealthMonitor } = require('../health-monitor.js');
const { callHook } = require('../hooks.js');
const { timerMs } = require('../infra-options.js');
const { createMetricsPool } = require('../pool-metrics.js');

/** @import { HealthCheckResult } from '../../types/health.js' */

/** @typedef {{ intervalMs: number, historyMs: number, healthIntervalMs: number, limits: object, breakers: Record<string, any> }} Settings */

/** Changes that are kept of what changes rarely. */
const MAX_CHANGES = 50;

/** A list whose oldest entries go. @template T */
class History {
  /** @type {T[]} */
  entries = [];
  #most;

  /** @param {number} most */
  constructor(most) {
    this.#most = most;
  }

  /** @param {T} entry */
  add(entry) {
    this.entries.push(entry);
    if (this.entries.length > this.#most) this.entries.shift();
  }
}

/** States of named things: when each became what it is. */
class Timeline {
  /** @type {Map<string, string>} */
  states = new Map();
  /** @type {History<{ at: number, name: string, state: string }>} */
  #changes = new History(MAX_CHANGES);

  get changes() {
    return this.#changes.entries;
  }

  /** @param {number} at @param {string} name @param {string} state */
  note(at, name, state) {
    if (this.states.get(name) === state) return;
    this.states.set(name, state);
    this.#changes.add({ at, name, state });
  }
}

/** Asks pools that other drivers made. @param {any} pool */
function askable(pool) {
  if (typeof pool[Symbol.for('pg-berth.probe')] === 'function') return pool;
  return { selectNoFrom: () => ({ execute: () => pool.query('select 1') }) };
}

/** What pools and breakers of others say; undefined when they throw. @template T @param {() => T} ask */
function asked(ask) {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/** @param {number} ms */
const round = (ms) => Math.round(ms * 100) / 100;

/** One pool of the page. */
class PoolHistory {
  #pool;
  #figures;
  #monitor;
  #before = { at: 0, queries: 0, errors: 0, /** @type {any} */ times: undefined };
  /** @type {HealthCheckResult | undefined} */
  lastCheck;
  roles = new Timeline();

  /** @param {any} pool @param {Settings} settings */
  constructor(pool, { intervalMs, historyMs, healthIntervalMs, limits }) {
    this.#pool = pool;
    this.#figures = createMetricsPool(pool);
    /** @type {History<object>} */
    this.samples = new History(Math.max(2, Math.ceil(historyMs / intervalMs)));
    /** @type {History<{ at: number, status: string, ms: number | null }>} */
    this.health = new History(Math.max(2, Math.ceil(historyMs / healthIntervalMs)));
    const options = { ...limits, pool: this.#figures, intervalMs: healthIntervalMs, logger: {} };
    this.#monitor = new HealthMonitor(askable(pool), options);
    this.#monitor.start((result) => {
      this.lastCheck = result;
      const ms = result.metrics?.checkLatency ?? null;
      this.health.add({ at: result.timestamp.getTime(), status: result.status, ms });
    });
  }

  /** @param {number} at */
  sample(at) {
    const { idle, active, waiting, max = idle + active, ...rest } = this.#figures.getMetrics();
    const connecting = /** @type {any} */ (rest).connecting ?? 0;
    this.samples.add({ at, idle, active, connecting, waiting, max, ...this.#rates(at) });
    for (const { host, role } of this.nodes()) this.roles.note(at, host, role);
  }

  /** What happened since the sample before. @param {number} at */
  #rates(at) {
    const stats = this.#pool.getStats?.();
    if (stats?.statementTime === undefined) return {};
    const { queries, statementTime } = stats;
    const counts = /** @type {number[]} */ (Object.values(stats.errors));
    const errors = counts.reduce((sum, count) => sum + count, 0);
    const before = this.#before;
    this.#before = { at, queries, errors, times: statementTime };
    if (before.times === undefined) return {};
    const seconds = Math.max(0.001, (at - before.at) / 1000);
    const times = statementTime.since(before.times);
    const of = (/** @type {number} */ percent) =>
      times.count === 0 ? null : round(times.percentile(percent));
    return {
      perSecond: round((queries - before.queries) / seconds),
      errorsPerSecond: round((errors - before.errors) / seconds),
      p50: of(50),
      p95: of(95),
      p99: of(99),
    };
  }

  /** Where the pool's nodes are and what they are; of errors the code only. */
  nodes() {
    /** @type {any[]} */
    const nodes = asked(() => this.#pool.status?.().nodes) ?? [];
    return nodes.map(({ host, role, open, error }) => ({
      host,
      role: role ?? 'unknown',
      open,
      error: error?.code ?? null,
    }));
  }

  metricsText(/** @type {any} */ options) {
    return String(asked(() => this.#pool.metricsText?.(options)) ?? '');
  }

  stop() {
    this.#monitor.stop();
  }
}

class Sampler {
  #timer;
  #breakers;
  /** @type {Map<string, { renewed: number, failed: number, killed: number, at: number }>} */
  #leases = new Map();
  /** What was done with leases since the sample before. */
  #news = { renewed: 0, failed: 0, killed: 0 };
  #sampledAt = Date.now();
  /** Per second, on the average since the sample before. @type {History<{ at: number, renewed: number, failed: number, killed: number }>} */
  #leaseSamples;
  #states = new Timeline();
  #unsubscribe;

  /** @param {Record<string, any>} pools @param {Settings} settings */
  constructor(pools, settings) {
    this.#breakers = settings.breakers;
    this.#leaseSamples = new History(Math.ceil(settings.historyMs / settings.intervalMs));
    // What is no pool is said before the first one is being checked.
    for (const pool of Object.values(pools)) createMetricsPool(pool);
    this.pools = new Map(
      Object.entries(pools).map(([name, pool]) => [name, new PoolHistory(pool, settings)]),
    );
    this.#timer = setInterval(() => this.#sample(), timerMs(settings.intervalMs));
    this.#timer.unref();
    const channel = tracingChannel('pg-berth:lease');
    const subscribers = /** @type {any} */ ({
      asyncEnd: (/** @type {any} */ trace) => this.#noteLease(trace),
    });
    channel.subscribe(subscribers);
    this.#unsubscribe = () => channel.unsubscribe(subscribers);
    this.#sample();
  }

  #sample() {
    const at = Date.now();
    for (const pool of this.pools.values()) callHook(() => pool.sample(at), []);
    for (const [name, breaker] of Object.entries(this.#breakers)) {
      this.#states.note(at, name, String(asked(() => breaker.getState().state) ?? 'unknown'));
    }
    const seconds = Math.max(0.001, (at - this.#sampledAt) / 1000);
    const { renewed, failed, killed } = this.#news;
    const [a, b, c] = [round(renewed / seconds), round(failed / seconds), round(killed / seconds)];
    if (this.#leases.size > 0) this.#leaseSamples.add({ at, renewed: a, failed: b, killed: c });
    this.#news = { renewed: 0, failed: 0, killed: 0 };
    this.#sampledAt = at;
  }

  /** @param {any} trace */
  #noteLease({ action, pool, host, port, error, pass }) {
    const name = pool ?? `${host}:${port}`;
    const lease = this.#leases.get(name) ?? { renewed: 0, failed: 0, killed: 0, at: 0 };
    for (const counts of [lease, this.#news]) {
      if (error !== undefined) counts.failed++;
      else if (action === 'renew') counts.renewed++;
      counts.killed += pass?.killed ?? 0;
    }
    lease.at = Date.now();
    this.#leases.set(name, lease);
    // Clients come and go; the page is no archive.
    if (this.#leases.size > MAX_CHANGES) this.#leases.delete(String([...this.#leases.keys()][0]));
  }

  /** @param {{ status: string }[]} all */
  static worst(all) {
    const order = ['healthy', 'starting', 'degraded', 'unhealthy'];
    return order[Math.max(0, ...all.map(({ status }) => order.indexOf(status)))];
  }

  health() {
    const pools = Object.fromEntries(
      [...this.pools].map(([name, { lastCheck }]) => [
        name,
        {
          status: lastCheck?.status ?? 'starting',
          ...(lastCheck && {
            at: lastCheck.timestamp.toISOString(),
            latencyMs: lastCheck.metrics?.checkLatency ?? null,
            checks: lastCheck.checks.map(({ name: check, status }) => ({ name: check, status })),
          }),
        },
      ]),
    );
    return { status: Sampler.worst(Object.values(pools)), pools };
  }

  /** What the page draws. @param {number} since samples behind this time */
  data(since) {
    const pools = [...this.pools].map(([name, pool]) => ({
      name,
      status: pool.lastCheck?.status ?? 'starting',
      samples: pool.samples.entries.filter((one) => /** @type {any} */ (one).at > since),
      health: pool.health.entries.filter(({ at }) => at > since),
      nodes: pool.nodes(),
      roles: pool.roles.changes,
    }));
    return {
      now: Date.now(),
      status: Sampler.worst(pools),
      pools,
      breakers: [...this.#states.states].map(([name, state]) => ({ name, state })),
      changes: this.#states.changes,
      leaseSamples: this.#leaseSamples.entries.filter(({ at }) => at > since),
      leases: [...this.#leases].map(([name, lease]) => ({ name, ...lease })),
    };
  }

  stop() {
    clearInterval(this.#timer);
    this.#unsubscribe();
    for (const pool of this.pools.values()) pool.stop();
  }
}

module.exports = { Sampler };
