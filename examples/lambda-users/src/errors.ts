// What went wrong becomes a status, a code and a text: the one table of the service.

import { PgError, ServerError } from 'pg-berth';

export type ErrorCode =
  | 'VALIDATION_ERROR'
  | 'MALFORMED_JSON'
  | 'MALFORMED_PATH'
  | 'UNSUPPORTED_EVENT'
  | 'NOT_FOUND'
  | 'ROUTE_NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'CONFLICT'
  | 'PAYLOAD_TOO_LARGE'
  | 'SERVICE_UNAVAILABLE'
  | 'RESULT_UNKNOWN'
  | 'INTERNAL_ERROR';

/** An answer that is not a success. */
export class HttpError extends Error {
  override name = 'HttpError';
  readonly status: number;
  readonly code: ErrorCode;
  readonly data: unknown;
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    more: { data?: unknown; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.status = status;
    this.code = code;
    this.data = more.data;
    this.headers = more.headers ?? {};
  }
}

/** The credentials cannot be had. Its message never holds a piece of the secret. */
export class CredentialsError extends Error {
  override name = 'CredentialsError';
}

/** What a route was doing, for the text of a status 500, and whether it changes anything. */
export interface Task {
  failure: string;
  writes: boolean;
}

const BAD_VALUES = new Set<string | undefined>(['22001', '22021', '22P02']);
/** Refused logins and a full server: nothing was done, and it may work in a moment. */
const UNAVAILABLE = new Set<string | undefined>(['28000', '28P01', '53300']);

export function toHttpError(error: unknown, { failure, writes }: Task): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof CredentialsError) return unavailable(error);
  if (error instanceof ServerError) {
    if (error.code === '23505' && error.constraint === 'users_email_key') {
      return new HttpError(409, 'CONFLICT', 'Email already in use', { cause: error });
    }
  }
  // The client refuses some values itself, half of a surrogate pair for instance.
  if (BAD_VALUES.has((error as { code?: string } | undefined)?.code)) {
    return new HttpError(400, 'VALIDATION_ERROR', 'Validation failed', { cause: error });
  }
  if (error instanceof PgError) {
    if (error.outcomeUnknown && writes) {
      const text = 'It is not known whether the change was made';
      return new HttpError(503, 'RESULT_UNKNOWN', text, { cause: error });
    }
    const { transient, outcome, code } = error;
    if (transient || outcome !== 'failed' || UNAVAILABLE.has(code)) return unavailable(error);
  }
  return new HttpError(500, 'INTERNAL_ERROR', failure, { cause: error });
}

function unavailable(cause: unknown): HttpError {
  const headers = { 'Retry-After': '1' };
  const text = 'Service temporarily unavailable';
  return new HttpError(503, 'SERVICE_UNAVAILABLE', text, { headers, cause });
}
