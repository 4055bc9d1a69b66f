// What a request of the boundary asks for, and how.
'use strict';

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

module.exports = { COPY_NEWS, FLAG, OPERATION };
