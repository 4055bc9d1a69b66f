// What the diagnostics channels tell during a test.
'use strict';

const { tracingChannel } = require('node:diagnostics_channel');

const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

/**
 * Collects the events of channels until the test ends.
 * @param {import('node:test').TestContext} t
 * @param {...string} names without their prefix
 * @returns {{ name: string, event: string, trace: any }[]}
 */
function recordChannels(t, ...names) {
  const events = [];
  for (const name of names) {
    const channel = tracingChannel(`pg-berth:${name}`);
    const subscribers = Object.fromEntries(
      EVENTS.map((event) => [event, (trace) => events.push({ name, event, trace })]),
    );
    channel.subscribe(subscribers);
    t.after(() => channel.unsubscribe(subscribers));
  }
  return events;
}

/** The traces that are over, in the order of their ends. @param {ReturnType<typeof recordChannels>} events @param {string} [name] */
function ended(events, name) {
  return events
    .filter((one) => one.event === 'asyncEnd' && (name === undefined || one.name === name))
    .map(({ trace }) => trace);
}

module.exports = { ended, recordChannels };
