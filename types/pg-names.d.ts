// biome-ignore-all lint/suspicious/noExplicitAny: values and rows hold what a statement says.
// Names that programs have of `@types/pg`, for what has other names here or is a type alone.

import type { EventEmitter } from 'node:events';
import type { Client, ClientConfig, PoolConfig, Result } from './pg.js';

/** What parameters of type `ClientBase` take with `@types/pg`: a client, or one of a pool. There is no such class. */
export type ClientBase = Client;

export type ConnectionConfig = ClientConfig;

/** What `pool.options` has: every one with its value. `createPool` takes `ClusterPoolOptions`. */
export interface PoolOptions extends PoolConfig {
  max: number;
  maxUses: number;
  allowExitOnIdle: boolean;
  maxLifetimeSeconds: number;
  idleTimeoutMillis: number | null;
}

/** What `defaults` has. */
export interface Defaults extends Omit<ClientConfig, 'password' | 'query_timeout'> {
  password?: ClientConfig['password'] | null;
  query_timeout?: number | false | undefined;
  /** `int8` as number, with digits lost beyond 2⁵³ − 1. Can only be set. */
  parseInt8?: boolean | undefined;
  /** A Date goes as its time in UTC. Default false: as the local time, with its offset. */
  parseInputDatesAsUTC?: boolean | undefined;
  /** As in pools. Not in pg. */
  rollbackOnRelease?: boolean | undefined;
  /** These are there as in `pg`, and without effect. */
  rows?: number | undefined;
  max?: number | undefined;
  idleTimeoutMillis?: number | undefined;
  connect_timeout?: number | undefined;
  keepalives?: number | undefined;
  keepalives_idle?: number | undefined;
  poolSize?: number | undefined;
  poolIdleTimeout?: number | undefined;
  reapIntervalMillis?: number | undefined;
}

export type QueryConfigValues<T> = T extends (infer _)[] ? T : never;

export type ResultBuilder<R = any> = Result<R>;

/** `'I'` outside of transactions, `'T'` inside, `'E'` in a failed one; null before login. */
export type TransactionStatus = 'I' | 'T' | 'E' | null;

/** An emitter of errors. There is no such class, in `pg` neither. */
export interface Events extends EventEmitter {
  on(event: 'error', listener: (error: Error, client: Client) => void): this;
}

/** What the methods of `Connection` of pg take, which is not there. */
export interface QueryParse {
  name: string;
  text: string;
  types: string[];
}

/** As `QueryParse`. */
export interface BindConfig {
  portal?: string | undefined;
  statement?: string | undefined;
  binary?: string | undefined;
  values?: (Buffer | null | undefined | string)[] | undefined;
  valueMapper?: ((value: any, index: number) => any) | undefined;
}

/** As `QueryParse`. */
export interface ExecuteConfig {
  portal?: string | undefined;
  rows?: string | undefined;
}

/** As `QueryParse`. */
export interface MessageConfig {
  type: string;
  name?: string | undefined;
}
