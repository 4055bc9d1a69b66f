// Client certificates: how they are given, what is refused, and when they are shown (rule CP-31).
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before } = require('node:test');
const { inspect } = require('node:util');
const { Pool, createPool } = require('../../lib/index.js');
const { Authority, startTlsServer } = require('../support/authority.js');
const { runAsServer } = require('../support/server-account.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
/** @type {import('../support/authority.js').Pair} */
let client;
/** @type {import('../support/authority.js').Pair} */
let foreign;

before(async () => {
  tls = await startTlsServer({
    hba: ['hostssl all certuser all cert', 'hostssl all postgres all trust'],
  });
  await tls.server.sql('create role certuser login');
  client = await tls.authority.issue('certuser', { extensions: ['extendedKeyUsage=clientAuth'] });
  const stranger = await Authority.make(tls.server.socketDir, 'stranger');
  foreign = await stranger.issue('foreign', { cn: 'certuser' });
});
after(() => tls.server.stop());

const text = (file) => fs.readFileSync(file, 'utf8');

function open(options) {
  const { port } = tls.server;
  return createPool({
    host: 'localhost',
    port,
    user: 'certuser',
    database: 'postgres',
    ...options,
  });
}

/** The common name of the certificate that the server has seen, or the code of the error. */
async function seen(options) {
  const pool = open(options);
  try {
    const [{ client_dn: name }] = await pool.query(
      'select client_dn from pg_stat_ssl where pid = pg_backend_pid()',
    );
    return name;
  } catch (error) {
    return error.code;
  } finally {
    await pool.end();
  }
}

const full = () => ({ sslmode: 'verify-full', sslrootcert: tls.authority.cert });

test('CP-31, sec_t03: a client certificate logs in, however it is given', async () => {
  const { cert, key } = client;
  const ca = text(tls.authority.cert);
  for (const options of [
    { ...full(), sslcert: cert, sslkey: key },
    { ...full(), sslcert: text(cert), sslkey: text(key) },
    { ...full(), sslcert: fs.readFileSync(cert), sslkey: fs.readFileSync(key) },
    { ...full(), sslcert: cert, sslkey: key, sslcertmode: 'require' },
    { ssl: { ca, cert: text(cert), key: text(key) } },
    { ssl: { ca: [Buffer.from(ca)], cert: fs.readFileSync(cert), key: fs.readFileSync(key) } },
    { ssl: { ca, cert: text(cert), key: [{ pem: text(key) }] } },
    // as `openssl pkcs12` writes them
    { ssl: { ca, cert: `Bag Attributes\n${text(cert)}`, key: `Bag Attributes\n${text(key)}` } },
    { ...full(), sslcert: cert, sslkey: key, ssl_max_protocol_version: 'TLSv1.2' },
    { ...full(), sslcert: cert, sslkey: key, ssl_min_protocol_version: 'TLSv1.3' },
  ]) {
    assert.equal(await seen(options), '/CN=certuser', Object.keys(options).join());
  }
  const query = new URLSearchParams({ sslmode: 'verify-ca', sslrootcert: tls.authority.cert });
  query.set('sslcert', cert);
  query.set('sslkey', key);
  const url = `postgres://certuser@localhost:${tls.server.port}/postgres?${query}`;
  assert.equal(await seen({ connectionString: url }), '/CN=certuser');
});

test('sec_t03: encrypted keys are opened with sslpassword, keys of every form are read', async () => {
  const { cert, key } = client;
  const convert = async (name, args) => {
    const file = tls.authority.file(name, 'key');
    await runAsServer('openssl', [...args, '-in', key, '-out', file]);
    fs.chmodSync(file, 0o600);
    return file;
  };
  const encrypted = await convert('encrypted', ['pkcs8', '-topk8', '-passout', 'pass:op3n']);
  const scrypt = await convert('scrypt', ['pkcs8', '-topk8', '-scrypt', '-passout', 'pass:op3n']);
  const sec1 = await convert('sec1', ['ec']);
  const der = await convert('der', ['pkcs8', '-topk8', '-nocrypt', '-outform', 'DER']);
  const old = await convert('old', ['ec', '-aes128', '-passout', 'pass:op3n']);
  const base = { ...full(), sslcert: cert };
  for (const options of [
    { sslkey: encrypted, sslpassword: 'op3n' },
    { sslkey: scrypt, sslpassword: 'op3n' },
    { sslkey: text(encrypted), sslpassword: 'op3n' },
    { sslkey: sec1 },
    { sslkey: der },
  ]) {
    assert.equal(await seen({ ...base, ...options }), '/CN=certuser', Object.keys(options).join());
  }
  const ca = text(tls.authority.cert);
  const ssl = { ca, cert: text(cert), key: text(encrypted), passphrase: 'op3n' };
  assert.equal(await seen({ ssl }), '/CN=certuser');
  await shownNowhere({ ...ssl });
  for (const [options, says] of [
    [{ ...base, sslkey: encrypted }, /"sslkey" is an encrypted private key: set sslpassword/],
    [{ ...base, sslkey: encrypted, sslpassword: 'canary' }, /"sslkey" cannot be decrypted/],
    [{ ...base, sslkey: old, sslpassword: 'op3n' }, /"sslkey" is encrypted in a format of old/],
    [{ ssl: { ...ssl, passphrase: undefined } }, /"ssl.key" is an encrypted.*set ssl.passphrase/],
    [{ ssl: { ca, cert: text(cert) } }, /"ssl.key" is missing beside cert/],
    [{ ssl: { ca, key: text(key) } }, /"ssl.cert" is missing beside key/],
    [{ ...base, sslkey: foreign.key }, /"sslkey" cannot be used/],
    [{ ...base, sslkey: cert }, /"sslkey" names a private key file that group|must hold a private/],
    [{ ...base, sslkey: '/nowhere' }, /"sslkey" names a file that does not exist/],
    [{ ...full(), sslkey: key }, /"sslkey" has no effect without sslcert/],
  ]) {
    assert.throws(
      () => open(options),
      (error) => {
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /canary|op3n/);
        return error.code === 'ERR_CONFIG';
      },
    );
  }
});

/** By a pool of the pg face, its options and its clients, which log in with them all the same (rule A06). @param {any} ssl */
async function shownNowhere(ssl) {
  const { port } = tls.server;
  const pool = new Pool({ host: 'localhost', port, user: 'certuser', database: 'postgres', ssl });
  const again = new Pool(pool.options);
  for (const one of [pool, again]) {
    const lent = await one.connect();
    for (const shown of [one, one.options, lent]) {
      assert.doesNotMatch(inspect(shown, { depth: 20 }), /op3n|PRIVATE KEY/);
    }
    assert.doesNotMatch(JSON.stringify(one.options), /op3n|PRIVATE KEY/);
    lent.release();
    await one.end();
  }
}

test('CP-31: a key file that others can read is refused as libpq refuses it', () => {
  const file = path.join(tls.server.socketDir, 'open.key');
  // Written, because a copy made by root in Node 22 and newer keeps the owner: the server's account, not this process's.
  fs.writeFileSync(file, fs.readFileSync(client.key));
  const options = { ...full(), sslcert: client.cert, sslkey: file };
  const isRoot = process.getuid?.() === 0;
  for (const [mode, fine] of [
    [0o600, true],
    [0o400, true],
    [0o640, isRoot],
    [0o660, false],
    [0o604, false],
    [0o644, false],
  ]) {
    fs.chmodSync(file, mode);
    if (fine) open(options).end();
    else assert.throws(() => open(options), /group or others have access/, mode.toString(8));
  }
});

test('sec_t03: sslcertmode decides whether the certificate is shown', async () => {
  const { cert, key } = client;
  const base = { ...full(), sslcert: cert, sslkey: key };
  assert.equal(await seen({ ...base, sslcertmode: 'disable' }), '28000');
  assert.equal(await seen({ ...base, user: 'postgres', sslcertmode: 'disable' }), null);
  assert.equal(await seen({ ...base, user: 'postgres' }), '/CN=certuser');
  assert.throws(() => open({ ...full(), sslcertmode: 'require' }), /"sslcertmode" needs a cert/);
  // A server without authorities of its own asks nobody.
  const { server, authority } = await startTlsServer({ conf: { ssl_ca_file: '' } });
  try {
    const careless = { ...base, port: server.port, user: 'postgres', sslrootcert: authority.cert };
    assert.equal(await seen(careless), null);
    assert.equal(await seen({ ...careless, sslcertmode: 'require' }), 'ERR_TLS');
  } finally {
    await server.stop();
  }
});

test('sec_t02: a certificate that the server does not believe ends the attempt, also with prefer', async () => {
  const { cert, key } = foreign;
  for (const sslmode of ['require', 'prefer']) {
    const pool = open({ sslmode, sslcert: cert, sslkey: key });
    const failure = { name: 'TlsError', code: 'ERR_TLS_ALERT', outcome: 'not-sent' };
    await assert.rejects(pool.query('select 1'), failure);
    await pool.end();
  }
  assert.equal(await seen({ sslmode: 'require' }), '28000');
});
