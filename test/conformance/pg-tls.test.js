// TLS as `pg` does it: its forms of `ssl` and of connection strings against every kind of certificate, with `pg` beside.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { after, before } = require('node:test');
const reference = require('pg');
const ours = require('../../lib/index.js');
const { Authority, startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
/** @type {Authority} */
let own;
/** @type {import('../support/authority.js').Pair} */
let client;

before(async () => {
  tls = await startTlsServer();
  own = await Authority.make(tls.server.socketDir, 'own');
  client = await tls.authority.issue('postgres');
});
after(() => tls.server.stop());

/** Codes of certificates that nobody trusted has signed; OpenSSL tells three ways of that apart. */
const UNTRUSTED = [
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
];

/** What a client of one of the two drivers comes to. */
async function outcome({ Client }, config) {
  const connection = typeof config === 'function' ? config() : config;
  const { port } = tls.server;
  const given = { host: 'localhost', port, user: 'postgres', database: 'postgres', ...connection };
  let link;
  try {
    link = new Client(given);
    link.on('error', () => {});
    await link.connect();
    const { rows } = await link.query(
      'select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()',
    );
    return rows[0];
  } catch (error) {
    return UNTRUSTED.includes(error.code) ? 'untrusted' : (error.code ?? 'an error without code');
  } finally {
    await link?.end().catch(() => {});
  }
}

const text = (file) => fs.readFileSync(file, 'utf8');
const root = () => tls.authority.cert;
const url = (query) => () => ({
  connectionString: `postgres://postgres@localhost:${tls.server.port}/postgres?${query()}`,
});

/** @type {Record<string, object | (() => object)>} */
const FORMS = {
  'no ssl': {},
  'ssl: false': { ssl: false },
  'ssl: true': { ssl: true },
  "ssl: 'true'": { ssl: 'true' },
  "ssl: 'no-verify'": { ssl: 'no-verify' },
  'ssl: {}': { ssl: {} },
  'rejectUnauthorized: false': { ssl: { rejectUnauthorized: false } },
  'require: true, rejectUnauthorized: false': { ssl: { require: true, rejectUnauthorized: false } },
  ca: () => ({ ssl: { ca: text(root()) } }),
  'ca as Buffer': () => ({ ssl: { ca: fs.readFileSync(root()) } }),
  'ca as array': () => ({ ssl: { ca: [text(own.cert), fs.readFileSync(root())] } }),
  'another ca': () => ({ ssl: { ca: text(own.cert) } }),
  'ca, rejectUnauthorized: false': () => ({
    ssl: { ca: text(own.cert), rejectUnauthorized: false },
  }),
  'ca, checkServerIdentity that accepts': () => ({
    ssl: { ca: text(root()), checkServerIdentity: () => undefined },
  }),
  'ca, servername beside a host name': () => ({
    ssl: { ca: text(root()), servername: 'elsewhere' },
  }),
  'ca, servername beside an address': () => ({
    host: '127.0.0.1',
    ssl: { ca: text(root()), servername: 'elsewhere' },
  }),
  'ca beside an address': () => ({ host: '127.0.0.1', ssl: { ca: text(root()) } }),
  'client certificate': () => ({
    ssl: { ca: text(root()), cert: text(client.cert), key: text(client.key) },
  }),
  'client certificate as Buffers': () => ({
    ssl: {
      rejectUnauthorized: false,
      cert: fs.readFileSync(client.cert),
      key: fs.readFileSync(client.key),
    },
  }),
  'minVersion 1.3': () => ({ ssl: { ca: text(root()), minVersion: 'TLSv1.3' } }),
  'maxVersion 1.2': () => ({ ssl: { ca: text(root()), maxVersion: 'TLSv1.2' } }),
  'null members': () => ({ ssl: { ca: text(root()), cert: null, key: undefined } }),
  'sslmode=disable': url(() => 'sslmode=disable'),
  'sslmode=require': url(() => 'sslmode=require'),
  'sslmode=no-verify': url(() => 'sslmode=no-verify'),
  'sslmode=require, sslrootcert': url(() => `sslmode=require&sslrootcert=${root()}`),
  'sslmode=verify-ca, sslrootcert': url(() => `sslmode=verify-ca&sslrootcert=${root()}`),
  'sslmode=verify-full, sslrootcert': url(() => `sslmode=verify-full&sslrootcert=${root()}`),
  'sslrootcert alone': url(() => `sslrootcert=${root()}`),
  'ssl=true': url(() => 'ssl=true'),
  'ssl=0': url(() => 'ssl=0'),
  'sslcert and sslkey': url(() => `sslmode=no-verify&sslcert=${client.cert}&sslkey=${client.key}`),
  'libpq: require': url(() => 'uselibpqcompat=true&sslmode=require'),
  'libpq: require, sslrootcert': url(
    () => `uselibpqcompat=true&sslmode=require&sslrootcert=${root()}`,
  ),
  'libpq: verify-ca': url(() => `uselibpqcompat=true&sslmode=verify-ca&sslrootcert=${root()}`),
  'libpq: verify-full': url(() => `uselibpqcompat=true&sslmode=verify-full&sslrootcert=${root()}`),
};

const extensions = ['subjectAltName=DNS:localhost,IP:127.0.0.1'];
const KINDS = {
  right: () => tls.right,
  'wrong name': () =>
    tls.authority.issue('wrong', { extensions: ['subjectAltName=DNS:elsewhere'] }),
  'unknown authority': () => own.issue('unknown', { extensions }),
  expired: () => tls.authority.issue('expired', { extensions, expired: true }),
  'self-signed': () => own,
  'common name only': () => tls.authority.issue('common', { cn: 'localhost' }),
};

/** Deliberate differences, by certificate and form: what happens here instead, and why. */
const DIFFERENCES = {};

for (const [kind, make] of Object.entries(KINDS)) {
  test(`every form of ssl against a certificate of the kind "${kind}"`, async () => {
    await tls.show(await make());
    for (const [form, config] of Object.entries(FORMS)) {
      const expected = DIFFERENCES[`${kind}: ${form}`] ?? (await outcome(reference, config));
      assert.deepEqual(await outcome(ours, config), expected, form);
    }
  });
}

test('a server without TLS is refused in the words of pg', async (t) => {
  const { startServer } = require('../support/server.js');
  const server = await startServer();
  t.after(() => server.stop());
  for (const { Client } of [reference, ours]) {
    const { host, port, user, database } = server;
    const link = new Client({ host, port, user, database, ssl: { rejectUnauthorized: false } });
    link.on('error', () => {});
    await assert.rejects(link.connect(), {
      message: 'The server does not support SSL connections',
    });
    await link.end().catch(() => {});
  }
});
