// Listener: LISTEN on a connection of its own.

import type { EventEmitter } from 'node:events';
import type { ClusterPoolOptions } from './pool-options.js';

/** What NOTIFY sent. */
export interface Notification {
  readonly channel: string;
  /** Empty when none was given; at most 7999 bytes. */
  readonly payload: string;
  /** Process number of the backend that sent it. */
  readonly processId: number;
}

/** Notifications may have been missed: look at the tables again. */
export interface Gap {
  /** Channels that are listened to again. */
  readonly channels: readonly string[];
  /** When the server was heard for the last time before. */
  readonly since: Date;
  /** When LISTEN was in force again. */
  readonly until: Date;
  /** What ended the old connection. */
  readonly cause: Error;
}

/** Events of a `Listener`. What a handler throws goes to `error`, or becomes a process warning. */
export interface ListenerEvents {
  /** Of any channel, in the order of the server. */
  notification: [notification: Notification];
  /** The connection is gone; it is being opened anew. */
  lost: [cause: Error];
  /** LISTEN is in force again. Comes before the first notification of the new connection. */
  gap: [gap: Gap];
  /** A handler threw, or an attempt to connect failed; another one follows. Never thrown when nobody listens. */
  error: [error: Error];
}

/**
 * Listens to any number of channels on one connection of its own, beside those of any pool. When the connection is lost
 * it is opened anew, on the present primary if there are several hosts, and every channel is listened to again.
 *
 * While it listens to a channel it keeps the process alive. Connect it to the server itself: behind a pooler in transaction mode
 * `listen` resolves and nothing is heard.
 */
export interface Listener extends EventEmitter<ListenerEvents>, AsyncDisposable {
  /**
   * Resolves when LISTEN is in force: whatever is committed afterwards is heard. Names are case sensitive, as quoted.
   * @returns ends this handler; the last one of a channel ends LISTEN
   * @throws {AcquireTimeoutError | ConnectError} no connection in time; then nothing is listened to
   * @throws {TypeError} a name the server would cut or refuse
   */
  listen(
    channel: string,
    handler?: (notification: Notification) => void | Promise<void>,
  ): Promise<() => Promise<void>>;
  /** Ends all channels and the connection. Safe to call twice: the same promise. */
  end(): Promise<void>;
  /** `end()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a listener; connects with the first `listen`. Options as for `createPool`; those about the size of a pool, results
 * and statements have no meaning here and are refused.
 * @example
 * await using listener = createListener(process.env.DATABASE_URL);
 * listener.on('gap', () => lookAtTheTable());
 * await listener.listen('jobs', ({ payload }) => work(payload));
 */
export function createListener(options: ListenerOptions | string | undefined): Listener;

/** Options of `createListener`. */
export type ListenerOptions = Omit<
  ClusterPoolOptions,
  | 'poolSize'
  | 'minIdle'
  | 'idleTimeoutMs'
  | 'maxLifetimeMs'
  | 'maxUses'
  | 'resetQuery'
  | 'unref'
  | 'types'
  | 'rowMode'
  | 'json'
  | 'jsonNumbers'
  | 'maxResultBytes'
  | 'maxLagBytes'
  | 'preparedStatements'
  | 'statementCacheSize'
  | 'warmStatements'
  | 'commitResolution'
  | 'commitMarkerTable'
  | 'resolveTimeoutMs'
  | 'exactlyOnce'
  | 'strictFence'
  | 'retry'
  | 'logger'
  | 'slowQueryMs'
  | 'onSlowQuery'
  | 'onQueryError'
  | 'sqlComment'
>;
