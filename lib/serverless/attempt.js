// An attempt to connect, shared by all who wait for it, each within the bounds of its own call.
'use strict';

const { TimeoutError } = require('../errors.js');
const { mayConnectAgain } = require('./retry.js');

/** @import { AnyConnection } from './connection.js' */
/** @typedef {InstanceType<typeof import('./retry.js').Budget>} CallBudget */
/**
 * @typedef {{
 *   budget: CallBudget,
 *   resolve: (connection: AnyConnection) => void,
 *   reject: (reason: unknown) => void,
 *   timer?: NodeJS.Timeout | undefined,
 * }} Member
 */

/** Differences between two clocks that were read one after the other. */
const SAME_MS = 1;
/** A pass that makes room. */
const LONGEST_REAP_MS = 5000;

class Attempt {
  /** In their order; a member leaves when it has its answer. @type {Set<Member>} */
  #members = new Set();
  /** By when the present step, a try or a pause, ends on its own. */
  #until = Number.POSITIVE_INFINITY;
  /** What the last try failed with. @type {unknown} */
  #error;
  /** Was room made on a full server, or tried to? */
  #isReaped = false;

  /** Runs nothing before it is registered. @param {(attempt: Attempt) => Promise<AnyConnection>} establish */
  constructor(establish) {
    queueMicrotask(() =>
      establish(this).then(
        (connection) => this.#opened(connection),
        (error) => this.abandon(error),
      ),
    );
  }

  /**
   * Not async: everybody waits exactly as long, so that statements keep their order.
   * @param {CallBudget} budget of the call @returns {Promise<AnyConnection>}
   */
  join(budget) {
    return new Promise((resolve, reject) => {
      const member = { budget, resolve, reject };
      this.#members.add(member);
      this.#watch(member);
    });
  }

  /** Time of whoever has most. */
  get leftMs() {
    return Math.max(0, ...[...this.#members].map(({ budget }) => budget.leftMs));
  }

  /** A step begins that may take so long; whose call has less time waits no longer than that. @param {number} ms */
  step(ms) {
    this.#until = performance.now() + ms;
    for (const member of this.#members) this.#watch(member);
    return ms;
  }

  /** @param {Member} member */
  #watch(member) {
    clearTimeout(member.timer);
    const left = member.budget.leftMs;
    if (performance.now() + left >= this.#until - SAME_MS || left === Number.POSITIVE_INFINITY)
      return;
    const late = () => this.#leave(member)?.reject(this.#error ?? expired());
    member.timer = setTimeout(late, Math.max(1, left));
  }

  /**
   * Behind a try that failed, and was one of each member's: waits for the next one.
   * @param {any} error @param {(limitMs: number) => Promise<boolean>} makeRoom on a server that is full
   * @param {(delay: number, retries: number) => void} tell before the wait
   * @returns {Promise<boolean>} false: nobody may have another
   */
  async again(error, makeRoom, tell) {
    if (!mayConnectAgain(error)) return false;
    this.#error = error;
    for (const { budget } of this.#members) budget.countConnect();
    const budget = this.#remaining();
    if (budget === undefined) return false;
    if (error.code === '53300' && !this.#isReaped) {
      this.#isReaped = true;
      if (await makeRoom(this.step(Math.min(this.leftMs, LONGEST_REAP_MS)))) return true;
    }
    // Whose time ends before this pause does leaves within it.
    const delay = this.step(budget.delay(this.leftMs));
    tell(delay, budget.count('connects'));
    await budget.pause(delay);
    return this.#remaining() !== undefined;
  }

  /** Those who have no further try or no time hear of the last failure. @returns {CallBudget | undefined} of the first who goes on */
  #remaining() {
    for (const member of this.#members) {
      if (!member.budget.allows('connects')) this.#leave(member)?.reject(this.#error);
    }
    const [first] = this.#members;
    return first?.budget;
  }

  /** @param {AnyConnection} connection */
  #opened(connection) {
    for (const member of this.#members) {
      member.budget.countConnect();
      this.#leave(member)?.resolve(connection);
    }
  }

  /** @param {unknown} reason for everybody */
  abandon(reason) {
    for (const member of this.#members) this.#leave(member)?.reject(reason);
  }

  /** @param {Member} member */
  #leave(member) {
    clearTimeout(member.timer);
    return this.#members.delete(member) ? member : undefined;
  }
}

function expired() {
  const known = { code: 'ERR_TIMEOUT', transient: true, phase: /** @type {const} */ ('connect') };
  return new TimeoutError('timeout expired', known);
}

module.exports = { Attempt };
