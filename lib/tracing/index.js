// What other modules tell subscribers: transactions, and what the engine does for a pool.
'use strict';

const { fromNative } = require('../errors.js');
const { channels, isHeard } = require('./channels.js');
const { transactions } = require('./queries.js');
const { begin, finish, past } = require('./telling.js');
const { ConnectTrace, FailoverTrace, LeaseTrace, TransactionTrace, now } = require('./traces.js');

/** @import { About, Target } from '../../types/internal.js' */
/** @typedef {InstanceType<typeof TransactionTrace>} OneTransaction */

/** Of events of keepers (native/src/conn/keeper.rs). */
const LEASE_ACTIONS =
  /** @type {Record<string, import('../../types/tracing.js').LeaseTrace['action']>} */ ({
    renewed: 'renew',
    notRenewed: 'renew',
    reaped: 'reap',
    pooled: 'give up',
  });

/** Where transactions run that are told of. @type {WeakMap<OneTransaction, Target>} */
const places = new WeakMap();

/** @param {About} about @param {string} text of its BEGIN @returns {OneTransaction | undefined} undefined when nobody listens */
function traceTransaction(about, text) {
  return isHeard(channels.transaction) ? new TransactionTrace(about, text) : undefined;
}

/** Statements that are asked there from now on belong to it, until it ends. @param {Target} target @param {OneTransaction | undefined} trace */
function enrol(target, trace) {
  if (trace === undefined || trace.outcome !== undefined) return;
  const [host, another] = target.about.hosts ?? [];
  if (host !== undefined && another === undefined) trace.at(host);
  places.set(trace, target);
  transactions.set(target, trace);
}

/**
 * Tells of the beginning, and runs what belongs to the transaction where the stores that subscribers have bound to it
 * are set.
 * @template T
 * @param {OneTransaction | undefined} trace @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
function within(trace, work) {
  return trace === undefined ? work() : begin(channels.transaction, trace, work);
}

/** @param {OneTransaction | undefined} trace @param {OneTransaction['outcome']} outcome @param {unknown} [error] */
function endTransaction(trace, outcome, error) {
  if (trace === undefined || trace.outcome !== undefined) return;
  const target = places.get(trace);
  if (target !== undefined && transactions.get(target) === trace) transactions.delete(target);
  trace.outcome = outcome;
  trace.end(error);
  finish(channels.transaction, trace);
}

/** What the engine says of a pool. @param {About} about @param {any} event */
function hearPool(about, event) {
  const { connect, failover } = channels;
  if (event.event === 'connect' && isHeard(connect)) {
    const trace = new ConnectTrace(about);
    trace.at(`${event.host}\t${event.address}`);
    tell(connect, trace, event.ms, event.error && fromNative(event.error, about.face));
  } else if (event.event === 'failover' && isHeard(failover)) {
    tell(failover, new FailoverTrace(about, event.from, event.to), event.ms ?? 0, undefined);
  } else if (Object.hasOwn(LEASE_ACTIONS, event.event)) {
    hearLease(about, event);
  }
}

/** What the keeper of a connection did with its lease. @param {About} about @param {any} event */
function hearLease(about, event) {
  const { lease } = channels;
  if (!isHeard(lease)) return;
  const trace = new LeaseTrace(about, LEASE_ACTIONS[event.event] ?? event.event);
  const { locked, killed, candidates } = event;
  if (event.event === 'reaped') trace.pass = { locked, killed, candidates };
  tell(lease, trace, event.durationMs ?? 0, event.error && fromNative(event.error, about.face));
}

/** @param {import('node:diagnostics_channel').TracingChannel<any, any>} channel @param {any} trace @param {number} ms @param {Error | null | undefined} error */
function tell(channel, trace, ms, error) {
  trace.startTime = now() - ms;
  trace.durationMs = ms;
  trace.error = error ?? undefined;
  past(channel, trace);
}

module.exports = {
  endTransaction,
  enrol,
  hearLease,
  hearPool,
  traceTransaction,
  within,
};
