// One connection of a ServerlessClient: what was asked of it and not answered, and the moment it is lost.
'use strict';

// Taken now: a test may put another clock in its place.
const { clearTimeout, setTimeout } = require('node:timers');
const native = require('../native.js');
const { fromNative } = require('../errors.js');
const { end, openClient, release } = require('../handles.js');
const { listen } = require('../hearers.js');
const { FLAG, OPERATION, flush } = require('../mailbox.js');
const { decodersFor } = require('../queryable.js');
const { execute } = require('../request.js');
const { PRESETS, resolveTypes } = require('../rows/types.js');
const { connecting } = require('../tracing/connecting.js');
const { hearLease } = require('../tracing/index.js');
const { isOpenBehind, lossOf } = require('./loss.js');
const { handOver, mannerOf, toResult } = require('./query.js');

/** @import { NativeError } from '../../types/native-error.js' */
/** @import { Manner } from '../request.js' */
/** @import { LibraryConnection } from './library-connection.js' */
/** @import { Loss, Request } from './loss.js' */
/** @import { Query } from './query.js' */
/** @typedef {import('../handles.js').Hooks} Hooks */
/** @typedef {InstanceType<typeof import('../decoders.js').Decoders>} Decoders */

const PLAIN = decodersFor(resolveTypes(undefined, PRESETS.pg), 'object', undefined);
const UNNAMED = Object.freeze({ operation: OPERATION.EXECUTE, flags: FLAG.UNNAMED });

/** How long a polite end waits for statements in flight before it cancels them. */
const PATIENCE_MS = 2000;

/** How far the news of an end may be behind a refusal for it. */
const NEWS_MS = 1000;

/** Kinds of failures behind which the connection goes on, whatever became of the statement. */
const GOES_ON = new Set(['internal', 'notReplicated', 'result']);

/**
 * What the engine did on its own (native/src/conn/keeper.rs, `News`).
 * @typedef {{
 *   event: 'renewed' | 'notRenewed' | 'reaped' | 'pooled',
 *   error?: NativeError | Error | null,
 *   refused: number,
 *   locked: boolean,
 *   killed: number,
 *   candidates: number,
 *   denied: number,
 *   hidden: number,
 *   durationMs: number,
 * }} News
 */

/** @typedef {Connection | InstanceType<typeof LibraryConnection>} AnyConnection */

/**
 * Who hears of a connection: `lost` once, never after `close()`.
 * @typedef {{ lost: (connection: AnyConnection, loss: Loss) => void, news: (connection: AnyConnection, news: News) => void }} Watcher
 */

class Connection {
  /** What the engine refuses is known when it is asked. */
  refusesLate = false;
  #target;
  /** @type {'open' | 'closing' | 'over'} */
  #state = 'open';
  /** @type {Set<Request>} */
  #unanswered = new Set();
  #watcher;
  #unlisten;
  /** Calls that wait to hear what ended it. @type {(() => void)[]} */
  #waiting = [];

  /**
   * @param {Awaited<ReturnType<typeof openClient>>} opened @param {Watcher} watcher
   */
  constructor(opened, watcher) {
    this.#target = opened.target;
    this.#watcher = watcher;
    this.processID = opened.pid;
    this.host = opened.host;
    this.encrypted = opened.encrypted;
    this.#unlisten = listen(opened.target, (event) => {
      if (event.event === 'end') this.#ended(event.error);
      else {
        hearLease(opened.target.about, event);
        this.#watcher.news(this, event);
      }
    });
  }

  /** @param {object} settings of the engine @param {Watcher} watcher @param {Hooks} hooks */
  static async open(settings, watcher, hooks) {
    const { database, user } = /** @type {any} */ (settings);
    const about = /** @type {const} */ ({ face: 'pg', database, user });
    const open = () => openClient(settings, 'pg', undefined, hooks);
    return new Connection(await connecting(about, open), watcher);
  }

  /** Of the engine. @param {Connection} connection */
  static targetOf(connection) {
    return connection.#target;
  }

  get isOpen() {
    return this.#state === 'open';
  }

  /** Is a transaction open, or will one be once everything sent is answered? */
  get isInTransaction() {
    return isOpenBehind(this.#unanswered, this.#isWithin);
  }

  /** By the server's last answer. */
  get #isWithin() {
    const { slot, generation } = this.#target;
    const status = native.clientStatus(slot, generation);
    return status === 'T' || status === 'E';
  }

  /**
   * @param {Request} request @param {Query} asked @param {Decoders} decoders
   * @param {number} part flags of a statement of a transaction, else 0 @param {number} timeoutMs
   * @param {readonly any[]} args of the call
   */
  ask(request, asked, decoders, part, timeoutMs, args) {
    const onAsked = part === 0 ? undefined : () => handOver(args);
    const manner = { ...mannerOf(asked, part), timeoutMs, ...(onAsked && { onAsked }) };
    return this.#run(request, asked.values, decoders, manner);
  }

  /**
   * Once more, where nothing can be written: extended protocol, because it takes one statement only. The COMMIT follows at
   * once, so that nothing of another caller gets in between.
   * @param {Request} request @param {Query} asked @param {Decoders} decoders @param {number} timeoutMs
   */
  askReadOnly(request, { values }, decoders, timeoutMs) {
    const flags = FLAG.UNNAMED | FLAG.TRANSACTION;
    const begin = 'BEGIN TRANSACTION READ ONLY';
    const manner = { operation: OPERATION.EXECUTE, flags, begin, timeoutMs };
    const answer = this.#run(request, values, decoders, manner);
    const commit = { text: 'COMMIT', isWithin: false };
    // What became of it does not matter: nothing was written.
    this.#run(commit, undefined, decoders, { operation: OPERATION.SIMPLE }).catch(() => {});
    return answer;
  }

  /** Asks as a client of `pg` is asked, for the client's own statements. @param {Connection} connection */
  static queryOf(connection) {
    return async (
      /** @type {string} */ text,
      /** @type {readonly unknown[] | undefined} */ values,
    ) => {
      const manner = values === undefined ? { operation: OPERATION.SIMPLE } : UNNAMED;
      return toResult(await execute(connection.#target, text, values, PLAIN, manner));
    };
  }

  /** @param {Awaited<ReturnType<typeof execute>>} answer */
  static toResult(answer) {
    return toResult(answer);
  }

  /**
   * @param {Request} request @param {readonly unknown[] | undefined} values
   * @param {Decoders} decoders @param {Manner} manner
   * @returns {ReturnType<typeof execute>} rejects with the engine's fields, or with what a parser or a value threw
   */
  async #run(request, values, decoders, manner) {
    this.#unanswered.add(request);
    try {
      return await execute(this.#target, request.text, values, decoders, manner);
    } catch (error) {
      const { kind, outcome, cause, isAnswered } = /** @type {Partial<NativeError>} */ (
        error ?? {}
      );
      // Refused, because the engine knows of a loss that it has not told of yet: what stands behind a BEGIN must not be tried
      // again apart from it.
      if (kind === 'closed' && this.#state === 'open') await this.#news();
      // The end itself is announced a moment later; until then nothing more must be sent here.
      if (kind === 'doubt') this.#lost(cause?.cause);
      const isGone = kind === 'lost' || kind === 'closed';
      if (isGone) this.#lost(cause);
      else if (kind === 'protocol') this.#lost(/** @type {NativeError} */ (error));
      else if (outcome === 'unknown' && !isAnswered && !GOES_ON.has(kind ?? ''))
        this.#lost(undefined);
      throw error;
    } finally {
      this.#unanswered.delete(request);
    }
  }

  /** What ended it is on its way. @returns {Promise<void>} */
  #news() {
    return new Promise((resolve) => {
      // The call is over for the engine, and keeps the process alive by this alone.
      const timer = setTimeout(resolve, NEWS_MS);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** The engine announces every end once. @param {NativeError | null} error */
  #ended(error) {
    this.#lost(error);
    this.#state = 'over';
    this.#unlisten();
    release(this.#target);
    for (const go of this.#waiting.splice(0)) go();
  }

  /** @param {NativeError | null | undefined} cause */
  #lost(cause) {
    if (this.#state === 'over') return;
    const isClosing = this.#state === 'closing';
    this.#state = 'over';
    const error = cause ? fromNative(cause, 'pg') : undefined;
    const loss = lossOf(this.#unanswered, this.#isWithin, error);
    if (!isClosing) this.#watcher.lost(this, loss);
  }

  /** What waits in it is lost with it. @param {Error} error */
  lossBy(error) {
    return lossOf(this.#unanswered, this.#isWithin, error);
  }

  /** Says goodbye behind everything that was asked, in this turn too. Never rejects. */
  finish() {
    flush();
    return this.close();
  }

  /** Says goodbye behind the statements in flight. Never rejects. @param {number} [patienceMs] */
  async close(patienceMs = PATIENCE_MS) {
    if (this.#state === 'open') this.#state = 'closing';
    await end(this.#target, patienceMs).catch(() => {
      // The environment is being torn down, and its connections with it.
    });
  }
}

module.exports = { Connection };
