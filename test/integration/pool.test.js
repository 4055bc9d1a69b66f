// The pool on a real server: who gets which connection, when one ends, and that every promise settles (P01–P06, C02).
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { waitFor } = require('../support/wait.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table seen (n serial, who int)');

const pidOf = async (asked) => (await asked.query('select pg_backend_pid() as pid'))[0].pid;

test('sec_p01: the connection that was used last is used next', async (t) => {
  const pool = db.openPool(t, { poolSize: 3 });
  const held = await Promise.all([1, 2, 3].map(() => pool.begin()));
  const pids = await Promise.all(held.map(pidOf));
  for (const tx of held) await tx.rollback();
  for (let n = 0; n < 5; n++) assert.equal(await pidOf(pool), pids[2]);
  assert.equal(pool.status().size, 3);
});

test('sec_p01: waiters are served in the order in which they came', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const holder = await pool.begin();
  const waiting = Array.from({ length: 20 }, (_, who) =>
    who % 2 === 0
      ? pool.query('insert into seen (who) values ($1)', [who])
      : pool.transaction((tx) => tx.query('insert into seen (who) values ($1)', [who])),
  );
  await waitFor(() => pool.status().waiting === 20, { what: 'twenty waiters' });
  await holder.rollback();
  await Promise.all(waiting);
  const rows = await db.sql('select who from seen order by n');
  assert.deepEqual(
    rows.map(({ who }) => who),
    Array.from({ length: 20 }, (_, who) => who),
  );
});

test('sec_p01: there are never more connections than allowed, and the counts say so', async (t) => {
  const pool = db.openPool(t, { poolSize: 4 });
  const asked = Array.from({ length: 200 }, () => pool.query('select pg_sleep(0.002)'));
  let most = 0;
  const watching = setInterval(() => {
    most = Math.max(most, pool.status().size);
  }, 1);
  await Promise.all(asked);
  clearInterval(watching);
  assert.ok(most <= 4 && (await db.connections()) <= 4);
  await db.released(pool);
  const { maxSize, size, available, inUse, waiting } = pool.status();
  assert.deepEqual([maxSize, inUse, waiting, available], [4, 0, 0, size]);
});

test('a pool that is only made opens nothing, and tells its first user everything', async (t) => {
  const pool = db.openPool(t);
  assert.equal(pool.status().counters.connects, 0);
  assert.equal((await pool.query('select 1 as n'))[0].n, 1);
  await waitFor(() => pool.status().counters.connects === 1, { what: 'the count of connects' });
  assert.equal(pool.status().size, 1);
});

test('idle connections end after their time, except those that are kept', async (t) => {
  const pool = db.openPool(t, { poolSize: 4, minIdle: 1, idleTimeoutMs: 50 });
  await Promise.all(Array.from({ length: 4 }, () => pool.query('select pg_sleep(0.05)')));
  await waitFor(() => pool.status().size === 1, { what: 'one connection left' });
  await waitFor(async () => (await db.connections()) === 1, { what: 'one backend left' });
});

test('a connection is replaced after its life and after its uses', async (t) => {
  const used = db.openPool(t, { poolSize: 1, maxUses: 3 });
  const pids = [];
  for (let n = 0; n < 9; n++) pids.push(await pidOf(used));
  assert.equal(new Set(pids).size, 3);
  const short = db.openPool(t, { poolSize: 1, maxLifetimeMs: 20 });
  const first = await pidOf(short);
  await waitFor(async () => (await pidOf(short)) !== first, { what: 'another connection' });
});

test('sec_p02: a connection left in a transaction by hand is brought back first', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('begin');
  await pool.query('select 1');
  const state = `select pg_current_xact_id_if_assigned() is null as clean`;
  assert.deepEqual(await pool.query(state), [{ clean: true }]);
  const open = await db.sql(
    `select 1 from pg_stat_activity where datname = current_database() and state like 'idle in%'`,
  );
  assert.deepEqual(open, []);
});

test('sec_p04: backends that end while idle hurt nobody', async (t) => {
  const pool = db.openPool(t, { poolSize: 3 });
  for (let round = 0; round < 5; round++) {
    // All are open then: one that was still on its way would not be terminated below.
    const held = await Promise.all([1, 2, 3].map(() => pool.begin()));
    await Promise.all(held.map((transaction) => transaction.query('select 1')));
    await Promise.all(held.map((transaction) => transaction.rollback()));
    await db.sql(`select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where datname = current_database() and application_name <> 'observer' and backend_type = 'client backend'`);
    await waitFor(() => pool.status().size === 0, { what: 'the loss of all connections' });
    assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  }
});

test('sec_p05: who waits too long hears how the pool stands', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 50 });
  const holder = await pool.begin();
  await holder.query('select 1');
  const error = await failureOf(pool.query('select 1'));
  assert.deepEqual(
    [error.name, error.code, error.outcome],
    ['AcquireTimeoutError', '53300', 'not-sent'],
  );
  assert.deepEqual([error.counts.size, error.counts.max, error.waitedMs], [1, 1, 50]);
  await holder.rollback();
});

test('sec_p06: end waits for what runs, refuses what comes, and closes everything', async () => {
  const { createPool } = require('../../lib/index.js');
  const pool = createPool({ connectionString: db.url, poolSize: 2 });
  const running = pool.query('select pg_sleep(0.2), 1 as x');
  await db.running('pg_sleep(0.2)');
  const ending = pool.end();
  assert.equal((await failureOf(pool.query('select 2'))).name, 'ClosedError');
  assert.equal((await running)[0].x, 1);
  await Promise.all([ending, pool.end()]);
  assert.equal(pool.status().size, 0);
  await waitFor(async () => (await db.connections()) === 0, { what: 'no backend left' });
});

test('sec_c02: late cancels never hit the next statement', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  for (let round = 0; round < 100; round++) {
    const abort = new AbortController();
    const mine = new Error('mine');
    const given = pool
      .query('select pg_sleep($1)', [(round % 5) / 1000], { signal: abort.signal })
      .catch((error) => assert.equal(error, mine));
    const victim = pool.query('select $1::int as n', [round]);
    setTimeout(() => abort.abort(mine), round % 4);
    assert.deepEqual(await victim, [{ n: round }]);
    await given;
  }
});

test('sec_c04: a time limit ends the statement on the server, and the connection serves the next', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const pid = await pidOf(pool);
  const error = await failureOf(
    pool.query(`select pg_sleep(20), 'limited'`, [], { timeoutMs: 50 }),
  );
  assert.deepEqual(
    [error.name, error.code, error.outcome, error.phase],
    ['TimeoutError', '57014', 'failed', 'statement'],
  );
  await db.idle('limited');
  assert.equal(await pidOf(pool), pid);
});

test('sec_p06: an end with a wrong argument ends nothing, and the next one does', async () => {
  const pool = createPool(db.url);
  await pool.query('select 1');
  const wrong = /** @type {any} */ ({ timeoutMs: 'soon' });
  assert.equal((await failureOf(pool.end(wrong))).code, 'ERR_CONFIG');
  assert.deepEqual(await pool.query('select 1 as n'), [{ n: 1 }]);
  await pool.end();
  assert.equal((await failureOf(pool.query('select 1'))).code, 'ERR_CLOSED');
});

test('rows of a stream come in the order of the calls that ask for them', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const text = 'select n from generate_series(1, 100) as n';
  const stream = pool.stream(text, [], { batchSize: 50 });
  let third;
  const first = stream.next().then(({ value }) => {
    third = stream.next();
    return value.n;
  });
  const second = stream.next();
  assert.deepEqual([await first, (await second).value.n, (await third).value.n], [1, 2, 3]);
  const [left, behind] = await Promise.all([stream.return('left'), stream.next()]);
  assert.deepEqual(left, { done: true, value: 'left' });
  assert.deepEqual(behind, { done: true, value: undefined });
});

test('a stream that nothing was sent for waits for no connection', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 60_000 });
  const holder = await pool.begin();
  const wrong = pool.stream('select $1::int', [/** @type {any} */ (Symbol('no value'))]);
  assert.equal((await failureOf(wrong.next())).code, '22P02');
  const aborted = pool.stream('select 1', [], { signal: AbortSignal.abort() });
  assert.equal((await failureOf(aborted.next())).name, 'AbortError');
  assert.equal(pool.status().waiting, 0);
  await holder.rollback();
});

test('what is called wrongly says so with a code, and nothing was sent', async (t) => {
  const pool = db.openPool(t);
  /** @type {any} */
  const any = pool;
  const wrong = {
    'sql must be a string, got number': () => any.query(1),
    'params must be an array, got object': () => any.query('select 1', {}),
    'fn must be a function, got undefined': () => any.transaction(),
    'statements must be an array, got string': () => any.batch('select 1'),
    'a table must be a name, or an array of names': () => any.insert(undefined, {}),
    'a name cannot contain U+0000': () => any.insert('a\0', {}),
    'row must be an object with columns as keys': () => any.insert('a', 1),
    'olderThanMs must be a number not below 0': () => any.pruneCommitMarkers(-1),
    'option "signal" has no effect on a blocking call; use timeoutMs': async () =>
      any.querySync('select 1', [], { signal: new AbortController().signal }),
    'option "types": "nope" is neither an OID nor the name of a built-in type': () =>
      any.query('select 1', [], { types: { nope: Number } }),
  };
  const tx = await pool.begin();
  /** @type {any} */
  const inside = tx;
  const noText = 'sql must be a string, got undefined';
  const calls = [
    ...Object.entries(wrong),
    ...['query', 'queryResult', 'copyFrom', 'copyTo'].flatMap((method) => [
      [noText, async () => any[method]()],
      [noText, async () => inside[method]()],
    ]),
    [noText, async () => any.stream().next()],
    [noText, async () => any.querySync()],
    ['fn must be a function, got string', () => inside.savepoint('a')],
    ['fn must be a function, got undefined', () => inside.transaction()],
  ];
  const { queries } = pool.getStats();
  for (const [says, call] of calls) {
    const { name, message, code, outcome, safeToRetry } = await failureOf(call());
    const seen = { name, message, code, outcome, safeToRetry };
    const told = { code: 'ERR_CONFIG', outcome: 'not-sent', safeToRetry: true };
    assert.deepEqual(seen, { name: 'TypeError', message: says, ...told });
  }
  assert.equal(pool.getStats().queries, queries);
  await tx.rollback();
});

test('a pool that is forgotten ends with its connections, whatever was given to it', async () => {
  const gc = globalThis.gc;
  assert.ok(gc, 'run with --expose-gc');
  const text = "select from pg_stat_activity where application_name = 'forgotten'";
  for (const options of [
    {},
    { logger() {} },
    { onSlowQuery() {}, maxLagBytes: 1 << 30, mode: 'any' },
  ]) {
    const forget = async () => {
      const own = { applicationName: 'forgotten', idleTimeoutMs: 0 };
      const pool = createPool({ connectionString: db.url, ...own, ...options });
      pool.on('retire', () => {});
      await pool.query('select 1');
    };
    await forget();
    assert.equal((await db.sql(text)).length > 0, true);
    await waitFor(
      async () => {
        gc();
        return (await db.sql(text)).length === 0;
      },
      { what: `the end of a forgotten pool with ${Object.keys(options)}` },
    );
  }
});

test('what is awaited of a pool that is forgotten is answered, and its transactions end as they would', async () => {
  const gc = globalThis.gc;
  assert.ok(gc, 'run with --expose-gc');
  await db.sql('select pg_advisory_lock(11)');
  const forget = async () => {
    const own = { applicationName: 'forgotten with work', poolSize: 2 };
    const pool = createPool({ connectionString: db.url, ...own });
    const tx = await pool.begin();
    await tx.query('create table forgotten_work (n int)');
    const asked = [1, 2].map(() => pool.query('select pg_advisory_xact_lock(11)::text as v'));
    return { held: new WeakRef(pool), tx, asked: Promise.all(asked) };
  };
  const { held, tx, asked } = await forget();
  await db.running('pg_advisory_xact_lock(11)');
  await waitFor(() => {
    gc();
    return held.deref() === undefined;
  });
  // Whoever waits for that hears of it in a task of its own.
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  await tx.query('insert into forgotten_work values (1)');
  await db.sql('select pg_advisory_unlock(11)');
  assert.deepEqual(await asked, [[{ v: '' }], [{ v: '' }]]);
  await tx.commit();
  assert.deepEqual(await db.sql('select n from forgotten_work'), [{ n: 1 }]);
  const text = "select from pg_stat_activity where application_name = 'forgotten with work'";
  await waitFor(async () => (await db.sql(text)).length === 0, { what: 'the end of the pool' });
});
