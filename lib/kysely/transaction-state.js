// How far a transaction has come on one connection: BEGIN travels with its first statement.
'use strict';

const { FLAG } = require('../mailbox.js');
const { Unanswered } = require('../unanswered.js');

/** @import { Manner } from '../request.js' */

/** @type {Manner} */
const PLAIN = Object.freeze({});

class TransactionState {
  /** `fresh`: wanted, nothing asked; `asked`: BEGIN is on its way; `begun`: it was answered. @type {'none' | 'fresh' | 'asked' | 'begun'} */
  #phase = 'none';
  /** @type {Manner} */
  #beginning = PLAIN;
  /** @type {Manner} */
  #inside = PLAIN;
  /** @type {InstanceType<typeof Unanswered> | undefined} */
  #unanswered;

  /** @param {string} text of BEGIN @param {boolean} isProbed what becomes of its COMMIT is to be found out if the answer is lost */
  begin(text, isProbed) {
    const flags = FLAG.TRANSACTION | (isProbed ? FLAG.PROBE : 0);
    this.#phase = 'fresh';
    this.#inside = Object.freeze({ flags });
    this.#beginning = {
      flags,
      begin: text,
      onAsked: () => {
        if (this.#phase === 'fresh') this.#phase = 'asked';
      },
    };
  }

  /** How the next statement is asked. */
  manner() {
    if (this.#phase === 'none') return PLAIN;
    return this.#phase === 'begun' ? this.#inside : this.#beginning;
  }

  /** A statement was answered, and BEGIN in front of it. */
  answered() {
    if (this.#phase === 'asked') this.#phase = 'begun';
  }

  /**
   * COMMIT waits for it, if it is part of the transaction.
   * @template T
   * @param {Promise<T>} answer @param {AbortSignal | undefined} signal
   * @param {() => boolean} isRefused it has failed, and nothing was asked
   * @returns {Promise<T>} for its owner
   */
  noted(answer, signal, isRefused) {
    if (this.#phase === 'none') return answer;
    this.#unanswered ??= new Unanswered();
    return this.#unanswered.note(answer, signal, isRefused);
  }

  /** What nobody has heard of that was never sent. */
  async missing() {
    const isAnswered = this.#unanswered === undefined || this.#unanswered.size === 0;
    return isAnswered ? undefined : this.#unanswered?.missing(undefined);
  }

  /** Flags of its statements. */
  get flags() {
    return Number(this.#inside.flags);
  }

  /** Ends it; returns whether the server knows of it. */
  end() {
    const { isKnown } = this;
    this.#phase = 'none';
    this.#unanswered = undefined;
    return isKnown;
  }

  /** May the server know of it? */
  get isKnown() {
    return this.#phase === 'asked' || this.#phase === 'begun';
  }

  get isOpen() {
    return this.#phase !== 'none';
  }

  get isBegun() {
    return this.#phase === 'begun';
  }

  /** The text of a BEGIN that no statement has brought along yet. */
  get pending() {
    return this.#phase === 'fresh' ? this.#beginning.begin : undefined;
  }
}

module.exports = { TransactionState };
