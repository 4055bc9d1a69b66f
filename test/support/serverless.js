// ServerlessClients for tests: one secret, hooks that are recorded, and what the server shows of their leases.
'use strict';

const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const pg = require('pg');
const { LineProcess } = require('../../examples/demo/process.js');
const { LeaseManager, ServerlessClient } = require('../../lib/index.js');

const SECRET = 'a secret that only the tests know, 64 bytes of it would be better';
const leases = new LeaseManager('reader', 'AbCd_-19', SECRET);

const HOOKS = [
  'onConnect onReconnect onQueryStart onQueryRetry onQueryEnd onQueryError onHeartbeat onHeartbeatFail',
  'onReap onClientDead',
].flatMap((names) => names.split(' '));

/** Hooks that write down what they were told. `of(name)` are the payloads of one. */
function recorder() {
  /** @type {[name: string, payload: any][]} */
  const calls = [];
  const hooks = Object.fromEntries(
    HOOKS.map((name) => [name, (payload) => calls.push([name, payload])]),
  );
  const of = (name) => calls.filter(([called]) => called === name).map(([, payload]) => payload);
  return { hooks, calls, of, count: (name) => of(name).length };
}

/** @param {import('node:test').TestContext} t ends the client with the test @param {object} options */
function openServerless(t, options) {
  const recorded = recorder();
  const client = new ServerlessClient({ secret: SECRET, hooks: recorded.hooks, ...options });
  t.after(() => client.end());
  return Object.assign(recorded, { client });
}

/**
 * A process with one ServerlessClient, which can be frozen. It is asked `{ text?, block? }` and answers with rows or an
 * error, and how often hooks fired.
 * @param {import('node:test').TestContext} t @param {object} options `library` by its name
 * @param {Record<string, string>} [env]
 */
function startMember(t, options, env) {
  const file = path.join(__dirname, 'serverless-child.js');
  const member = new LineProcess(file, { secret: SECRET, ...options }, env);
  t.after(() => member.end());
  return member;
}

/** The database for another role; what a URL says wins over the option beside it. @param {string} url @param {string} user */
function urlFor(url, user) {
  const other = new URL(url);
  other.username = user;
  return other.href;
}

/**
 * A connection of another process, as far as the server can see: named by a lease that ends in `ms`.
 * @param {import('node:test').TestContext} t @param {string} url
 * @param {{ service: string, secret?: string, ms?: number }} lease
 */
async function holdLease(t, url, { service, secret = SECRET, ms = -1000 }) {
  const manager = new LeaseManager(service, 'AbCd_-19', secret);
  const name = manager.generateAppName(Date.now() + ms);
  const client = new pg.Client({ connectionString: url, application_name: name });
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.end().catch(() => {}));
  // Not asked for by a query: an eager reaper may end the connection before that is answered.
  return { client, pid: /** @type {any} */ (client).processID, name };
}

/**
 * A relay that shows another process number than the server's, as a transaction pooler does.
 * @param {import('node:test').TestContext} t @param {string} database its URL
 */
async function lookLikePooler(t, database) {
  const { hostname, port } = new URL(database);
  const relay = net.createServer((client) => {
    const upstream = net.connect(Number(port), hostname);
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.pipe(upstream);
    upstream.on('data', (bytes) => {
      // BackendKeyData: 'K', length 12, process number, key.
      const at = bytes.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
      if (at >= 0) bytes.writeInt32BE(1, at + 5);
      client.write(bytes);
    });
    upstream.on('end', () => client.end());
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.after(() => relay.close());
  const url = new URL(database);
  url.port = String(/** @type {net.AddressInfo} */ (relay.address()).port);
  return url.href;
}

module.exports = {
  holdLease,
  lookLikePooler,
  urlFor,
  startMember,
  HOOKS,
  SECRET,
  leases,
  openServerless,
  recorder,
};
