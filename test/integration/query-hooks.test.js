// Hooks and comments of single statements, which every face takes: slow and failed ones, sqlcommenter's pairs.
'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { pipeline } = require('node:stream/promises');
const { inspect } = require('node:util');
const { Client, Pool, ServerlessClient, createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { Kysely, sql } = require('kysely');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
require('../support/stray-errors.js');

const database = testDatabase('create table traced (n int, secret text)');

test('hooks of a pool hear of slow statements and of failed ones', async (t) => {
  const slow = [];
  const failed = [];
  const pool = database.openPool(t, {
    slowQueryMs: 50,
    onSlowQuery(event) {
      slow.push(event);
      throw new Error('the hook’s own');
    },
    onQueryError: async (event) => {
      failed.push(event);
      throw new Error('the hook’s own');
    },
  });
  await pool.query('select 1');
  await pool.query('select pg_sleep(0.1)');
  await assert.rejects(pool.query('select 1/0'));
  assert.ok(slow.some(({ sql: text }) => text === 'select pg_sleep(0.1)'));
  // A machine that is busy makes others slow as well.
  assert.ok(slow.every(({ durationMs }) => durationMs > 50));
  assert.deepEqual(
    failed.map(({ sql: text, error }) => [text, error.code]),
    [['select 1/0', '22012']],
  );
  assert.throws(() => createPool({ slowQueryMs: 5 }), /option "slowQueryMs" needs "onSlowQuery"/);
});

test('a comment goes along with statements while there is something to say', async (t) => {
  let pairs = { traceparent: '00-ab-01-01', 'route path': "/it's */ drop", none: '', n: 1 };
  const pool = database.openPool(t, { sqlComment: () => pairs });
  const text = 'select query from pg_stat_activity where pid = pg_backend_pid()';
  const [first] = await pool.query(text);
  assert.equal(
    first.query,
    `${text} /*route%20path='%2Fit%27s%20%2A%2F%20drop',traceparent='00-ab-01-01'*/`,
  );
  pairs = undefined;
  const [second] = await pool.query(text);
  assert.equal(second.query, text);
  // Nothing of the first is left on the server.
  const prepared = await pool.query('select statement from pg_prepared_statements');
  assert.ok(
    prepared.every(({ statement }) => !statement.includes('/*')),
    inspect(prepared),
  );
});

/** The same statements over every face, whose options differ in nothing that is looked at. */
const FACES = {
  createPool: async (options, run) => {
    const pool = createPool({ connectionString: database.url, ...options });
    await run((text, params) => pool.query(text, params));
    await pool.end();
  },
  Client: async (options, run) => {
    const client = new Client({ connectionString: database.url, ...options });
    await client.connect();
    await run(async (text, params) => (await client.query(text, params)).rows);
    await client.end();
  },
  Pool: async (options, run) => {
    const pool = new Pool({ connectionString: database.url, ...options });
    await run(async (text, params) => (await pool.query(text, params)).rows);
    await pool.end();
  },
  ServerlessClient: async (options, run) => {
    const settings = { connectionString: database.url, leaseMode: 'optional' };
    const client = new ServerlessClient({ ...settings, ...options });
    await run(async (text, params) => (await client.query(text, params)).rows);
    await client.clean();
  },
  BerthDialect: async (options, run) => {
    const connection = { connectionString: database.url, ...options };
    const db = new Kysely({ dialect: new BerthDialect({ connection }) });
    await run(async (text, parameters = []) => {
      const query = { sql: text, parameters, query: sql`x`.toOperationNode() };
      return (await db.executeQuery({ ...query, queryId: { queryId: 'x' } })).rows;
    });
    await db.destroy();
  },
};

for (const [face, use] of Object.entries(FACES)) {
  test(`hooks and comments of ${face}: slow and failed statements, where they were asked for`, async () => {
    const store = new AsyncLocalStorage();
    const slow = [];
    const failed = [];
    let pairs = { traceparent: '00-ab-01-01' };
    const options = {
      slowQueryMs: 50,
      onSlowQuery: (event) => slow.push({ ...event, store: store.getStore() }),
      onQueryError: async (event) => {
        failed.push({ ...event, store: store.getStore() });
        throw new Error('the hook’s own');
      },
      sqlComment: () => pairs,
    };
    const late = 'select pg_sleep(0.1)';
    const own = 'select query from pg_stat_activity where pid = pg_backend_pid()';
    const withValue = `${own} and $1 = 7`;
    const sleeping = 'select $1::int / 0';
    await use(options, async (query) => {
      await store.run('caller', () => query(late));
      await assert.rejects(
        store.run('caller', () => query(sleeping, [1])),
        { code: '22012' },
      );
      const comment = " /*traceparent='00-ab-01-01'*/";
      assert.equal((await query(own))[0].query, own + comment);
      assert.equal((await query(withValue, [7]))[0].query, withValue + comment);
      pairs = undefined;
      assert.equal((await query(own))[0].query, own);
      assert.equal((await query(withValue, [7]))[0].query, withValue);
    });
    const heard = slow.find(({ sql: text }) => text === late);
    assert.ok(
      heard !== undefined && heard.durationMs > 50 && heard.store === 'caller',
      inspect(slow),
    );
    assert.deepEqual(
      failed.map(({ sql: text, error, store: where }) => [text, error.code, where]),
      [[sleeping, '22012', 'caller']],
    );
  });

  test(`hooks of ${face} are checked`, async () => {
    const options = { slowQueryMs: 5 };
    const wrong = /option "slowQueryMs" needs "onSlowQuery"/;
    await assert.rejects(
      use(options, (query) => query('select 1')),
      wrong,
    );
    await assert.rejects(
      use({ onQueryError: 'x' }, (query) => query('select 1')),
      /onQueryError/,
    );
  });
}

test('hooks hear of streams to their end, of COPY, and not of look-ups of ours', async (t) => {
  const heard = [];
  const pool = database.openPool(t, { logger: (event) => heard.push(event) });
  await pool.query("create type mood as enum ('glum')");
  await pool.query("select 'glum'::mood");
  for await (const _ of pool.stream('select generate_series(1, 25)', [], { batchSize: 10 }));
  await pipeline(['1\tx\n'], pool.copyFrom('copy traced from stdin'));
  await assert.rejects(pool.query('select $1', [Symbol('x')]), TypeError);
  assert.deepEqual(
    heard.map(({ sql: text, rowCount, error }) => [text, rowCount, error?.name]),
    [
      ["create type mood as enum ('glum')", undefined, undefined],
      ["select 'glum'::mood", 1, undefined],
      ['select generate_series(1, 25)', 25, undefined],
      ['COMMIT', undefined, undefined],
      ['copy traced from stdin', 1, undefined],
      ['select $1', undefined, 'TypeError'],
    ],
  );
});

test('a named statement of the pg face keeps its name and goes without a comment', async () => {
  const sqlComment = () => ({ traceparent: '00-ab-01-01' });
  const client = new Client({ connectionString: database.url, sqlComment });
  await client.connect();
  const text = 'select query, $1::int from pg_stat_activity where pid = pg_backend_pid()';
  for (let i = 0; i < 2; i++) {
    const { rows } = await client.query({ name: 'own', text, values: [i] });
    assert.equal(rows[0].query, text);
  }
  await client.end();
});

test('sec_o01, sec_o04: hooks get no value of a parameter, and what they throw stays with them', async (t) => {
  const canary = 'kanarienvogel';
  const told = [];
  const hear = (event) => {
    told.push(event);
    throw new Error('the hook’s own');
  };
  const sqlComment = async () => {
    throw new Error('the hook’s own');
  };
  const hooks = { logger: hear, slowQueryMs: 0, onSlowQuery: async (event) => hear(event) };
  const pool = database.openPool(t, { ...hooks, sqlComment });
  assert.equal((await pool.query('select $1::text as seen', [canary]))[0].seen, canary);
  await pool.transaction((tx) => tx.query('insert into traced values (1, $1)', [canary]));
  await assert.rejects(pool.query('select $1::int / 0', [4711]), { code: '22012' });
  assert.ok(told.length >= 4);
  assert.ok(!inspect(told, { depth: 9 }).includes(canary));
  assert.ok(!inspect(told, { depth: 9 }).includes('4711'));
});
