// Types that files of lib/ share and users never see.

import type { NativeError } from './native-error.js';
import type { FrameView } from './rows.js';

/** A pool, session or client of the engine. */
export interface Target {
  readonly slot: number;
  readonly generation: number;
}

/** Receives what belongs to one request, in order; `done` or `fail` comes last and once. None of these throws. */
export interface Answer {
  /** Rows in a frame that is valid only during the call. */
  frame(shape: number, view: FrameView, offset: number, rows: number): void;
  /** A command tag whose first word has no number; `complete` follows. */
  tag(text: string): void;
  /** One result is complete; `affected` is NaN when the tag has no number. */
  complete(shape: number, command: string | undefined, affected: number): void;
  /** The portal has more rows. */
  suspended(shape: number): void;
  /** News of a COPY (`COPY_NEWS` of lib/mailbox.js); the bytes are valid only during the call. */
  copy?(news: number, size: number, buffer: Buffer, offset: number): void;
  done(): void;
  fail(fields: NativeError): void;
}
