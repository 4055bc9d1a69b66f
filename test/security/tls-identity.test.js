// A function that looks at the certificate in place of the check of names: pg's checkServerIdentity (rule T03).
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { after, before } = require('node:test');
const tlsModule = require('node:tls');
const { createPool } = require('../../lib/index.js');
const { startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
before(async () => {
  tls = await startTlsServer();
  const names = 'subjectAltName=DNS:elsewhere.test';
  await tls.show(
    await tls.authority.issue('elsewhere', { cn: 'project:instance', extensions: [names] }),
  );
});
after(() => tls.server.stop());

function open(t, ssl, more) {
  const ca = fs.readFileSync(tls.authority.cert);
  const { port } = tls.server;
  const options = { host: 'localhost', port, user: 'postgres', database: 'postgres' };
  const pool = createPool({ ...options, ssl: { ca, ...ssl }, ...more });
  t.after(() => pool.end());
  return pool;
}

test('sec_t03: the function sees host and certificate of every connection, cancels included', async (t) => {
  const seen = [];
  const pool = open(t, {
    checkServerIdentity: (host, certificate) => {
      seen.push([
        host,
        certificate.subject.CN,
        certificate.subjectaltname,
        certificate.raw.length > 0,
      ]);
    },
  });
  await pool.query('select 1');
  const expected = ['localhost', 'project:instance', 'DNS:elsewhere.test', true];
  assert.deepEqual(seen, [expected]);
  await assert.rejects(pool.query('select pg_sleep(30)', [], { timeoutMs: 200 }), {
    name: 'TimeoutError',
    outcome: 'failed',
  });
  assert.deepEqual(seen.at(-1), expected);
  assert.ok(seen.length >= 2, 'the cancel request was checked as well');
});

test('sec_t03: an Error that it returns or throws refuses the connection before anything is said', async (t) => {
  const from = tls.server.log.length;
  for (const checkServerIdentity of [
    () => new Error('not my server'),
    () => {
      throw new Error('not my server');
    },
    tlsModule.checkServerIdentity,
    async () => {},
  ]) {
    await assert.rejects(open(t, { checkServerIdentity }).query('select 1'), {
      name: 'TlsError',
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      message: /ssl\.checkServerIdentity refused the certificate: /,
      outcome: 'not-sent',
    });
  }
  await tls.server.sql('select 1');
  assert.doesNotMatch(tls.server.log.slice(from), /FATAL/);
});

test('sec_t03: it comes after the chain, never in place of it', async (t) => {
  const asked = [];
  const checkServerIdentity = (host) => {
    asked.push(host);
  };
  const ca = fs.readFileSync(tls.server.tls.clientCert);
  await assert.rejects(open(t, { ca, checkServerIdentity }).query('select 1'), {
    name: 'TlsError',
  });
  assert.deepEqual(asked, []);
  // As in Node: whoever believes any certificate looks at none.
  const careless = open(t, { rejectUnauthorized: false, checkServerIdentity });
  await careless.query('select 1');
  assert.deepEqual(asked, []);
  const renamed = open(t, { servername: 'elsewhere.test', checkServerIdentity });
  await renamed.query('select 1');
  assert.deepEqual(asked, ['elsewhere.test']);
});

test('sec_t03: password and certificate may both be asked for', async (t) => {
  const { passwords } = tls.server;
  const order = [];
  const ssl = { checkServerIdentity: () => void order.push('certificate') };
  const pool = open(t, ssl, {
    user: 'scram_user',
    password: () => {
      order.push('password');
      return passwords.scram_user;
    },
  });
  assert.equal((await pool.query('select current_user as me'))[0].me, 'scram_user');
  assert.deepEqual(order, ['certificate', 'password']);
});
