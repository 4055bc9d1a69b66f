// The calling thread as one of the engine's environments: made before anything is opened, woken when something has arrived,
// and free to load what it will need while the engine is busy for it.
'use strict';

// Taken now: what a test puts in its place later must not hold anything up.
const { setImmediate } = require('node:timers');
const native = require('./native.js');

/** Until the mailbox is there nothing is asked for, so nothing can arrive. */
let wake = () => {};

// Deno and Bun have no libuv underneath, or none that an addon may use.
const lends = !('deno' in process.versions || 'bun' in process.versions);
/** First words of command tags by number − 1. */
const words = native.setup(() => wake(), lends);

/** @param {() => void} take called when something has arrived; must not throw */
function onWake(take) {
  wake = take;
}

/**
 * Jest fails a test file, whose tests have passed, over a file that is loaded behind its end, and that can come before the
 * next turn: there nothing is put off further than to the next microtask.
 */
const isEndedEarly = process.env.JEST_WORKER_ID !== undefined;

/**
 * Loads something behind this turn, ahead of its use. A file that cannot be read now fails whoever needs it. The immediate
 * keeps its reference: without one the event loop would wait for sockets first.
 * @param {() => unknown} load
 */
function loadAhead(load) {
  const ahead = () => {
    try {
      load();
    } catch {
      // Told by the next call.
    }
  };
  if (isEndedEarly) Promise.resolve().then(ahead);
  else setImmediate(ahead);
}

module.exports = { loadAhead, onWake, words };
