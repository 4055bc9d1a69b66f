// One query of a pool on its way: its place in the queue, its connection, and the promise or callback that hears of it.
'use strict';

const { AsyncResource } = require('node:async_hooks');
const { StatementAnswer } = require('../answer.js');
const { noteQuick } = require('../statements.js');
const { isTraced } = require('../tracing/channels.js');
const { describe, recaptured } = require('./failures.js');
const { hostOf } = require('./for-pools.js');
const { toResults } = require('./result.js');

/** @import { Asked } from './query.js' */
/** @typedef {InstanceType<typeof import('./shared-clients.js').SharedClients>} SharedClients */
/** @typedef {import('./shared-clients.js').Use} Use */
/** @typedef {InstanceType<typeof import('./statement-queue.js').StatementQueue>} StatementQueue */
/** @typedef {InstanceType<typeof import('../decoders.js').Decoders>} Decoders */

/** Queries that were answered in this turn, and that nobody was told of. @type {PooledQuery[]} */
let answered = [];

/** Behind everything that arrived in this turn: no code of the program's runs among the engine's answers. */
function tellLater(/** @type {PooledQuery} */ query) {
  if (answered.push(query) === 1) process.nextTick(tellAll);
}

/** When the answers of this turn are told; NaN until somebody asks, undefined between turns. @type {number | undefined} */
let turnTime;

/** The time in ms, read once for all answers of a turn: a clock takes as long as anything else that is done for one of them. */
function turnNow() {
  if (turnTime === undefined) return performance.now();
  if (Number.isNaN(turnTime)) turnTime = performance.now();
  return turnTime;
}

function tellAll() {
  const told = answered;
  answered = [];
  let at = 0;
  turnTime = Number.NaN;
  try {
    for (; at < told.length; at++) /** @type {PooledQuery} */ (told[at]).tell();
  } finally {
    turnTime = undefined;
    // A listener threw: that is the program's own, and the others are told all the same.
    if (at < told.length) for (const query of told.slice(at + 1)) tellLater(query);
  }
}

class PooledQuery {
  /** Nobody waits for it any more. */
  isOver = false;
  /** @type {NodeJS.Timeout | undefined} */
  late = undefined;
  /** The client that runs it. @type {Use | undefined} */
  use = undefined;
  /** It has come back once from a connection that ended before anything of it was sent. */
  hasMoved = false;
  /** Of the columns. */
  format = 'text';
  /** @type {InstanceType<typeof PooledAnswer> | undefined} */
  answer = undefined;
  /** Why it failed: fields of the engine, or what a value or a parser threw. @type {any} */
  reason = undefined;
  hasFailed = false;

  /**
   * @param {Asked} asked
   * @param {Pick<InstanceType<typeof import('./waiter.js').Waiter>, 'taken' | 'told'> & { text: any, values: any }} from and what
   *   `query` was called with
   * @param {SharedClients} clients @param {(result: any) => void} resolve @param {(error: any) => void} reject
   */
  constructor(asked, { text, values, taken, told }, clients, resolve, reject) {
    this.asked = asked;
    this.text = text;
    this.values = values;
    this.taken = taken;
    this.told = told;
    /** Whoever traces statements wants to know whose they are. */
    this.context = isTraced() ? new AsyncResource('pg-berth.pooled') : undefined;
    this.clients = clients;
    this.resolve = resolve;
    this.reject = reject;
  }

  /**
   * As a waiter of the pool.
   * @param {any} error @param {any} [client] @param {(error?: any) => void} [release] @param {number} [now]
   */
  callback(error, client, release, now) {
    if (this.late !== undefined) clearTimeout(this.late);
    this.told?.(error, client && hostOf(client));
    if (client === undefined) this.reject(error);
    else this.clients.begin(this, client, /** @type {(error?: any) => void} */ (release), now);
  }

  /** @param {any} reason */
  refuse(reason) {
    this.hasFailed = true;
    this.reason = reason;
    tellLater(this);
  }

  /** @param {InstanceType<typeof PooledAnswer>} answer */
  settle(answer) {
    this.answer = answer;
    tellLater(this);
  }

  /** The client is free again before anybody hears of the result. */
  tell() {
    if (this.clients.over(this)) return;
    const { answer } = this;
    if (answer === undefined) this.reject(this.reason);
    else this.resolve(toResults(answer, this.asked, this.format));
  }
}

/** The answer to a query of a pool. */
class PooledAnswer extends StatementAnswer {
  #query;
  #queue;

  /** @param {Decoders} decoders @param {PooledQuery} query @param {StatementQueue} queue */
  constructor(decoders, query, queue) {
    super(decoders, nobody, nobody);
    this.#query = query;
    this.#queue = queue;
  }

  /** @override @param {boolean} [isQuick] */
  done(isQuick) {
    if (isQuick !== undefined) noteQuick(this.#query.asked.text, isQuick);
    super.done();
  }

  /** @override */
  settle() {
    this.#queue.answered(this.#query.asked, undefined);
    this.#query.settle(this);
  }

  /** @override @param {any} reason */
  refuse(reason) {
    this.#queue.answered(this.#query.asked, reason);
    this.#query.refuse(reason);
  }
}

const nobody = () => {};

/**
 * A rejection whose stack is that of whoever awaits it: the error is made once his promise depends on this one.
 * @param {any} reason
 */
async function rejection(reason) {
  // The caller's promise asks for this one in the first turn.
  await undefined;
  await undefined;
  throw reason instanceof Error ? recaptured(reason) : describe(reason);
}

module.exports = { PooledAnswer, PooledQuery, rejection, turnNow };
