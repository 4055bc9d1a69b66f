// The diagnostics channels, and how something that goes on is told of on them.
'use strict';

const { tracingChannel } = require('node:diagnostics_channel');

/** @import { TracingChannel } from 'node:diagnostics_channel' */

/** @typedef {'query' | 'connect' | 'acquire' | 'transaction' | 'lease' | 'failover'} Name */

/** @param {Name} name @returns {TracingChannel<any, any>} */
const open = (name) => tracingChannel(`pg-berth:${name}`);

const channels = Object.freeze({
  query: open('query'),
  connect: open('connect'),
  acquire: open('acquire'),
  transaction: open('transaction'),
  lease: open('lease'),
  failover: open('failover'),
});

const EVENTS = /** @type {const} */ (['start', 'end', 'asyncStart', 'asyncEnd', 'error']);

/**
 * Does anybody listen? Early versions of Node 20 know it of the single channels only.
 * @type {(channel: TracingChannel<any, any>) => boolean}
 */
const isHeard =
  'hasSubscribers' in channels.query
    ? (channel) => /** @type {any} */ (channel).hasSubscribers
    : (channel) => EVENTS.some((event) => channel[event].hasSubscribers);

/** Does anybody want to hear of statements? */
const isTraced = () => isHeard(channels.query) || isHeard(channels.acquire);

/** Does anybody want to hear what the engine says of a pool? */
const isPoolTraced = () =>
  isHeard(channels.connect) || isHeard(channels.failover) || isHeard(channels.lease);

/**
 * Begins what `work` does, and ends it if that throws.
 * @template T
 * @param {TracingChannel<any, any>} channel @param {any} trace @param {() => T} work
 * @returns {T}
 */
function begin(channel, trace, work) {
  return channel.start.runStores(trace, () => {
    try {
      return work();
    } catch (error) {
      trace.end(error);
      channel.error.publish(trace);
      throw error;
    } finally {
      channel.end.publish(trace);
    }
  });
}

/** @param {TracingChannel<any, any>} channel @param {any} trace with what came of it @param {() => void} [settle] tells whoever waits */
function finish(channel, trace, settle = () => {}) {
  if (trace.error !== undefined) channel.error.publish(trace);
  channel.asyncStart.publish(trace);
  settle();
  channel.asyncEnd.publish(trace);
}

/** Something the engine has done already. @param {TracingChannel<any, any>} channel @param {any} trace */
function past(channel, trace) {
  begin(channel, trace, () => {});
  finish(channel, trace);
}

/**
 * @template T
 * @param {TracingChannel<any, any>} channel @param {any} trace @param {() => Promise<T>} work
 * @param {(result: T) => void} [note] takes what is worth telling
 * @returns {Promise<T>}
 */
async function during(channel, trace, work, note = () => {}) {
  const promise = begin(channel, trace, work);
  try {
    const result = await promise;
    note(result);
    trace.end();
    finish(channel, trace);
    return result;
  } catch (error) {
    trace.end(error);
    finish(channel, trace);
    throw error;
  }
}

module.exports = { begin, channels, during, finish, isHeard, isPoolTraced, isTraced, past };
