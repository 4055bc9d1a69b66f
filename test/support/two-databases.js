// A small HTTP service on two Kysely databases, whose process is shut down: health, retry, breaker, handlers of signals.
'use strict';

const http = require('node:http');
const { Kysely, sql } = require('kysely');
const { BerthDialect } = require('pg-berth/kysely');
const { HealthMonitor, performHealthCheck } = require('pg-berth/health');
const { CircuitBreaker, CircuitBreakerError, withRetry } = require('pg-berth/resilience');
const { registerShutdownHandlers } = require('pg-berth/shutdown');

const { DATABASE_URL, PORT = '0', SHUTDOWN_MS = '10000' } = process.env;

const open = (url) =>
  new Kysely({
    dialect: new BerthDialect({ connection: { connectionString: url, poolSize: 5 } }),
  });

const db = open(DATABASE_URL);
/** A second database, as services have: both must have ended before the process does. */
const audit = open(process.env.AUDIT_URL ?? DATABASE_URL);
const breaker = new CircuitBreaker({ threshold: 5, resetTimeMs: 5000 });
const monitor = new HealthMonitor(db, { intervalMs: 5000 });

/** Reads may be repeated; what has changed data may not, so it comes without `idempotent`. */
const read = (query) =>
  breaker.execute(() => withRetry(query, { maxAttempts: 3, delayMs: 50, idempotent: true }));

/** @param {Kysely<any>} database @param {URL} url with milliseconds @param {string} note shows in pg_stat_activity */
async function sleep(database, { searchParams }, note) {
  const seconds = Number(searchParams.get('ms')) / 1000;
  const query = sql`select pg_sleep(${seconds})::text as slept /* ${sql.raw(note)} */`;
  return (await query.execute(database)).rows;
}

const routes = {
  '/people': () =>
    read(() =>
      db.selectFrom(sql`generate_series(1, 3)`.as('id')).select(sql`id`.as('id')).execute(),
    ),
  '/slow': (url) => sleep(db, url, 'slow route'),
  '/slow-audit': (url) => sleep(audit, url, 'slow audit'),
  '/audit': async () =>
    (await sql`select count(*) as entries from pg_stat_activity`.execute(audit)).rows,
};

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/health') {
    const health = await performHealthCheck(db, { timeoutMs: 2000 });
    return reply(response, health.status === 'unhealthy' ? 503 : 200, health);
  }
  const route = routes[url.pathname];
  if (route === undefined) return reply(response, 404, { error: 'no such page' });
  try {
    reply(response, 200, await route(url));
  } catch (error) {
    const isOpen = error instanceof CircuitBreakerError;
    reply(response, isOpen ? 503 : 500, { error: error.code ?? error.name });
  }
}

function reply(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

const server = http.createServer(answer);

/** Takes no new requests and waits for those under way, which still need the database. */
function stopServing() {
  monitor.stop();
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}

registerShutdownHandlers(db, { timeout: Number(SHUTDOWN_MS), onShutdown: stopServing });
registerShutdownHandlers(audit, { timeout: Number(SHUTDOWN_MS) });

monitor.start();
server.listen(Number(PORT), '127.0.0.1', () =>
  console.log(`listening on ${server.address().port}`),
);
