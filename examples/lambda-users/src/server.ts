// The service on a port of this machine: each HTTP request becomes an event of format 2.0 for the same handler.

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { close, query } from './db.js';
import { HttpError } from './errors.js';
import { failed, handler } from './handler.js';
import { log } from './log.js';

const MAX_BODY = 1024 * 1024;
/** Requests that are running at the end may take so long. */
const PATIENCE_MS = 10_000;
const PORT = Number(process.env.PORT ?? 3000);

let isStopping = false;

/** undefined: it is too large. The rest of it is read and dropped, so that the client sees the answer. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY) chunks.push(chunk);
  }
  return size > MAX_BODY ? undefined : Buffer.concat(chunks);
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  const [path = '/', search = ''] = (request.url ?? '/').split('?');
  const {
    statusCode,
    headers,
    body: text,
  } = body === undefined
    ? failed(new HttpError(413, 'PAYLOAD_TOO_LARGE', 'Request body is larger than 1 MiB'))
    : await handler({
        version: '2.0',
        rawPath: path,
        rawQueryString: search,
        headers: request.headers,
        requestContext: { http: { method: request.method, path }, stage: '$default' },
        ...(body.length > 0 && { body: body.toString('base64') }),
        isBase64Encoded: body.length > 0,
      });
  // A connection that is kept alive would go on being served: closing the server ends only those that are idle just then.
  const last = isStopping && { connection: 'close' };
  response.writeHead(statusCode, { ...headers, ...last }).end(text);
}

const servers = ['127.0.0.1', '::1'].map((host) => ({
  host,
  server: createServer((request, response) => {
    serve(request, response).catch((error) => {
      log('error', 'The connection broke', { reason: error.message });
      response.destroy();
    });
  }),
}));

function listen({ server, host }: (typeof servers)[number]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      // a machine without IPv6
      if (host === '::1' && error.code === 'EADDRNOTAVAIL') resolve();
      else reject(error);
    });
    server.listen(PORT, host, resolve);
  });
}

/** Lets running requests finish, closes the connection to the database, and ends. */
async function stop(): Promise<void> {
  isStopping = true;
  const impatient = setTimeout(() => {
    for (const { server } of servers) server.closeAllConnections();
  }, PATIENCE_MS);
  const closing = servers.map(
    ({ server }) => new Promise<void>((resolve) => server.close(() => resolve())),
  );
  for (const { server } of servers) server.closeIdleConnections();
  await Promise.all(closing);
  clearTimeout(impatient);
  await close();
}

if (process.argv.includes('--init')) {
  await query(readFileSync(new URL('../schema.sql', import.meta.url), 'utf8'));
}
await Promise.all(servers.map(listen));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);
console.log(`listening on http://localhost:${PORT}`);
