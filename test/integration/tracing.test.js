// The diagnostics channels: who hears what of statements, connections and transactions, on every face.
'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { execFile } = require('node:child_process');
const { subscribe, tracingChannel, unsubscribe } = require('node:diagnostics_channel');
const { pipeline } = require('node:stream/promises');
const { inspect, promisify } = require('node:util');
const { Client, Cursor, Pool, ServerlessClient, createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { Kysely, sql } = require('kysely');
const { testDatabase } = require('../support/pools.js');
const { startProxy } = require('../support/proxy.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
const { ended, recordChannels } = require('../support/tracing.js');
require('../support/stray-errors.js');

const database = testDatabase('create table traced (n int, secret text)');
const CANARY = 'kanarienvogel';

/** Of the traces of a test, those of its own statements. */
const own = (events) => ended(events, 'query').filter(({ sql: text }) => /traced/.test(text));

test('a statement of createPool is told of from start to end', async (t) => {
  const events = recordChannels(t, 'query', 'acquire');
  const pool = database.openPool(t, { poolSize: 1 });
  await pool.query('insert into traced values ($1, $2)', [1, CANARY]);
  const names = events.map(({ name, event }) => `${name}:${event}`);
  assert.deepEqual(names, [
    ...['query:start', 'query:end'],
    ...['acquire:start', 'acquire:end', 'acquire:asyncStart', 'acquire:asyncEnd'],
    ...['query:asyncStart', 'query:asyncEnd'],
  ]);
  const [trace] = own(events);
  const { port: digits, pathname } = new URL(database.url);
  const [port, name] = [Number(digits), pathname.slice(1)];
  assert.deepEqual(
    {
      face: trace.face,
      kind: trace.kind,
      command: trace.command,
      rowCount: trace.rowCount,
      parameterCount: trace.parameterCount,
      database: trace.database,
      port: trace.port,
      error: trace.error,
    },
    {
      face: 'cluster',
      kind: 'query',
      command: 'INSERT',
      rowCount: 1,
      parameterCount: 2,
      database: name,
      port,
      error: undefined,
    },
  );
  assert.ok(trace.durationMs >= trace.waitMs && trace.waitMs > 0, inspect(trace));
  const { attributes } = trace;
  assert.equal(attributes['db.system.name'], 'postgresql');
  assert.equal(attributes['db.namespace'], name);
  assert.equal(attributes['db.query.text'], 'insert into traced values ($1, $2)');
  assert.equal(attributes['db.query.summary'], 'INSERT traced');
  assert.equal(attributes['db.operation.name'], 'INSERT');
  assert.equal(attributes['server.port'], port);
  const [acquired] = ended(events, 'acquire');
  assert.equal(acquired.query, trace);
  assert.equal(acquired.durationMs, trace.waitMs);
});

test('a statement that fails has its error, and a wait that fails as well', async (t) => {
  const events = recordChannels(t, 'query', 'acquire');
  const pool = database.openPool(t, { poolSize: 1, acquireTimeoutMs: 100 });
  await assert.rejects(pool.query('select n/0 from (values (1)) traced (n)'), { code: '22012' });
  const tx = await pool.begin();
  await assert.rejects(pool.query('select 1 as traced'), { name: 'AcquireTimeoutError' });
  await tx.rollback();
  await assert.rejects(pool.query('select $1 as traced', [Symbol('x')]), TypeError);
  const [divided, late] = own(events);
  assert.equal(divided.error.code, '22012');
  assert.equal(divided.attributes['db.response.status_code'], '22012');
  assert.equal(late.error.name, 'AcquireTimeoutError');
  const failed = ended(events, 'acquire').filter(({ error }) => error !== undefined);
  assert.deepEqual(
    failed.map(({ error, query }) => [error.name, query === late]),
    [['AcquireTimeoutError', true]],
  );
  // What cannot be sent ends where it began.
  const refused = events.filter(({ trace }) => trace.error instanceof TypeError);
  assert.deepEqual(
    refused.map(({ event }) => event),
    ['start', 'error', 'end'],
  );
});

test('a statement that its signal ended has the reason of the signal', async (t) => {
  const events = recordChannels(t, 'query');
  const logged = [];
  const pool = database.openPool(t, { logger: ({ error }) => logged.push(error) });
  const controller = new AbortController();
  const reason = new Error('enough');
  const sleeping = pool.query('select pg_sleep(60) as traced', [], { signal: controller.signal });
  await waitFor(
    async () =>
      (await database.sql("select 1 from pg_stat_activity where query like '%sleep(60) as tr%'"))
        .length > 1,
  );
  controller.abort(reason);
  await assert.rejects(sleeping, reason);
  const [{ error }] = own(events);
  assert.equal(error, reason);
  assert.deepEqual(logged, [reason]);
});

test('every face tells of its statements', async (t) => {
  const events = recordChannels(t, 'query', 'connect', 'acquire');
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query("select 'client' as traced");
  await new Promise((resolve, reject) => {
    client.query("select 'callback' as traced", (error) => (error ? reject(error) : resolve()));
  });
  await client.end();
  const pool = new Pool({ connectionString: database.url, max: 1 });
  await pool.query("select 'pool' as traced");
  await pool.end();
  const serverless = new ServerlessClient({
    connectionString: database.url,
    leaseMode: 'optional',
  });
  await serverless.query("select 'serverless' as traced");
  await serverless.clean();
  const db = new Kysely({ dialect: new BerthDialect({ connection: database.url }) });
  await sql`select 'kysely' as traced`.execute(db);
  await db.destroy();
  assert.deepEqual(
    own(events).map(({ sql: text, face }) => [/'(\w+)'/.exec(text)?.[1], face]),
    [
      ['client', 'pg'],
      ['callback', 'pg'],
      ['pool', 'pg'],
      ['serverless', 'pg'],
      ['kysely', 'cluster'],
    ],
  );
  const connects = ended(events, 'connect');
  assert.equal(connects.length, 4, inspect(connects));
  const { port } = new URL(database.url);
  for (const { port: told, durationMs, error } of connects) {
    assert.equal(told, Number(port));
    assert.equal(error, undefined);
    assert.ok(durationMs > 0);
  }
  assert.deepEqual(
    ended(events, 'acquire').map(({ face }) => face),
    ['pg', 'cluster'],
  );
});

test('rows in batches and COPY are one statement each, to their end', async (t) => {
  const events = recordChannels(t, 'query');
  const pool = database.openPool(t);
  const rows = [];
  for await (const row of pool.stream('select g as traced from generate_series(1, 25) g', [], {
    batchSize: 10,
  })) {
    if (row.traced === 12) assert.equal(own(events).length, 0, 'it goes on');
    rows.push(row);
  }
  assert.equal(rows.length, 25);
  await pool.transaction(async (tx) => {
    for await (const row of tx.stream('select g as traced from generate_series(1, 99) g', [], {
      batchSize: 10,
    })) {
      if (row.traced === 5) break;
    }
  });
  const copy = pool.copyFrom('copy traced from stdin');
  await pipeline([`7\t${CANARY}\n`], copy);
  assert.deepEqual(
    own(events).map(({ kind, error }) => [kind, error]),
    [
      ['stream', undefined],
      ['stream', undefined],
      ['copy', undefined],
    ],
  );
  assert.equal(own(events)[2].rowCount, 1);
});

test('a cursor with more rows ends with its connection', async (t) => {
  const events = recordChannels(t, 'query');
  const open = async () => {
    const client = new Client({ connectionString: database.url });
    client.on('error', () => {});
    await client.connect();
    const { rows } = await client.query('select pg_backend_pid() as pid');
    const cursor = client.query(new Cursor('select g as traced from generate_series(1, 99) g'));
    assert.equal((await cursor.read(5)).length, 5);
    return { client, pid: rows[0].pid };
  };
  const lost = await open();
  assert.equal(own(events).length, 0, 'it goes on');
  const gone = new Promise((resolve) => lost.client.once('end', resolve));
  await database.sql('select pg_terminate_backend($1)', [lost.pid]);
  await gone;
  const closed = await open();
  await closed.client.end();
  assert.deepEqual(
    own(events).map(({ kind, error }) => [kind, error?.code]),
    [
      ['stream', '57P01'],
      ['stream', undefined],
    ],
  );
});

test('a transaction encloses its statements, and says how it ended', async (t) => {
  const events = recordChannels(t, 'query', 'transaction');
  const pool = database.openPool(t);
  await pool.transaction(async (tx) => {
    await tx.query('select 1 as traced');
  });
  await assert.rejects(
    pool.transaction(async (tx) => {
      await tx.query('select 2 as traced');
      throw new Error('changed my mind');
    }),
    /changed my mind/,
  );
  const tx = await pool.begin();
  await assert.rejects(tx.query('select 1/0 as traced'));
  await assert.rejects(tx.commit());
  const transactions = ended(events, 'transaction');
  assert.deepEqual(
    transactions.map(({ outcome, error }) => [outcome, error?.name]),
    [
      ['committed', undefined],
      ['rolled-back', undefined],
      ['failed', 'TransactionRolledBackError'],
    ],
  );
  assert.deepEqual(
    own(events).map(({ transaction }) => transactions.indexOf(transaction)),
    [0, 1, 2],
  );
  const starts = events.filter(({ name, event }) => name === 'transaction' && event === 'start');
  assert.equal(starts.length, 3);
});

const FORGETTING = {
  createPool: async (t) =>
    (await database.openPool(t).begin()).query('insert into traced values (8)'),
  BerthDialect: async (t) => {
    const db = new Kysely({ dialect: new BerthDialect({ pool: database.openPool(t) }) });
    const trx = await db.startTransaction().execute();
    await sql`insert into traced values (8)`.execute(trx);
  },
};

for (const [whose, forget] of Object.entries(FORGETTING)) {
  test(`a forgotten transaction of ${whose} ends when it is found`, async (t) => {
    const events = recordChannels(t, 'transaction');
    await forget(t);
    await waitFor(
      () => {
        globalThis.gc?.();
        return ended(events, 'transaction').length > 0;
      },
      { what: 'the end of the forgotten transaction' },
    );
    assert.equal(ended(events, 'transaction')[0].outcome, 'rolled-back');
    assert.deepEqual(await database.sql('select n from traced where n = 8'), []);
  });
}

test('the trace of a stream that was forgotten between two batches ends when it is found', async (t) => {
  const events = recordChannels(t, 'query');
  const pool = database.openPool(t);
  await (async () => {
    const rows = pool.stream('select generate_series(1, 9) as traced', [], { batchSize: 2 });
    await rows.next();
  })();
  const isEnded = () => {
    globalThis.gc?.();
    return own(events).length > 0;
  };
  await waitFor(isEnded, { what: 'the end of the forgotten stream' });
  assert.equal(own(events)[0].error, undefined);
  await database.released(pool);
});

test('transactions of ServerlessClient are told of, and how they ended', async (t) => {
  const events = recordChannels(t, 'query', 'transaction');
  const settings = { connectionString: database.url, leaseMode: 'optional' };
  const client = new ServerlessClient(settings);
  const store = new AsyncLocalStorage();
  const channel = tracingChannel('pg-berth:transaction');
  channel.start.bindStore(store, ({ begin }) => begin);
  t.after(() => channel.start.unbindStore(store));
  await client.transaction(
    async (tx) => {
      assert.equal(store.getStore(), 'BEGIN ISOLATION LEVEL REPEATABLE READ');
      await tx.query('select 1 as traced');
    },
    { isolation: 'repeatable-read' },
  );
  await client.query('select 0 as traced');
  const changed = client.transaction(async (tx) => {
    await tx.query('select 2 as traced');
    throw new Error('changed my mind');
  });
  await assert.rejects(changed, /changed my mind/);
  await client.query(
    'create table late (n int unique deferrable initially deferred); insert into late values (3)',
  );
  const refused = client.transaction((tx) => tx.query('insert into late /* traced */ values (3)'));
  await assert.rejects(refused, { code: '23505' });
  await client.query({ text: 'insert into late /* traced */ values (4)', exactlyOnce: true });
  await client.clean();
  const transactions = ended(events, 'transaction');
  assert.deepEqual(
    transactions.map(({ begin, outcome, error }) => [begin, outcome, error?.code]),
    [
      ['BEGIN ISOLATION LEVEL REPEATABLE READ', 'committed', undefined],
      ['BEGIN', 'rolled-back', undefined],
      ['BEGIN', 'failed', '23505'],
      ['BEGIN', 'committed', undefined],
    ],
  );
  assert.deepEqual(
    own(events).map(({ transaction }) => transactions.indexOf(transaction)),
    [0, -1, 1, 2, 3],
  );
  const { port } = new URL(database.url);
  for (const trace of transactions) {
    assert.deepEqual([trace.face, trace.port], ['pg', Number(port)]);
    assert.ok(trace.durationMs > 0);
  }
  const commits = ended(events, 'query').filter(({ command }) => command === 'COMMIT');
  assert.deepEqual(
    commits.map(({ transaction }) => transactions.indexOf(transaction)),
    [0, 3],
  );
});

test('transactions of BerthDialect are told of, and how they ended', async (t) => {
  const events = recordChannels(t, 'query', 'transaction');
  const db = new Kysely({ dialect: new BerthDialect({ connection: database.url }) });
  const ask = (trx, n) => sql`select ${sql.lit(n)} as traced`.execute(trx);
  await db
    .transaction()
    .setIsolationLevel('serializable')
    .execute((trx) => ask(trx, 1));
  await ask(db, 0);
  const changed = db.transaction().execute(async (trx) => {
    await ask(trx, 2);
    throw new Error('changed my mind');
  });
  await assert.rejects(changed, /changed my mind/);
  const controlled = await db.startTransaction().execute();
  await assert.rejects(sql`select 1/0 as traced`.execute(controlled));
  await assert.rejects(controlled.commit().execute(), { code: '25P02' });
  await db.transaction().execute(async () => {});
  await db.connection().execute(async (own) => {
    await ask(own, 3);
    await own.transaction().execute((trx) => ask(trx, 4));
    await ask(own, 5);
  });
  await db.destroy();
  const transactions = ended(events, 'transaction');
  assert.deepEqual(
    transactions.map(({ begin, outcome }) => [begin, outcome]),
    [
      ['start transaction isolation level serializable', 'committed'],
      ['begin', 'rolled-back'],
      ['begin', 'failed'],
      ['begin', 'committed'],
      ['begin', 'committed'],
    ],
  );
  assert.deepEqual(
    own(events).map(({ transaction }) => transactions.indexOf(transaction)),
    [0, -1, 1, 2, -1, 4, -1],
  );
  const starts = events.filter(({ name, event }) => name === 'transaction' && event === 'start');
  assert.equal(starts.length, 5);
});

test('stores that a subscriber binds hold in the closure of a transaction', async (t) => {
  const store = new AsyncLocalStorage();
  const channel = tracingChannel('pg-berth:transaction');
  channel.start.bindStore(store, ({ begin }) => begin);
  t.after(() => channel.start.unbindStore(store));
  const pool = database.openPool(t);
  const seen = await pool.transaction(async (tx) => {
    await tx.query('select 1');
    return store.getStore();
  });
  assert.equal(seen, 'BEGIN');
  assert.equal(store.getStore(), undefined);
});

test('the start comes in the context of whoever asked, queued or not', async (t) => {
  const store = new AsyncLocalStorage();
  const seen = [];
  const onStart = ({ sql: text }) => {
    if (/traced/.test(text)) seen.push(store.getStore());
  };
  subscribe('tracing:pg-berth:query:start', onStart);
  t.after(() => unsubscribe('tracing:pg-berth:query:start', onStart));
  const pool = database.openPool(t);
  await store.run('pool', () => pool.query('select 1 as traced'));
  const client = new Client({ connectionString: database.url });
  const waiting = store.run('client', () => client.query('select 2 as traced'));
  await store.run('other', () => client.connect());
  await waiting;
  await client.end();
  assert.deepEqual(seen, ['pool', 'client']);
});

test('sec_o01: no value of a parameter and no password is in what is told', async (t) => {
  const events = recordChannels(t, 'query', 'connect', 'acquire', 'transaction');
  const url = new URL(database.url);
  url.password = CANARY;
  const pool = createPool(url.href);
  t.after(() => pool.end());
  await pool.query('select $1::text as traced', [CANARY]);
  await pool.transaction((tx) => tx.query('select $1::text as traced', [CANARY]));
  await assert.rejects(pool.query('select $1::int as traced', [CANARY]));
  await pool.query(`select '${CANARY}' as traced where 4711 = 4711`);
  const [, , , literal] = own(events);
  assert.equal(literal.text, 'select ? as traced where ? = ?');
  assert.equal(literal.attributes['db.query.text'], literal.text);
  for (const { trace } of events) {
    // Its statement has an entry of its own.
    const { error, query: _query, ...fields } = trace;
    assert.ok(!inspect({ ...fields, attributes: trace.attributes }, { depth: 9 }).includes(CANARY));
    // The server repeats a value it cannot read; that is its message, and the caller's as well.
    if (error !== undefined) assert.equal(error.code, '22P02');
  }
});

test('sec_o04: a subscriber that throws changes no result', async () => {
  // In a process of its own: Node reports what subscribers throw as uncaught.
  const script = `
    const { tracingChannel } = require('node:diagnostics_channel');
    const { createPool } = require('./lib/index.js');
    const thrown = [];
    process.on('uncaughtException', (error) => thrown.push(error.message));
    const thrower = () => { throw new Error('own'); };
    tracingChannel('pg-berth:query').subscribe({ start: thrower, asyncEnd: thrower });
    (async () => {
      const pool = createPool(process.env.URL);
      const [row] = await pool.query('select 42 as traced');
      const code = await pool.query('select 1/0 as traced').catch((error) => error.code);
      await pool.end();
      console.log(JSON.stringify([row, code, thrown]));
    })();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], {
    env: { ...process.env, URL: database.url },
  });
  assert.deepEqual(JSON.parse(stdout), [{ traced: 42 }, '22012', ['own', 'own', 'own', 'own']]);
});

test('an attempt to connect that fails is told of with its error', async (t) => {
  const events = recordChannels(t, 'connect');
  const proxy = await startProxy({ port: Number(new URL(database.url).port) });
  const { port } = proxy;
  await proxy.close();
  const pool = createPool({ host: '127.0.0.1', port, acquireTimeoutMs: 300, user: 'x' });
  t.after(() => pool.end());
  await assert.rejects(pool.query('select 1'));
  const [attempt] = ended(events, 'connect');
  assert.equal(attempt.port, port);
  assert.equal(attempt.error.code, 'ECONNREFUSED');
  const client = new Client({ host: '127.0.0.1', port });
  await assert.rejects(client.connect());
  assert.equal(ended(events, 'connect').at(-1).error.code, 'ECONNREFUSED');
});

test('a client tells of nothing once nobody listens', async (t) => {
  const pool = database.openPool(t);
  const channel = tracingChannel('pg-berth:query');
  const seen = [];
  const subscribers = { start: (trace) => seen.push(trace.sql) };
  channel.subscribe(subscribers);
  await pool.query('select 1 as traced');
  channel.unsubscribe(subscribers);
  await pool.query('select 2 as traced');
  assert.deepEqual(seen, ['select 1 as traced']);
});
