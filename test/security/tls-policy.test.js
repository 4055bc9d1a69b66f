// The policy of the first connection holds for every later one, and for cancel requests (rules T02, T05, T06, C01).
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { after, before } = require('node:test');
const { Pool, createPool } = require('../../lib/index.js');
const { startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const SSL_REQUEST = 80_877_103;

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
before(async () => {
  tls = await startTlsServer({
    hba: ['hostssl all only_tls all trust', 'host all only_tls all reject'],
  });
  await tls.server.sql('create role only_tls login');
});
after(() => tls.server.stop());

/**
 * Somebody in the middle who answers the TLS request of some connections with no, and notes what follows in plain text.
 * @param {import('node:test').TestContext} t
 * @param {(number: number) => boolean} refuses by the number of the connection, from 1
 */
async function middleman(t, refuses) {
  /** @type {{ asked: boolean, refused: boolean, heard: Buffer }[]} */
  const seen = [];
  const listener = net.createServer((client) => {
    client.on('error', () => {});
    const entry = { asked: false, refused: refuses(seen.length + 1), heard: Buffer.alloc(0) };
    seen.push(entry);
    client.once('data', (first) => {
      entry.asked = first.length === 8 && first.readInt32BE(4) === SSL_REQUEST;
      if (!entry.asked) entry.heard = first;
      if (entry.asked && entry.refused) {
        client.on('data', (bytes) => {
          entry.heard = Buffer.concat([entry.heard, bytes]);
        });
        client.write('N');
        return;
      }
      const upstream = net.connect(tls.server.port, '127.0.0.1');
      upstream.on('error', () => client.destroy());
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
      upstream.write(first);
      client.pipe(upstream).pipe(client);
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => listener.close());
  const { port } = /** @type {net.AddressInfo} */ (listener.address());
  return { port, seen };
}

const options = (port, more) => ({
  host: 'localhost',
  port,
  user: 'postgres',
  database: 'postgres',
  ...more,
});

test('sec_t05: a downgrade on the second connection is not followed', async (t) => {
  const { port, seen } = await middleman(t, (number) => number > 1);
  const pool = createPool(options(port, { sslmode: 'require', maxUses: 1 }));
  t.after(() => pool.end());
  await pool.query('select 1');
  await assert.rejects(pool.query('select 1'), { name: 'TlsError', outcome: 'not-sent' });
  assert.ok(seen.length >= 2);
  for (const { asked, refused, heard } of seen) {
    assert.ok(asked);
    if (refused) assert.equal(heard.length, 0, 'nothing was said in plain text');
  }
});

test('sec_t02: verify-full against a server without TLS says nothing but the request', async (t) => {
  const { port, seen } = await middleman(t, () => true);
  for (const sslmode of ['require', 'verify-ca', 'verify-full']) {
    const pool = createPool(
      options(port, { sslmode, sslrootcert: tls.authority.cert, password: 'canary' }),
    );
    await assert.rejects(pool.query('select 1'), {
      name: 'TlsError',
      message: /does not offer TLS, but sslmode asks for it/,
    });
    await pool.end();
  }
  assert.deepEqual(
    seen.map(({ heard }) => heard.length),
    [0, 0, 0],
  );
});

for (const sslmode of ['prefer', 'require', 'allow']) {
  test(`CP-35, sec_c01: the cancel of an encrypted connection is encrypted, with ${sslmode}`, async (t) => {
    const { port, seen } = await middleman(t, () => false);
    const pool = createPool(options(port, { sslmode, user: 'only_tls' }));
    t.after(() => pool.end());
    await pool.query('select 1'); // the time limit is for the statement alone
    await assert.rejects(pool.query('select pg_sleep(30)', [], { timeoutMs: 300 }), {
      name: 'TimeoutError',
      outcome: 'failed',
    });
    const last = seen.at(-1);
    assert.ok(last?.asked, 'the cancel request asked for TLS');
    assert.equal(last.heard.length, 0);
  });
}

test('sec_c01: a key that went over TLS is not shown in plain text, not even with prefer', async (t) => {
  let isCut = false;
  const { port, seen } = await middleman(t, () => isCut);
  const pool = createPool(options(port, { sslmode: 'prefer' }));
  t.after(() => pool.end());
  await pool.query('select 1');
  isCut = true;
  const before = seen.length;
  await assert.rejects(pool.query('select pg_sleep(20)', [], { timeoutMs: 100 }), {
    outcome: 'unknown',
  });
  await waitFor(() => seen.length > before, { what: 'the cancel request' });
  for (const { heard } of seen.slice(before)) {
    // Length 16, then the code of CancelRequest.
    assert.ok(!heard.includes(Buffer.from([4, 210, 22, 46])), 'no cancel request in plain text');
  }
});

test('sec_t06: files are read once, when the pool is made', async (t) => {
  const sslrootcert = `${tls.server.socketDir}/copy.crt`;
  fs.copyFileSync(tls.authority.cert, sslrootcert);
  const given = options(tls.server.port, { sslmode: 'verify-full', sslrootcert, maxUses: 1 });
  const pool = createPool(given);
  t.after(() => pool.end());
  fs.rmSync(sslrootcert);
  // What was given is copied too.
  Object.assign(given, { sslmode: 'disable', host: 'nowhere.invalid' });
  for (let round = 0; round < 3; round++) {
    const [row] = await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
    assert.equal(row.ssl, true);
  }
  assert.throws(() => createPool({ ...given, sslmode: 'verify-full' }), { code: 'ERR_CONFIG' });
});

test('sec_t05: allow goes over to TLS only when the server refuses plain text', async (t) => {
  const { port, seen } = await middleman(t, () => false);
  const pool = createPool(options(port, { sslmode: 'allow', user: 'only_tls' }));
  t.after(() => pool.end());
  const [row] = await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
  assert.equal(row.ssl, true);
  assert.deepEqual(
    seen.map(({ asked }) => asked),
    [false, true],
  );
});

test('sec_t05: a pool of the pg face reads the environment for each client, and its option ssl is for all', async (t) => {
  const { port, seen } = await middleman(t, () => true);
  const before = process.env.PGSSLMODE;
  t.after(() => {
    if (before === undefined) delete process.env.PGSSLMODE;
    else process.env.PGSSLMODE = before;
  });
  for (const [ssl, mode, isAsked] of [
    [undefined, 'disable', false],
    [undefined, 'require', true],
    [false, 'require', false],
    [true, 'disable', true],
  ]) {
    delete process.env.PGSSLMODE;
    const pool = new Pool(options(port, { ssl }));
    process.env.PGSSLMODE = mode;
    const from = seen.length;
    await pool.query('select 1').catch(() => {});
    await pool.end();
    const asked = seen.slice(from).some((one) => one.asked);
    assert.equal(asked, isAsked, `ssl: ${ssl}, PGSSLMODE=${mode}`);
  }
});
