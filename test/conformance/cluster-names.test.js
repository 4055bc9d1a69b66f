// Names that move to another node while connections are open, and names that nobody resolves (CP-26).
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { withMovingName } = require('../support/moving-names.js');
const { startNode } = require('../support/scripted-nodes.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** The second server under another address and the first one's port. */
async function relay(t, from, to) {
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  const listener = net.createServer((client) => {
    const server = net.connect(to.port, to.host);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.pipe(server).pipe(client);
  });
  listener.listen(from.port, '127.0.0.2');
  await once(listener, 'listening');
  const close = () => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  };
  t.after(close);
  return close;
}

test('CP-26: a name that moves takes the traffic along within dnsRecheckMs, without an error', async (t) => {
  // The way names are moved here is that of Linux.
  if (process.platform !== 'linux') return;
  const [first, second] = await Promise.all(
    ['first', 'second'].map((name) => startServer({ conf: { cluster_name: name } })),
  );
  t.after(() => Promise.all([first?.stop(), second?.stop()]));
  await relay(t, first, second);
  const script = `
    const { createPool } = require(${JSON.stringify(path.join(__dirname, '../../lib/index.js'))});
    const pool = createPool({
      hosts: ['hangs.test:1', 'moves.test:${first?.port}'], user: 'postgres', database: 'postgres',
      sslmode: 'disable', dnsRecheckMs: 200, poolSize: 4,
    });
    let last;
    const reader = async () => {
      for (;;) {
        const [{ name }] = await pool.query("select current_setting('cluster_name') as name");
        if (name !== last) console.log(last = name);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    Promise.all([reader(), reader(), reader()]).catch((error) => {
      console.log(error.stack);
      process.exit(1);
    });`;
  const child = withMovingName(t, script, '127.0.0.1');
  await waitFor(() => child.told().length > 0, { what: 'an answer, whatever hangs' });
  child.move('127.0.0.2');
  await waitFor(() => child.told().at(-1) === 'second', { what: 'traffic at the new address' });
  child.move('127.0.0.1');
  await waitFor(() => child.told().at(-1) === 'first', { what: 'traffic back' });
  assert.equal(child.isOver(), false, child.told().join('\n'));
});

test('CP-26: a name that gives its addresses in another order each time costs no connection', async (t) => {
  if (process.platform !== 'linux') return;
  const first = await startServer();
  t.after(() => first.stop());
  await relay(t, first, first);
  const script = `
    const { createPool } = require(${JSON.stringify(path.join(__dirname, '../../lib/index.js'))});
    const pool = createPool({
      host: 'moves.test', port: ${first.port}, user: 'postgres', database: 'postgres', sslmode: 'disable',
      dnsRecheckMs: 20, poolSize: 3, raceDelayMs: 0,
    });
    pool.on('retire', ({ reason, address }) => console.log('retired', reason, address));
    (async () => {
      for (let n = 1; ; n++) {
        await Promise.all([1, 2, 3].map(() => pool.query('select pg_sleep(0.01)')));
        if (n % 10 === 0) console.log(pool.status().size);
      }
    })().catch((error) => console.log(error.stack));`;
  const orders = ['127.0.0.1\n127.0.0.2\n', '127.0.0.2\n127.0.0.1\n'];
  const child = withMovingName(t, script, orders[0]);
  await waitFor(() => child.told().includes('3'), { what: 'three connections' });
  for (let round = 1; round <= 4; round++) {
    const seen = child.told().length;
    child.move(String(orders[round % 2]));
    await waitFor(() => child.told().length > seen + 1, { what: 'a hundred milliseconds more' });
  }
  assert.deepEqual(
    child.told().filter((line) => !/^[123]$/.test(line)),
    [],
  );
  assert.equal(child.told().at(-1), '3');
  // What is at an address that has left the name is given up, wherever that is.
  const seen = child.told().length;
  child.move('127.0.0.1\n');
  await waitFor(() => child.told().length > seen + 2, { what: 'some looks at the name' });
  child.move('127.0.0.2\n');
  await waitFor(() => child.told().some((line) => line.startsWith('retired')), {
    what: 'the end of what is where the name does not lead',
  });
});

test('CP-22: behind one name a primary that was left behind is told apart too', async (t) => {
  if (process.platform !== 'linux') return;
  const [old, next] = await Promise.all([
    startNode('left primary', 'old'),
    startNode('primary', 'next'),
  ]);
  t.after(() => Promise.all([old.close(), next.close()]));
  const [from, to] = [old, next].map(({ host }) => ({
    host: '127.0.0.1',
    port: Number(host.split(':')[1]),
  }));
  const cut = await relay(t, from, to);
  const script = `
    const { createPool } = require(${JSON.stringify(path.join(__dirname, '../../lib/index.js'))});
    const pool = createPool({
      host: 'moves.test', port: ${from?.port}, user: 'u', database: 'd', sslmode: 'disable',
      acquireTimeoutMs: 500, poolSize: 1,
    });
    let last;
    (async () => {
      for (;;) {
        const now = await pool.query('select name').then(([{ name }]) => name, ({ name, message }) =>
          name + (message.includes('timeline that the cluster has left') ? ': left' : ''));
        if (now !== last) console.log(last = now);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();`;
  const child = withMovingName(t, script, '127.0.0.2\n127.0.0.1\n');
  await waitFor(() => child.told().length > 0, { what: 'an answer' });
  cut();
  await waitFor(() => child.told().some((word) => /left|old/.test(word)), { what: 'the verdict' });
  const told = child.told();
  assert.equal(told[0], 'next');
  assert.equal(told.at(-1), 'NoPrimaryError: left', told.join(', '));
});

test('CP-23, sec_m06: a name with several addresses that refuse sees no more attempts than one with one', async (t) => {
  if (process.platform !== 'linux') return;
  let attempts = 0;
  const dead = net.createServer((socket) => {
    attempts++;
    socket.on('error', () => {});
    socket.destroy();
  });
  await once(dead.listen(0, '0.0.0.0'), 'listening');
  t.after(() => dead.close());
  const { port } = /** @type {net.AddressInfo} */ (dead.address());
  const script = `
    const { createPool } = require(${JSON.stringify(path.join(__dirname, '../../lib/index.js'))});
    const pool = createPool({
      host: 'moves.test', port: ${port}, user: 'u', database: 'd', sslmode: 'disable',
      acquireTimeoutMs: 3000,
    });
    pool.query('select 1').catch((error) => console.log(error.outcome)).finally(() => pool.end());`;
  const child = withMovingName(t, script, '127.0.0.1\n127.0.0.2\n127.0.0.3\n');
  await waitFor(() => child.told().length > 0, { what: 'the end of the patience' });
  assert.deepEqual(child.told(), ['not-sent']);
  t.diagnostic(`${attempts} attempts in three seconds at three addresses`);
  // A round at once, then after 100 and 200 ms and every 500: with jitter at most ten of three each.
  assert.ok(attempts >= 3 && attempts <= 36, `${attempts} attempts`);
});

test('SC-13: a name whose addresses all fail is told as one with one address, and tried again', async (t) => {
  if (process.platform !== 'linux') return;
  const silent = net.createServer((socket) => socket.on('error', () => {}));
  await once(silent.listen(0, '0.0.0.0'), 'listening');
  t.after(() => silent.close());
  const { port } = /** @type {net.AddressInfo} */ (silent.address());
  const dead = net.createServer();
  await once(dead.listen(0, '0.0.0.0'), 'listening');
  const nobody = /** @type {net.AddressInfo} */ (dead.address()).port;
  await once(dead.close(), 'close');
  const script = `
    const { Client } = require(${JSON.stringify(path.join(__dirname, '../../lib/pg/index.js'))});
    const { ServerlessClient } = require(${JSON.stringify(path.join(__dirname, '../../lib/serverless/index.js'))});
    const tell = (...words) => console.log(words.join(' '));
    const base = { host: 'moves.test', user: 'u', database: 'd' };
    (async () => {
      for (const port of [${port}, ${nobody}]) {
        let again = 0;
        const db = new ServerlessClient({
          ...base, port, leaseMode: 'optional', connectionTimeoutMillis: 200, retries: 2, minBackoff: 1,
          maxBackoff: 1, hooks: { onReconnect: () => again++ },
        });
        await db.query('select 1').catch((error) => tell(again, error.code, error.outcome));
        await db.end();
      }
      const client = new Client({ ...base, port: ${nobody} });
      await client.connect().catch((error) => tell(error.code, error.message));
      tell('over');
    })();`;
  const child = withMovingName(t, script, '127.0.0.1\n127.0.0.2\n');
  await waitFor(() => child.told().includes('over'), { what: 'the end of all attempts' });
  assert.deepEqual(child.told(), [
    '2 ERR_TIMEOUT not-sent',
    '2 ECONNREFUSED not-sent',
    `ECONNREFUSED connect ECONNREFUSED moves.test:${nobody}`,
    'over',
  ]);
});
