// Events of API Gateway in both payload formats.

export const v1 = (method, path, body = null, stage = undefined) => ({
  httpMethod: method,
  path,
  headers: {},
  pathParameters: null,
  requestContext: { stage },
  isBase64Encoded: false,
  body,
});

export const v2 = (method, path, body = undefined, stage = '$default') => ({
  version: '2.0',
  rawPath: path,
  rawQueryString: '',
  headers: {},
  requestContext: { http: { method, path }, stage },
  isBase64Encoded: false,
  ...(body !== undefined && { body }),
});

const base64 = (event) => ({
  ...event,
  body: Buffer.from(event.body).toString('base64'),
  isBase64Encoded: true,
});

/** One request as every event that it can come as. */
export function variants(method, path, body) {
  const events = [
    v1(method, path, body),
    v1(method, `/prod${path}`, body, 'prod'),
    v2(method, path, body),
    v2(method, `/prod${path}`, body, 'prod'),
  ];
  if (body === undefined) return events;
  return [...events, base64(v1(method, path, body)), base64(v2(method, path, body))];
}
