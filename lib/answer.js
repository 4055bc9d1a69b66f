// One statement's answer: frames become rows, the end settles the caller's promise.
'use strict';

/** @typedef {InstanceType<typeof import('./decoders.js').Decoders>} Decoders */
/** @import { FrameView } from '../types/rows.js' */
/** @import { NativeError } from '../types/native-error.js' */

/** @typedef {(value: any) => void} Settle */

/** A frame whose column types are still being looked up. @typedef {{ shape: number, view: FrameView, rows: number }} HeldFrame */

/** What a statement came to. */
class Outcome {
  /** @param {unknown[]} rows */
  constructor(rows) {
    this.rows = rows;
    this.shape = 0;
    /** @type {string | undefined} */
    this.command = undefined;
    /** NaN when the tag has no number. */
    this.affected = Number.NaN;
  }
}

/** Collects the results of a request. A request of the extended protocol has one, a simple one any number. */
class StatementAnswer {
  /**
   * @param {Decoders} decoders
   * @param {Settle} resolve gets this answer
   * @param {(reason: NativeError | Error) => void} reject
   */
  constructor(decoders, resolve, reject) {
    this.decoders = decoders;
    this.resolve = resolve;
    this.reject = reject;
    this.result = new Outcome([]);
    /** Results before the present one. @type {Outcome[] | undefined} */
    this.earlier = undefined;
    this.isComplete = false;
    this.isSuspended = false;
    /** The first thing a decoder threw: this statement's own failure. @type {Error | undefined} */
    this.failure = undefined;
    /** @type {string | undefined} */
    this.tagText = undefined;
    /** @type {HeldFrame[] | undefined} */
    this.held = undefined;
    this.isDone = false;
  }

  /** @param {number} shape @param {FrameView} view @param {number} offset @param {number} rows */
  frame(shape, view, offset, rows) {
    if (this.isComplete) this.next();
    if (this.failure !== undefined) return;
    try {
      const decode = this.held === undefined ? this.decoders.get(shape) : undefined;
      if (decode === undefined) {
        this.hold(shape, view, offset, rows);
        return;
      }
      const target = this.result.rows;
      decode(view, offset, rows, target, target.length);
    } catch (error) {
      this.failure = /** @type {Error} */ (error);
    }
  }

  /**
   * The inbox is used again after this turn, so the frame is copied.
   * @param {number} shape @param {FrameView} view @param {number} offset @param {number} rows
   */
  hold(shape, view, offset, rows) {
    const memory = view.i32.buffer.slice(offset);
    const buffer = /** @type {FrameView['buffer']} */ (
      /** @type {unknown} */ (Buffer.from(memory))
    );
    const copy = {
      buffer,
      i32: new Int32Array(memory),
      f64: new Float64Array(memory),
      i64: new BigInt64Array(memory),
    };
    this.held ??= [];
    this.held.push({ shape, view: copy, rows });
  }

  /** @param {string} text */
  tag(text) {
    this.tagText = text;
  }

  /** @param {number} shape @param {string | undefined} command @param {number} affected */
  complete(shape, command, affected) {
    if (this.isComplete) this.next();
    this.isComplete = true;
    const { result } = this;
    result.shape = shape;
    result.command = command ?? this.tagText?.split(' ', 1)[0];
    result.affected = affected;
    this.tagText = undefined;
  }

  next() {
    this.earlier ??= [];
    this.earlier.push(this.result);
    this.result = new Outcome([]);
    this.isComplete = false;
  }

  /** @param {number} shape */
  suspended(shape) {
    this.result.shape = shape;
    this.isSuspended = true;
  }

  done() {
    if (this.held !== undefined) {
      this.decoders.lookUp().then(
        () => this.finishHeld(),
        (/** @type {Error} */ error) => this.reject(error),
      );
      return;
    }
    this.isDone = true;
    if (this.failure === undefined) this.resolve(this);
    else this.reject(this.failure);
  }

  /** The types are known now. Held frames are all of the same result: simple queries look nothing up. */
  finishHeld() {
    const held = this.held ?? [];
    this.held = undefined;
    try {
      for (const { shape, view, rows } of held) {
        const decode = this.decoders.get(shape);
        if (decode === undefined) throw new Error(`the types of shape ${shape} are not known`);
        const target = this.result.rows;
        decode(view, 0, rows, target, target.length);
      }
    } catch (error) {
      this.failure = /** @type {Error} */ (error);
    }
    this.done();
  }

  /** @param {NativeError} fields */
  fail(fields) {
    this.isDone = true;
    this.reject(fields);
  }
}

/** An answer somebody blocks for: what has to be looked up is looked up by the waiting side. */
class BlockingAnswer extends StatementAnswer {
  /** @override */
  done() {
    if (this.held === undefined) super.done();
    else this.isDone = true;
  }
}

module.exports = { BlockingAnswer, StatementAnswer };
