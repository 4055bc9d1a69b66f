// The Lambda function: one event in, one response out, whatever happens.

import { HttpError, type Task, toHttpError } from './errors.js';
import { type Response, readEvent } from './events.js';
import { log, withoutSecrets } from './log.js';
import { routeOf } from './routes.js';

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers':
    'Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token',
  'Access-Control-Allow-Methods': 'OPTIONS,POST,GET,PUT,DELETE,PATCH',
};

export async function handler(event: unknown, _context?: unknown): Promise<Response> {
  let task: Task = { failure: 'Failed to handle the request', writes: false };
  try {
    const request = readEvent(event);
    if (request === undefined) {
      throw new HttpError(400, 'UNSUPPORTED_EVENT', 'The event is not one of API Gateway');
    }
    const route = routeOf(request);
    task = route;
    const { status, body } = await route.run();
    return respond(status, body);
  } catch (error) {
    return failed(toHttpError(error, task));
  }
}

/** The answer for an error, and its log line when it is ours. */
export function failed({ status, code, message, data, headers, cause }: HttpError): Response {
  if (status >= 500) {
    const { name, message: reason, code: sqlstate } = (cause ?? {}) as Error & { code?: string };
    log('error', message, { errorCode: code, name, reason, code: sqlstate });
  }
  const isHidden = status >= 500 && process.env.LAMBDA_ENV === 'prod';
  const body = {
    errorMessage: isHidden ? 'An unexpected error occurred' : message,
    errorCode: code,
    ...(data !== undefined && !isHidden && { errorData: withoutSecrets(data) }),
  };
  return respond(status, body, headers);
}

function respond(statusCode: number, body?: unknown, more: Record<string, string> = {}): Response {
  const hasBody = body !== undefined;
  const headers = { ...CORS, ...(hasBody && { 'Content-Type': 'application/json' }), ...more };
  return { statusCode, headers, isBase64Encoded: false, body: hasBody ? JSON.stringify(body) : '' };
}
