// Which methods the server may ask for: requireAuth against a server that asks for each (rule A01).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { Client, createPool } = require('../../lib/index.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  server = await startServer({ tls: true });
});
after(() => server.stop());

const USERS = {
  postgres: 'none',
  clear_user: 'password',
  md5_user: 'md5',
  scram_user: 'scram-sha-256',
};

/** Methods that were let in. */
async function admitted(options) {
  const methods = [];
  for (const [user, method] of Object.entries(USERS)) {
    const { host, port, passwords } = server;
    const password = passwords[user] ?? '';
    const pool = createPool({ host, port, user, password, database: 'postgres', ...options });
    try {
      await pool.query('select 1');
      methods.push(method);
    } catch (error) {
      assert.equal(error.code, 'ERR_AUTH', error.message);
      assert.equal(error.outcome, 'not-sent');
      assert.equal(error.transient, false);
      assert.doesNotMatch(error.message, /-secret/);
    } finally {
      await pool.end();
    }
  }
  return methods.join();
}

test('CP-34, sec_a01: requireAuth admits what it lists, or all that it does not exclude', async () => {
  const all = Object.values(USERS).join();
  for (const [requireAuth, expected] of [
    [undefined, all],
    ['none', 'none'],
    ['password', 'password'],
    ['md5', 'md5'],
    ['scram-sha-256', 'scram-sha-256'],
    ['md5,scram-sha-256', 'md5,scram-sha-256'],
    ['!password,!md5', 'none,scram-sha-256'],
    ['!none', 'password,md5,scram-sha-256'],
    ['!scram-sha-256,!gss,!sspi', 'none,password,md5'],
    ['gss,sspi,oauth', ''],
  ]) {
    const options = { sslmode: 'require', ...(requireAuth && { requireAuth }) };
    assert.equal(await admitted(options), expected, requireAuth);
  }
});

test('sec_a01: without TLS a clear-text password is not sent, unless that is asked for', async () => {
  const plain = { sslmode: 'disable' };
  assert.equal(await admitted(plain), 'none,md5,scram-sha-256');
  assert.equal(await admitted({ ...plain, allowCleartext: true }), Object.values(USERS).join());
  assert.equal(
    await admitted({ ...plain, requireAuth: '!password', allowCleartext: true }),
    'none,md5,scram-sha-256',
  );
});

test('sec_a01: lists that libpq refuses are refused when the pool is made', () => {
  for (const requireAuth of [
    'scram',
    'md5,!password',
    '!md5,password',
    'md5,md5',
    '!md5,!md5',
    'md5,',
    ',md5',
    '!',
    'MD5',
    ' md5',
  ]) {
    for (const options of [
      { requireAuth },
      { connectionString: `require_auth='${requireAuth}'` },
    ]) {
      assert.throws(() => createPool(options), { code: 'ERR_CONFIG', message: /"requireAuth"/ });
    }
  }
});

test('sec_a01: a client of the pg face without ssl sends it as it is, and with ssl never so', async (t) => {
  const { host, port, passwords } = server;
  const user = 'clear_user';
  const config = { host, port, user, password: passwords[user], database: 'postgres' };
  const isEncrypted = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()';
  for (const ssl of [undefined, { rejectUnauthorized: false }]) {
    const client = new Client({ ...config, ssl });
    t.after(() => client.end());
    await client.connect();
    assert.deepEqual((await client.query(isEncrypted)).rows, [{ ssl: ssl !== undefined }]);
  }
});
