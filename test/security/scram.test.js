// SCRAM against a server that cheats, one step at a time: rules A03 and A04.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { describe, it } = require('node:test');
const m = require('../support/backend-messages.js');
const { behave, failureOf, scriptedPool } = require('../support/script-replies.js');

const TIMEOUT = { timeout: 20_000 };
const PASSWORD = 'c4n4ry-p4ssw0rd';
const MECHANISMS = Buffer.from('SCRAM-SHA-256\0\0');

const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest();

/**
 * The server's side of RFC 5802; each step can be bent.
 * @param {any} connection
 * @param {{ first?: (right: string) => string, final?: (right: string) => string, iterations?: number | string, password?: string, skipFinal?: boolean, early?: boolean, twice?: boolean, deriving?: (isOn: boolean) => void }} [bend]
 */
async function authenticate(connection, bend = {}) {
  const { first = (text) => text, final = (text) => text, password = PASSWORD } = bend;
  const { iterations = 4096 } = bend;
  await connection.readStartup();
  await connection.send(m.authentication(10, MECHANISMS));
  const { text } = await connection.readMessage();
  const clientFirst = /n=.*$/s.exec(text)?.[0] ?? '';
  const nonce = `${/r=([^,]+)/.exec(clientFirst)?.[1]}server`;
  const salt = crypto.randomBytes(16);
  if (bend.early) return connection.send(m.authOk(), m.primary(), m.backendKey(7), m.ready());
  const serverFirst = first(`r=${nonce},s=${salt.toString('base64')},i=${iterations}`);
  await connection.send(m.authentication(11, Buffer.from(serverFirst)));
  if (bend.twice) await connection.send(m.authentication(11, Buffer.from(serverFirst)));
  bend.deriving?.(true);
  const { text: clientFinal } = await connection.readMessage();
  bend.deriving?.(false);
  const bare = clientFinal.replace(/,p=.*$/s, '');
  const salted = crypto.pbkdf2Sync(password, salt, Number(iterations), 32, 'sha256');
  const authMessage = `${clientFirst},${serverFirst},${bare}`;
  const proof = Buffer.from(/p=(.*)$/s.exec(clientFinal)?.[1] ?? '', 'base64');
  const stored = sha256(hmac(salted, 'Client Key'));
  const signature = hmac(stored, authMessage);
  const key = proof.map((byte, index) => byte ^ signature[index]);
  if (password === PASSWORD) assert.deepEqual(sha256(key), stored, "the client's proof is right");
  const serverSignature = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64');
  const serverFinal = final(`v=${serverSignature}`);
  const parts = bend.skipFinal ? [] : [m.authentication(12, Buffer.from(serverFinal))];
  return connection.send(...parts, m.authOk(), m.primary(), m.backendKey(7), m.ready());
}

const scramPool = (context, bend, options) =>
  scriptedPool(
    context,
    async (connection) => {
      await authenticate(connection, bend);
      await behave(connection);
    },
    { raw: true, password: PASSWORD, ...options },
  );

describe('transcripts', { concurrency: 8 }, () => {
  it('sec_a04_the_right_transcript_is_accepted', TIMEOUT, async (context) => {
    const { pool } = await scramPool(context, {});
    assert.equal((await pool.query('select x')).length, 1);
  });

  it('sec_a04_extensions_behind_the_signature_are_allowed', TIMEOUT, async (context) => {
    const { pool } = await scramPool(context, { final: (text) => `${text},x=1` });
    assert.equal((await pool.query('select x')).length, 1);
  });

  const flip = (text) => text.replace(/=(.)/, (_, letter) => `=${letter === 'A' ? 'B' : 'A'}`);
  const bent = {
    signature: { final: flip },
    signature_of_another_password: { password: 'guessed' },
    empty_signature: { final: () => 'v=' },
    no_signature: { final: () => '' },
    short_signature: { final: (text) => text.slice(0, -8) },
    error_in_the_last_message: { final: () => 'e=other-error' },
    skipped_last_message: { skipFinal: true },
    success_before_the_exchange: { early: true },
    server_first_twice: { twice: true },
    nonce_not_extended: { first: (text) => text.replace(/server,/, ',') },
    foreign_nonce: { first: (text) => text.replace(/r=[^,]+/, 'r=0123456789012345') },
    nonce_with_another_prefix: { first: (text) => text.replace('r=', 'r=x') },
    no_salt: { first: (text) => text.replace(/s=[^,]+/, 's=') },
    salt_that_is_no_base64: { first: (text) => text.replace(/s=[^,]+/, 's=*') },
    attributes_in_another_order: {
      first: (text) => text.replace(/(r=[^,]+),(s=[^,]+)/, '$2,$1'),
    },
    mandatory_extension: { first: (text) => `m=ext,${text}` },
    no_text: { first: () => '' },
    no_utf8: { first: (text) => `${text}\u{fffd}` },
  };
  for (const [name, bend] of Object.entries(bent)) {
    it(`sec_a04_${name}`, TIMEOUT, async (context) => {
      const { pool, server } = await scramPool(context, bend);
      const error = await failureOf(pool.query('select x'));
      assert.ok(['AuthError', 'ProtocolError'].includes(error.name), String(error));
      assert.equal(error.outcome, 'not-sent');
      assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(PASSWORD));
      // The client hangs up, so the script may end with an error of its own making.
      await server.close().catch(() => {});
    });
  }
});

describe('iterations', { concurrency: 8 }, () => {
  for (const iterations of [0, -1, 100_001, 2 ** 32 - 1, 2 ** 32, '1e3', 'many', '']) {
    it(
      `sec_a03_iterations_${iterations || 'none'}_are_refused_before_deriving`,
      TIMEOUT,
      async (context) => {
        const { pool } = await scramPool(context, { iterations });
        const started = process.cpuUsage();
        const error = await failureOf(pool.query('select x'));
        assert.ok(process.cpuUsage(started).user < 2_000_000);
        assert.ok(['AuthError', 'ProtocolError'].includes(error.name), String(error));
        assert.equal(error.outcome, 'not-sent');
      },
    );
  }

  for (const iterations of [1, 4096, 100_000]) {
    it(`sec_a03_iterations_${iterations}_are_accepted`, TIMEOUT, async (context) => {
      const { pool } = await scramPool(
        context,
        { iterations },
        { acquireTimeoutMs: 8000, connectTimeoutMs: 8000 },
      );
      assert.equal((await pool.query('select x')).length, 1);
    });
  }
});

describe('derivation', () => {
  it('sec_a03_other_queries_keep_flowing_meanwhile', TIMEOUT, async (context) => {
    const calm = await scriptedPool(context, (connection) => behave(connection));
    await calm.pool.query('select x');
    let isDeriving = false;
    const deriving = (isOn) => (isDeriving = isOn);
    const patience = { acquireTimeoutMs: 15_000, connectTimeoutMs: 15_000 };
    const slow = await scramPool(context, { iterations: 100_000, deriving }, patience);
    let done = false;
    const connecting = slow.pool.query('select x').then(() => {
      done = true;
    });
    let meanwhile = 0;
    while (!done) {
      const began = isDeriving;
      await calm.pool.query('select x');
      if (began && isDeriving) meanwhile += 1;
    }
    await connecting;
    // On the thread of all connections it would hold up the first of them until it is over.
    assert.ok(meanwhile >= 3, `${meanwhile} other queries were answered`);
  });

  it('sec_a03_derivation_ends_with_the_deadline', TIMEOUT, async (context) => {
    const { pool } = await scramPool(
      context,
      { iterations: 100_000 },
      {
        acquireTimeoutMs: 60,
        connectTimeoutMs: 20,
      },
    );
    const started = performance.now();
    const error = await failureOf(pool.query('select x'));
    assert.equal(error.outcome, 'not-sent');
    assert.ok(performance.now() - started < 1500);
  });
});
