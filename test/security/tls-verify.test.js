// What each mode makes of each kind of certificate, against a real server (rules T02, T03).
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { after, before } = require('node:test');
const { createPool } = require('../../lib/index.js');
const { Authority, startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
/** @type {Authority} */
let stranger;

before(async () => {
  tls = await startTlsServer();
  stranger = await Authority.make(tls.server.socketDir, 'stranger');
});
after(() => tls.server.stop());

const text = (file) => fs.readFileSync(file, 'utf8');

/** Connects and says `tls`, `plain`, or the code of the error. */
async function outcome(options) {
  const { port } = tls.server;
  const pool = createPool({ user: 'postgres', host: 'localhost', port, ...options });
  try {
    const [{ ssl }] = await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
    return ssl ? 'tls' : 'plain';
  } catch (error) {
    assert.equal(error.outcome, 'not-sent');
    assert.equal(error.transient, false, error.message);
    return error.code;
  } finally {
    await pool.end();
  }
}

const BAD_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';
const UNTRUSTED = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';
const EXPIRED = 'CERT_HAS_EXPIRED';

/**
 * What to expect by mode, where `require` and `prefer` are tried with and without roots: [verify-full, verify-ca, require
 * with roots, require without, prefer with roots, prefer without, allow].
 */
const MATRIX = {
  right: ['tls', 'tls', 'tls', 'tls', 'tls', 'tls', 'plain'],
  'wrong name': [BAD_NAME, 'tls', 'tls', 'tls', 'tls', 'tls', 'plain'],
  'unknown authority': [UNTRUSTED, UNTRUSTED, UNTRUSTED, 'tls', 'plain', 'tls', 'plain'],
  expired: [EXPIRED, EXPIRED, EXPIRED, 'tls', 'plain', 'tls', 'plain'],
  'address only': [BAD_NAME, 'tls', 'tls', 'tls', 'tls', 'tls', 'plain'],
  'common name only': ['tls', 'tls', 'tls', 'tls', 'tls', 'tls', 'plain'],
  'common name beside another alternative name': [
    BAD_NAME,
    'tls',
    'tls',
    'tls',
    'tls',
    'tls',
    'plain',
  ],
};

const KINDS = {
  right: () => tls.right,
  'wrong name': () =>
    tls.authority.issue('wrong', { extensions: ['subjectAltName=DNS:elsewhere'] }),
  'unknown authority': () =>
    stranger.issue('unknown', { extensions: ['subjectAltName=DNS:localhost'] }),
  expired: () =>
    tls.authority.issue('expired', { extensions: ['subjectAltName=DNS:localhost'], expired: true }),
  'address only': () =>
    tls.authority.issue('address', { extensions: ['subjectAltName=IP:127.0.0.1'] }),
  'common name only': () => tls.authority.issue('common', { cn: 'localhost' }),
  'common name beside another alternative name': () =>
    tls.authority.issue('both', { cn: 'localhost', extensions: ['subjectAltName=DNS:elsewhere'] }),
};

for (const [kind, expected] of Object.entries(MATRIX)) {
  test(`CP-30, sec_t03: every mode against a certificate of the kind "${kind}"`, async () => {
    await tls.show(await KINDS[kind]());
    const sslrootcert = tls.authority.cert;
    const settings = [
      { sslmode: 'verify-full', sslrootcert },
      { sslmode: 'verify-ca', sslrootcert },
      { sslmode: 'require', sslrootcert },
      { sslmode: 'require' },
      { sslmode: 'prefer', sslrootcert },
      { sslmode: 'prefer' },
      { sslmode: 'allow' },
    ];
    const seen = [];
    for (const options of settings) seen.push(await outcome(options));
    assert.deepEqual(seen, expected);
    // pg's object: full checks, no checks, checks without the name.
    const ca = text(sslrootcert);
    const [full, chain] = expected;
    assert.equal(await outcome({ ssl: { ca } }), full);
    assert.equal(await outcome({ ssl: { ca: Buffer.from(ca), checkName: false } }), chain);
    assert.equal(await outcome({ ssl: { rejectUnauthorized: false } }), 'tls');
    assert.equal(await outcome({ ssl: false }), 'plain');
    assert.equal(await outcome({ sslmode: 'disable' }), 'plain');
    // Node's own roots have signed none of these.
    assert.equal(await outcome({ ssl: true }), kind === 'expired' ? EXPIRED : UNTRUSTED);
  });
}

test('sec_t03: names are compared with the host as configured, not with its address', async () => {
  const names = 'subjectAltName=DNS:*.wild.test,DNS:exact.test,IP:127.0.0.1';
  await tls.show(await tls.authority.issue('names', { cn: 'common.test', extensions: [names] }));
  const sslrootcert = tls.authority.cert;
  for (const [host, expected] of [
    ['db.wild.test', 'tls'],
    ['DB.WILD.test', 'tls'],
    ['exact.test', 'tls'],
    ['127.0.0.1', 'tls'],
    ['wild.test', BAD_NAME],
    ['a.db.wild.test', BAD_NAME],
    ['common.test', BAD_NAME],
    ['localhost', BAD_NAME],
  ]) {
    const options = { host, hostaddr: '127.0.0.1', sslmode: 'verify-full', sslrootcert };
    assert.equal(await outcome(options), expected, host);
  }
  const ca = text(sslrootcert);
  assert.equal(await outcome({ ssl: { ca, servername: 'exact.test' } }), 'tls');
  await tls.show(await tls.authority.issue('wildcn', { cn: '*.wild.test' }));
  for (const [host, expected] of [
    ['db.wild.test', 'tls'],
    ['wild.test', BAD_NAME],
  ]) {
    const options = { host, hostaddr: '127.0.0.1', sslmode: 'verify-full', sslrootcert };
    assert.equal(await outcome(options), expected, host);
  }
});

test('sec_t03: intermediates come with the server, and a self-signed certificate may be its own root', async () => {
  const sslrootcert = tls.authority.cert;
  const middle = await tls.authority.below('middle');
  const leaf = await middle.issue('leaf', { extensions: ['subjectAltName=DNS:localhost'] });
  await tls.show(leaf);
  assert.equal(await outcome({ sslmode: 'verify-full', sslrootcert }), UNTRUSTED);
  assert.equal(await outcome({ sslmode: 'verify-ca', sslrootcert: middle.cert }), 'tls');
  await tls.show(leaf, [middle.cert]);
  assert.equal(await outcome({ sslmode: 'verify-full', sslrootcert }), 'tls');
  // What `openssl req -x509` makes: an authority and a server in one.
  const own = await Authority.make(tls.server.socketDir, 'own');
  await tls.show(own);
  assert.equal(await outcome({ sslmode: 'verify-ca', sslrootcert: own.cert }), 'tls');
  assert.equal(await outcome({ sslmode: 'verify-full', sslrootcert: own.cert }), BAD_NAME);
  assert.equal(await outcome({ sslmode: 'verify-ca', sslrootcert }), UNTRUSTED);
});

test('sec_t03: a revoked certificate is refused, and so is one that no list clears', async () => {
  const sslrootcert = tls.authority.cert;
  const extensions = ['subjectAltName=DNS:localhost'];
  const good = await tls.authority.issue('good', { extensions });
  const bad = await tls.authority.issue('bad', { extensions });
  await tls.authority.revoke(bad);
  const sslcrl = await tls.authority.list();
  const foreign = await stranger.list();
  const old = await tls.authority.list({ expired: true });
  const full = { sslmode: 'verify-full', sslrootcert };
  await tls.show(good);
  assert.equal(await outcome({ ...full, sslcrl }), 'tls');
  assert.equal(await outcome({ ...full, sslcrl: foreign }), 'UNABLE_TO_GET_CRL');
  assert.equal(await outcome({ ...full, sslcrl: old }), 'CRL_HAS_EXPIRED');
  await tls.show(bad);
  assert.equal(await outcome(full), 'tls');
  assert.equal(await outcome({ ...full, sslcrl }), 'CERT_REVOKED');
  assert.equal(await outcome({ sslmode: 'require', sslrootcert, sslcrl }), 'CERT_REVOKED');
  assert.equal(
    await outcome({ ssl: { ca: text(sslrootcert), crl: text(sslcrl) } }),
    'CERT_REVOKED',
  );
  const folder = `${tls.server.socketDir}/lists`;
  fs.mkdirSync(folder);
  fs.copyFileSync(sslcrl, `${folder}/any-name`);
  assert.equal(await outcome({ ...full, sslcrldir: folder }), 'CERT_REVOKED');
});

test('sec_t03: every kind of key is understood', async () => {
  const extensions = ['subjectAltName=DNS:localhost'];
  for (const [name, kind] of Object.entries({
    rsa: { key: 'rsa' },
    p384: { key: 'ec384', digest: 'sha384' },
    ed25519: { key: 'ed25519' },
  })) {
    await tls.show(await tls.authority.issue(`key-${name}`, { extensions, ...kind }));
    const options = { sslmode: 'verify-full', sslrootcert: tls.authority.cert };
    assert.equal(await outcome(options), 'tls', name);
  }
});

test('sec_t03: roots that are missing, empty or nonsense are errors when the pool is made', async () => {
  const { cert, key } = tls.authority;
  for (const [options, says] of [
    [{ sslmode: 'verify-full' }, /option "sslmode" needs root certificates/],
    [{ sslmode: 'verify-ca', sslrootcert: '/nowhere' }, /"sslrootcert" names a file that does not/],
    [{ sslmode: 'require', sslrootcert: key }, /"sslrootcert" must name a file with a PEM cert/],
    [{ sslmode: 'require', sslrootcert: 'system' }, /"sslmode" must be verify-full where/],
    [{ sslmode: 'prefer', sslrootcert: cert, sslcrl: cert }, /"sslcrl" must name a file with/],
    [{ sslmode: 'require', sslcrl: '/x' }, /"sslcrl" has no effect without sslrootcert/],
    [{ ssl: { ca: 'nonsense' } }, /"ssl.ca" must be PEM text/],
    [{ ssl: { ca: text(key) } }, /"ssl.ca" must contain a PEM certificate/],
    [{ ssl: { pfx: Buffer.alloc(1) } }, /"ssl.pfx" is not supported; convert it/],
    [{ ssl: { checkServerIdentity: true } }, /"ssl.checkServerIdentity" must be a function/],
    [{ ssl: { cA: 'x' } }, /unknown option "ssl.cA"; did you mean "ssl.ca"\?/],
    [
      { ssl: { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' } },
      /"ssl.minVersion" must not be above/,
    ],
  ]) {
    assert.throws(() => createPool({ host: 'localhost', ...options }), {
      name: 'TypeError',
      code: 'ERR_CONFIG',
      message: says,
    });
  }
});
