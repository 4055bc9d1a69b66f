// Streams of the package pg-copy-streams: they write and read frames of the protocol on a socket, which stands here.
'use strict';

const { EventEmitter } = require('node:events');
const { Readable, Writable } = require('node:stream');
const { Transfer, WINDOW } = require('../copy.js');
const { FLAG } = require('../mailbox.js');
const { OCCUPY, placeOf } = require('./submittable.js');

/** @import { Lane } from './submittable.js' */

/** First bytes of frames. Source: PostgreSQL documentation, "Message Formats". */
const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
const HEADER = 5;

/** @param {number} code @param {number} length of what follows */
function header(code, length) {
  const frame = Buffer.alloc(HEADER);
  frame[0] = code;
  frame.writeUInt32BE(length + 4, 1);
  return frame;
}

/** Tells the stream, outside of the engine's turn, how the COPY ended. @param {any} foreign @param {number | null} rows */
function tellSuccess(foreign, rows) {
  foreign.handleCommandComplete({ text: `COPY ${rows ?? 0}` });
  foreign.handleReadyForQuery();
}

/** The writing half: frames of CopyData and CopyDone. */
class FrameSink extends EventEmitter {
  #transfer;
  #unwritten = 0;
  /** Bytes of the present frame that are still to come. */
  #missing = 0;

  /** @param {InstanceType<typeof Transfer>} transfer */
  constructor(transfer) {
    super();
    this.#transfer = transfer;
  }

  /** A header, or the data of the frame before it. @param {Buffer} bytes */
  write(bytes) {
    if (this.#missing > 0) {
      this.#missing -= bytes.length;
      this.#unwritten += bytes.length;
      this.#transfer.write(bytes);
    } else if (bytes.length === HEADER && bytes[0] === COPY_DONE) {
      this.#transfer.finish();
    } else if (bytes.length === HEADER) {
      this.#missing = bytes.readUInt32BE(1) - 4;
    }
    return this.#unwritten < WINDOW;
  }

  /** @param {number} bytes */
  written(bytes) {
    const wasFull = this.#unwritten >= WINDOW;
    this.#unwritten -= bytes;
    if (wasFull && this.#unwritten < WINDOW) process.nextTick(() => this.emit('drain'));
  }
}

/** @param {any} foreign */
function adoptFrom(foreign) {
  /** @type {any} */
  let connection;
  const transfer = new Transfer(
    foreign.text,
    {},
    {
      started: () => process.nextTick(() => foreign.handleCopyInResponse(connection)),
      written: (bytes) => connection.stream.written(bytes),
      ended: (error) =>
        process.nextTick(() => {
          if (error === undefined) tellSuccess(foreign, transfer.rowCount);
          else foreign.handleError(error);
        }),
    },
  );
  return {
    /** @param {Lane} lane */
    [OCCUPY](lane) {
      connection = {
        stream: new FrameSink(transfer),
        query: () => transfer.start(placeOf(lane), 0),
        /** @param {string} reason */
        sendCopyFail: (reason) => transfer.giveUp(reason),
      };
      foreign.submit(connection);
    },
    /** @param {Error} error */
    handleError(error) {
      if (connection === undefined) foreign.handleError(error);
    },
  };
}

/** @param {any} foreign */
function adoptTo(foreign) {
  let untaken = 0;
  let hasBegun = false;
  const source = new Readable({
    read() {
      if (untaken > 0) transfer.taken(untaken);
      untaken = 0;
    },
  });
  /** @type {InstanceType<typeof Transfer>} */
  const transfer = new Transfer(
    foreign.text,
    {},
    {
      started: () => {},
      data: (bytes) => {
        untaken += bytes.length;
        source.push(header(COPY_DATA, bytes.length));
        source.push(bytes);
      },
      ended: (error) =>
        process.nextTick(() => {
          if (error === undefined) {
            tellSuccess(foreign, transfer.rowCount);
            source.push(header(COPY_DONE, 0));
            source.push(null);
            return;
          }
          // It clears its buffers: what it has not read by then it must not read any more.
          foreign.connection = null;
          if (!foreign.destroyed) foreign.handleError(error);
        }),
    },
  );
  return {
    /** @param {Lane} lane */
    [OCCUPY](lane) {
      hasBegun = true;
      // The listener that the stream expects to find, puts aside, and puts back.
      source.on('data', () => {});
      foreign.once('close', () => transfer.giveUp(undefined));
      foreign.submit({ stream: source, query: () => transfer.start(placeOf(lane), FLAG.OUTGOING) });
    },
    /** @param {Error} error */
    handleError(error) {
      if (!hasBegun) foreign.handleError(error);
    },
  };
}

/** @param {any} foreign */
function adoptCopy(foreign) {
  if (typeof foreign.text !== 'string' || typeof foreign.handleCommandComplete !== 'function') {
    return undefined;
  }
  if (
    foreign instanceof Writable &&
    typeof (/** @type {any} */ (foreign).handleCopyInResponse) === 'function'
  ) {
    // COPY in both directions is for replication.
    return foreign instanceof Readable ? undefined : adoptFrom(foreign);
  }
  const isTo =
    foreign instanceof Readable && typeof (/** @type {any} */ (foreign)._attach) === 'function';
  return isTo ? adoptTo(foreign) : undefined;
}

module.exports = { adoptCopy };
