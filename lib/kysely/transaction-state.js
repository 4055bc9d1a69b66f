// How far a transaction has come on one connection: BEGIN travels with its first statement.
'use strict';

const { OutcomeUnknownError, TransactionRolledBackError } = require('../errors.js');
const { FLAG } = require('../mailbox.js');
const { effectsOf } = require('../sql-effects.js');
const { Unanswered } = require('../unanswered.js');

/** @import { Manner } from '../request.js' */

/** @type {Manner} */
const PLAIN = Object.freeze({});
/** The same, with what its outcome can be found out by. @type {Manner} */
const ONCE = Object.freeze({ flags: FLAG.PROBE });

/** A text may begin or end a transaction if this is in it: more is read of few texts. */
const TELLING =
  /(?:^|;)[\s;]*(?:--|\/\*|(?:begin|start|commit|end|rollback|abort|prepare)(?![\w$]))/i;

class TransactionState {
  /** `fresh`: wanted, nothing asked; `asked`: BEGIN is on its way; `begun`: it was answered. @type {'none' | 'fresh' | 'asked' | 'begun'} */
  #phase = 'none';
  /** @type {Manner} */
  #beginning = PLAIN;
  /** @type {Manner} */
  #inside = PLAIN;
  /** @type {InstanceType<typeof Unanswered> | undefined} */
  #unanswered;
  /** Unlike that of any other on this connection. */
  number = 0;
  /** A text of the program's own has ended it: what follows stands outside. */
  #isLeft = false;
  /** Such a text has begun one that is open. */
  #isOpenByHand = false;

  /**
   * @param {string} text of BEGIN @param {boolean} isProbed what becomes of its COMMIT is to be found out if the answer is lost
   * @param {boolean} readsOnly it asks for no writes
   */
  begin(text, isProbed, readsOnly) {
    const flags = FLAG.TRANSACTION | (isProbed ? FLAG.PROBE : 0);
    this.#phase = 'fresh';
    this.number += 1;
    this.#isLeft = false;
    this.#isOpenByHand = false;
    this.#inside = Object.freeze({ flags, readsOnly });
    this.#beginning = {
      ...this.#inside,
      begin: text,
      onAsked: () => {
        if (this.#phase === 'fresh') this.#phase = 'asked';
      },
    };
  }

  /** What a text does that the program asks for: it may begin and end transactions by itself. @param {string} sql */
  heed(sql) {
    if (!TELLING.test(sql)) return;
    const effects = effectsOf(sql).filter((effect) => effect !== 'other');
    if (effects.length === 0) return;
    const isEnd = effects.some((effect) => effect !== 'begin');
    if (this.#phase !== 'none') this.#isLeft ||= isEnd;
    if (this.#phase === 'none' || this.#isLeft) this.#isOpenByHand = effects.at(-1) === 'begin';
  }

  /** How the next statement is asked. @param {boolean} [isOnce] one that stands for itself has to take effect once (CP-6) */
  manner(isOnce = false) {
    if (this.#phase === 'none' || this.#isLeft) return isOnce && !this.#isOpenByHand ? ONCE : PLAIN;
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
    // What it stood in is over.
    if (this.#isLeft) return undefined;
    const isAnswered = this.#unanswered === undefined || this.#unanswered.size === 0;
    return isAnswered ? undefined : this.#unanswered?.missing(undefined);
  }

  /**
   * Ends it. `isKnown`: the server knows of it; `isLeft`: a text of the program's has ended it before; `flags` of its statements,
   * `last` of its end.
   * @param {boolean} commits
   */
  end(commits) {
    const { isKnown } = this;
    const isLeft = this.#isLeft;
    const flags = Number(this.#inside.flags);
    const commit = commits ? FLAG.COMMIT : 0;
    const last = isLeft ? commit || FLAG.TRANSACTION : flags | commit;
    this.#phase = 'none';
    this.number += 1;
    this.#unanswered = undefined;
    this.#isLeft = false;
    this.#isOpenByHand = false;
    return { isKnown, isLeft, flags, last };
  }

  /** May the server know of it? */
  get isKnown() {
    return this.#phase === 'asked' || this.#phase === 'begun' || this.#isOpenByHand;
  }

  get isOpen() {
    return this.#phase !== 'none';
  }

  /** Is one open, or wanted, in which a portal lives: its own, or one that the program has begun by a text? */
  get holdsPortals() {
    return this.#isOpenByHand || (this.isOpen && !this.#isLeft);
  }

  get isBegun() {
    return this.#phase === 'begun';
  }

  /** The text of a BEGIN that no statement has brought along yet. */
  get pending() {
    return this.#phase === 'fresh' ? this.#beginning.begin : undefined;
  }
}

/**
 * What a COMMIT failed with that a text of the program's has gone before: what that one has committed stays.
 * @param {any} error
 */
function failureBehindEnd(error) {
  if (error instanceof TransactionRolledBackError || error?.outcome === 'unknown') return error;
  const message = `a text has ended the transaction before its COMMIT, which failed: ${error?.message}`;
  return new OutcomeUnknownError(message, { code: 'IN_DOUBT', cause: error });
}

module.exports = { TransactionState, failureBehindEnd };
