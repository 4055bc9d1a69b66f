// A notes service on Kysely: health check, circuit breaker, status page, orderly shutdown.
'use strict';

const { once } = require('node:events');
const http = require('node:http');
const { CircuitBreakerError } = require('pg-berth/resilience');
const { registerShutdownHandlers } = require('pg-berth/shutdown');
const { openDatabase } = require('./database.js');

const MAX_LENGTH = 1000;
/** Characters of a body that is read at all. */
const MAX_BODY = 64 * 1024;

class TooLarge extends Error {}

/** @param {ReturnType<typeof openDatabase>} database */
function routesOf({ ask, health, status }) {
  return {
    'GET /notes': async () => ({
      notes: await ask((db) =>
        db.selectFrom('note').selectAll().orderBy('id').limit(100).execute(),
      ),
    }),
    'POST /notes': async (body) => {
      if (body === '' || body.length > MAX_LENGTH)
        return [400, { error: 'a note has 1 to 1000 characters' }];
      const insert = (db) => db.insertInto('note').values({ body }).returning(['id', 'body']);
      return [201, await ask((db) => insert(db).executeTakeFirstOrThrow())];
    },
    // For the load balancer: from the last check, so that asking costs the database nothing.
    'GET /health': async () => {
      const last = health();
      const isWell = last !== undefined && last.status !== 'unhealthy';
      return [isWell ? 200 : 503, { status: last?.status ?? 'starting', errors: last?.errors }];
    },
    'GET /status': async () => status(),
  };
}

/** What a failed request is told: whether trying again makes sense, and when. */
function answerOf(error) {
  if (error instanceof TooLarge)
    return [413, { error: 'that is too much' }, { Connection: 'close' }];
  if (error instanceof CircuitBreakerError) {
    const seconds = Math.ceil((error.retryAfterMs ?? 1000) / 1000);
    return [503, { error: 'the database is not asked at the moment' }, { 'Retry-After': seconds }];
  }
  if (error.outcomeUnknown) return [503, { error: 'it is not known whether that was done' }];
  if (error.transient) return [503, { error: 'not now' }, { 'Retry-After': 1 }];
  console.error(error);
  return [500, { error: 'that did not work' }];
}

/** @param {http.IncomingMessage} request */
async function bodyOf(request) {
  let body = '';
  // What is left unread must not take the answer with it.
  const pieces = request.setEncoding('utf8').iterator({ destroyOnReturn: false });
  for await (const piece of pieces) {
    body += piece;
    if (body.length > MAX_BODY) throw new TooLarge();
  }
  return body;
}

async function serve(routes, request, response) {
  const route = routes[`${request.method} ${request.url}`];
  let answer = [404, { error: 'there is nothing here' }];
  try {
    const body = await bodyOf(request);
    if (route) answer = await route(body);
  } catch (error) {
    answer = answerOf(error);
  }
  const [code, json, headers = {}] = Array.isArray(answer) ? answer : [200, answer];
  response.writeHead(code, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(json));
}

async function main() {
  const { DATABASE_URL, PORT = '3000', CHECK_MS = '10000', RESET_MS = '5000' } = process.env;
  const database = openDatabase(DATABASE_URL, {
    intervalMs: Number(CHECK_MS),
    resetTimeMs: Number(RESET_MS),
    acquireTimeoutMs: 1000,
  });
  await database.ask((db) =>
    db.schema
      .createTable('note')
      .ifNotExists()
      .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
      .addColumn('body', 'text', (column) => column.notNull())
      .execute(),
  );
  const routes = routesOf(database);
  const server = http.createServer((request, response) => {
    if (/^\/admin(\/|$)/.test(request.url)) database.page(request, response);
    else serve(routes, request, response);
  });
  registerShutdownHandlers(database.db, {
    timeout: 10_000,
    // Running requests first; the database is closed behind them.
    async onShutdown() {
      database.stopWatching();
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      await closed;
    },
  });
  await once(server.listen(Number(PORT), '127.0.0.1'), 'listening');
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
