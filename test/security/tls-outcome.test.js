// What is known of a statement when an encrypted connection is cut in the middle of a write (rule X03).
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { Client, createPool } = require('../../lib/index.js');
const { makeCertificates } = require('../support/certificates.js');
const { startProxy } = require('../support/proxy.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');

/** A server on a thread of its own: it resets each connection as soon as it has read the INSERT, and counts these. */
const SERVER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const fs = require('node:fs');
  const net = require('node:net');
  const tls = require('node:tls');
  const m = require(workerData.messages);
  const secureContext = tls.createSecureContext({
    cert: fs.readFileSync(workerData.cert),
    key: fs.readFileSync(workerData.key),
  });
  const serve = (raw) => {
    raw.setNoDelay().on('error', () => {});
    raw.once('data', () => {
      raw.pause();
      raw.write('S');
      const socket = new tls.TLSSocket(raw, { isServer: true, secureContext });
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(Buffer.concat([m.authOk(), m.primary(), m.backendKey(1), m.ready()]));
        socket.on('data', (bytes) => {
          if (!bytes.includes('insert into seen')) return;
          Atomics.add(workerData.seen, 0, 1);
          raw.resetAndDestroy();
        });
      });
    });
  };
  const listener = net.createServer(serve);
  listener.listen(0, '127.0.0.1', () => parentPort.postMessage(listener.address().port));
`;

const ROUNDS = 60;

test('sec_x03: what the server has read is never "not sent", wherever an encrypted write is cut', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-cut-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.chmodSync(folder, 0o777);
  const { serverCert: cert, serverKey: key } = await makeCertificates(folder);
  const seen = new Int32Array(new SharedArrayBuffer(4));
  const messages = path.join(__dirname, '../support/backend-messages.js');
  const server = new Worker(SERVER, { eval: true, workerData: { cert, key, seen, messages } });
  t.after(() => server.terminate());
  const [port] = await once(server, 'message');
  // Many records behind the INSERT, so that the reset comes while they are being written.
  const long = 'x'.repeat(200_000);
  const outcomes = [];
  for (let round = 0; round < ROUNDS; round++) {
    const client = new Client({
      host: '127.0.0.1',
      port,
      user: 'u',
      database: 'd',
      ssl: { rejectUnauthorized: false },
      pipeline: true,
    });
    client.on('error', () => {});
    await client.connect();
    const asked = [client.query('insert into seen values (1)'), client.query('select $1', [long])];
    const [insert] = await Promise.allSettled(asked);
    outcomes.push(insert.reason?.outcome);
    await client.end();
  }
  assert.equal(Atomics.load(seen, 0), ROUNDS);
  assert.deepEqual(outcomes, new Array(ROUNDS).fill('unknown'));
});

test('sec_x01: a handshake that breaks off is tried again, as a login without TLS is', async (t) => {
  const server = await startServer({ tls: true });
  t.after(() => server.stop());
  const proxy = await startProxy(server);
  t.after(() => proxy.close());
  for (const reset of [true, false]) {
    for (const [direction, byte] of [
      ['toServer', 100],
      ['toClient', 30],
    ]) {
      proxy.cutAt({ direction, byte, reset });
      const pool = createPool({ connectionString: proxy.url(server.url), sslmode: 'require' });
      assert.equal((await pool.query('select 1 as n'))[0].n, 1, `${direction} ${reset}`);
      assert.equal(proxy.cuts.size, 0);
      await pool.end();
    }
  }
});
