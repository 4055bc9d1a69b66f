// One connection that a Client class of the caller's carries, with the behaviour of one of the engine's.
'use strict';

const { nextTick } = require('node:process');
const { setTimeout: sleep, setImmediate: turnOfTheLoop } = require('node:timers/promises');
const errors = require('../errors.js');
const { FLAG } = require('../mailbox.js');
const { effectsOf, isOpenAfter, mayCommit } = require('../sql-effects.js');
const { isOpenBehind, lossOf } = require('./loss.js');
const { handOver } = require('./query.js');
const { RetryStrategy, mayConnectAgain } = require('./retry.js');
const upkeep = require('./upkeep.js');

/** @import { LibraryClient, ServerlessLibrary } from '../../types/serverless.js' */
/** @import { Watcher } from './connection.js' */
/** @import { Request } from './loss.js' */
/** @import { Query } from './query.js' */
/** @typedef {InstanceType<typeof upkeep.Upkeep>} Upkeep */

/** How long a polite end may take. */
const PATIENCE_MS = 2000;
/** How long a statement that was cancelled at the end is waited for. */
const CANCEL_MS = 1000;
/** Unused for so long, a connection is looked at before something is sent (rule SC-5). */
const UNUSED_MS = 1000;

/** The server's answer for what was cancelled. */
const CANCELLED = '57014';
const TERMINATED = 'Connection terminated unexpectedly';
/** What drivers say of a connection that is over; in the second case they have sent nothing. */
const GONE = /^Connection terminated|is not queryable$/;
const UNSENT = /is not queryable$/;

/** Did the driver stop waiting for the answer? @param {any} error */
const isLate = (error) => error?.message === upkeep.TOO_LATE;

/** Did the connection end, as far as this error tells? @param {any} error */
function isLoss(error) {
  if (error?.severity === 'FATAL' || error?.severity === 'PANIC') return true;
  if (error?.severity !== undefined) return false;
  return RetryStrategy.isRetryable(error) || GONE.test(String(error?.message));
}

class LibraryConnection {
  /** What its library refuses is known when its turn has come. */
  refusesLate = true;
  /** `finishing`: open for what was asked before. @type {'opening' | 'open' | 'finishing' | 'closing' | 'over'} */
  #state = 'opening';
  #watcher;
  #config;
  #Client;
  /** @type {Upkeep | undefined} */
  #upkeep;
  /** Asked and not answered, in their order. @type {Set<Request>} */
  #unanswered = new Set();
  /** Is one of them sent? */
  #isSending = false;
  /** By the last answer, as far as its text tells. */
  #isOpen = false;
  /** What ended it. @type {Error | undefined} */
  #end;
  #used = performance.now();
  #usedAt = Date.now();
  /** Statements go one behind the other, each when the one before is over. @type {Promise<void> | undefined} */
  #line;
  /** Fails the attempt to connect. @type {(error: Error) => void} */
  #abort = () => {};

  /** @param {ServerlessLibrary['Client']} Client @param {Record<string, any>} config @param {Watcher} watcher */
  constructor(Client, config, watcher) {
    this.#Client = Client;
    this.#config = config;
    this.#watcher = watcher;
    this.client = /** @type {LibraryClient} */ (new Client(config));
    this.client.on('error', (/** @type {Error} */ error) => this.#lost(error));
    this.client.on('end', () => this.#lost(undefined));
  }

  /** @param {number} limitMs */
  async connect(limitMs) {
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const failed = new Promise((_, reject) => {
      this.#abort = reject;
      if (!Number.isFinite(limitMs)) return;
      const phase = /** @type {const} */ ('connect');
      const known = { code: 'ERR_TIMEOUT', transient: true, phase };
      const late = () => reject(new errors.TimeoutError('timeout expired', known));
      timer = setTimeout(late, Math.max(1, limitMs));
    });
    try {
      await Promise.race([this.client.connect(), failed]);
      if (this.#state !== 'opening') throw this.#end ?? new Error(TERMINATED);
      this.#state = 'open';
    } catch (error) {
      this.#state = 'over';
      this.#destroy();
      throw unsent(error);
    } finally {
      clearTimeout(timer);
      failed.catch(() => {});
    }
  }

  /** @param {(client: LibraryClient, home: Omit<import('./upkeep.js').Home, 'log'>) => Upkeep} hire */
  keep(hire) {
    this.#upkeep = hire(this.client, {
      isFree: () => this.#state === 'open' && !this.#isSending && !this.#isOpen,
      isOpen: () => this.#state === 'open',
      tell: (news) => this.#watcher.news(this, news),
      lose: (error) => this.#lost(error),
    });
  }

  /** It has its owner now: the lease is looked after from here on. */
  begin() {
    this.#upkeep?.begin();
  }

  get leaseExp() {
    return this.#upkeep?.expiry ?? 0;
  }

  set leaseExp(expiry) {
    if (this.#upkeep !== undefined) this.#upkeep.expiry = expiry;
  }

  async heartbeatIfNeeded() {
    await this.#upkeep?.heartbeatIfNeeded();
  }

  /** May what was asked of it be sent? */
  get #isUsable() {
    return this.#state === 'open' || this.#state === 'finishing';
  }

  get isInTransaction() {
    return isOpenBehind(this.#unanswered, this.#isOpen);
  }

  /**
   * @param {Request} request @param {Query} asked @param {unknown} _decoders the library has its own
   * @param {number} part @param {number} _timeoutMs in the library's options
   * @param {readonly any[]} args of the call
   * @returns {Promise<any>} the library's result; rejects with what it threw, or with what tells of a loss
   */
  ask(request, asked, _decoders, part, _timeoutMs, args) {
    return this.#inTurn(request, async () => {
      const result = await handed(args, this.client.query(...argsOf(args, asked, request.text)));
      if ((part & FLAG.COMMIT) !== 0 && result?.command === 'ROLLBACK') {
        throw new errors.TransactionRolledBackError(
          'the COMMIT was answered with ROLLBACK: a statement of the transaction had failed',
          { code: '25P02', outcome: 'failed' },
        );
      }
      return result;
    });
  }

  /**
   * Once more, where nothing can be written.
   * @param {Request} request @param {Query} asked @param {unknown} _decoders @param {number} _timeoutMs
   */
  askReadOnly(request, { values, rowMode, types }, _decoders, _timeoutMs) {
    const query = { text: request.text, values, types, queryMode: 'extended' };
    return this.#inTurn({ text: '', isWithin: false }, async () => {
      try {
        await this.client.query('BEGIN TRANSACTION READ ONLY');
        return await this.client.query(rowMode === 'array' ? { ...query, rowMode } : query);
      } catch (error) {
        if (isLate(error)) this.#leave(/** @type {Error} */ (error));
        throw error;
      } finally {
        // Nothing was written; but what cannot be ended must not go on.
        const commit = this.#isUsable ? this.client.query('COMMIT') : undefined;
        await commit?.catch((error) => this.#lost(error));
      }
    });
  }

  /**
   * Sends when its turn has come; nobody overtakes.
   * @param {Request} request @param {() => Promise<any>} send
   */
  #inTurn(request, send) {
    const opens = effectsOf(request.text).includes('begin');
    this.#unanswered.add(request);
    const before = this.#line ?? (this.#isClear(opens) ? undefined : Promise.resolve());
    const answered = this.#send(
      request,
      send,
      before?.then(() => this.#clear(opens)),
    );
    const over = () => {
      if (this.#line === line) this.#line = undefined;
    };
    const line = answered.then(over, over);
    this.#line = line;
    return answered;
  }

  /** @param {boolean} opens a transaction */
  #isClear(opens) {
    const keeper = this.#upkeep;
    return !(keeper?.isBusy || this.#isUnused() || keeper?.isDueBefore(opens));
  }

  /** @param {boolean} opens a transaction */
  async #clear(opens) {
    const keeper = this.#upkeep;
    let isTried = false;
    while (this.#isUsable) {
      if (keeper?.isBusy) await keeper.wait();
      else if (this.#isUnused()) await this.#look();
      else if (!isTried && keeper?.isDueBefore(opens)) {
        isTried = true;
        keeper.renew();
      } else return;
    }
  }

  /** Was it left alone, or the process frozen? */
  #isUnused() {
    if (this.#isSending) return false;
    const passed = Math.max(performance.now() - this.#used, Date.now() - this.#usedAt);
    return passed > UNUSED_MS;
  }

  /** Lets the loop read what is there: the end of the connection is among it. */
  async #look() {
    await turnOfTheLoop();
    await turnOfTheLoop();
    this.#touch();
  }

  #touch() {
    this.#used = performance.now();
    this.#usedAt = Date.now();
  }

  /** @param {Request} request @param {() => Promise<any>} send @param {Promise<void> | undefined} turn */
  async #send(request, send, turn) {
    try {
      if (turn !== undefined) await turn;
      if (!this.#isUsable) throw lost('not-sent', this.#end);
      this.#isSending = true;
      this.#touch();
      return await this.#answered(request, send);
    } finally {
      this.#unanswered.delete(request);
      if (this.#state === 'open' && this.#unanswered.size === 0 && !this.#isOpen) {
        this.#upkeep?.idle();
      }
    }
  }

  /** @param {Request} request @param {() => Promise<any>} send */
  async #answered(request, send) {
    try {
      const result = await send();
      this.#isOpen = isOpenAfter(request.text, this.#isOpen);
      return result;
    } catch (error) {
      throw this.#failed(request, /** @type {any} */ (error));
    } finally {
      this.#isSending = false;
      this.#touch();
    }
  }

  /** @param {Request} request @param {any} error */
  #failed(request, error) {
    const isAnswered = error?.severity === 'ERROR';
    // By the end of its client, as far as anybody knows.
    if (this.#state === 'closing' && error?.code === CANCELLED) return lost('failed', error);
    if (!(this.#isUsable || isAnswered) || isLoss(error)) {
      this.#lost(error);
      return lost(UNSENT.test(String(error?.message)) ? 'not-sent' : 'unknown', error);
    }
    const effects = effectsOf(request.text);
    if (isLate(error)) return this.#late(effects, error);
    const isLoneBegin = effects.length === 1 && effects[0] === 'begin';
    if (!isLoneBegin) this.#isOpen = isOpenAfter(request.text, this.#isOpen);
    return error;
  }

  /**
   * A statement that was sent, and was not answered in time: the driver never tells what became of it.
   * @param {ReturnType<typeof effectsOf>} effects @param {Error} error
   */
  #late(effects, error) {
    const late = Object.assign(error, { code: 'ERR_QUERY_TIMEOUT' });
    // A COMMIT on the wire is never cancelled.
    if (!effects.includes('commit')) this.#cancel();
    if (effects.every((effect) => effect === 'other')) {
      const { code, message } = late;
      const unknown = new errors.OutcomeUnknownError(message, { code, cause: late });
      return Object.assign(unknown, { phase: 'statement' });
    }
    // Nor whether a transaction is open.
    this.#lost(late);
    return lost('unknown', late);
  }

  /** What runs is cancelled, and a transaction that may be open ends with its connection. @param {Error} error */
  #leave(error) {
    this.#cancel();
    this.#lost(error);
  }

  /**
   * Ends the statement that nobody waits for any more, over another connection (rule SC-21). Never rejects.
   * @returns {Promise<boolean>} was the server told?
   */
  async #cancel() {
    const { processID } = this.client;
    if (typeof processID !== 'number') return false;
    /** @type {LibraryConnection | undefined} */
    let other;
    try {
      other = new LibraryConnection(this.#Client, this.#config, { lost() {}, news() {} });
      await other.connect(PATIENCE_MS);
      const told = other.client.query('select pg_catalog.pg_cancel_backend($1)', [processID]);
      await upkeep.within(told, PATIENCE_MS, 'the server did not answer in time');
      other.close();
      return true;
    } catch {
      // The statement ends by itself then.
      other?.cut();
      return false;
    }
  }

  /** @param {Error | undefined} error */
  #lost(error) {
    if (this.#state === 'opening') {
      this.#end = error ?? new Error(TERMINATED);
      this.#abort(this.#end);
      return;
    }
    if (!this.#isUsable) return;
    this.#state = 'over';
    this.#end = error;
    this.#destroy();
    this.#watcher.lost(this, lossOf(this.#unanswered, this.#isOpen, error));
  }

  /** What waits in it is lost with it. @param {Error} error */
  lossBy(error) {
    return lossOf(this.#unanswered, this.#isOpen, error);
  }

  /** Says goodbye behind everything that was asked. Never rejects. */
  async finish() {
    if (this.#state !== 'open') return this.close();
    this.#state = 'finishing';
    if (this.#line !== undefined) await patiently(this.#line);
    // What still waits hears of it; what runs is cut off.
    this.#end ??= new errors.ClosedError('the client was closed before this statement was sent', {
      code: 'ERR_CLIENT_CLOSED',
      outcome: 'not-sent',
      transient: false,
    });
    lossOf(this.#unanswered, this.#isOpen, this.#end);
    // From here on nothing more is sent.
    this.#state = 'closing';
    await this.#stop();
    return this.close();
  }

  /** What runs on the server is not left there, and its caller hears what became of it. */
  async #stop() {
    const [running] = this.#unanswered;
    // A COMMIT on the wire is never cancelled.
    if (!this.#isSending || running === undefined || mayCommit(running.text)) return;
    const stopped = this.#cancel().then((isTold) => (isTold ? this.#line : undefined));
    await patiently(stopped, CANCEL_MS);
  }

  /** Says goodbye. Never rejects. */
  async close() {
    if (this.#state === 'over') return;
    this.#state = 'closing';
    await patiently(sayGoodbye(this.client));
    this.#state = 'over';
    this.client.connection?.stream?.destroy?.();
  }

  /** Without waiting for anybody. */
  cut() {
    if (this.#state !== 'over') this.#destroy();
  }

  /** Whatever the driver still waits for, its socket must not stay. */
  #destroy() {
    this.#state = 'over';
    sayGoodbye(this.client);
    this.client.connection?.stream?.destroy?.();
  }
}

/**
 * A driver that refuses what it was given says so in the turn it is asked in; the server's word needs another.
 * @template T @param {readonly any[]} args of the call @param {Promise<T>} answer
 */
async function handed(args, answer) {
  let isRefused = false;
  // Behind everything that this turn still holds.
  nextTick(() => queueMicrotask(() => nextTick(() => isRefused || handOver(args))));
  try {
    return await answer;
  } catch (error) {
    isRefused = true;
    throw error;
  }
}

/** Waits, but not for ever. @param {Promise<unknown>} work that never rejects @param {number} [ms] */
async function patiently(work, ms = PATIENCE_MS) {
  const over = new AbortController();
  const patience = sleep(ms, undefined, { ref: false, signal: over.signal });
  await Promise.race([work, patience]);
  over.abort();
  patience.catch(() => {});
}

/** What it says to that is nobody's business. @param {LibraryClient} client */
async function sayGoodbye(client) {
  await (async () => client.end())().catch(() => {});
}

/** Of connecting: nothing was sent. @template E @param {E} error of the driver, as it is @returns {E} */
function unsent(error) {
  if (!(error instanceof Error) || 'outcome' in error || !Object.isExtensible(error)) return error;
  return errors.markNotSent(error, { transient: mayConnectAgain(error) });
}

/** What the engine would say of it. @param {'not-sent' | 'failed' | 'unknown'} outcome @param {Error | undefined} origin */
function lost(outcome, origin) {
  return { kind: 'lost', outcome, origin: origin ?? new Error(TERMINATED) };
}

/**
 * The call as it was made; a statement known by its name alone gets its text, which a new connection needs.
 * @param {readonly any[]} args @param {Query} asked @param {string} text
 * @returns {[any, any?]}
 */
function argsOf(args, asked, text) {
  const [query, values] = args;
  if (asked.text !== undefined) return /** @type {[any, any?]} */ (args);
  return [{ ...query, text }, values];
}

module.exports = { LibraryConnection };
