// Direct TLS: the handshake without asking, with ALPN, and what happens where it is not spoken (rules T07, CP-32).
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { after, before } = require('node:test');
const tlsModule = require('node:tls');
const { createPool } = require('../../lib/index.js');
const { startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
before(async () => {
  tls = await startTlsServer({ version: 18 });
});
after(() => tls.server.stop());

const DIRECT = { sslmode: 'require', sslnegotiation: 'direct', user: 'postgres' };

async function attempt(options) {
  const pool = createPool({ host: 'localhost', database: 'postgres', ...options });
  try {
    const [{ ssl }] = await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
    return ssl;
  } finally {
    await pool.end();
  }
}

test('CP-32, sec_t07: a server of version 17 or newer takes the handshake at once', async () => {
  const { port } = tls.server;
  assert.equal(await attempt({ ...DIRECT, port }), true);
  const sslrootcert = tls.authority.cert;
  assert.equal(await attempt({ ...DIRECT, port, sslmode: 'verify-full', sslrootcert }), true);
  const query = `sslmode=verify-ca&sslnegotiation=direct&sslrootcert=${sslrootcert}`;
  const connectionString = `postgres://postgres@localhost:${port}/postgres?${query}`;
  assert.equal(await attempt({ connectionString }), true);
  // Both negotiations name the protocol.
  assert.equal(await attempt({ port, user: 'postgres', sslmode: 'require' }), true);
});

test('CP-36: protocol 3.2 has longer cancel keys, and a cancel with one arrives', async () => {
  const { port } = tls.server;
  const options = { host: 'localhost', port, user: 'postgres', database: 'postgres' };
  const pool = createPool({ ...options, maxProtocolVersion: '3.2', minProtocolVersion: '3.2' });
  await pool.query('select 1'); // the time limit is for the statement alone
  await assert.rejects(pool.query('select pg_sleep(30)', [], { timeoutMs: 200 }), {
    name: 'TimeoutError',
    outcome: 'failed',
  });
  await pool.end();
});

test('CP-35: a cancel request goes to the address of its connection, as encrypted as that', async (t) => {
  const SSL_REQUEST = '0000000804d2162f';
  /** @type {string[]} */
  const openings = [];
  const relay = net.createServer((client) => {
    const server = net.connect(tls.server.port, '127.0.0.1');
    client.once('data', (bytes) => openings.push(bytes.subarray(0, 8).toString('hex')));
    for (const socket of [client, server]) socket.on('error', () => {});
    client.pipe(server).pipe(client);
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.after(() => relay.close());
  const { port } = /** @type {import('node:net').AddressInfo} */ (relay.address());
  const options = {
    host: 'localhost',
    hostaddr: '127.0.0.1',
    user: 'postgres',
    database: 'postgres',
  };
  const pool = createPool({ ...options, port, sslmode: 'require' });
  await pool.query('select 1'); // the time limit is for the statement alone
  await assert.rejects(pool.query('select pg_sleep(30)', [], { timeoutMs: 200 }), {
    name: 'TimeoutError',
    outcome: 'failed',
  });
  await pool.end();
  assert.deepEqual(openings, [SSL_REQUEST, SSL_REQUEST]);
});

test('CP-32, sec_t07: an older server does not understand, and the error says so', async () => {
  const { server } = await startTlsServer({ version: 15 });
  try {
    const pool = createPool({ ...DIRECT, host: 'localhost', port: server.port });
    await assert.rejects(pool.query('select 1'), (error) => {
      assert.equal(error.outcome, 'not-sent');
      assert.match(`${error.code} ${error.message}`, /ERR_TLS .*TLS failed/);
      return true;
    });
    await pool.end();
    const query = { host: 'localhost', port: server.port, user: 'postgres', database: 'postgres' };
    const newer = createPool({ ...query, minProtocolVersion: '3.2' });
    await assert.rejects(newer.query('select 1'), /speaks protocol 3\.0, but min_protocol_version/);
    await newer.end();
    const latest = createPool({ ...query, maxProtocolVersion: 'latest' });
    assert.equal((await latest.query('select 1 as n'))[0].n, 1);
    await latest.end();
  } finally {
    await server.stop();
  }
});

test('CP-32, sec_t07: the handshake names "postgresql", and a server that agrees to nothing is left', async () => {
  const { cert, key } = tls.right;
  const offered = [];
  const listener = tlsModule.createServer({
    cert: fs.readFileSync(cert),
    key: fs.readFileSync(key),
    ALPNCallback: ({ protocols }) => {
      offered.push(...protocols);
      return undefined;
    },
  });
  const silent = tlsModule.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
  const heard = [];
  silent.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => heard.push(bytes));
  });
  for (const server of [listener, silent]) {
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  const port = (server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port;
  await assert.rejects(attempt({ ...DIRECT, port: port(listener) }), { name: 'TlsError' });
  assert.deepEqual(offered, ['postgresql']);
  await assert.rejects(attempt({ ...DIRECT, port: port(silent) }), {
    name: 'TlsError',
    message: /without agreeing on the protocol "postgresql"/,
  });
  assert.deepEqual(heard, [], 'no start-up packet went out');
  for (const server of [listener, silent]) server.close();
});

test('CP-32, sec_t07: weak modes are refused', () => {
  for (const sslmode of ['disable', 'allow', 'prefer', undefined]) {
    const options = { sslnegotiation: 'direct', ...(sslmode && { sslmode }) };
    assert.throws(() => createPool(options), {
      code: 'ERR_CONFIG',
      message: /"sslnegotiation" direct needs an sslmode of require/,
    });
  }
});
