// COPY as Node streams: a Writable for FROM STDIN, a Readable for TO STDOUT, both with back pressure to the server.
'use strict';

// Taken now: a test may put something else in its place later.
const { nextTick } = process;
const { AsyncResource } = require('node:async_hooks');
const { Readable, Writable } = require('node:stream');
const { hearAbort, throwIfAborted } = require('./abort-hearers.js');
const { asAskedFor } = require('./answer.js');
const { Decoders } = require('./decoders.js');
const { CancelledError, OutcomeUnknownError } = require('./error-classes.js');
const { fromNative } = require('./errors.js');
const { openSession, release } = require('./handles.js');
const { COPY_PIECE, FLAG, OPERATION, cancel, copyStep } = require('./mailbox.js');
const { COPY_NEWS } = require('./operations.js');
const { COPY_OPTIONS, readOptions } = require('./options.js');
const { send } = require('./request.js');
const { PRESETS, resolveTypes } = require('./rows/types.js');
const { unreadable } = require('./unreadable-answer.js');
const { inFull } = require('./whole-limit.js');

/** @import { Face, NativeError } from '../types/native-error.js' */
/** @import { Answer, Target } from '../types/internal.js' */

/** Bytes handed to the engine and not yet taken by the socket, over which a writer has to wait. */
const WINDOW = 256 * 1024;
/** How long the server may take to give a COPY up when told so, before it is cancelled. */
const PATIENCE_MS = 2000;

const decoders = new Decoders(resolveTypes(undefined, PRESETS.lossless), 'object', undefined);

/**
 * Where a COPY runs. `readsOnly`: its transaction asked for no writes; `prepare` comes before it; `onFail` hears what
 * the engine says of a failure; `onEnd` comes behind the answer, with the connection usable again.
 * @typedef {{
 *   target: Target,
 *   face: Face,
 *   flags?: number,
 *   readsOnly?: boolean | undefined,
 *   prepare?: () => Promise<unknown>,
 *   onFail?: (reason: NativeError) => void,
 *   onEnd?: (error: Error | undefined) => void,
 * }} Place
 */

/** @typedef {{ timeoutMs?: number | undefined, wholeMs?: number | undefined, signal?: AbortSignal | undefined, highWaterMark?: number | undefined }} CopyOptions */

/**
 * Told outside of the turn in which answers are taken: whatever a listener of the stream does, the others arrive.
 * @typedef {{ started: () => void, data?: (bytes: Buffer) => void, written?: (bytes: number) => void, ended: (error: Error | undefined) => void }} Hooks
 */

/**
 * One COPY between a stream and the engine.
 * @implements {Answer}
 */
class Transfer {
  #text;
  #options;
  /** @type {Hooks} */
  #hooks;
  /** Of whoever asked: the stream's listeners and callbacks are called there. */
  #context = new AsyncResource('pg-berth.copy');
  /** @type {Place | undefined} */
  #place;
  #id = -1;
  /** `given up` before it was asked for. @type {'fresh' | 'asked' | 'started' | 'over'} */
  #state = 'fresh';
  #isGivenUp = false;
  #columns = 0;
  #rowCount = Number.NaN;
  #isComplete = false;
  /** Why some of its data could not be read. @type {NativeError | undefined} */
  #unread;
  /** @type {(() => void)[]} */
  #waiting = [];
  #stopHearing = () => {};
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /** @param {string} text @param {CopyOptions} options @param {Hooks} hooks */
  constructor(text, options, hooks) {
    this.#text = text;
    this.#options = options;
    this.#hooks = hooks;
  }

  get rowCount() {
    return Number.isNaN(this.#rowCount) ? null : this.#rowCount;
  }

  get columns() {
    return this.#columns;
  }

  get isOver() {
    return this.#state === 'over';
  }

  /** @param {Place} place @param {number} direction flag */
  async start(place, direction) {
    this.#place = place;
    const began = performance.now();
    try {
      const { signal, timeoutMs } = this.#options;
      if (place.prepare !== undefined) await place.prepare();
      const left = timeoutMs && Math.max(1, Math.ceil(timeoutMs - (performance.now() - began)));
      throwIfAborted(signal);
      if (this.#isGivenUp) throw givenUp();
      this.#state = 'asked';
      const manner = {
        operation: OPERATION.COPY,
        flags: (place.flags ?? 0) | FLAG.EXCLUSIVE | direction,
        timeoutMs: left,
      };
      this.#id = send(place.target, this.#text, undefined, decoders, manner, this);
      if (signal !== undefined) {
        // The answer says what came of it: the server may be faster.
        this.#stopHearing = hearAbort(signal, () => cancel(place.target, this.#id, this));
      }
    } catch (error) {
      this.#end(/** @type {Error} */ (error));
    }
  }

  frame() {}

  tag() {}

  suspended() {}

  /** @param {number} _shape @param {string | undefined} command @param {number} affected */
  complete(_shape, command, affected) {
    this.#isComplete = command === 'COPY';
    this.#rowCount = affected;
  }

  /** @param {number} news @param {number} size @param {Buffer} buffer @param {number} offset */
  copy(news, size, buffer, offset) {
    if (news === COPY_NEWS.WRITTEN) {
      this.#later(() => this.#hooks.written?.(size));
    } else if (news === COPY_NEWS.STARTED) {
      this.#state = 'started';
      this.#columns = size >> 1;
      if (this.#isGivenUp) this.#fail('given up by the caller');
      else this.#later(this.#hooks.started);
    } else if (!this.#isGivenUp) {
      // The inbox is used again after this turn.
      const bytes = Buffer.from(buffer.subarray(offset, offset + size));
      this.#later(() => this.#hooks.data?.(bytes));
    }
  }

  /** Without some of its data the rest is nothing worth. @param {unknown} problem */
  unread(problem) {
    this.#unread ??= unreadable(problem);
    nextTick(() => this.giveUp(undefined));
  }

  done() {
    const started = this.#state === 'started';
    if (this.#unread !== undefined) this.fail(this.#unread);
    else if (started && this.#isComplete) this.#end(undefined);
    else this.#end(notACopy());
  }

  /** @param {NativeError} given */
  fail(given) {
    const { timeoutMs, wholeMs = timeoutMs } = this.#options;
    const known = this.#place?.readsOnly ? asAskedFor(given) : given;
    const fields = inFull(known, wholeMs);
    this.#place?.onFail?.(fields);
    const { signal } = this.#options;
    // The signal's own reason is thrown as it is, but a doubt about the outcome is never hidden by it.
    const isGivenUp = fields.kind === 'cancelled' && fields.outcome !== 'unknown';
    if (isGivenUp && signal?.aborted) this.#end(signal.reason);
    else if (isGivenUp && this.#unread !== undefined)
      this.#end(fromNative({ ...this.#unread, outcome: fields.outcome }, 'cluster'));
    else {
      const face = this.#place?.face ?? 'cluster';
      this.#end(fromNative(fields, face, face === 'cluster' ? this.#text : undefined));
    }
  }

  /** @param {Error | undefined} error */
  #end(error) {
    this.#state = 'over';
    clearTimeout(this.#timer);
    this.#stopHearing();
    this.#place?.onEnd?.(error);
    this.#later(() => {
      for (const resolve of this.#waiting) resolve();
      this.#hooks.ended(error);
    });
  }

  /** @param {() => void} tell */
  #later(tell) {
    nextTick(() => this.#context.runInAsyncScope(tell));
  }

  /** @param {Buffer} bytes any number */
  write(bytes) {
    for (let at = 0; at < bytes.length; at += COPY_PIECE) {
      this.#step(OPERATION.COPY_DATA, bytes.subarray(at, at + COPY_PIECE), 0);
    }
  }

  /** @param {Uint8Array} block of rows (native/src/wire/copy_rows.rs) */
  writeRows(block) {
    this.#step(OPERATION.COPY_ROWS, block, 0);
  }

  finish() {
    this.#step(OPERATION.COPY_DONE, undefined, 0);
  }

  /** @param {number} bytes */
  taken(bytes) {
    this.#step(OPERATION.COPY_TAKEN, undefined, bytes);
  }

  /** @param {string} reason */
  #fail(reason) {
    this.#step(OPERATION.COPY_FAIL, Buffer.from(reason), 0);
  }

  /** @param {number} operation @param {Uint8Array | undefined} bytes @param {number} count */
  #step(operation, bytes, count) {
    if (this.#state !== 'started' || this.#place === undefined) return;
    copyStep(this.#place.target, this.#id, operation, bytes, count);
  }

  /**
   * Gives it up; resolves when the connection is usable again.
   * @param {string | undefined} reason of a COPY FROM, for the server's message
   * @returns {Promise<void>}
   */
  async giveUp(reason) {
    this.#isGivenUp = true;
    const place = this.#place;
    if (this.#state === 'over' || place === undefined) return;
    const over = new Promise((resolve) => {
      this.#waiting.push(() => resolve(undefined));
    });
    // What somebody threw may have anything in the place of a text.
    if (this.#state === 'started' && typeof reason === 'string') {
      this.#fail(reason);
      this.#timer = setTimeout(() => cancel(place.target, this.#id, this), PATIENCE_MS);
    } else if (this.#state !== 'fresh') {
      cancel(place.target, this.#id, this);
    }
    await over;
  }
}

/** Takes the data of a COPY … FROM STDIN. */
class CopyFromStream extends Writable {
  /** @type {InstanceType<typeof Transfer>} */
  #transfer;
  #isStarted = false;
  #unwritten = 0;
  /** Goes on with writing. @type {(() => void) | undefined} */
  #resume;
  /** Whom that will be told. @type {((error?: Error | null) => void) | undefined} */
  #held;
  /** @type {((error?: Error | null) => void) | undefined} */
  #final;

  /** @param {string} text @param {CopyOptions} [options] checked */
  constructor(text, options = {}) {
    const { highWaterMark } = options;
    super({ ...(highWaterMark === undefined ? {} : { highWaterMark }), emitClose: true });
    this.text = text;
    this.#transfer = new Transfer(text, options, {
      started: () => {
        this.#isStarted = true;
        this.#goOn();
      },
      written: (bytes) => {
        this.#unwritten -= bytes;
        if (this.#unwritten <= WINDOW / 2) this.#goOn();
      },
      ended: (error) => {
        const final = this.#final;
        this.#final = undefined;
        if (error === undefined && final !== undefined) final();
        else if (final !== undefined) final(error);
        else this.destroy(error ?? notACopy());
      },
    });
  }

  /** Rows the server took, once finished. */
  get rowCount() {
    return this.#transfer.rowCount;
  }

  /** @param {Place} place */
  begin(place) {
    this.#transfer.start(place, 0);
  }

  /** @param {(error?: Error | null) => void} done @param {() => void} resume */
  #hold(done, resume) {
    this.#held = done;
    this.#resume = resume;
  }

  #goOn() {
    const resume = this.#resume;
    this.#resume = undefined;
    this.#held = undefined;
    resume?.();
  }

  /** @override @param {any} chunk @param {BufferEncoding} _encoding @param {(error?: Error | null) => void} done */
  _write(chunk, _encoding, done) {
    if (this.#isStarted && this.#unwritten < WINDOW) {
      this.#unwritten += chunk.length;
      this.#transfer.write(chunk);
      done();
    } else {
      this.#hold(done, () => this._write(chunk, _encoding, done));
    }
  }

  /** @override @param {{ chunk: any }[]} chunks @param {(error?: Error | null) => void} done */
  _writev(chunks, done) {
    const bytes =
      chunks.length === 1 ? chunks[0]?.chunk : Buffer.concat(chunks.map(({ chunk }) => chunk));
    this._write(bytes, 'utf8', done);
  }

  /** @override @param {(error?: Error | null) => void} done */
  _final(done) {
    if (this.#isStarted) {
      this.#final = done;
      this.#transfer.finish();
    } else {
      this.#hold(done, () => this._final(done));
    }
  }

  /** @override @param {Error | null} error @param {(error?: Error | null) => void} done */
  _destroy(error, done) {
    const reason = error ?? new Error('the stream was destroyed');
    this.#transfer.giveUp(reason.message).then(() => {
      // What is still to be written, and what Node keeps behind it.
      try {
        this.#held?.(reason);
      } catch (failure) {
        // Of a callback that was given to `write`.
        nextTick(() => {
          throw failure;
        });
      }
      done(error);
    });
  }
}

/** Gives the data of a COPY … TO STDOUT. */
class CopyToStream extends Readable {
  /** @type {InstanceType<typeof Transfer>} */
  #transfer;
  #untaken = 0;

  /** @param {string} text @param {CopyOptions} [options] checked */
  constructor(text, options = {}) {
    const { highWaterMark } = options;
    super({ ...(highWaterMark === undefined ? {} : { highWaterMark }), emitClose: true });
    this.text = text;
    this.#transfer = new Transfer(text, options, {
      started: () => {},
      data: (bytes) => {
        this.#untaken += bytes.length;
        try {
          this.push(bytes);
        } catch (error) {
          // Of a listener, which has kept Node from asking for more.
          nextTick(() => this.read(0));
          throw error;
        }
      },
      ended: (error) => {
        if (error === undefined) this.push(null);
        else this.destroy(error);
      },
    });
  }

  /** Rows the server sent, once it has ended. */
  get rowCount() {
    return this.#transfer.rowCount;
  }

  /** @param {Place} place */
  begin(place) {
    this.#transfer.start(place, FLAG.OUTGOING);
  }

  /** @override */
  _read() {
    // Asked for when there is room again: what was pushed before has been used up.
    if (this.#untaken > 0) this.#transfer.taken(this.#untaken);
    this.#untaken = 0;
  }

  /** @override @param {Error | null} error @param {(error?: Error | null) => void} done */
  _destroy(error, done) {
    this.#transfer.giveUp(undefined).then(() => done(error));
  }
}

/**
 * Runs a COPY on a connection of a pool, which gets it back behind the answer.
 * @template {CopyFromStream | CopyToStream} T
 * @param {Target} pool @param {T} stream
 * @param {() => Promise<Target>} [find] the session, where that is looked for first
 * @returns {T}
 */
function copyOnPool(pool, stream, find) {
  let session = find === undefined ? openSession(pool, 'cluster') : undefined;
  /** @type {Place} */
  const place = {
    target: session ?? pool,
    face: 'cluster',
    flags: FLAG.FINISH,
    onEnd: () => session && release(session),
  };
  if (find !== undefined) {
    place.prepare = async () => {
      session = await find();
      place.target = session;
    };
  }
  stream.begin(place);
  return stream;
}

/** @param {unknown} options @param {number | undefined} [maxStatementMs] of the pool, for a COPY without a limit of its own */
function readCopyOptions(options, maxStatementMs) {
  const read = readOptions(COPY_OPTIONS, options);
  if (maxStatementMs !== undefined) read.timeoutMs ??= maxStatementMs;
  return read;
}

function givenUp() {
  return new CancelledError('the COPY was given up before it was sent', {
    code: 'ABORT_ERR',
    outcome: 'not-sent',
    transient: false,
  });
}

/** It may be an INSERT that has taken effect: whoever runs it again must not be told that nothing was sent. */
function notACopy() {
  const problem = 'the statement was executed and is no COPY in this direction';
  return new OutcomeUnknownError(problem, { code: 'ERR_CONFIG', cause: new TypeError(problem) });
}

module.exports = { CopyFromStream, CopyToStream, Transfer, WINDOW, copyOnPool, readCopyOptions };
