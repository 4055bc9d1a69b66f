// Who hears events of the engine, and in which asynchronous context: that of nobody's request.
'use strict';

// Taken now: a test may put something else in its place later.
const { nextTick } = process;
const { AsyncResource } = require('node:async_hooks');

/** @import { Target } from '../types/internal.js' */

/** By the slot of their handle. @type {Map<number, { generation: number, hear: (event: any) => void }>} */
const hearers = new Map();

/** The context of nobody. @type {InstanceType<typeof AsyncResource> | undefined} */
let nobody;

/** To be called where the engine calls, in whose calls there is no context. */
function noteContext() {
  nobody ??= new AsyncResource('pg-berth.events');
}

/**
 * Tells an event outside of this turn's work: whatever the hearer does, the answers beside it are delivered. A slot is used
 * again: an event of its former owner is nobody's. What has arrived may have been found by a look for the answer of somebody
 * whom the event does not concern.
 * @param {number} slot @param {number | undefined} generation @param {any} event
 */
function tell(slot, generation, event) {
  const hearer = hearers.get(slot);
  if (hearer === undefined || hearer.generation !== generation) return;
  if (nobody === undefined) nextTick(hearer.hear, event);
  else nobody.runInAsyncScope(nextTick, undefined, hearer.hear, event);
}

/**
 * Hears the events of a handle until the returned function is called.
 * @param {Target} target @param {(event: any) => void} hear
 */
function listen({ slot, generation }, hear) {
  const hearer = { generation, hear };
  hearers.set(slot, hearer);
  return () => {
    if (hearers.get(slot) === hearer) hearers.delete(slot);
  };
}

module.exports = { listen, noteContext, tell };
