// COPY as Node streams.

import type { Readable, Writable } from 'node:stream';

/** Options of a COPY. */
export interface CopyOptions {
  /** Most milliseconds from the call to the end of the COPY, acquiring included. Default: `maxStatementMs`. */
  timeoutMs?: number;
  /** Gives the COPY up; the stream is destroyed with the signal's reason. */
  signal?: AbortSignal;
  /** Bytes that Node buffers in the stream, from 1. Default: Node's. */
  highWaterMark?: number;
}

/**
 * Takes the data of a COPY … FROM STDIN, in any pieces. What is no COPY, or one in the other direction, is executed; then the
 * stream is destroyed with an `OutcomeUnknownError` (`code`: `'ERR_CONFIG'`).
 */
export interface CopyFromStream extends Writable {
  /** The SQL text. */
  readonly text: string;
  /** Rows the server took, after `finish`; null before. */
  readonly rowCount: number | null;
}

/** Gives the data of a COPY … TO STDOUT, in pieces of any size. */
export interface CopyToStream extends Readable {
  /** The SQL text. */
  readonly text: string;
  /** Rows the server sent, after `end`; null before. */
  readonly rowCount: number | null;
}
