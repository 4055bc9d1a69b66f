// How something that goes on is told of on a channel.
'use strict';

/** @import { TracingChannel } from 'node:diagnostics_channel' */

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

module.exports = { begin, during, finish, past };
