// The declared types of the errors, checked by tsc alone.

import {
  AcquireTimeoutError,
  type ArgumentError,
  DatabaseError,
  NoNodeError,
  OutcomeUnknownError,
  PgError,
  ServerError,
  TimeoutError,
  TlsError,
  TransactionLostError,
} from '../../types/index.js';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(equal: Equal<A, B>): void;

same<typeof DatabaseError, typeof ServerError>(true);

export function answer(error: unknown): string {
  if (error instanceof ServerError) {
    same<typeof error.code, string | undefined>(true);
    same<typeof error.length, number>(true);
    return error.constraint ?? error.message;
  }
  if (error instanceof NoNodeError || error instanceof AcquireTimeoutError) {
    return `${error.counts?.waiting} waited ${error.waitedMs}`;
  }
  if (error instanceof TimeoutError)
    same<typeof error.phase, 'connect' | 'acquire' | 'statement' | undefined>(true);
  if (error instanceof TransactionLostError) same<typeof error.transactionLost, true>(true);
  if (error instanceof PgError) {
    same<typeof error.outcome, 'not-sent' | 'failed' | 'unknown'>(true);
    same<typeof error.safeToRetry, boolean>(true);
    // @ts-expect-error decided by the engine
    error.outcome = 'failed';
  }
  return '';
}

const tls: PgError = new TlsError('x', { code: 'ERR_TLS', cause: new Error('y') });
new OutcomeUnknownError('x', { host: 'h:1' });
new DatabaseError('text', 10, 'error');
// @ts-expect-error not a detail
new PgError('x', { codes: 'y' });

export function position(error: ArgumentError): number | undefined {
  return error.position ?? Number(tls.code);
}
