// Channel binding: SCRAM-SHA-256-PLUS with every kind of certificate, and every way around it (rule A02).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { createPool } = require('../../lib/index.js');
const { startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
before(async () => {
  tls = await startTlsServer();
});
after(() => tls.server.stop());

/** Logs in and says `in`, or why not. */
async function login(user, options) {
  const { host, port, passwords } = tls.server;
  const password = passwords[user] ?? '';
  const pool = createPool({ host, port, user, password, database: 'postgres', ...options });
  try {
    await pool.query('select 1');
    return 'in';
  } catch (error) {
    assert.equal(error.outcome, 'not-sent');
    assert.doesNotMatch(error.message, /-secret/);
    return error.code === 'ERR_AUTH' ? error.message.replace(/^.*?: /, '') : error.code;
  } finally {
    await pool.end();
  }
}

const extensions = ['subjectAltName=IP:127.0.0.1'];
const REQUIRED = { sslmode: 'require', channelBinding: 'require' };

test('sec_a02: certificates signed with every hash can be bound to', async () => {
  for (const [name, kind] of Object.entries({
    'ec-sha256': {},
    'ec-sha384': { digest: 'sha384' },
    'ec-sha512': { digest: 'sha512' },
    'rsa-key': { key: 'rsa' },
  })) {
    await tls.show(await tls.authority.issue(`bind-${name}`, { extensions, ...kind }));
    assert.equal(await login('scram_user', REQUIRED), 'in', name);
    assert.equal(
      await login('scram_user', { ...REQUIRED, requireAuth: 'scram-sha-256' }),
      'in',
      name,
    );
  }
  const rsa = await tls.authority.beside('rsa');
  for (const [name, kind] of Object.entries({
    'rsa-sha256': {},
    'rsa-sha512': { digest: 'sha512' },
    'pss-sha256': { pss: true },
    'pss-sha384': { pss: true, digest: 'sha384' },
  })) {
    await tls.show(await rsa.issue(`bind-${name}`, { extensions, ...kind }));
    assert.equal(await login('scram_user', REQUIRED), 'in', name);
  }
});

test('sec_a02: a certificate without a hash of its own fails with require, and logs in without binding', async () => {
  const edwards = await tls.authority.beside('ed25519');
  await tls.show(await edwards.issue('bind-ed', { extensions }));
  assert.match(await login('scram_user', REQUIRED), /channel binding is required, but/);
  assert.equal(await login('scram_user', { sslmode: 'require', channelBinding: 'disable' }), 'in');
  await tls.show(tls.right);
});

test('CP-33, sec_a02: with require nothing but a bound login will do', async () => {
  for (const [user, says] of [
    ['postgres', /asks for no authentication, which has none/],
    ['clear_user', /asks for a clear-text password, which has none/],
    ['md5_user', /asks for an MD5 password, which has none/],
  ]) {
    assert.match(await login(user, REQUIRED), says);
    assert.equal(await login(user, { sslmode: 'require' }), 'in');
  }
  const plain = { sslmode: 'disable', channelBinding: 'require' };
  assert.match(await login('scram_user', plain), /channel binding is required, but the server/);
  for (const channelBinding of ['disable', 'prefer']) {
    assert.equal(await login('scram_user', { sslmode: 'require', channelBinding }), 'in');
    assert.equal(await login('scram_user', { sslmode: 'disable', channelBinding }), 'in');
  }
  const { port, passwords } = tls.server;
  const query = 'sslmode=require&channel_binding=require&require_auth=scram-sha-256';
  const connectionString = `postgres://scram_user:${passwords.scram_user}@127.0.0.1:${port}/postgres?${query}`;
  assert.equal(await login('scram_user', { connectionString }), 'in');
});
