// biome-ignore-all lint/suspicious/noExplicitAny: rows and parameters hold what a statement says.
// Cursor, QueryStream and COPY of the pg face, named and shaped as in its companions.

import type { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';
import type { CopyFromStream, CopyOptions, CopyToStream } from './copy.js';
import type { CustomTypesConfig, Result, Submittable } from './pg.js';

/** Options of `Cursor`. */
export interface CursorConfig {
  rowMode?: 'array';
  types?: CustomTypesConfig;
  Promise?: PromiseConstructorLike;
}

export interface CursorEvents {
  row: [row: any, result: Result];
  end: [result: Result];
  /** Only told when there is a listener. */
  error: [error: Error];
}

/**
 * The rows of one query, so many at a time. Give it to `client.query`; until it is read to its end or closed, the
 * client's other queries wait.
 */
export class Cursor<R = any> extends EventEmitter<CursorEvents> implements Submittable {
  constructor(text: string, values?: any[] | null, config?: CursorConfig);
  readonly text: string;
  readonly values: any[] | null;
  readonly state: 'initialized' | 'submitted' | 'idle' | 'busy' | 'done' | 'error';
  /**
   * At most `count` rows, with 0 or none all that are left; none past the end. Of a fraction its whole part counts. After an
   * error every read gets that error; a `count` that is negative or no number fails that read alone, with a `RangeError`.
   */
  read(count?: number): Promise<R[]>;
  read(
    count: number | undefined,
    callback: (error: Error, rows: R[], result: Result) => void,
  ): void;
  /**
   * At any time, more than once. It is the end of a statement that writes: what failed behind the rows that were read is told
   * here, unless a read has told it.
   */
  close(): Promise<void>;
  close(callback: (error?: Error) => void): void;
  submit(): void;
}

/** Options of `QueryStream`. */
export interface QueryStreamConfig extends CursorConfig {
  /** Rows per batch. Default 100. */
  batchSize?: number;
  /** Another name of `batchSize`. */
  highWaterMark?: number;
}

/** The rows of one query as a Readable in object mode: one batch per read. Give it to `client.query` or `pool.query`. */
export class QueryStream extends Readable implements Submittable {
  constructor(text: string, values?: any[] | null, config?: QueryStreamConfig);
  readonly text: string;
  readonly values: any[] | null;
  readonly cursor: Cursor;
  submit(): void;
}

/** A stream that takes the data of a COPY … FROM STDIN once it was given to `client.query`. */
export function copyFrom(text: string, options?: CopyOptions): CopyFromStream & Submittable;
/** A stream that gives the data of a COPY … TO STDOUT once it was given to `client.query`. */
export function copyTo(text: string, options?: CopyOptions): CopyToStream & Submittable;
