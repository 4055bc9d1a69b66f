// Passwords as functions against `pg`, on a server that asks for them: when they are called, with what, and what goes wrong.
// table: one case per row
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const reference = require('pg');
const ours = require('../../lib/index.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  server = await startServer({
    hba: [
      'host all scram all scram-sha-256',
      'host all md5er all md5',
      'host all clear all password',
    ],
  });
  await server.sql(`set password_encryption = 'scram-sha-256';
    create role scram login password 'right'; create role clear login password 'right';
    set password_encryption = 'md5'; create role md5er login password 'right'`);
});
after(() => server.stop());

const target = (more) => {
  const { host, port } = server;
  return { host, port, user: 'scram', database: 'postgres', ...more };
};

const shown = ({ name, message, code, severity }) => ({ name, message, code, severity });
const failure = (promise) => promise.then(() => 'no failure', shown);

/** Connects, and says what the function was asked and what came of it. */
async function connects(driver, password, more) {
  const asked = [];
  const client = new driver.Client(
    target({
      ...more,
      password: (parameters) => {
        const { user, database, host, port } = parameters;
        asked.push({ user, database, isHost: host === server.host, isPort: port === server.port });
        return password(asked.length);
      },
    }),
  );
  client.on('error', () => {});
  const came = await client.connect().then(
    async () => (await client.query('select current_user as who')).rows,
    ({ message, code, severity }) => ({ message, code, severity }),
  );
  await client.end().catch(() => {});
  return { asked, came };
}

const CASES = {
  'a text': (driver) => connects(driver, () => 'right'),
  'a promise': (driver) => connects(driver, async () => 'right'),
  'for md5': (driver) => connects(driver, () => 'right', { user: 'md5er' }),
  'in clear text': (driver) => connects(driver, () => 'right', { user: 'clear' }),
  'a server that asks for none': (driver) => connects(driver, () => 'right', { user: 'postgres' }),
  'it throws': (driver) =>
    connects(driver, () => {
      throw new Error('no vault');
    }),
  'it rejects': (driver) => connects(driver, () => Promise.reject(new RangeError('no vault'))),
  'a number': (driver) => connects(driver, () => 12),
  'a Buffer, by promise': (driver) => connects(driver, async () => Buffer.from('right')),
  'each connection of a pool asks': async (driver) => {
    let asked = 0;
    const pool = new driver.Pool(
      target({
        max: 3,
        password: async () => {
          asked++;
          return 'right';
        },
      }),
    );
    const clients = [await pool.connect(), await pool.connect()];
    for (const client of clients) client.release();
    const { rows } = await pool.query('select current_user as who');
    await pool.end();
    return { asked, rows };
  },
  'a pool whose function fails, and works later': async (driver) => {
    let asked = 0;
    const pool = new driver.Pool(
      target({
        max: 1,
        password: async () => {
          if (++asked < 3) throw new Error(`no vault ${asked}`);
          return 'right';
        },
      }),
    );
    pool.on('error', () => {});
    const came = [
      await failure(pool.connect()),
      await failure(pool.query('select 1')),
      (await pool.query('select current_user as who')).rows,
      pool.totalCount,
    ];
    await pool.end();
    return came;
  },
  'no password at all': async (driver) => {
    const before = process.env.PGPASSFILE;
    process.env.PGPASSFILE = '/nonexistent';
    try {
      const client = new driver.Client(target());
      client.on('error', () => {});
      return (await failure(client.connect())).message;
    } finally {
      if (before === undefined) delete process.env.PGPASSFILE;
      else process.env.PGPASSFILE = before;
    }
  },
  'a wrong text': async (driver) => {
    const client = new driver.Client(target({ password: 'wrong' }));
    client.on('error', () => {});
    return failure(client.connect());
  },
};

for (const [name, run] of Object.entries(CASES)) {
  test(`password: ${name}`, async () => {
    assert.deepEqual(await run(ours), await run(reference));
  });
}

test('a refused password is not asked for again: one question for each connection, as in pg', async () => {
  const renewed = (count) => (count === 1 ? 'outdated' : 'right');
  const here = await connects(ours, renewed);
  const there = await connects(reference, renewed);
  assert.deepEqual([there.asked.length, there.came.code], [1, '28P01']);
  assert.deepEqual(here, there);
});

for (const user of ['scram', 'md5er', 'clear']) {
  test(`a function that returns undefined is told of, for ${user} (differs: pg says so of SCRAM alone)`, async () => {
    const message = 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string';
    const here = await connects(ours, () => undefined, { user });
    const there = await connects(reference, () => undefined, { user });
    assert.equal(there.came.message === message, user === 'scram');
    assert.deepEqual(here.came, {
      message: `${message}: the password function returned undefined`,
      code: 'ERR_AUTH',
      severity: undefined,
    });
    assert.deepEqual(here.asked, there.asked);
  });

  test(`an empty string of a function is what the server refuses, for ${user}, and told of`, async () => {
    const client = new ours.Client(target({ user, password: () => '' }));
    const error = await client.connect().then(assert.fail, (reason) => reason);
    assert.equal(error.code, '28P01');
    assert.equal(error.cause.message, 'the password function returned an empty string');
    await client.end();
  });
}

for (const thrown of [null, undefined, 0, '']) {
  test(`a function that throws ${JSON.stringify(thrown)} has failed (differs: pg resolves)`, async () => {
    const password = () => {
      throw thrown;
    };
    const client = new ours.Client(target({ password }));
    const message = `the password function failed: ${thrown}`;
    await assert.rejects(client.connect(), { code: 'ERR_AUTH', message });
    await client.end();
  });
}
