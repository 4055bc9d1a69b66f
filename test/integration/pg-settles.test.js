// Never a hang: whatever the pg face has given out settles behind a cut, a shutdown or a crash of the server, and end().
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { after, before } = require('node:test');
const { Client, Pool, createListener } = require('../../lib/index.js');
const {
  LONG,
  OF_CLIENTS,
  OF_POOLS,
  SET_UP,
  SHORT,
  waitingAt,
} = require('../support/pg-promises.js');
const { startProxy } = require('../support/proxy.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** What is not settled by then hangs; most of it takes milliseconds. */
const LIMIT_MS = 15_000;

/** How long a listener looks for its server before it says so. */
const QUICK = { acquireTimeoutMs: 500 };

let server;
let proxy;
/** Takes connections and never says a word. */
let silent;
let url;
const sockets = new Set();
let hasHungUp = false;

before(async () => {
  server = await startServer({ conf: { max_connections: 300 } });
  await server.sql(SET_UP);
  silent = net.createServer((socket) => {
    if (hasHungUp) socket.destroy();
    else sockets.add(socket);
    socket.on('error', () => {});
    socket.resume();
  });
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  hangUp();
  await new Promise((resolve) => silent.close(resolve));
  await server.stop();
});

function hangUp() {
  hasHungUp = true;
  for (const socket of sockets) socket.destroy();
  sockets.clear();
}

/** One row of the table: what was given out, by name, and how its owner is ended. @typedef {{ name: string, given: Record<string, any>, end: () => Promise<unknown>, lent?: any }} Row */

async function openClient() {
  const client = new Client({ connectionString: url });
  client.ends = 0;
  client.on('end', () => client.ends++);
  return client.connect();
}

/** @returns {Promise<Row[]>} */
function clientRows() {
  return Promise.all(
    Object.entries(OF_CLIENTS).map(async ([name, give]) => {
      const client = await openClient();
      const given = noticed(await give(client));
      return { name: `client: ${name}`, given, end: () => client.end() };
    }),
  );
}

/** @param {number} seconds that statements sleep @returns {Promise<Row[]>} */
async function poolRows(seconds) {
  const rows = Object.entries(OF_POOLS).map(([name, give]) => {
    const pool = new Pool({ connectionString: url, max: 1 });
    return { name: `pool: ${name}`, given: noticed(give(pool, seconds)), end: () => pool.end() };
  });
  const pool = new Pool({ connectionString: url, max: 1 });
  const lent = await pool.connect();
  const end = () => pool.end();
  const given = noticed(waitingAt(pool));
  return [...rows, { name: 'pool: what waits for a client', given, end, lent }];
}

/** Connects that get no answer. @returns {Promise<Row[]>} */
async function connectRows() {
  hasHungUp = false;
  const { port } = /** @type {net.AddressInfo} */ (silent.address());
  const config = { host: '127.0.0.1', port, user: 'nobody' };
  const client = new Client(config);
  const called = new Client(config);
  const queried = new Client(config);
  const pool = new Pool({ ...config, max: 1 });
  const listener = createListener({ ...config, ...QUICK });
  const rows = [
    {
      name: 'client: connect',
      given: noticed({ connect: client.connect(), query: client.query('select 1') }),
      end: () => client.end(),
    },
    {
      name: 'client: connect with a callback',
      given: noticed({ connect: new Promise((resolve) => called.connect(resolve)) }),
      end: () => called.end(),
    },
    {
      name: 'client: queries before connect',
      given: noticed({ query: queried.query('select 1'), connect: queried.connect() }),
      end: () => queried.end(),
    },
    {
      name: 'pool: connect',
      given: noticed({ connect: pool.connect(), second: pool.query('select 1') }),
      // Behind its connects, as in pg: they are what the caller waits for.
      end: () => {
        const ended = pool.end();
        hangUp();
        return ended;
      },
    },
    {
      name: 'listener: connect',
      given: noticed({ listen: listener.listen('a'), second: listener.listen('b') }),
      end: () => listener.end(),
    },
  ];
  await waitFor(() => sockets.size === rows.length, { what: 'the connects' });
  return rows;
}

/** @returns {Promise<Row[]>} */
async function listenerRows() {
  const listener = createListener({ connectionString: url, ...QUICK });
  const stop = await listener.listen('a');
  await listener.listen('b');
  const given = { later: () => stop(), listen: () => listener.listen('c') };
  return [{ name: 'listener', given, end: () => listener.end() }];
}

/** Promises are caught at once: some fail long before they are looked at. @param {Record<string, any>} given */
function noticed(given) {
  for (const one of Object.values(given)) if (typeof one !== 'function') one?.catch?.(() => {});
  return given;
}

/** @param {Promise<unknown>} promise */
const settles = (promise) =>
  Promise.race([
    Promise.resolve(promise).then(
      () => true,
      () => true,
    ),
    new Promise((resolve) => setTimeout(resolve, LIMIT_MS, false).unref()),
  ]);

/** Names of what does not settle. @param {Row[]} rows @param {boolean} isOver were they ended by end()? */
async function hanging(rows, isOver) {
  const found = [];
  const check = async (row, name, promise) => {
    if (!(await settles(promise))) found.push(`${row.name}: ${name}`);
  };
  const checkRow = async (row) => {
    const later = Object.entries(row.given).filter(([, one]) => typeof one === 'function');
    const now = Object.entries(row.given).filter(([, one]) => typeof one !== 'function');
    const ending = isOver ? row.end() : undefined;
    // What waits for a client is served, or refused, once it is given back.
    row.lent?.release();
    await Promise.all(now.map(([name, one]) => check(row, name, one)));
    // What is asked of something that has ended settles as well.
    await Promise.all(later.map(([name, ask]) => check(row, name, ask())));
    await check(row, 'end', ending ?? row.end());
  };
  await Promise.all(rows.map(checkRow));
  return found;
}

const ENDINGS = {
  'a reset of all connections': async () => {
    proxy.refuse();
    hangUp();
    await proxy.cutAll();
  },
  'a close of all connections': async () => {
    proxy.refuse();
    hangUp();
    await proxy.cutAll({ reset: false });
  },
  'a shutdown of the server': async () => {
    hangUp();
    await server.shutdown();
  },
  'a crash of the server': async () => {
    hangUp();
    await server.kill();
  },
  'end()': undefined,
};

for (const [name, end] of Object.entries(ENDINGS)) {
  test(`everything that was given out settles behind ${name}`, async (t) => {
    proxy = await startProxy({ host: server.host, port: server.port });
    t.after(() => proxy.close());
    url = proxy.url(server.url);
    const lock = new Client(server.url);
    lock.on('error', () => {});
    await lock.connect();
    t.after(() => lock.end());
    await lock.query('begin; lock table locked');
    const rows = [
      ...(await clientRows()),
      ...(await poolRows(end === undefined ? SHORT : LONG)),
      ...(await listenerRows()),
      ...(await connectRows()),
    ];
    const given = rows.flatMap((row) => Object.keys(row.given));
    assert.ok(given.length > 100, `${given.length} promises`);
    await end?.();
    assert.deepEqual(await hanging(rows, end === undefined), []);
    if (name.endsWith('of the server')) await server.start();
  });
}

test('a pool whose server never answers says that nothing was sent', async (t) => {
  const kept = [];
  const mute = net.createServer((socket) => kept.push(socket.on('error', () => {}).resume()));
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.after(() => {
    mute.close();
    for (const socket of kept) socket.destroy();
  });
  const { port } = mute.address();
  const pool = new Pool({ host: '127.0.0.1', port, connectionTimeoutMillis: 200 });
  const failure = {
    message: 'Connection terminated due to connection timeout',
    code: 'ERR_TIMEOUT',
    outcome: 'not-sent',
    safeToRetry: true,
    transient: true,
  };
  await Promise.all([
    assert.rejects(pool.query('select 1'), failure),
    assert.rejects(pool.connect(), failure),
    assert.rejects(pool.batch(['select 1']), failure),
  ]);
  await pool.end();
});
