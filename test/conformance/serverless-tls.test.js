// TLS of ServerlessClient: the forms of connection strings and of `ssl`, with `pg` beside.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { after, before } = require('node:test');
const { Client } = require('pg');
const { ServerlessClient } = require('../../lib/index.js');
const { startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
/** @type {import('../support/authority.js').Pair} */
let client;
before(async () => {
  // Version 17 or newer, for direct negotiation.
  tls = await startTlsServer({ version: 18 });
  client = await tls.authority.issue('postgres');
});
after(() => tls.server.stop());

/** OpenSSL tells two ways apart in which nobody trusted has signed a certificate. */
const UNTRUSTED = ['SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'];

const SEEN = 'select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()';

async function outcome(Class, given) {
  const link = new Class(given);
  try {
    await link.connect();
    return (await link.query(SEEN)).rows[0];
  } catch (error) {
    return UNTRUSTED.includes(error.code) ? 'untrusted' : (error.code ?? 'an error without code');
  } finally {
    await link.end().catch(() => {});
  }
}

const lease = {
  leaseMode: /** @type {const} */ ('optional'),
  reaper: /** @type {const} */ (false),
};

/** Both drivers with the same connection string or options. */
async function both(config) {
  const { port } = tls.server;
  const base = { host: 'localhost', port, user: 'postgres', database: 'postgres', ...config };
  return [await outcome(Client, base), await outcome(ServerlessClient, { ...base, ...lease })];
}

test('connection strings mean what they mean to pg', async () => {
  const { cert, key } = client;
  const root = tls.authority.cert;
  for (const query of [
    '',
    'ssl=0',
    'ssl=true',
    'sslmode=disable',
    'sslmode=no-verify',
    'sslmode=require',
    `sslmode=verify-full&sslrootcert=${root}`,
    `sslrootcert=${root}`,
    `sslmode=no-verify&sslcert=${cert}&sslkey=${key}`,
    `sslmode=verify-full&sslrootcert=${root}&sslcert=${cert}&sslkey=${key}`,
    `sslmode=no-verify&sslnegotiation=direct`,
    `sslmode=verify-full&sslrootcert=${root}&sslnegotiation=direct`,
    `sslmode=verify-full&sslrootcert=${root}&sslnegotiation=postgres`,
    'sslnegotiation=direct',
    'uselibpqcompat=true&sslmode=require',
    `uselibpqcompat=true&sslmode=verify-ca&sslrootcert=${root}`,
    `uselibpqcompat=true&sslmode=require&sslcert=${cert}&sslkey=${key}`,
  ]) {
    const connectionString = `postgres://postgres@localhost:${tls.server.port}/postgres?${query}`;
    const [expected, seen] = await both({ connectionString });
    assert.deepEqual(seen, expected, query);
  }
});

test('the option ssl means what it means to pg', async () => {
  const read = (file) => fs.readFileSync(file, 'utf8');
  const ca = read(tls.authority.cert);
  for (const ssl of [
    undefined,
    true,
    false,
    {},
    { rejectUnauthorized: false },
    { ca },
    { ca, checkServerIdentity: () => undefined },
    { ca, checkServerIdentity: () => new Error('not mine') },
    { ca, cert: read(client.cert), key: read(client.key) },
    { rejectUnauthorized: false, minVersion: 'TLSv1.3' },
  ]) {
    const [expected, seen] = await both({ ssl });
    const isRefused = expected === 'an error without code';
    assert.deepEqual(seen, isRefused ? 'ERR_TLS_CERT_ALTNAME_INVALID' : expected);
  }
});

test('what contradicts itself or cannot be read is refused by the parameter', () => {
  const make = (query) => () =>
    new ServerlessClient({ ...lease, connectionString: `postgres://u:canary@h/d?${query}` });
  for (const [query, says] of [
    ['sslnegotiation=other', /sslnegotiation of postgres or direct/],
    ['sslmode=disable&sslnegotiation=direct', /sslnegotiation=direct without TLS/],
    ['sslmode=strict', /must have an sslmode of/],
    ['sslcert=/nowhere/at/all', /certificate or key file that cannot be read \(ENOENT\)/],
    ['sslrootcert=/nowhere/at/all', /certificate or key file that cannot be read \(ENOENT\)/],
  ]) {
    assert.throws(make(query), (error) => {
      assert.match(error.message, says);
      return error.code === 'ERR_CONFIG' && !error.message.includes('canary');
    });
  }
});
