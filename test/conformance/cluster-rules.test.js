// Rules of the cluster face that one server is enough to show, each by its number.
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const {
  AcquireTimeoutError,
  Client,
  ClosedError,
  createPool,
  ServerError,
} = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { startNode } = require('../support/scripted-nodes.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase(`
  create table rows (n int);
  create table counted (id int primary key, n int not null);
  create table kinds (b bool, i int4, big int8, f float8, num numeric, t text, ts timestamptz, d date,
    time time, ip inet, iv interval, j jsonb, u uuid, bytes bytea, texts text[], grid int[]);
`);

async function proxied(t, options) {
  const proxy = await db.openProxy(t);
  return { proxy, pool: db.openPool(t, { connectionString: proxy.url(db.url), ...options }) };
}

const pidOf = async (queryable) => (await queryable.query('select pg_backend_pid() as pid'))[0].pid;

test('CP-21: two nodes that swallow everything cost two staggers, not two timeouts', async (t) => {
  const nodes = await Promise.all(
    ['silent', 'silent', 'primary'].map((part) => startNode(part, part)),
  );
  t.after(() => Promise.all(nodes.map((node) => node.close())));
  const pool = createPool({
    hosts: nodes.map(({ host }) => host),
    ...{ user: 'u', database: 'd', sslmode: 'disable' },
    // With a wait for either of the two the query would fail.
    ...{ raceDelayMs: 50, connectTimeoutMs: 20_000, acquireTimeoutMs: 5000 },
  });
  t.after(() => pool.end({ timeoutMs: 100 }));
  assert.deepEqual(await pool.query('select name'), [{ name: 'primary' }]);
});

test('CP-45: the folder of a socket is a host', async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const { socketDir, port, user, database } = server;
  const pool = createPool({ hosts: [socketDir], port, user, database });
  t.after(() => pool.end());
  const [row] = await pool.query('select inet_server_addr() as address');
  assert.equal(row.address, null);
  const [{ host, role }] = pool.status().nodes;
  assert.deepEqual([path.dirname(host), role], [socketDir, 'primary']);
});

test('CP-51: timeoutMs counts from the call, waiting for a connection included', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const tx = await pool.begin();
  const error = await failureOf(pool.query('select 1', [], { timeoutMs: 100 }));
  assert.deepEqual(
    [error.name, error.phase, error.outcome, error.afterMs],
    ['TimeoutError', 'acquire', 'not-sent', 100],
  );
  await tx.rollback();
});

test('CP-52: statementTimeoutMs is the server’s own limit, maxStatementMs ours', async (t) => {
  const server = db.openPool(t, { statementTimeoutMs: 150 });
  assert.deepEqual(await server.query('show statement_timeout'), [{ statement_timeout: '150ms' }]);
  const theirs = await failureOf(server.query('select pg_sleep(20)'));
  assert.ok(theirs instanceof ServerError && theirs.code === '57014');
  const ours = await failureOf(
    db.openPool(t, { maxStatementMs: 150 }).query('select pg_sleep(20)'),
  );
  assert.deepEqual([ours.name, ours.code, ours.outcome], ['TimeoutError', '57014', 'failed']);
});

const CANCELS = 10_000;
/** Distinct texts; the rule's own number is 100 000. */
const TEXTS = Number(process.env.PG_BERTH_TEXTS ?? 10_000);

for (const driver of /** @type {const} */ (['auto', 'engine']))
  test(`CP-54, sec_c02: ${CANCELS} random cancels stop nothing else, and what they stop has not happened (driver ${driver})`, async (t) => {
    const pool = db.openPool(t, { poolSize: 4, driver, acquireTimeoutMs: 60_000 });
    const lanes = 16;
    await db.sql('truncate counted');
    await db.sql('insert into counted select generate_series(1, $1::int), 0', [lanes]);
    /** How often each counter was raised. */
    const raised = new Map();
    const told = { done: 0, unsent: 0, stopped: 0, left: 0 };
    let given = 0;
    const lane = async (id) => {
      let count = 0;
      while (given < CANCELS) {
        const isTimed = given++ % 3 === 0;
        const seconds = Math.random() < 0.5 ? 0 : Math.random() * 0.004;
        const text = `update counted set n = n + 1 where id = $1 and pg_sleep($2) is not null returning n`;
        const [row] = await pool.query(text, [id, seconds]);
        count += 1;
        assert.equal(row.n, count, 'each answer is that of its own statement');
        const leaving = new AbortController();
        const limits = isTimed ? { timeoutMs: 1 + (given % 4) } : { signal: leaving.signal };
        const asked = pool.query(text, [id, seconds], limits);
        const left = new Error('left');
        if (!isTimed) setTimeout(() => leaving.abort(left), Math.random() * 6);
        try {
          await asked;
          count += 1;
          told.done += 1;
        } catch (error) {
          if (error === left) told.left += 1;
          else {
            assert.equal(error.name, 'TimeoutError', error.stack);
            assert.notEqual(error.outcome, 'unknown');
            told[error.outcome === 'failed' ? 'stopped' : 'unsent'] += 1;
          }
        }
      }
      raised.set(id, count);
    };
    await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index + 1)));
    t.diagnostic(JSON.stringify(told));
    for (const { id, n } of await db.sql('select id, n from counted'))
      assert.equal(n, raised.get(id));
    assert.ok(told.done > 0 && told.left > 0 && told.stopped > 0);
  }, 120_000);

test('CP-60: waiters are served in order, and an exhausted pool says so with the code of the original', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 200 });
  const tx = await pool.begin();
  const error = await failureOf(pool.query('select 1'));
  assert.ok(error instanceof AcquireTimeoutError, error.stack);
  assert.deepEqual([error.code, error.outcome, error.waitedMs], ['53300', 'not-sent', 200]);
  const order = [];
  const waiting = [1, 2, 3].map((n) =>
    pool.begin().then(async (next) => {
      order.push(n);
      await next.rollback();
    }),
  );
  await waitFor(() => pool.status().waiting === 3, { what: 'three waiters' });
  await tx.rollback();
  await Promise.all(waiting);
  assert.deepEqual(order, [1, 2, 3]);
});

test('CP-61: connections end after maxUses and maxLifetimeMs, and minIdle are kept', async (t) => {
  const worn = db.openPool(t, { poolSize: 1, maxUses: 2 });
  const pids = [];
  for (let i = 0; i < 4; i++) pids.push(await pidOf(worn));
  assert.equal(new Set(pids).size, 2, String(pids));
  const aged = db.openPool(t, { poolSize: 1, maxLifetimeMs: 50 });
  const first = await pidOf(aged);
  await waitFor(async () => (await pidOf(aged)) !== first, { what: 'another connection' });
  const kept = db.openPool(t, { minIdle: 2, idleTimeoutMs: 50 });
  await waitFor(() => kept.status().available === 2, { what: 'idle connections' });
});

test('CP-62: end waits for what runs, refuses what comes, and is one promise', async () => {
  const pool = createPool(db.url);
  const running = pool.query('select pg_sleep(0.2), 1 as x');
  await db.running('pg_sleep(0.2)');
  const ending = pool.end();
  assert.equal(pool.end(), ending);
  const error = await failureOf(pool.query('select 1'));
  assert.ok(error instanceof ClosedError && /pool is closed/.test(error.message), error.stack);
  assert.equal((await running)[0].x, 1);
  await ending;
});

test('CP-63: a transaction that was opened by hand and left is rolled back before anybody else comes', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const pid = await pidOf(pool);
  await pool.query('begin');
  // The next one is not inside it, and what it does is kept.
  await pool.query('insert into rows values (1)');
  assert.deepEqual(await db.sql('select count(*)::int as n from rows'), [{ n: 1 }]);
  assert.equal(await pidOf(pool), pid);
  await db.sql('delete from rows');
});

test(`CP-64: ${TEXTS} texts leave few statements and bounded memory on the server, for every face`, async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const client = new Client(db.url);
  t.after(() => client.end());
  await client.connect();
  const usage = `select count(*)::int as n, (select sum(total_bytes)::int from pg_backend_memory_contexts) as bytes
    from pg_prepared_statements`;
  for (const ask of [pool.query.bind(pool), async (...all) => (await client.query(...all)).rows]) {
    const some = async (from, to) => {
      for (let first = from; first < to; first += 100) {
        const asked = Array.from({ length: 100 }, (_, index) =>
          ask(`select $1::int + ${first + index} as n`, [1]),
        );
        for (const [index, [{ n }]] of (await Promise.all(asked)).entries())
          assert.equal(n, first + index + 1);
      }
      return (await ask(usage))[0];
    };
    // The cache of 256 is full by then.
    const before = await some(0, 1000);
    const behind = await some(1000, TEXTS);
    for (const { n } of [before, behind]) assert.ok(n > 200 && n <= 257, `${n} statements`);
    const grown = behind.bytes - before.bytes;
    t.diagnostic(`${before.bytes} bytes, and ${grown} more`);
    assert.ok(grown < before.bytes / 10, `${before.bytes} bytes, and ${grown} more`);
  }
}, 240_000);

test('CP-64: stale statements are repaired', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await db.sql('create table wide (a int)');
  for (let i = 0; i < 2; i++) await pool.query('select * from wide');
  await db.sql('alter table wide add column b text');
  const { fields } = await pool.queryResult('select * from wide');
  assert.deepEqual(
    fields.map(({ name }) => name),
    ['a', 'b'],
  );
  await pool.query('deallocate all');
  assert.deepEqual(await pool.query('select * from wide'), []);
});

test('CP-66: BEGIN travels with the first statement: a transaction of one takes two round trips', async (t) => {
  const { proxy, pool } = await proxied(t, { poolSize: 1 });
  await pool.transaction((tx) => tx.query('insert into rows values ($1)', [2]));
  proxy.delay(60);
  const before = performance.now();
  await pool.transaction((tx) => tx.query('insert into rows values ($1)', [3]));
  const trips = (performance.now() - before) / 120;
  proxy.heal();
  // Four, at least, if BEGIN or the probe had one of their own.
  assert.ok(trips < 3, `${trips} round trips`);
  await db.sql('delete from rows');
});

test('CP-70: values go in the form their server type takes, or are refused by the server, never corrupted', async (t) => {
  const pool = db.openPool(t);
  const at = new Date('2026-06-05T12:00:00.250Z');
  const cases = [
    ['b', true, true],
    ['i', '41', 41],
    ['big', 2n ** 62n, 2n ** 62n],
    ['f', 1.5, 1.5],
    ['num', '12.50', '12.50'],
    ['t', true, 'true'],
    ['t', 5, '5'],
    ['ts', at, '2026-06-05T12:00:00.250000+00:00'],
    ['d', '2026-06-05', '2026-06-05'],
    ['time', '12:30:00', '12:30:00'],
    ['ip', '10.0.0.1', '10.0.0.1'],
    ['j', { a: [1, null] }, { a: [1, null] }],
    ['u', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ['bytes', Buffer.from([0, 255]), Buffer.from([0, 255])],
  ];
  for (const [column, value, expected] of cases) {
    const sql = `insert into kinds (${column}) values ($1) returning ${column} as value`;
    const [row] = await pool.query(sql, [value]);
    assert.deepEqual(row.value, expected, String(column));
  }
  for (const [column, value] of [
    ['ts', 5],
    ['time', 5],
    ['i', 3.7],
    ['i', 1e10],
    ['big', 1.5],
  ]) {
    const error = await failureOf(pool.query(`insert into kinds (${column}) values ($1)`, [value]));
    assert.equal(error.outcome === 'failed' || error.safeToRetry, true, `${column} ${value}`);
  }
});

test('CP-71: JSON parameters follow JSON.stringify, texts are sent as they are, NaN is refused', async (t) => {
  const pool = db.openPool(t);
  const back = async (value) => (await pool.query('select $1::jsonb as value', [value]))[0].value;
  assert.deepEqual(await back({ at: new Date(0) }), { at: '1970-01-01T00:00:00.000Z' });
  assert.deepEqual(await back([1, 'x', null]), [1, 'x', null]);
  assert.deepEqual(await back('{"a":1}'), { a: 1 });
  assert.equal((await failureOf(back({ x: Number.NaN }))).safeToRetry, true);
});

test('CP-72: arrays of any dimension go both ways', async (t) => {
  const pool = db.openPool(t);
  const values = [
    ['a', null, 'q"\\,'],
    [
      [1, 2],
      [3, 4],
    ],
  ];
  const [row] = await pool.query(
    'insert into kinds (texts, grid) values ($1, $2) returning texts, grid',
    values,
  );
  assert.deepEqual([row.texts, row.grid], values);
  const [bounds] = await pool.query(`select '[5:6]={1,2}'::int[] as shifted, '{}'::int[] as empty`);
  assert.deepEqual({ ...bounds }, { shifted: [1, 2], empty: [] });
});

test('CP-73: types without a form of their own arrive as PostgreSQL prints them', async (t) => {
  const [row] = await db
    .openPool(t)
    .query(`select '10.1.2.3/8'::inet as ip, '(1,2)'::point as point,
    'infinity'::timestamptz as ever, '0044-03-15 BC'::date as ides, '24:00:00'::time as midnight, '0/10'::pg_lsn as lsn`);
  const { ever, ides, midnight, ...texts } = row;
  assert.deepEqual(texts, { ip: '10.1.2.3/8', point: '(1,2)', lsn: '0/10' });
  assert.deepEqual([ever, ides, midnight], ['infinity', '0044-03-15 BC', '24:00:00']);
});

test('CP-75: columns with names of the language are plain columns, and the later of two wins', async (t) => {
  const pool = db.openPool(t);
  const sql = 'select 1 as "__proto__", 2 as "constructor", 3 as x, 4 as x';
  const [row] = await pool.query(sql);
  assert.deepEqual(Object.entries(row), [
    ['__proto__', 1],
    ['constructor', 2],
    ['x', 4],
  ]);
  assert.deepEqual([...(await pool.query(sql, [], { rowMode: 'array' }))], [[1, 2, 3, 4]]);
});

test('CP-76: a stream takes what it is asked for, and gives its connection back when it is left', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  let seen = 0;
  for await (const { n } of pool.stream('select generate_series(1, 100000) as n', [], {
    fetchSize: 10,
  })) {
    seen = n;
    if (n === 25) break;
  }
  assert.equal(seen, 25);
  await db.released(pool);
});

test('CP-81: rollback resolves when the connection is gone, and commit does not', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  for (const end of /** @type {const} */ (['rollback', 'commit'])) {
    const tx = await pool.begin();
    const pid = await pidOf(tx);
    await db.sql('select pg_terminate_backend($1)', [pid]);
    await waitFor(
      async () =>
        (await db.sql('select 1 from pg_stat_activity where pid = $1', [pid])).length === 0,
      {
        what: 'the end of the backend',
      },
    );
    if (end === 'rollback') await tx.rollback();
    else assert.equal((await failureOf(tx.commit())).outcome, 'failed');
  }
});

test('CP-82: statements of a transaction run in call order, and the first error fails the later ones', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const tx = await pool.begin();
  const settled = await Promise.allSettled([
    tx.query('select 1 as x'),
    tx.query('select 1 / 0'),
    tx.query('select 2 as x'),
  ]);
  const codes = settled.map((one) =>
    one.status === 'fulfilled' ? one.value[0].x : one.reason.code,
  );
  assert.deepEqual(codes, [1, '22012', '25P02']);
  await tx.rollback();
});

test('CP-84: a statement whose answer is lost is not repeated, one that was not sent is', async (t) => {
  const { proxy, pool } = await proxied(t, { poolSize: 1 });
  await pool.query('select 1');
  await proxy.cutAll();
  await waitFor(() => pool.status().size === 0, { what: 'the loss' });
  await pool.query('insert into rows values (7)');
  proxy.cutAt({ direction: 'toClient', text: 'INSERT', before: true });
  assert.equal((await failureOf(pool.query('insert into rows values (7)'))).code, 'IN_DOUBT');
  assert.deepEqual(await db.sql('select count(*)::int as n from rows where n = 7'), [{ n: 2 }]);
});

test('CP-85: commit of a failed transaction rejects', async (t) => {
  const tx = await db.openPool(t, { poolSize: 1 }).begin();
  await failureOf(tx.query('select 1 / 0'));
  const error = await failureOf(tx.commit());
  assert.deepEqual([error.name, error.code], ['TransactionRolledBackError', '25P02']);
});

for (const debug of ['', 'net,pg-berth'])
  test(`CP-86: a forgotten transaction is reported, and its connection closed (NODE_DEBUG=${debug})`, async (t) => {
    const { NODE_DEBUG } = process.env;
    process.env.NODE_DEBUG = debug;
    t.after(() => {
      if (NODE_DEBUG === undefined) delete process.env.NODE_DEBUG;
      else process.env.NODE_DEBUG = NODE_DEBUG;
    });
    const pool = db.openPool(t, { poolSize: 1 });
    /** @type {any[]} */
    const told = [];
    pool.on('leaked-transaction', (event) => told.push(event));
    const pid = 'select pg_backend_pid() as pid';
    async function careless() {
      const [row] = await (await pool.begin()).query(pid);
      return row.pid;
    }
    const first = await careless();
    await waitFor(
      () => {
        globalThis.gc?.();
        return told.length > 0;
      },
      { what: 'the end of the forgotten transaction' },
    );
    const [{ openMs, stack }] = told;
    assert.deepEqual([told.length, openMs > 0], [1, true]);
    if (debug === '') assert.equal(stack, null);
    else assert.match(stack, /^ +at .*careless/m);
    const [second] = await pool.query(pid);
    assert.notEqual(second?.pid, first);
    await (await pool.begin()).rollback();
    globalThis.gc?.();
    await pool.query(pid);
    assert.equal(told.length, 1, 'one that was ended is not leaked');
  });

test('CP-92: the logger hears each try, and what it throws changes nothing', async (t) => {
  const events = [];
  const pool = db.openPool(t, {
    logger(event) {
      events.push(event);
      throw new Error('of the logger');
    },
  });
  await pool.query('select generate_series(1, 3)');
  await failureOf(pool.query('select no_such_column'));
  const [well, badly] = events;
  assert.deepEqual(
    [well.sql, well.rowCount, well.error],
    ['select generate_series(1, 3)', 3, undefined],
  );
  assert.equal(badly.error.code, '42703');
  assert.ok(Number.isInteger(well.durationMs));
  assert.deepEqual(
    [well.attempt, well.command, well.host, badly.attempt],
    [1, 'SELECT', new URL(db.url).host, 1],
  );
  for (const { acquireMs, executeMs, durationMs } of events) {
    assert.ok(acquireMs >= 0 && executeMs > 0, `${acquireMs} ${executeMs}`);
    assert.equal(Math.round(acquireMs + executeMs), durationMs);
  }
  assert.equal(pool.status().counters.failedLoggers, 2);
});

test('CP-93: errors of the server have all its fields, and the stack of the caller', async (t) => {
  const pool = db.openPool(t);
  await db.sql('create table strict (id int primary key, n int check (n > 0))');
  const error = await failureOf(pool.query('insert into strict values (1, -1)'));
  assert.deepEqual(
    [error.severity, error.schema, error.table, error.constraint, error.routine],
    ['ERROR', 'public', 'strict', 'strict_n_check', 'ExecConstraints'],
  );
  assert.match(error.detail, /Failing row/);
  assert.match(error.stack, /cluster-rules\.test\.js/);
});

test('CP-96: the declarations are there, both ways of loading give the same, and an ended pool lets the process end', async () => {
  const { execFileSync } = require('node:child_process');
  const root = path.join(__dirname, '../..');
  const script = `
    import { createPool } from ${JSON.stringify(path.join(root, 'lib/index.js'))};
    import { createRequire } from 'node:module';
    const same = createRequire(import.meta.url)(${JSON.stringify(path.join(root, 'lib/index.js'))}).createPool === createPool;
    const pool = createPool(process.argv[1]);
    const [{ x }] = await pool.query('select 1 as x');
    await pool.end();
    console.log(same, x);`;
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', script, db.url], {
    timeout: 20_000,
    encoding: 'utf8',
  });
  assert.equal(told.trim(), 'true 1');
});
