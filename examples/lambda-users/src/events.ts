// API Gateway's two payload formats become one request, and one response fits both.

/** What the routes see. `path` begins with a slash and is still percent-encoded. */
export interface Request {
  method: string;
  path: string;
  body: string | undefined;
}

/** Both payload formats take this. */
export interface Response {
  statusCode: number;
  headers: Record<string, string>;
  isBase64Encoded: false;
  body: string;
}

/** Format 1.0: REST APIs, and HTTP APIs that ask for it. */
export interface EventV1 {
  httpMethod: string;
  path: string;
  body?: string | null;
  isBase64Encoded?: boolean;
  requestContext?: { stage?: string };
}

/** Format 2.0: HTTP APIs and function URLs. */
export interface EventV2 {
  version: '2.0';
  rawPath: string;
  body?: string | null;
  isBase64Encoded?: boolean;
  requestContext: { http: { method: string; path?: string }; stage?: string };
}

const isV1 = (event: Partial<EventV1>): event is EventV1 =>
  typeof event.httpMethod === 'string' && typeof event.path === 'string';

const isV2 = (event: Partial<EventV2>): event is EventV2 =>
  event.version === '2.0' &&
  typeof event.rawPath === 'string' &&
  typeof event.requestContext?.http?.method === 'string';

/** undefined: it is neither. */
export function readEvent(event: unknown): Request | undefined {
  if (typeof event !== 'object' || event === null) return undefined;
  if (isV2(event)) {
    const { rawPath, requestContext } = event;
    const path = withoutStage(rawPath, requestContext.stage);
    return { method: requestContext.http.method, path, body: bodyOf(event) };
  }
  if (isV1(event)) {
    const path = withoutStage(event.path, event.requestContext?.stage);
    return { method: event.httpMethod, path, body: bodyOf(event) };
  }
  return undefined;
}

/** `/prod/users` in stage `prod` is `/users`; `/dev/devices` in stage `dev` loses its beginning once. */
function withoutStage(path: string, stage: string | undefined): string {
  const prefix = `/${stage}`;
  if (!stage || stage === '$default') return path;
  if (path === prefix) return '/';
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}

function bodyOf({ body, isBase64Encoded }: EventV1 | EventV2): string | undefined {
  if (typeof body !== 'string') return undefined;
  return isBase64Encoded ? Buffer.from(body, 'base64').toString('utf8') : body;
}
