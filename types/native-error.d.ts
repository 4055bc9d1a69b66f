// How the engine describes an error to lib/errors.js (internal).

import type {
  AcquireTimeoutError,
  CommitTrace,
  NodeFailure,
  Outcome,
  TimeoutError,
} from './errors.js';

/** Which promises about codes and messages an error has to keep. */
export type Face = 'cluster' | 'pg';

/** Counts of a pool at the moment an error was made. */
export type Counts = NonNullable<AcquireTimeoutError['counts']>;

/** What the constructors of the family take beside the message. */
export interface Details {
  code?: string | undefined;
  cause?: unknown;
  outcome?: Outcome | undefined;
  transient?: boolean | undefined;
  host?: string | undefined;
  phase?: TimeoutError['phase'];
  afterMs?: number | undefined;
  waitedMs?: number | undefined;
  counts?: Counts | undefined;
  nodes?: NodeFailure[] | undefined;
  resolution?: CommitTrace | undefined;
}

/** The JSON of an error as `native/src/error.rs` knows it. Absent members may be missing or null. */
export interface NativeError {
  kind:
    | 'server'
    | 'connect'
    | 'acquire'
    | 'closed'
    | 'cancelled'
    | 'timeout'
    | 'lost'
    | 'io'
    | 'transactionLost'
    | 'rolledBack'
    | 'fenced'
    | 'doubt'
    | 'commitAborted'
    | 'result'
    | 'notReplicated'
    | 'protocol'
    | 'encode'
    | 'config'
    | 'lease'
    | 'internal';
  message: string;
  /** SQLSTATE, code of the system, or `ERR_…`. */
  code: string;
  outcome: Outcome;
  /** It failed behind a COMMIT of its own text: `outcome` is `'unknown'`, and the connection goes on. */
  isAnswered?: boolean | null;
  transient: boolean;
  /** `host:port` or the path of the socket. */
  host?: string | null;
  /** What a deadline was waiting for. */
  phase?: 'connect' | 'acquire' | 'statement';
  afterMs?: number;
  /** What was ended: `pool`, `client`, `transaction` or `stream`. */
  what?: string;
  /** Name of the setting that is wrong. */
  option?: string;
  waitedMs?: number;
  counts?: Counts;
  /** Which kind of node a search did not find. */
  lack?: string;
  /** What it met. */
  nodes?: {
    host: string;
    role?: NodeFailure['role'] | null;
    reason?: string | null;
    error?: NativeError | null;
    tookMs: number;
  }[];
  cause?: NativeError | null;
  /** What a transaction has shown whose COMMIT was not answered. */
  trace?: CommitTrace;
  /** Bytes of the server's message. */
  length?: number;
  severity?: string;
  detail?: string | null;
  hint?: string | null;
  position?: string | null;
  internalPosition?: string | null;
  internalQuery?: string | null;
  where?: string | null;
  schema?: string | null;
  table?: string | null;
  column?: string | null;
  dataType?: string | null;
  constraint?: string | null;
  file?: string | null;
  line?: string | null;
  routine?: string | null;
}
