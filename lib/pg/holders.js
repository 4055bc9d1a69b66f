// Who has a client of the pool, since when, and from where it was asked for.
'use strict';

const { withStackLimit } = require('../stack-limit.js');

/** How many are named in a message. */
const MAX_NAMED = 3;

/** Between the program and the place where its stack is taken. */
const OWN_FRAMES = 6;

/** @typedef {InstanceType<typeof import('./place.js').Place>} Place */

/** @param {string} frame */
const isOwn = (frame) => frame.includes(__dirname) || frame.includes('new Promise (<anonymous>)');

class Holders {
  #isTracking;
  #places;

  /**
   * @param {boolean} isTracking are stacks recorded? That costs some microseconds for each checkout.
   * @param {ReadonlyMap<any, Place>} places of all clients
   */
  constructor(isTracking, places) {
    this.#isTracking = isTracking;
    this.#places = places;
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

  /** The longest first. `label` is what the program has set on the client. */
  list() {
    const now = performance.now();
    return [...this.#places.values()]
      .flatMap(({ client, since, taken }) => (since === undefined ? [] : { client, since, taken }))
      .sort((a, b) => a.since - b.since)
      .map(({ client, since, taken }) => ({
        label: typeof client.label === 'string' ? client.label : undefined,
        processID: client.processID ?? undefined,
        ageMs: Math.round(now - since),
        stack: taken,
      }));
  }

  /** The end of a message, when holders are tracked. */
  describe() {
    const held = this.#isTracking ? this.list() : [];
    if (held.length === 0) return '';
    const named = held.slice(0, MAX_NAMED).map(({ label, processID, ageMs, stack }) => {
      const who = label ?? `backend ${processID ?? '?'}`;
      return `${who} for ${ageMs} ms, taken ${stack?.split('\n')[0]?.trim() ?? 'somewhere'}`;
    });
    return `; ${held.length} clients are held: ${named.join('; ')}`;
  }
}

module.exports = { Holders };
