// How far a transaction has come on one connection: BEGIN travels with its first statement.
'use strict';

const { FLAG } = require('../mailbox.js');

/** @import { Manner } from '../request.js' */

/** @type {Manner} */
const PLAIN = Object.freeze({});
/** @type {Manner} */
const INSIDE = Object.freeze({ flags: FLAG.TRANSACTION });

class TransactionState {
  /** `fresh`: wanted, nothing asked; `asked`: BEGIN is on its way; `begun`: it was answered. @type {'none' | 'fresh' | 'asked' | 'begun'} */
  #phase = 'none';
  /** @type {Manner} */
  #beginning = PLAIN;

  /** @param {string} text of BEGIN */
  begin(text) {
    this.#phase = 'fresh';
    this.#beginning = {
      flags: FLAG.TRANSACTION,
      begin: text,
      onAsked: () => {
        if (this.#phase === 'fresh') this.#phase = 'asked';
      },
    };
  }

  /** How the next statement is asked. */
  manner() {
    if (this.#phase === 'none') return PLAIN;
    return this.#phase === 'begun' ? INSIDE : this.#beginning;
  }

  /** A statement was answered, and BEGIN in front of it. */
  answered() {
    if (this.#phase === 'asked') this.#phase = 'begun';
  }

  /** Ends it; returns whether the server knows of it. */
  end() {
    const isKnown = this.#phase === 'asked' || this.#phase === 'begun';
    this.#phase = 'none';
    return isKnown;
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
