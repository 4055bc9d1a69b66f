// Both crossings: requests of a tick go out in one call, answers that have arrived come in by one call.
'use strict';

// Taken now: what a test puts in their place later must not hold up answers.
const { hrtime, nextTick } = process;
const { setImmediate, setTimeout } = require('node:timers');
const { loadAhead, onWake: wakeBy, words } = require('./environment.js');
const { noteContext, tell } = require('./hearers.js');
const { lazy } = require('./lazy.js');
const native = require('./native.js');
const { FLAG, OPERATION, RECORD, REQUEST_HEADER } = require('./operations.js');
const { submitDropped } = require('./statements.js');
const { frameView } = require('./rows/frame-view.js');
const { encodeParams, encodeToBuffer } = require('./rows/params.js');

const errors = lazy(() => require('./error-classes.js'));
const unreadable = lazy(() => require('./unreadable-answer.js'));

/** @import { Answer, Target } from '../types/internal.js' */
/** @import { Encoding } from './rows/prepare.js' */

const { FRAME, COMPLETE, FINAL, ERROR, SUSPENDED, SPILL, EVENT, TAG, COPY, PLACED, QUICK } = RECORD;

const RECORD_HEADER = 32;
const MORE = 2 ** 32;

const OUTBOX_BYTES = 256 * 1024;
/** Most bytes of a COPY in one record. */
const COPY_PIECE = 64 * 1024;
/** The work of one turn of the event loop is bounded by what fits in here: timers and sockets get theirs in between. */
const INBOX_BYTES = 256 * 1024;

const outbox = Buffer.from(new ArrayBuffer(OUTBOX_BYTES));
const outView = { buffer: outbox, view: new DataView(outbox.buffer) };
const outWords = new Uint32Array(outbox.buffer);

const inbox = frameView(new ArrayBuffer(INBOX_BYTES), false);
const inWords = new Uint32Array(inbox.buffer.buffer);

/** Answers that are awaited, by request number. @type {(Answer | undefined)[]} */
const pending = [];
/** Numbers that are free again. @type {number[]} */
const free = [];
/** Answers awaited; while there are any, the event loop is kept alive. */
let awaited = 0;
/** Open things that await nothing and keep the event loop alive all the same. */
let kept = 0;
let held = false;

/** Errors come when no more files can be opened, so what reads them is there by then; but answers come first. */
let isComplete = false;

/** Bytes of the outbox in use. */
let used = 0;
let flushing = false;
/** That of the last request larger than the outbox, if nobody needs its memory. @type {WeakRef<ArrayBuffer> | undefined} */
let room;
/** Parameters are being written behind what is in use: whatever a getter among them asks for would be written over. */
let writing = false;
let draining = false;
let returning = false;

wakeBy(onWake);

/** Milliseconds; `performance` would cost a start one of them. */
const now = () => Number(hrtime.bigint()) / 1e6;

/** @param {Answer} answer */
function number(answer) {
  const id = free.length > 0 ? /** @type {number} */ (free.pop()) : pending.length;
  pending[id] = answer;
  awaited++;
  return id;
}

/**
 * Asks for something. The request goes out with all others of this tick.
 *
 * @param {Target} target
 * @param {number} statement number of the text, 0 without one
 * @param {number} flags
 * @param {number} timeoutMs 0 = none
 * @param {number} profile
 * @param {readonly unknown[]} values prepared parameters
 * @param {Encoding} encoding
 * @param {number} begin statement of a BEGIN in front, 0 = none
 * @param {number} batch rows of a batch, 0 for others
 * @param {number} portal
 * @param {Answer} answer
 * @param {number} [name] statement whose text is the caller's own name of this one, 0 = none
 * @returns {number} the request's number, valid until it is answered
 * @throws {TypeError | RangeError} when a value cannot be sent; then nothing was asked
 */
function ask(
  target,
  statement,
  flags,
  timeoutMs,
  profile,
  values,
  encoding,
  begin,
  batch,
  portal,
  answer,
  name = 0,
) {
  if (writing) throw reentered();
  let at = used;
  let end = -1;
  /** @type {Buffer | undefined} */
  let large;
  if (values.length === 0) {
    if (at + REQUEST_HEADER + 8 > OUTBOX_BYTES) at = submitUsed();
    end = at + REQUEST_HEADER + 4;
    outWords[(end >> 2) - 1] = 0;
  } else {
    try {
      writing = true;
      if (at + REQUEST_HEADER < OUTBOX_BYTES) {
        end = encodeParams(outView, at + REQUEST_HEADER, OUTBOX_BYTES, values, encoding);
      }
      if (end < 0 && at > 0) {
        at = submitUsed();
        end = encodeParams(outView, at + REQUEST_HEADER, OUTBOX_BYTES, values, encoding);
      }
      if (end < 0) large = encodeToBuffer(values, encoding, REQUEST_HEADER, room?.deref());
    } finally {
      writing = false;
    }
  }
  const length = (large === undefined ? end - at : large.length) - REQUEST_HEADER;
  const id = number(answer);
  const place = at >> 2;
  outWords[place] = target.slot;
  outWords[place + 1] = target.generation;
  outWords[place + 2] = id;
  outWords[place + 3] = statement;
  outWords[place + 4] = flags;
  outWords[place + 5] = timeoutMs;
  outWords[place + 6] = profile;
  outWords[place + 7] = length;
  outWords[place + 8] = begin;
  outWords[place + 9] = batch;
  outWords[place + 10] = portal;
  outWords[place + 11] = name;
  if (large === undefined) {
    used = (end + 7) & ~7;
    flushLater();
  } else {
    submitLarge(at, large);
  }
  return id;
}

/** An array of parameters with getters, or a Proxy in place of one, can run code of the caller's while it is read. */
function reentered() {
  const problem = 'nothing can be asked for while the parameters of a statement are read';
  return errors().argumentError(new TypeError(problem), { code: 'ERR_ENCODE' });
}

/**
 * A request larger than the outbox goes by a call of its own, behind those that were asked before it.
 * @param {number} at where its header is @param {Buffer} record with room for it, at the start of memory that goes on for 8 bytes
 */
function submitLarge(at, record) {
  outbox.copy(record, 0, at, at + REQUEST_HEADER);
  submitUsed();
  hold();
  const length = (record.length + 7) & ~7;
  native.submit(new Uint8Array(record.buffer, 0, length), length, awaited === 1);
  room = new WeakRef(/** @type {ArrayBuffer} */ (record.buffer));
  flushLater();
}

/**
 * A step of a COPY, behind everything asked before. It has no answer of its own.
 * @param {Target} target @param {number} request number of the COPY
 * @param {number} operation @param {Uint8Array | undefined} bytes
 * @param {number} count
 */
function copyStep(target, request, operation, bytes, count) {
  if (writing) throw reentered();
  const length = bytes === undefined ? 0 : bytes.length;
  let at = used;
  if (at + REQUEST_HEADER + length + 8 > OUTBOX_BYTES) at = submitUsed();
  const place = at >> 2;
  outWords.fill(0, place, place + REQUEST_HEADER / 4);
  outWords[place] = target.slot;
  outWords[place + 1] = target.generation;
  outWords[place + 2] = request;
  outWords[place + 4] = operation;
  outWords[place + 7] = length;
  outWords[place + 9] = count;
  if (bytes !== undefined && REQUEST_HEADER + length + 8 > OUTBOX_BYTES) {
    const record = Buffer.allocUnsafeSlow(REQUEST_HEADER + length + 8);
    record.set(bytes, REQUEST_HEADER);
    submitLarge(at, record.subarray(0, REQUEST_HEADER + length));
    return;
  }
  if (bytes !== undefined) outbox.set(bytes, at + REQUEST_HEADER);
  used = (at + REQUEST_HEADER + length + 7) & ~7;
  flushLater();
}

/** Behind all microtasks of this turn, so that everything they ask for goes out in the same call. */
function flushLater() {
  if (flushing) return;
  flushing = true;
  nextTick(flush);
}

/**
 * Submits what the outbox holds. Statements that are let go stay for now: the request being made may use one.
 * @returns {number} the first free byte, 0
 */
function submitUsed() {
  if (used > 0) {
    const length = used;
    used = 0;
    hold();
    // What is awaited alone is written by this thread: one hop less.
    native.submit(outbox, length, awaited === 1);
  }
  return 0;
}

/** Called when what is awaited was sent alone. The first answers come without; what is wrong with the time set for it is said now. */
let sentAlone = () => {};
if (process.env.PG_BERTH_SPIN_US) lookForAnswers();

function lookForAnswers() {
  const look = (/** @type {number} */ us) => awaited === 0 || native.look(us);
  sentAlone = require('./spin.js').spinner(look, wake, { now, later: setImmediate });
}

/** Submits what was asked for, and lets go of statements behind it. */
function flush() {
  // The request being written is followed by another flush.
  if (writing) return;
  flushing = false;
  submitUsed();
  if (awaited === 1) sentAlone();
  submitDropped();
}

function hold() {
  if (!held) {
    held = true;
    native.hold(true);
  }
}

/** Nothing is awaited any more: the process may end. */
function letLoopEnd() {
  if (held && awaited === 0 && kept === 0) {
    held = false;
    native.hold(false);
  }
}

/** Keeps the process alive until the returned function is called; calling that again does nothing. */
function keepAlive() {
  kept++;
  hold();
  let isKept = true;
  return () => {
    if (!isKept) return;
    isKept = false;
    kept--;
    letLoopEnd();
  };
}

/** Called by the engine, at most once per wake. */
function onWake() {
  noteContext();
  wake();
}

/** Whatever goes wrong in here is the process's to hear of, not the engine's. */
function wake() {
  try {
    drain();
  } catch (error) {
    nextTick(() => {
      throw error;
    });
  }
}

/** An event is nobody's request: nothing of it ends the process. @param {unknown} error */
function warnOf(error) {
  process.emitWarning(`an event could not be read: ${error}`, { code: 'PG_BERTH_EVENT' });
}

/** Takes what has arrived. */
function drain() {
  if (returning) return;
  if (take()) {
    // The rest in a fresh turn: otherwise a steady stream of answers would starve timers and sockets.
    returning = true;
    setImmediate(comeBack);
  }
}

function comeBack() {
  returning = false;
  drain();
}

/** One inbox of answers. @returns {boolean} are more waiting? */
function take() {
  draining = true;
  const taken = native.drain(inbox.buffer);
  const more = taken >= MORE;
  const end = more ? taken - MORE : taken;
  for (let at = 0; at < end; ) {
    const place = at >> 2;
    const flags = /** @type {number} */ (inWords[place + 1]);
    const length = /** @type {number} */ (inWords[place + 2]);
    const answer = pending[/** @type {number} */ (inWords[place])];
    const isSpilled = (flags & SPILL) !== 0;
    try {
      if (isSpilled) record(spilled(length, (flags & (EVENT | ERROR)) !== 0), at, flags, 0);
      else record(inbox, at, flags, at + RECORD_HEADER);
    } catch (error) {
      unread(at, flags, answer, error);
    }
    at += isSpilled ? RECORD_HEADER : RECORD_HEADER + length;
  }
  draining = false;
  failure.text = '';
  failure.fields = undefined;
  letLoopEnd();
  if (!isComplete && awaited === 0) {
    isComplete = true;
    loadAhead(() => [require('./errors.js'), unreadable(), lookForAnswers()]);
  }
  return more;
}

/** A body that did not fit the inbox. @param {number} length @param {boolean} isText */
function spilled(length, isText) {
  let view = inbox;
  try {
    // Written over as a whole, so it need not be zeroed first.
    view = frameView(Buffer.allocUnsafeSlow(length).buffer, true);
  } catch (error) {
    // One there is no memory for is let go, since the next one is another's. What it says is told, if not in full.
    const text = native.spilled(undefined, isText);
    if (!isText) throw error;
    return { ...inbox, buffer: /** @type {typeof inbox.buffer} */ (Buffer.from(text)) };
  }
  native.spilled(view.buffer);
  return view;
}

/**
 * A record could not be read, for want of memory or of stack: that costs its own request, not those behind it.
 * @param {number} at @param {number} flags @param {Answer | undefined} answer @param {unknown} error
 */
function unread(at, flags, answer, error) {
  if ((flags & EVENT) !== 0) nextTick(warnOf, error);
  else if (answer !== undefined) {
    const id = /** @type {number} */ (inWords[at >> 2]);
    const isOver = (flags & (FINAL | ERROR)) !== 0;
    // What could not be read first says why, and whoever gives the request up knows it by its own answer.
    const isKnown = answer.of !== undefined;
    const rest = isKnown ? answer : new (unreadable().UnreadableAnswer)(answer, error);
    if (isOver) {
      if (pending[id] === answer) settled(id);
      nextTick(() => rest.done(false));
    } else if (answer.unread !== undefined) answer.unread(error);
    else if (pending[id] === answer) pending[id] = rest;
  }
}

/**
 * One record, its header in the inbox and its body in `view`.
 * @param {import('../types/rows.js').FrameView} view
 * @param {number} at @param {number} flags @param {number} body
 */
function record(view, at, flags, body) {
  const place = at >> 2;
  const id = /** @type {number} */ (inWords[place]);
  const size = /** @type {number} */ (inWords[place + 4]);
  if ((flags & EVENT) !== 0) {
    const event = JSON.parse(view.buffer.toString('utf8', body, body + size));
    tell(id, inWords[place + 3], event);
    return;
  }
  const answer = pending[id];
  if (answer === undefined) return;
  if ((flags & ERROR) !== 0) {
    settled(id);
    answer.fail(failureOf(view.buffer.toString('utf8', body, body + size)));
    return;
  }
  if ((flags & TAG) !== 0) {
    answer.tag(view.buffer.latin1Slice(body, body + size));
    return;
  }
  if ((flags & COPY) !== 0) {
    answer.copy?.(/** @type {number} */ (inWords[place + 5]), size, view.buffer, body);
    return;
  }
  if ((flags & PLACED) !== 0) {
    const waitedMs = /** @type {number} */ (inbox.f64[(at >> 3) + 3]) / 1000;
    answer.placed?.(waitedMs, view.buffer.toString('utf8', body, body + size));
    return;
  }
  const shape = /** @type {number} */ (inWords[place + 3]);
  if ((flags & FRAME) !== 0) answer.frame(shape, view, body, size);
  if ((flags & COMPLETE) !== 0) {
    const word = /** @type {number} */ (inWords[place + 5]);
    const affected = /** @type {number} */ (inbox.f64[(at >> 3) + 3]);
    answer.complete(shape, word === 0 ? undefined : words[word - 1], affected);
  }
  if ((flags & SUSPENDED) !== 0) answer.suspended(shape);
  if ((flags & FINAL) !== 0) {
    settled(id);
    answer.done((flags & QUICK) !== 0);
  }
}

/** The last failure of this inbox, and its text. */
const failure = { text: '', fields: /** @type {any} */ (undefined) };

/**
 * What nobody can answer fails for all who wait at the same moment: it is read once, and what it holds is theirs together.
 * @param {string} text
 */
function failureOf(text) {
  if (text !== failure.text) {
    failure.fields = JSON.parse(text);
    failure.text = text;
  }
  return failure.fields;
}

/** @param {number} id */
function settled(id) {
  pending[id] = undefined;
  free.push(id);
  awaited--;
}

/**
 * Gives a request up.
 * @param {Target} target @param {number} id @param {Answer} answer @param {number} [pauseMs]
 */
function cancel(target, id, answer, pauseMs = 1) {
  const waiting = pending[id];
  if (waiting !== answer && waiting?.of !== answer) return void answer.leaveLookup?.();
  if (writing) {
    nextTick(cancel, target, id, answer);
    return;
  }
  flush();
  const { joined } = target.about;
  const isFound =
    native.cancel(target.slot, target.generation, id) ||
    (joined !== undefined && native.cancel(joined.slot, joined.generation, id));
  // Its answer is here; or it is on its way from a queue to a connection, for a moment nowhere. It is looked for every 100 ms
  // at least.
  const nextMs = Math.min(2 * pauseMs, 100);
  if (!isFound) setTimeout(cancel, pauseMs, target, id, answer, nextMs).unref();
}

/**
 * Blocks the thread until an answer is complete. Where that is refused, nothing is asked.
 * @param {() => void} begin asks @param {() => boolean} isDone @param {number} timeoutMs
 * @returns {boolean} false when the time ran out
 */
function wait(begin, isDone, timeoutMs) {
  if (draining) throw new Error('a blocking call cannot be made from a type parser');
  begin();
  flush();
  const deadline = now() + timeoutMs;
  while (!isDone()) {
    if (!take()) {
      const left = Math.ceil(deadline - now());
      if (isDone()) return true;
      if (left <= 0) return false;
      native.park(left);
    }
  }
  return true;
}

module.exports = { COPY_PIECE, FLAG, OPERATION, ask, cancel, copyStep, flush, keepAlive, wait };
