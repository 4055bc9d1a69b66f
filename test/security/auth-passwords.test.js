// Passwords from a function: one question for each connection that needs one, one more after a refusal (rule A05).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { inspect } = require('node:util');
const { createPool } = require('../../lib/index.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');

const CANARY = 'c4n4ry-p4ssw0rd';

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  server = await startServer({ hba: ['host all lonely all scram-sha-256'] });
  await server.sql(
    `set password_encryption = 'scram-sha-256'; create role lonely login password '${CANARY}'`,
  );
});
after(() => server.stop());

/** A pool and the questions its function was asked. */
function asking(t, answer, options = {}) {
  const asked = [];
  const pool = createPool({
    host: server.host,
    port: server.port,
    user: 'lonely',
    database: 'postgres',
    password: (host, question) => {
      asked.push({ host, ...question });
      return answer(asked.length, question);
    },
    ...options,
  });
  t.after(() => pool.end());
  return { pool, asked };
}

const noSecret = (error) => {
  const shown = [error.stack, inspect(error, { depth: 9 }), JSON.stringify(error)].join();
  assert.ok(!shown.includes(CANARY), shown);
};

test('CP-46, sec_a05: each connection asks once, and is told for whom', async (t) => {
  const { pool, asked } = asking(t, () => CANARY, { poolSize: 2 });
  await Promise.all([pool.query('select pg_sleep(0.05)'), pool.query('select pg_sleep(0.05)')]);
  await pool.query('select 1');
  const question = { host: server.host, port: server.port, user: 'lonely', database: 'postgres' };
  assert.deepEqual(asked, [
    { ...question, refused: false },
    { ...question, refused: false },
  ]);
});

test('sec_a05: a promise will do, and a server that wants no password asks for none', async (t) => {
  const later = asking(t, () => new Promise((resolve) => setImmediate(resolve, CANARY)));
  assert.equal((await later.pool.query('select 1 as n'))[0].n, 1);
  const trusting = asking(t, () => CANARY, { user: 'postgres' });
  await trusting.pool.query('select 1');
  assert.deepEqual(trusting.asked, []);
});

test('sec_a05: after 28P01 a fresh password is asked for once', async (t) => {
  const { pool, asked } = asking(t, (count) => (count === 1 ? 'outdated' : CANARY));
  assert.equal((await pool.query('select 1 as n'))[0].n, 1);
  assert.deepEqual(
    asked.map(({ refused }) => refused),
    [false, true],
  );
});

test('sec_a05: when that is wrong too, the attempt fails with the server’s words', async (t) => {
  const { pool, asked } = asking(t, () => `wrong-${CANARY}`);
  await assert.rejects(pool.query('select 1'), (error) => {
    noSecret(error);
    return error.code === '28P01' && error.outcome === 'not-sent';
  });
  assert.equal(asked.length, 2);
});

test('sec_a05: a password that is fixed is not tried twice', async () => {
  const { host, port } = server;
  const base = { host, port, user: 'lonely', database: 'postgres' };
  const from = server.log.length;
  const pool = createPool({ ...base, password: `wrong-${CANARY}` });
  await assert.rejects(pool.query('select 1'), { code: '28P01' });
  await pool.end();
  await server.sql('select 1');
  assert.equal(server.log.slice(from).split('password authentication failed').length - 1, 1);
});

test('sec_a05: a function that throws, rejects or gives no text fails the attempt and says so', async (t) => {
  for (const [answer, says] of [
    [
      () => {
        throw new RangeError('vault is sealed');
      },
      /password function failed: RangeError: vault is sealed/,
    ],
    [() => Promise.reject(new Error('vault is gone')), /password function failed: Error: vault is/],
    [() => Promise.reject(undefined), /password function failed: undefined/],
    [() => undefined, /must return a string or a promise of one/],
    [() => ({ password: CANARY }), /must return a string or a promise of one/],
    [() => `${CANARY}\0`, /must not contain U\+0000/],
    [
      () => {
        throw Object.create(null);
      },
      /threw something that cannot be shown/,
    ],
  ]) {
    const { pool } = asking(t, answer);
    await assert.rejects(pool.query('select 1'), (error) => {
      noSecret(error);
      assert.match(error.message, says);
      return (
        error.code === 'ERR_AUTH' && error.name === 'AuthError' && error.outcome === 'not-sent'
      );
    });
  }
});

test('sec_a05: the deadline of the connection holds for the function, and a late answer finds nobody', async (t) => {
  const late = [];
  const { pool, asked } = asking(t, () => new Promise((resolve) => late.push(resolve)), {
    connectTimeoutMs: 600,
    acquireTimeoutMs: 1500,
  });
  await assert.rejects(pool.query('select 1'), { name: 'NoPrimaryError', outcome: 'not-sent' });
  assert.ok(asked.length >= 1);
  for (const resolve of late) resolve(CANARY);
  await pool.end();
});

test('sec_a04: passwords of any characters are prepared as the server has prepared them', async (t) => {
  // As they are or normalised; a modifier letter newer than Unicode 3.2, a deprecated accent, nothing that is seen, and
  // text of both directions stay as they are.
  const passwords = ['žluť', 'e\u0301', 'a\u00a0b', 'ﬁ', 'א1א', '🙂e\u0301'];
  passwords.push('\u1d43', 'a\u0340', '\u00ad', 'א1', 'aﱞ', 'é\u0001');
  for (const password of passwords) {
    await server.sql(`alter role lonely password '${password}'`);
    const { pool } = asking(t, () => password);
    const [{ n }] = await pool.query('select 1 as n').catch((error) => {
      throw new Error(`with ${JSON.stringify(password)}`, { cause: error });
    });
    assert.equal(n, 1);
    await pool.end();
  }
  await server.sql(`alter role lonely password '${CANARY}'`);
});

test('CP-47, sec_a06: nothing that is printed holds a password', async (t) => {
  const { pool } = asking(t, () => CANARY);
  await pool.query('select 1');
  const fixed = createPool({
    host: server.host,
    port: server.port,
    user: 'lonely',
    database: 'postgres',
    password: CANARY,
  });
  await fixed.query('select 1');
  for (const one of [pool, fixed]) {
    const shown = [inspect(one, { depth: 9, showHidden: true }), JSON.stringify(one), String(one)];
    shown.push(JSON.stringify(one.status()));
    assert.ok(!shown.join().includes(CANARY));
  }
  await fixed.end();
});

test('sec_o02: what a server says names the server, of logins and of statements', async (t) => {
  const named = `${server.host}:${server.port}`;
  const wrong = asking(t, () => 'wrong').pool;
  await assert.rejects(wrong.query('select 1'), (error) => {
    assert.deepEqual([error.code, error.host], ['28P01', named]);
    // Programs that list the properties of an error find those of pg.
    return !Object.keys(error).includes('host');
  });
  const { pool } = asking(t, () => CANARY);
  await assert.rejects(pool.query('select 1 / 0'), { code: '22012', host: named });
  await assert.rejects(
    pool.transaction((tx) => tx.query('nonsense')),
    {
      code: '42601',
      host: named,
    },
  );
});
