// Types that files of lib/ share and users never see.

import type { Face, NativeError } from './native-error.js';
import type { LogEvent } from './pool-extras.js';
import type { FrameView } from './rows.js';

/** What is told of a pool or client to those who watch. */
export interface About {
  readonly face: Face;
  readonly database: string | undefined;
  readonly user: string | undefined;
  /** As configured, with their ports. */
  readonly hosts?: readonly string[];
  /** Which nodes the pool uses. */
  readonly mode?: string;
  /** Name of the pool. */
  readonly pool?: string;
  /** What the pool is known by. */
  readonly key?: object | undefined;
  /** Has the engine a pool behind it? */
  readonly isPool?: boolean;
  /** One caller's connection of a pool? */
  readonly isSession?: boolean;
  /** The handle of the pool that this thread has joined: it is there when this thread's own has gone. */
  readonly joined?: { readonly slot: number; readonly generation: number };
  /** Makes the comment that statements carry. */
  readonly comment?: (() => string) | undefined;
  /** Hears of each statement that is over. */
  readonly told?: ((event: LogEvent) => void) | undefined;
}

/** A pool, session or client of the engine. */
export interface Target {
  readonly slot: number;
  readonly generation: number;
  readonly about: About;
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
  /** The request has its connection; called when that was asked for. */
  placed?(waitedMs: number, place: string): void;
  /** A part of it could not be read, and why; one that does not want to know hears of it as a failure at the end. */
  unread?(problem: unknown): void;
  /** Its caller waits no longer, and the request itself is over. */
  leaveLookup?(): void;
  /** The one this one stands in for. */
  of?: Answer;
  /** `isQuick`: the statement may travel among others from now on. */
  done(isQuick: boolean): void;
  fail(fields: NativeError): void;
}
