// The statements of one client, in the order they were asked for, and the submittable that has the client to itself.
'use strict';

const { setImmediate } = require('node:timers');
const { FLAG, cancel, wait } = require('../mailbox.js');
const { BlockingAnswer, StatementAnswer } = require('../answer.js');
const { isTraced } = require('../tracing/channels.js');
const { Abortable } = require('./abortable.js');
const { bound } = require('./bound.js');
const { defaults } = require('./defaults.js');
const { describe, isFatal, lastWordsOf, timedOut } = require('./failures.js');
const { heldValues } = require('./held-values.js');
const { laneOf } = require('./lane.js');
const { PooledAnswer } = require('./pooled-query.js');
const { Query, complaint, isSimple, readQuery } = require('./query.js');
const { QueryAnswer } = require('./query-answer.js');
const { StatementNames } = require('./statement-names.js');
const { OCCUPY } = require('./submittable.js');

/** @import { Asked } from './query.js' */
/** @typedef {InstanceType<typeof import('./link.js').Link>} Link */
/** @typedef {InstanceType<typeof import('./types.js').Reading>} Reading */
/** @typedef {InstanceType<typeof import('./pooled-query.js').PooledQuery>} PooledQuery */
/** @typedef {(answer: any) => void} Resolve */
/** @typedef {(reason: any) => void} Reject */
/** Something that waits for its turn. @typedef {{ begin: () => void, refuse: (error: Error) => void }} Waiting */

/** How much longer than its statement a blocking call waits: the time a cancel may take. */
const BLOCKING_GRACE_MS = 3000;

class StatementQueue {
  /** The connection, while it is open. @type {Link | undefined} */
  #link;
  /** @type {Waiting[]} */
  #waiting = [];
  /** @type {any} */
  #occupant;
  /** Why nothing is begun any more. @type {Error | undefined} */
  #closedBy;
  /** Statements asked and answered so far; answers come in order. */
  #asked = 0;
  #answered = 0;
  /** Refusals of what could not be sent, behind the answers to what was asked before. @type {{ behind: number, tell: () => void }[]} */
  #refusals = [];
  /** The statement asked last. @type {(Asked & { mirror?: any }) | undefined} */
  #last;
  #names = new StatementNames();
  /** @type {(() => void)[]} */
  #whenQuiet = [];
  #reading;
  #client;
  #isPipelined = false;
  #heard;
  /** A statement failed with the end of the connection. */
  #isEnding = false;
  /** A statement was told why the server ended the session. */
  hasToldWhy = false;

  /**
   * @param {Reading} reading
   * @param {{ pipeline: boolean, binary: any }} client in a pipeline every statement is sent ahead of the answers to others; the
   *   default of `binary`
   * @param {{ drained: (hasFailed: boolean) => void, ending: () => void, described: (message: { fields: any[] }) => void }} heard by the client:
   *   everything asked for was done; the connection ends behind a statement; a cursor has columns
   */
  constructor(reading, client, heard) {
    this.#reading = reading;
    this.#client = client;
    this.#heard = heard;
  }

  /** @param {Link} link */
  open(link) {
    this.#link = link;
    this.#isPipelined = this.#client.pipeline;
    if (this.#isPipelined) link.prepareNothing();
    this.#proceed();
  }

  /** Names the server knows, as programs find them at `client.connection`. */
  get parsed() {
    return this.#names.parsed;
  }

  get #unanswered() {
    return this.#asked - this.#answered;
  }

  get isBusy() {
    return this.#unanswered > 0 || this.#waiting.length > 0 || this.#occupant !== undefined;
  }

  /** Is something on the server that has no answer yet? */
  get isRunning() {
    return this.#unanswered > 0 || this.#occupant !== undefined;
  }

  /** Calls back once nothing runs or waits. @param {() => void} callback */
  whenQuiet(callback) {
    this.#whenQuiet.push(callback);
  }

  get #mayBegin() {
    return this.#link !== undefined && this.#occupant === undefined && this.#waiting.length === 0;
  }

  /** @param {Asked} asked @param {number} limit in ms, 0 = none @param {Resolve} resolve @param {Reject} reject */
  start(asked, limit, resolve, reject) {
    if (asked.signal instanceof AbortSignal) {
      this.#startAbortable(asked, limit, resolve, reject);
      return;
    }
    this.#last = asked;
    if (this.#mayBegin) this.#send(asked, limit, resolve, reject);
    else {
      asked.values = heldValues(asked.values);
      this.#wait(limit, (left) => this.#send(asked, left, resolve, reject), reject);
    }
  }

  /**
   * As `start`, for a query of a pool.
   * @param {PooledQuery} query @param {number} limit
   */
  startPooled(query, limit) {
    this.#last = query.asked;
    if (this.#mayBegin) this.#sendPooled(query, limit);
    else {
      const begin = (/** @type {number} */ left) => this.#sendPooled(query, left);
      this.#wait(limit, begin, (reason) => query.refuse(reason));
    }
  }

  /** @param {PooledQuery} query @param {number} limit */
  #sendPooled(query, limit) {
    const { asked } = query;
    const problem = this.#complaint(asked);
    if (problem !== undefined) {
      query.refuse(problem);
      return;
    }
    try {
      const decoders = this.#decodersOf(asked);
      this.#ask(asked, limit, decoders, new PooledAnswer(decoders, query, this));
    } catch (error) {
      query.refuse(error);
    }
  }

  /** @param {Asked} asked @param {number} limit @param {Resolve} resolve @param {Reject} reject */
  #startAbortable(asked, limit, resolve, reject) {
    const one = new Abortable(asked.signal, resolve, reject);
    if (one.isRefused) return;
    this.#last = asked;
    const done = (/** @type {any} */ answer) => one.done(answer);
    const failed = (/** @type {any} */ reason) => one.failed(reason);
    const sent = (/** @type {() => void} */ cancelIt) => one.sent(cancelIt);
    const begin = (/** @type {number} */ left) => {
      if (!one.isOver) this.#send(asked, left, done, failed, sent);
    };
    if (this.#mayBegin) begin(limit);
    else {
      asked.values = heldValues(asked.values);
      this.#wait(limit, begin, failed);
    }
  }

  /** @param {number} limit @param {(left: number) => void} begin @param {Reject} refuse */
  #wait(limit, begin, refuse) {
    const since = performance.now();
    // Whoever traces statements wants to know whose they are.
    const start = isTraced() ? bound(begin) : begin;
    /** @type {NodeJS.Timeout | undefined} */
    let late;
    /** @type {Waiting} */
    const waiting = {
      begin: () => {
        clearTimeout(late);
        start(limit > 0 ? Math.max(1, Math.ceil(limit - (performance.now() - since))) : 0);
      },
      refuse: (error) => {
        clearTimeout(late);
        refuse(error);
      },
    };
    this.#waiting.push(waiting);
    if (limit === 0) return;
    late = setTimeout(() => {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      refuse(timedOut('statement', limit));
    }, limit);
  }

  /**
   * @param {Asked} asked @param {number} limit @param {Resolve} resolve @param {Reject} reject
   * @param {(cancelIt: () => void) => void} [sent]
   */
  #send(asked, limit, resolve, reject, sent) {
    const problem = this.#complaint(asked);
    if (problem !== undefined) {
      this.#refuse(asked, () => reject(problem));
      return;
    }
    try {
      const decoders = this.#decodersOf(asked);
      const answer = new StatementAnswer(
        decoders,
        (done) => {
          resolve(done);
          this.answered(asked, undefined);
        },
        (reason) => this.#failed(asked, reason, reject),
      );
      const { target } = /** @type {Link} */ (this.#link);
      const id = this.#ask(asked, limit, decoders, answer);
      sent?.(() => cancel(target, id, answer));
    } catch (error) {
      // What a value's own code threw, or what cannot be sent.
      this.#refuse(asked, () => reject(error));
    }
  }

  /**
   * Nothing was sent: that is told when it would have been its turn, at once to whoever sends the next without waiting.
   * @param {Asked} asked @param {() => void} tell runs no code of the program's: other answers of this turn come behind it
   */
  #refuse(asked, tell) {
    if (this.#unanswered === 0 || this.#isPipelined || asked.isAhead) {
      process.nextTick(() => {
        tell();
        this.#rest(false);
      });
    } else this.#refusals.push({ behind: this.#asked, tell });
  }

  /** Tells of refusals whose turn has come. @param {number} answered */
  #tellRefusals(answered) {
    const due = this.#refusals.findIndex(({ behind }) => behind > answered);
    const told = this.#refusals.splice(0, due < 0 ? this.#refusals.length : due);
    for (const { tell } of told) tell();
  }

  /** @param {Asked} asked */
  #decodersOf(asked) {
    const isBinary = Boolean(asked.binary || this.#client.binary) && !isSimple(asked);
    const rowMode = asked.rowMode === 'array' ? 'array' : 'object';
    return this.#reading.decodersOf(asked.types, rowMode, isBinary);
  }

  /** Why a query cannot be sent, or undefined. @param {Asked} asked */
  #complaint(asked) {
    if (!this.#isPipelined || !asked.rows) return complaint(asked);
    return new Error('The `rows` option is not supported in pipeline mode');
  }

  /**
   * Blocks the thread until the statement is answered.
   * @param {Asked} asked @param {number} limit in ms
   * @returns {InstanceType<typeof StatementAnswer>}
   */
  runBlocking(asked, limit) {
    const problem = this.#complaint(asked);
    if (problem !== undefined) throw problem;
    if (asked.signal !== undefined) {
      throw new TypeError('signal has no effect on a blocking call; use query_timeout');
    }
    if (this.#link === undefined || this.isBusy) {
      throw new Error('querySync needs a connected client on which nothing else runs');
    }
    /** Anything may be thrown. @type {{ reason: any } | undefined} */
    let failure;
    const decoders = this.#decodersOf(asked);
    const answer = new BlockingAnswer(
      decoders,
      () => this.answered(asked, undefined),
      (reason) =>
        this.#failed(asked, reason, (why) => {
          failure = { reason: why };
        }),
    );
    const begin = () => this.#ask(asked, limit, decoders, answer);
    if (!wait(begin, () => answer.isDone, limit + BLOCKING_GRACE_MS)) {
      throw new Error(`querySync: no answer within ${limit + BLOCKING_GRACE_MS} ms`);
    }
    if (failure !== undefined) throw describe(failure.reason);
    return answer;
  }

  /** @param {Asked} asked @param {number} timeoutMs @param {any} decoders @param {any} answer */
  #ask(asked, timeoutMs, decoders, answer) {
    const link = /** @type {Link} */ (this.#link);
    const { name, values } = asked;
    const isRenewed = name && this.#names.isGivenUp(name);
    const text = name ? this.#names.textFor(name, asked.text) : asked.text || '';
    const simple = isSimple(asked);
    const isAhead = this.#isPipelined || asked.isAhead;
    const manners = simple ? link.simple : link.extended;
    /** @type {import('../request.js').Manner} */
    let manner = isAhead ? manners.ahead : manners.inTurn;
    const utcDates = defaults.parseInputDatesAsUTC;
    const { signal } = asked;
    if (timeoutMs > 0 || name || utcDates || signal) {
      manner = { ...manner, timeoutMs, utcDates, signal };
      if (name && !simple) {
        const flags =
          FLAG.OUTGOING | (isAhead ? FLAG.PIPELINED : 0) | (isRenewed ? FLAG.RENEWED : 0);
        Object.assign(manner, { name: String(name), flags });
      }
    }
    const id = link.ask(text, simple ? undefined : values || undefined, decoders, manner, answer);
    if (name) this.#names.sent(name, asked.text);
    this.#asked++;
    return id;
  }

  /** @param {Asked & { mirror?: any }} asked @param {any} reason why it failed */
  answered(asked, reason) {
    this.#answered++;
    const { name } = asked;
    if (name && reason === undefined) this.#names.parse(name, asked.text);
    if (this.#refusals.length > 0) this.#tellRefusals(this.#answered);
    this.#heed(reason);
    if (name && reason !== undefined) this.#names.forget(name);
    if (asked.mirror) {
      if (reason === undefined) process.nextTick(() => asked.mirror.emit('end'));
      else process.nextTick(() => asked.mirror.handleError(describe(reason)));
    }
    this.#rest(reason !== undefined);
  }

  /** @param {Asked} asked @param {any} reason what the engine says @param {(why: any) => void} tell */
  #failed(asked, reason, tell) {
    const why = this.hasToldWhy ? reason : lastWordsOf(reason);
    this.hasToldWhy ||= why !== reason;
    tell(why);
    this.answered(asked, why);
  }

  /** @param {any} reason what the engine says of a failure */
  #heed(reason) {
    if (isFatal(reason)) {
      this.#isEnding = true;
      this.#heard.ending();
    }
    if (reason?.kind === 'lost' && reason.cause?.kind === 'server') this.hasToldWhy = true;
  }

  /**
   * Tells that everything was done, if it was; of a connection that comes to its end, that is told.
   * @param {boolean} hasFailed the last of it
   */
  #rest(hasFailed) {
    if (this.isBusy) return;
    this.#last = undefined;
    for (const heard of this.#whenQuiet.splice(0)) process.nextTick(heard);
    if (this.#link !== undefined && !this.#isEnding) this.#heard.drained(hasFailed);
  }

  /** Begins what waits, up to the next submittable. */
  #proceed() {
    while (this.#link !== undefined && this.#occupant === undefined) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next.begin();
    }
  }

  /** @param {InstanceType<typeof Query>} query @param {string} format of the columns @param {number} limit */
  startQuery(query, format, limit) {
    const asked = readQuery(query, undefined, undefined);
    const decoders = this.#decodersOf(asked);
    const tellEnd = () => answer.run(() => query.handleEnd(answer.results()));
    const tellFailure = (/** @type {any} */ reason) =>
      answer.run(() => query.handleError(describe(reason)));
    const one = new Abortable(
      asked.signal,
      () => process.nextTick(tellEnd),
      (reason) => process.nextTick(tellFailure, reason),
    );
    const failed = (/** @type {any} */ reason) => one.failed(reason);
    /** @type {InstanceType<typeof QueryAnswer>} */
    const answer = new QueryAnswer(
      query,
      decoders,
      format,
      (done) => {
        one.done(done);
        this.answered(asked, undefined);
      },
      (reason) => this.#failed(asked, reason, failed),
    );
    if (one.isRefused) return;
    const begin = (/** @type {number} */ left) => {
      if (one.isOver) return;
      const problem = this.#complaint(asked);
      if (problem !== undefined) {
        this.#refuse(asked, () => failed(problem));
        return;
      }
      try {
        const { target } = /** @type {Link} */ (this.#link);
        const id = this.#ask(asked, left, decoders, answer);
        one.sent(() => cancel(target, id, answer));
      } catch (error) {
        this.#refuse(asked, () => failed(error));
      }
    };
    if (this.#mayBegin) begin(limit);
    else {
      asked.values = heldValues(asked.values);
      this.#wait(limit, begin, failed);
    }
  }

  /** Gives the client to a submittable in its turn. @param {any} submittable @param {number} limit in ms, of its wait and of each thing it asks */
  occupy(submittable, limit) {
    const begin = () => this.#occupy(submittable, limit);
    if (this.#mayBegin) begin();
    else this.#wait(limit, begin, (error) => submittable.handleError(error));
  }

  /** @param {any} occupant @param {number} timeoutMs of each thing it asks without a limit of its own */
  #occupy(occupant, timeoutMs) {
    const link = /** @type {Link} */ (this.#link);
    this.#occupant = occupant;
    const lane = laneOf(link, this.#reading, timeoutMs, {
      described: (message) => this.#heard.described(message),
      heed: (reason) => this.#heed(reason),
      idle: () => {
        // Behind the reads, which are answered in immediates of their own.
        if (this.#closedBy !== undefined) setImmediate(() => this.#dismiss(occupant));
      },
      leave: () => {
        // Left before, or the connection was lost meanwhile.
        if (this.#occupant !== occupant) return;
        this.#occupant = undefined;
        this.#proceed();
        this.#rest(false);
      },
    });
    occupant[OCCUPY](lane);
  }

  /** Nothing is begun any more; what was not begun is refused, behind what runs. @param {Error} error */
  close(error) {
    this.#link = undefined;
    this.#closedBy = error;
    const refused = this.#waiting.splice(0).map((one) => () => one.refuse(error));
    const occupant = this.#occupant;
    // What a cursor has asked for is answered by the engine, which knows what became of that.
    if (occupant !== undefined && occupant.isIdle !== false) {
      this.#occupant = undefined;
      refused.unshift(() => occupant.handleError(error));
    }
    const later = this.#unanswered > 0 ? setImmediate : process.nextTick;
    for (const refuse of refused) {
      this.#refusals.push({ behind: this.#asked, tell: () => later(refuse) });
    }
    if (this.#unanswered === 0) this.over();
  }

  /** What it had asked for was answered; nothing else would end it, now that the client is closed. @param {any} occupant */
  #dismiss(occupant) {
    const error = this.#closedBy;
    if (error !== undefined && this.#occupant === occupant && occupant.isIdle)
      occupant.handleError(error);
  }

  /** Everything has its answer. @returns {Promise<void>} */
  async quiet() {
    if (this.isBusy) await new Promise((resolve) => this.whenQuiet(() => resolve(undefined)));
  }

  /** Nothing more will be answered. */
  over() {
    this.#tellRefusals(Number.POSITIVE_INFINITY);
  }

  /** A Query object that stands for the statement asked last; null when there is none. */
  get mirror() {
    const asked = this.#last;
    if (asked === undefined) return null;
    asked.mirror ??= new Query({ text: asked.text, name: asked.name });
    return asked.mirror;
  }
}

module.exports = { StatementQueue };
