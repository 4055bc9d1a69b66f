// The diagnostics channels, and whether anybody listens.
'use strict';

const { hasSubscribers, tracingChannel } = require('node:diagnostics_channel');
const { lazy } = require('../lazy.js');

/** @import { TracingChannel } from 'node:diagnostics_channel' */

/** @typedef {'query' | 'connect' | 'acquire' | 'transaction' | 'lease' | 'failover'} Name */

/** @param {Name} name @returns {TracingChannel<any, any>} */
const open = (name) => tracingChannel(`pg-berth:${name}`);

const query = open('query');
const acquire = open('acquire');
// Each is five channels: those that the first statement does not need are opened later.
const connect = lazy(() => open('connect'));
const transaction = lazy(() => open('transaction'));
const lease = lazy(() => open('lease'));
const failover = lazy(() => open('failover'));

const channels = Object.freeze({
  query,
  acquire,
  get connect() {
    return connect();
  },
  get transaction() {
    return transaction();
  },
  get lease() {
    return lease();
  },
  get failover() {
    return failover();
  },
});

const EVENTS = /** @type {const} */ (['start', 'end', 'asyncStart', 'asyncEnd', 'error']);

/** Names of the single channels on which is told what the engine says of a pool. */
const POOL_CHANNELS = ['connect', 'failover', 'lease'].flatMap((name) =>
  EVENTS.map((event) => `tracing:pg-berth:${name}:${event}`),
);

/**
 * Does anybody listen? Early versions of Node 20 know it of the single channels only.
 * @type {(channel: TracingChannel<any, any>) => boolean}
 */
const isHeard =
  'hasSubscribers' in query
    ? (channel) => /** @type {any} */ (channel).hasSubscribers
    : (channel) => EVENTS.some((event) => channel[event].hasSubscribers);

/** Does anybody want to hear of statements? */
const isTraced = () => isHeard(query) || isHeard(acquire);

/** Does anybody want to hear what the engine says of a pool? */
const isPoolTraced = () => POOL_CHANNELS.some(hasSubscribers);

module.exports = { channels, isHeard, isPoolTraced, isTraced };
