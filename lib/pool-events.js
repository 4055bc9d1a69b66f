// What the engine says of a pool: counted, noted, and told to whoever listens or traces.
'use strict';

const { EventEmitter } = require('node:events');
const { lazy } = require('./lazy.js');
const { listen } = require('./hearers.js');
const { wrong } = require('./option-rules.js');
const { isPoolTraced } = require('./tracing/channels.js');

const news = lazy(() => require('./pool-news.js'));
const tracing = lazy(() => require('./tracing/index.js'));

/** @import { Target } from '../types/internal.js' */
/** @import { PoolStatus } from '../types/pool-extras.js' */
/** @typedef {InstanceType<typeof import('./pool-probes.js').Probes>} Probes */
/** What happened so often, for `status()`. @typedef {{ -readonly [Name in keyof PoolStatus['counters']]: PoolStatus['counters'][Name] } & { evictions: Record<string, number> }} Tally */

/** Nodes that refuse writes. */
const READING = new Set(['standby', 'fenced']);

/** Within the package only. */
const ENDED = Symbol('ended');

/** What became of a COMMIT is known. */
const KNOWN = new Set(['committed', 'aborted']);

class PoolEvents {
  #emitter = new EventEmitter();
  #isHeard = false;
  /** What each address of a host has been last. @type {Map<string | undefined, Map<string, string>>} */
  #roles = new Map();
  #tally;

  /** @param {Tally} tally */
  constructor(tally) {
    this.#tally = tally;
  }

  /** @param {'on' | 'once' | 'off'} how @param {string} name @param {(detail: any) => void} listener */
  change(how, name, listener) {
    const { NAMES } = news();
    if (!NAMES.includes(name)) {
      throw wrong('event', `must be one of ${NAMES.map((known) => `"${known}"`).join(', ')}`);
    }
    this.#isHeard = true;
    this.#emitter[how](name, listener);
  }

  /** Once, when the pool has ended. @param {() => void} hear */
  atEnd(hear) {
    this.#emitter.once(ENDED, hear);
  }

  /** The pool has ended: nothing more is told. */
  end() {
    this.#emitter.emit(ENDED);
  }

  /**
   * Does everything behind this name take no writes, as far as it has been heard of?
   * @param {string | undefined} host @param {readonly { host: string, role: string }[]} nodes what was known before
   */
  readsOnly(host, nodes) {
    const heard = this.#roles.get(host)?.values();
    const roles = heard
      ? [...heard]
      : nodes.filter((node) => node.host === host).map(({ role }) => role);
    return roles.length > 0 && roles.every((role) => READING.has(role));
  }

  /** @param {any} event of the engine */
  tell(event) {
    this.#count(event);
    this.#note(event);
    if (!this.#isHeard) return;
    for (const [name, detail, when] of news().toldOf(event)) {
      if (this.#emitter.listenerCount(name) === 0) continue;
      if (when === undefined || when(event)) this.#emitter.emit(name, detail(event));
    }
  }

  /** One that cannot be reached is still what it was when it could. @param {any} event */
  #note({ event, host, address, to }) {
    if (event !== 'hostChange' || to === 'unreachable') return;
    const known = this.#roles.get(host) ?? new Map();
    this.#roles.set(host, known.set(address, to));
  }

  /** @param {any} event */
  #count(event) {
    const tally = this.#tally;
    if (event.event === 'connect') {
      if (event.error === null) tally.connects += 1;
      else tally.failedConnects += 1;
    } else if (event.event === 'retire') {
      tally.evictions[event.reason] = (tally.evictions[event.reason] ?? 0) + 1;
    } else if (event.event === 'commit-resolved') {
      tally.inDoubt += 1;
      if (KNOWN.has(event.status)) tally.resolved += 1;
    }
  }
}

/**
 * Who hears of forgotten transactions; with `NODE_DEBUG=pg-berth` they say where they began, which costs a stack each.
 * @param {PoolEvents} events
 */
function leaksOf(events) {
  const stacks = (process.env.NODE_DEBUG ?? '').split(',').includes('pg-berth');
  return { tell: (/** @type {any} */ event) => events.tell(event), stacks };
}

/**
 * What the engine does for a pool on its own is told to whoever traces it, to its listeners, and to those who have it probed.
 * @param {Target} pool @param {PoolEvents} listeners @param {() => Probes} probed
 * @returns {() => void} the pool has ended
 */
function hearEvents(pool, listeners, probed) {
  return listen(pool, (event) => {
    if (event.event === 'probed') {
      probed().heard(event.monitor);
      return;
    }
    if (isPoolTraced()) tracing().hearPool(pool.about, event);
    listeners.tell(event);
  });
}

module.exports = { PoolEvents, hearEvents, leaksOf };
