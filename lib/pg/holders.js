// Who has a client of the pool, since when, and from where it was asked for.
'use strict';

const { withStackLimit } = require('../stack-limit.js');

/** How many are named in a message. */
const MAX_NAMED = 3;

/** Between the program and the place where its stack is taken. */
const OWN_FRAMES = 6;

/** @param {string} frame */
const isOwn = (frame) => frame.includes(__dirname) || frame.includes('new Promise (<anonymous>)');

class Holders {
  #isTracking;
  /** @type {Map<any, { since: number, stack: string | undefined }>} */
  #held = new Map();

  /** @param {boolean} isTracking are stacks recorded? That costs some microseconds for each checkout. */
  constructor(isTracking) {
    this.#isTracking = isTracking;
  }

  /** The program's stack, when it is wanted. @param {Function} below */
  here(below) {
    if (!this.#isTracking) return undefined;
    /** @type {{ stack?: string }} */
    const place = {};
    withStackLimit(Error.stackTraceLimit + OWN_FRAMES, () => Error.captureStackTrace(place, below));
    const frames = place.stack?.split('\n').slice(1) ?? [];
    const first = frames.findIndex((frame) => !isOwn(frame));
    return frames.slice(Math.max(first, 0)).join('\n');
  }

  /** @param {any} client @param {string | undefined} stack */
  take(client, stack) {
    this.#held.set(client, { since: performance.now(), stack });
  }

  /** @param {any} client */
  give(client) {
    this.#held.delete(client);
  }

  /** The longest first. `label` is what the program has set on the client. */
  list() {
    const now = performance.now();
    return [...this.#held]
      .map(([client, { since, stack }]) => ({
        label: typeof client.label === 'string' ? client.label : undefined,
        processID: client.processID ?? undefined,
        ageMs: Math.round(now - since),
        stack,
      }))
      .sort((a, b) => b.ageMs - a.ageMs);
  }

  /** The end of a message, when holders are tracked. */
  describe() {
    if (!this.#isTracking || this.#held.size === 0) return '';
    const named = this.list()
      .slice(0, MAX_NAMED)
      .map(({ label, processID, ageMs, stack }) => {
        const who = label ?? `backend ${processID ?? '?'}`;
        return `${who} for ${ageMs} ms, taken ${stack?.split('\n')[0]?.trim() ?? 'somewhere'}`;
      });
    return `; ${this.#held.size} clients are held: ${named.join('; ')}`;
  }
}

module.exports = { Holders };
