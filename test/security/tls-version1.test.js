// Certificates of version 1, which `openssl x509 -req` made for decades: their signature is checked by their key (rule T03).
'use strict';

const assert = require('node:assert/strict');
const { X509Certificate } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { after, before } = require('node:test');
const tlsModule = require('node:tls');
const { createPool } = require('../../lib/index.js');
const { startTlsServer } = require('../support/authority.js');
const backend = require('../support/backend-messages.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
before(async () => {
  tls = await startTlsServer();
});
after(() => tls.server.stop());

const BAD_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';
const UNTRUSTED = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';
const HANDSHAKE = 22;
const SERVER_KEY_EXCHANGE = 12;
const REFUSED = backend.error({ S: 'FATAL', C: '28000', M: 'nobody comes in here' });

/** A certificate for localhost; `undefined` where openssl makes no more of them. */
async function ofVersion1(t, key) {
  const pair = await tls.authority.bare(`v1-${key}`, { cn: 'localhost', key });
  const { raw } = new X509Certificate(fs.readFileSync(pair.cert));
  // [0] { INTEGER 2 }, which is version 3
  if (!raw.includes(Buffer.from('a003020102', 'hex'))) return pair;
  t.skip('this openssl makes everything of version 3');
  return undefined;
}

/** Connects and says `tls`, or the code of the error. */
async function outcome(options) {
  const { port } = tls.server;
  const pool = createPool({ user: 'postgres', host: 'localhost', port, ...options });
  try {
    await pool.query('select 1');
    return 'tls';
  } catch (error) {
    assert.equal(error.outcome, 'not-sent');
    return error.code;
  } finally {
    await pool.end();
  }
}

for (const key of /** @type {const} */ (['ec', 'ec384', 'ed25519', 'rsa'])) {
  test(`sec_t03: version 1 encrypts, and as its own root its common name counts: ${key}`, async (t) => {
    const pair = await ofVersion1(t, key);
    if (pair === undefined) return;
    await tls.show(pair);
    const sslrootcert = pair.cert;
    for (const limit of [{}, { ssl_max_protocol_version: 'TLSv1.2' }]) {
      for (const [options, expected] of [
        [{ sslmode: 'require' }, 'tls'],
        [{ sslmode: 'verify-ca', sslrootcert }, 'tls'],
        [{ sslmode: 'verify-full', sslrootcert }, 'tls'],
        [{ sslmode: 'verify-full', sslrootcert, host: 'db.test', hostaddr: '127.0.0.1' }, BAD_NAME],
        [{ sslmode: 'verify-ca', sslrootcert: tls.authority.cert }, UNTRUSTED],
      ]) {
        const all = { ...options, ...limit };
        assert.equal(await outcome(all), expected, JSON.stringify(all));
      }
    }
  });
}

/** Listens until the test ends. @returns {Promise<number>} the port */
async function listen(t, server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return server.address().port;
}

/** Spoils what the server of TLS 1.2 signs: the last byte of its key exchange. */
function spoil(flight) {
  for (let record = 0; record + 5 <= flight.length; record += 5 + flight.readUInt16BE(record + 3)) {
    if (flight[record] !== HANDSHAKE) continue;
    const end = record + 5 + flight.readUInt16BE(record + 3);
    for (let at = record + 5; at + 4 <= end; ) {
      const next = at + 4 + flight.readUIntBE(at + 1, 3);
      if (flight[at] === SERVER_KEY_EXCHANGE) {
        flight[next - 1] ^= 1;
        return true;
      }
      at = next;
    }
  }
  return false;
}

test('sec_t03: RSA without PSS is understood of version 1, and a false signature is not', async (t) => {
  const pair = await ofVersion1(t, 'rsa');
  if (pair === undefined) return;
  const heard = [];
  const server = tlsModule.createServer({
    cert: fs.readFileSync(pair.cert),
    key: fs.readFileSync(pair.key),
    ALPNProtocols: ['postgresql'],
    sigalgs: 'rsa_pkcs1_sha256',
    maxVersion: 'TLSv1.2',
  });
  server.on('tlsClientError', () => {});
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    socket.once('data', (bytes) => {
      heard.push(bytes);
      socket.end(REFUSED);
    });
  });
  const port = await listen(t, server);
  const direct = { sslmode: 'require', sslnegotiation: 'direct' };
  assert.equal(await outcome({ ...direct, port }), '28000', 'its answer came through the tunnel');
  assert.equal(heard.length, 1);

  let spoiled = 0;
  const between = net.createServer((client) => {
    const behind = net.connect(port, '127.0.0.1');
    for (const socket of [client, behind]) socket.on('error', () => {});
    client.pipe(behind);
    behind.on('data', (bytes) => {
      if (spoil(bytes)) spoiled++;
      client.write(bytes);
    });
    behind.on('close', () => client.destroy());
    client.on('close', () => behind.destroy());
  });
  assert.equal(await outcome({ ...direct, port: await listen(t, between) }), 'ERR_TLS');
  assert.equal(spoiled, 1);
  assert.equal(heard.length, 1, 'nothing was said to whom signed falsely');
});
