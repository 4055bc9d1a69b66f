// The errors of pg-berth.

import type { Holder } from './pg.js';

/**
 * What is known about the statement an error belongs to.
 *
 * - `'not-sent'`: the server certainly did nothing; the statement may be sent again.
 * - `'failed'`: the server answered with an error, or the transaction certainly did not commit.
 * - `'unknown'`: it was sent and the answer never came; it may or may not have taken effect.
 */
export type Outcome = 'not-sent' | 'failed' | 'unknown';

/** What every error of this package, and every argument error it makes, can tell. None of these is enumerable. */
export interface Verdict {
  readonly outcome: Outcome;
  /** `outcome === 'unknown'`. Such an error is an {@link OutcomeUnknownError}. */
  readonly outcomeUnknown: boolean;
  /** `outcome === 'not-sent'`: sending the same statement again cannot have a second effect. */
  readonly safeToRetry: boolean;
  /** May waiting help? Lost connections, exhausted resources, serialization failures, a server that starts. */
  readonly transient: boolean;
}

/** Beside the message, when users make errors of the family themselves. */
export interface ErrorDetails {
  /** SQLSTATE, code of the system (`ECONNREFUSED`), or `ERR_…`. */
  code?: string | undefined;
  cause?: unknown;
  /** Default `'not-sent'`. */
  outcome?: Outcome | undefined;
  /** Default false. */
  transient?: boolean | undefined;
  /** `host:port` or the path of the socket. */
  host?: string | undefined;
}

/**
 * Base of the family. `instanceof` also holds for errors of another copy of this package.
 * @example
 * catch (error) {
 *   if (error instanceof PgError && error.safeToRetry) return again();
 *   throw error;
 * }
 */
export class PgError extends Error implements Verdict {
  constructor(message: string, details?: ErrorDetails);
  readonly outcome: Outcome;
  readonly outcomeUnknown: boolean;
  readonly safeToRetry: boolean;
  readonly transient: boolean;
  /** SQLSTATE, code of the system (`ECONNREFUSED`), or `ERR_…`; each class says which. */
  code?: string | undefined;
  /** `host:port` or the path of the socket, where one is concerned. */
  host?: string | undefined;
}

/**
 * The server answered with an error. The fields, their names and their order are those of `pg`'s `DatabaseError`, which
 * is another name of this class; absent ones are `undefined`. Texts are the server's own, in its language. `host` and `sql`, which
 * `pg` has not, say which server and which statement it was; they are not enumerable, so logs of errors leave them out.
 */
export class ServerError extends PgError {
  constructor(message: string, length?: number, name?: string);
  /** Bytes of the server's message. */
  readonly length: number;
  /** Always `'error'`, as in `pg`. */
  override name: string;
  /** `ERROR`, `FATAL` or `PANIC`. */
  severity: string | undefined;
  /** SQLSTATE: five characters. */
  override code: string | undefined;
  detail: string | undefined;
  hint: string | undefined;
  /** Place in the statement, in characters from 1, as text. */
  position: string | undefined;
  internalPosition: string | undefined;
  internalQuery: string | undefined;
  /** Context: one entry a line, most recent first. */
  where: string | undefined;
  schema: string | undefined;
  table: string | undefined;
  column: string | undefined;
  dataType: string | undefined;
  constraint: string | undefined;
  /** Source file of the server that reported the error. */
  file: string | undefined;
  line: string | undefined;
  routine: string | undefined;
  /** The statement as it was given to createPool, a pool of it or Kysely, without the values of its parameters. */
  readonly sql?: string;
}
export { ServerError as DatabaseError };

/**
 * A connection could not be made, or was lost before the statement was sent. `code`: that of the system (`ECONNREFUSED`,
 * `ENOTFOUND`, `ECONNRESET`, …); for a lost connection of a pool of `createPool` `'08006'`, of a client that of the loss, else
 * `'ERR_CONNECTION_LOST'`. On the `pg` face `errno`,
 * `syscall`, `address`, `port` and `hostname` as Node gives them.
 */
export class ConnectError extends PgError {
  errno?: number;
  syscall?: string;
  address?: string;
  port?: number;
  hostname?: string;
}
/** TLS could not be agreed on, or a certificate was refused. `code`: `ERR_TLS…` or OpenSSL's name. */
export class TlsError extends ConnectError {}
/** The client refused the server's way of authentication. `code`: `'ERR_AUTH'`. A wrong password is a `ServerError`. */
export class AuthError extends ConnectError {}

/**
 * No connection of the pool became free in time. Raise `poolSize` or `acquireTimeoutMs`, or look for connections that
 * are held too long. `code`: `'53300'` from `createPool`, else `'ERR_ACQUIRE_TIMEOUT'`. Always `'not-sent'`.
 */
export class AcquireTimeoutError extends PgError {
  /** Milliseconds. */
  readonly waitedMs: number | undefined;
  /** Connections of the pool when the wait ended. */
  readonly counts:
    | {
        readonly max: number;
        readonly size: number;
        readonly available: number;
        readonly opening: number;
        readonly waiting: number;
      }
    | undefined;
  /** Of `Pool`: who had the clients, the longest first. */
  readonly holders?: readonly Holder[];
}
/** What a search met at one node. */
export interface NodeFailure {
  /** `host:port` or the path of the socket. */
  readonly host: string;
  /** That of `host`; absent for the path of a socket. */
  readonly port?: number;
  /** What the node said it was, if it answered. */
  readonly role?: 'primary' | 'fenced' | 'standby' | 'unknown';
  /** Why that does not suit the pool's mode. */
  readonly reason?: string;
  /** Why it did not answer. */
  readonly error?: Error;
  /** How long the last attempt took, in milliseconds. */
  readonly tookMs: number;
}

/**
 * No node that suits the pool's mode was found all the time: `no reachable node after <ms>ms: …` with the reason of each
 * host. `cause` is what failed, an `AggregateError` when that is more than one thing. `code`: `'08006'`.
 */
export class NoNodeError extends AcquireTimeoutError {
  /** What was met, in the order of the hosts. */
  readonly nodes: readonly NodeFailure[];
}
/** {@link NoNodeError} of a pool that writes: `no writable primary available after <ms>ms: …`. */
export class NoPrimaryError extends NoNodeError {}
/** {@link NoNodeError} of a pool that reads from standbys: `no standby available after <ms>ms: …`. */
export class NoStandbyError extends NoNodeError {}

/** The pool, client, transaction or stream was ended by its owner. `code`: `'ERR_CLOSED'`, of a client `'ERR_CLIENT_CLOSED'`. */
export class ClosedError extends PgError {}

/**
 * `end` of the pool cancelled it. (Where a signal did, its reason is thrown unchanged.) `code`: `'ABORT_ERR'` from `createPool`, else
 * `'ERR_CANCELLED'`.
 */
export class CancelledError extends PgError {}

/**
 * A deadline passed. `code`: `'57014'` from `createPool` when the server proved that it stopped the statement, else
 * `'ERR_TIMEOUT'`, of a statement of `ServerlessClient` `'ERR_QUERY_TIMEOUT'`. If that cannot be known, an
 * {@link OutcomeUnknownError} is thrown with this as `cause`.
 */
export class TimeoutError extends PgError {
  readonly phase: 'connect' | 'acquire' | 'statement' | undefined;
  /** Length of the deadline in milliseconds. */
  readonly afterMs: number | undefined;
}

/** The server broke the protocol; the connection was closed. `code`: `'ERR_PROTOCOL'`. */
export class ProtocolError extends PgError {}

/** A lease cannot be signed. `code`: `'ERR_LEASE'`. */
export class LeaseError extends PgError {}

/**
 * The statement or COMMIT was sent and its answer never came: it may or may not have taken effect. Never repeat a write
 * on it blindly. `cause` is the original error. `code`: `'IN_DOUBT'` from `createPool`, else that of the cause.
 */
export class OutcomeUnknownError extends PgError {
  /** What the transaction had shown of itself, if it was asked for and there was an answer; and what came of asking later. */
  readonly resolution: CommitTrace | undefined;
}

/** A transaction whose COMMIT was not answered, as far as it has shown itself. */
export interface CommitTrace {
  /** What asking came to, in words; null: nobody has asked. */
  readonly status: string | null;
  /** Its id, as `pg_current_xact_id()` gives it. */
  readonly xid: string;
  /** Where the log ended behind its last statement. */
  readonly lsn: string;
  /** Is that behind all it has written? If not, statements behind it were lost together with its COMMIT. */
  readonly whole: boolean;
  readonly timeline: number;
  /** When the server was started: microseconds since 1970. */
  readonly started: string;
  /** The end of the server's last recovery; null: it was started after a clean shutdown. */
  readonly recovered: string | null;
  /** System identifier. */
  readonly system: string;
  /** The server had said that it is being shut down. */
  readonly announced: boolean;
}

/**
 * The server has committed, but its wait for a synchronous standby was interrupted (a cancel, a shutdown), so a failover
 * may lose it. The server calls that a success with a warning; here it is a doubt. `code`: `'IN_DOUBT'` from `createPool`, else
 * `'ERR_NOT_REPLICATED'`.
 */
export class NotReplicatedError extends OutcomeUnknownError {
  readonly committedLocally: true;
}

/**
 * The connection of a transaction was lost before COMMIT: nothing of it was committed, and every statement rejects until
 * the transaction is ended. `code`: `'08006'`.
 */
export class TransactionLostError extends PgError {
  readonly transactionLost: true;
}

/**
 * COMMIT was sent and not answered, and the primary of now says that it did not happen. `code`: `'40000'`; `outcome` is
 * `'failed'`, and `transaction(fn)` runs again.
 */
export class CommitAbortedError extends PgError {}

/** COMMIT was answered with ROLLBACK: an earlier statement had failed and nothing was committed. `code`: `'25P02'`. */
export class TransactionRolledBackError extends PgError {}

/**
 * The node of a transaction was demoted while it ran; it was rolled back instead of committed. `pool.transaction` runs it
 * again. Or that of a statement which others on its connection were asked with, as in a `batch`: it had no effect.
 * `outcome`: `'failed'`; `code`: `'25006'`.
 */
export class FencedError extends PgError {}

/**
 * The result was not taken: it is larger than `maxResultBytes`, or has a text longer than any string of JavaScript (`code`:
 * `'ERR_RESULT_TOO_LARGE'`), or came in a form that is not read (`'ERR_RESULT_FORMAT'`), or it is a COPY TO that was given up
 * when the server had sent all of it (`'ERR_RESULT_INCOMPLETE'`). When the server had carried the statement out already, this is
 * the `cause` of an `OutcomeUnknownError`.
 */
export class ResultError extends PgError {}

/** A defect of this package. Please report it. `code`: `'ERR_INTERNAL'`. */
export class InternalError extends PgError {}

/**
 * What wrong arguments throw: a plain `TypeError` or `RangeError` with these, before anything is sent. The message names
 * the option or the parameter, never its value.
 */
export interface ArgumentError extends Error, Verdict {
  /**
   * `'ERR_CONFIG'` for options; the SQLSTATE the server would have used for parameters (`22P02`, `54000` for too many or too
   * long ones) and for a lone surrogate in the text (`22021`); `'ERR_ENCODE'` for what no message can carry.
   */
  readonly code: string;
  /** Which parameter, from 1. */
  readonly position?: number;
  /** Which option. */
  readonly option?: string;
}
