// The words of the boundary: what a request asks for, and how, and what a record of an answer holds.
'use strict';

/** Bytes of a request in front of its parameters (native/src/addon/requests.rs). */
const REQUEST_HEADER = 48;

/** What is asked; the low bits of a request's flags (native/src/addon/requests.rs). */
const OPERATION = Object.freeze({
  EXECUTE: 0,
  SIMPLE: 1,
  OPEN: 2,
  FETCH: 3,
  CLOSE: 4,
  DROP: 5,
  COPY: 6,
  COPY_DATA: 7,
  COPY_DONE: 8,
  COPY_FAIL: 9,
  COPY_TAKEN: 10,
  CURSOR_OPEN: 11,
  CURSOR_FETCH: 12,
  CURSOR_CLOSE: 13,
  COPY_ROWS: 14,
});
/** How it is asked. */
const FLAG = Object.freeze({
  UNNAMED: 0x10,
  EXCLUSIVE: 0x20,
  EITHER: 0x40,
  TRANSACTION: 0x80,
  COMMIT: 0x100,
  FINISH: 0x200,
  OUTGOING: 0x400,
  OUTSIDE: 0x800,
  TOLD: 0x1000,
  PROBE: 0x2000,
  PIPELINED: 0x4000,
  RENEWED: 0x8000,
});

/** What news of a COPY is about: the command word of its record. */
const COPY_NEWS = Object.freeze({ STARTED: 1, DATA: 2, WRITTEN: 3 });

/** What a record of an answer holds (native/src/addon/records.rs). */
const RECORD = Object.freeze({
  FRAME: 1,
  COMPLETE: 2,
  FINAL: 4,
  ERROR: 8,
  SUSPENDED: 16,
  SPILL: 32,
  EVENT: 64,
  TAG: 128,
  COPY: 256,
  PLACED: 512,
  QUICK: 1024,
});

module.exports = { COPY_NEWS, FLAG, OPERATION, RECORD, REQUEST_HEADER };
