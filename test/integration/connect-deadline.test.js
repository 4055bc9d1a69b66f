// One deadline over name, socket, TLS, authentication and set-up: a server that falls silent anywhere is left in time (CP-20).
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { setTimeout: sleep } = require('node:timers/promises');
const { createPool } = require('../../lib/index.js');
const m = require('../support/backend-messages.js');
const { scriptServer } = require('../support/script-server.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const SASL = m.authentication(10, Buffer.from('SCRAM-SHA-256\0\0'));

/** Where the server falls silent, by what it has said before. */
const PHASES = {
  'after the socket': { sslmode: 'disable', script: () => {} },
  'when asked for TLS': { sslmode: 'require', script: (c) => c.readStartup() },
  'in the TLS handshake': {
    sslmode: 'require',
    script: async (c) => {
      await c.readStartup();
      await c.send('S');
    },
  },
  'at the start of a direct handshake': {
    sslmode: 'require',
    sslnegotiation: 'direct',
    script: (c) => c.readBytes(5),
  },
  'after the start-up message': { sslmode: 'disable', script: (c) => c.readStartup() },
  'inside SCRAM': {
    sslmode: 'disable',
    script: async (c) => {
      await c.readStartup();
      await c.send(SASL);
      await c.readMessage();
    },
  },
  'after authentication': {
    sslmode: 'disable',
    script: async (c) => {
      await c.readStartup();
      await c.send(m.authOk(), m.parameterStatus('server_version', '15.0'));
    },
  },
};

for (const [where, { script, ...options }] of Object.entries(PHASES)) {
  test(`CP-20, sec_m03: a server that falls silent ${where} is left when the deadline passes`, async (t) => {
    const server = await scriptServer(async (connection) => {
      await script(connection);
      await connection.stall();
    });
    t.after(() => server.close());
    const { host, port } = server;
    const base = { host, port, user: 'u', password: 'p', poolSize: 1 };
    const pool = createPool({ ...base, ...options, connectTimeoutMs: 120, acquireTimeoutMs: 400 });
    t.after(() => pool.end());
    await assert.rejects(pool.query('select 1'), (error) => {
      assert.equal(error.name, 'NoPrimaryError');
      assert.equal(error.outcome, 'not-sent');
      assert.equal(error.transient, true);
      assert.equal(error.cause?.name, 'TimeoutError');
      assert.equal(error.cause?.phase, 'connect');
      assert.equal(error.cause?.afterMs, 120);
      return true;
    });
    await pool.end();
    await waitFor(() => server.open === 0, { what: 'the end of every socket' });
    assert.ok(server.connections >= 2, 'the first attempt ended before the wait for it did');
  });
}

test('CP-20: a server that keeps talking without getting anywhere is left as well', async (t) => {
  const server = await scriptServer(async (connection) => {
    await connection.readStartup();
    await connection.send(m.authOk());
    for (;;) {
      await connection.send(m.notice({ M: 'wait a little' }));
      await sleep(10);
    }
  });
  t.after(() => server.close());
  const { host, port } = server;
  const pool = createPool({
    host,
    port,
    user: 'u',
    sslmode: 'disable',
    connectTimeoutMs: 120,
    acquireTimeoutMs: 300,
  });
  t.after(() => pool.end());
  await assert.rejects(pool.query('select 1'), (error) => error.cause?.name === 'TimeoutError');
});

test('CP-20: the second attempt of prefer shares the deadline of the first', async (t) => {
  let plain = 0;
  const server = await scriptServer(async (connection) => {
    const packet = await connection.readStartup();
    if (packet.kind === 'ssl') {
      // An alert in place of a handshake: prefer goes on in plain text.
      await connection.send('S');
      await connection.readBytes(5);
      await connection.send(Buffer.from([21, 3, 3, 0, 2, 2, 40]));
      return;
    }
    plain += 1;
    await connection.stall();
  });
  t.after(() => server.close());
  const { host, port } = server;
  const limits = { connectTimeoutMs: 150, acquireTimeoutMs: 200 };
  const pool = createPool({ host, port, user: 'u', sslmode: 'prefer', ...limits });
  t.after(() => pool.end());
  await assert.rejects(pool.query('select 1'), (error) => {
    assert.equal(error.cause?.phase, 'connect');
    assert.equal(error.cause?.afterMs, 150);
    return true;
  });
  assert.ok(plain >= 1, 'plain text was tried');
});

test('CP-50: keepalive runs on connections by default, and can be left to the system', async (t) => {
  if (!fs.existsSync('/proc/net/tcp'))
    return t.diagnostic('only Linux shows the timers of a socket');
  const server = await startServer();
  t.after(() => server.stop());
  /** Timers of our sockets to the server: 02 is keepalive. Source: Documentation/networking/proc_net_tcp.rst. */
  const timers = () => {
    const to = `0100007F:${server.port.toString(16).toUpperCase().padStart(4, '0')}`;
    const lines = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
    const fields = lines.map((line) => line.trim().split(/\s+/));
    return fields.filter(([, , remote, state]) => remote === to && state === '01').map((f) => f[5]);
  };
  const { host, port } = server;
  const base = { host, port, user: 'postgres', database: 'postgres', sslmode: 'disable' };
  const pool = createPool(base);
  await pool.query('select 1');
  await waitFor(() => timers().length === 1 && timers()[0]?.startsWith('02:'), {
    what: 'a keepalive timer',
  });
  await pool.end();
  const without = createPool(
    `postgres://postgres@${host}:${port}/postgres?sslmode=disable&keepalives=0`,
  );
  await without.query('select 1');
  await waitFor(() => timers().length === 1 && timers()[0]?.startsWith('00:'), {
    what: 'a socket without timers',
  });
  await without.end();
});

test('CP-20: a name that cannot be looked up says so, and waiting does not help', async (t) => {
  const pool = createPool({ host: 'nowhere.invalid', user: 'u', acquireTimeoutMs: 300 });
  t.after(() => pool.end());
  await assert.rejects(pool.query('select 1'), (error) => {
    assert.match(`${error.code} ${error.cause?.code}`, /ENOTFOUND|EAI_AGAIN/);
    return error.outcome === 'not-sent';
  });
});

test('CP-20: a refused connection keeps the code of the system', async (t) => {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, 'close');
  const pool = createPool({ host: '127.0.0.1', port, user: 'u', acquireTimeoutMs: 200 });
  t.after(() => pool.end());
  await assert.rejects(pool.query('select 1'), (error) => error.cause?.code === 'ECONNREFUSED');
});
