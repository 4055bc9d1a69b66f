// Transactions and streams on a real server: what COMMIT's tag says, what is left open, and what a loss means (X01, X02, X07).
'use strict';

const assert = require('node:assert/strict');
const { setImmediate: nextTurn } = require('node:timers/promises');
const { Client, QueryStream } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase(`
  create table rows (n int);
  create table parents (n int primary key);
  create table children (n int references parents deferrable initially deferred);
`);

/** Sessions that stand in a transaction. */
const OPEN = `select 1 from pg_stat_activity
  where datname = current_database() and state like 'idle in%'`;

const count = async () => (await db.sql('select count(*)::int as n from rows'))[0].n;

test('sec_x01: a swallowed error inside a transaction makes commit fail, and nothing is kept', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const before = await count();
  const failed = pool.transaction(async (tx) => {
    await tx.query('insert into rows values (1)');
    await tx.query('select no_such_column').catch(() => {});
  });
  const error = await failureOf(failed);
  assert.deepEqual(
    [error.name, error.code, error.outcome],
    ['TransactionRolledBackError', '25P02', 'failed'],
  );
  assert.equal(await count(), before);
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('sec_x01: a deferred constraint fails the commit with the server’s error', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const tx = await pool.begin();
  await tx.query('insert into children values (1)');
  const error = await failureOf(tx.commit());
  assert.deepEqual([error.code, error.outcome, error.table], ['23503', 'failed', 'children']);
  assert.equal((await failureOf(tx.query('select 1'))).name, 'ClosedError');
  await db.released(pool);
});

test('sec_x07: a transaction that is left ends, however it is left', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const before = await count();
  const mine = new Error('mine');
  const thrown = pool.transaction(async (tx) => {
    await tx.query('insert into rows values (1)');
    throw mine;
  });
  assert.equal(await failureOf(thrown), mine);
  const disposed = await pool.begin();
  await disposed.query('insert into rows values (2)');
  await disposed[Symbol.asyncDispose]();
  // Disposing of what is over already does nothing.
  await disposed[Symbol.asyncDispose]();
  const unused = await pool.begin();
  await unused.rollback();
  for await (const row of pool.stream('select generate_series(1, 100000) as n')) {
    if (row.n === 3) break;
  }
  await db.released(pool);
  assert.equal(await count(), before);
  assert.deepEqual(await db.sql(OPEN), []);
});

/** Ways to write two rows under a signal. @type {Record<string, (pool: any, n: number, signal: AbortSignal) => Promise<unknown>>} */
const LEFT = {
  'transaction(fn)': (pool, n, signal) =>
    pool.transaction(
      async (tx) => {
        await tx.query('insert into rows values ($1)', [n]);
        await tx.savepoint((inner) => inner.query('insert into rows values ($1)', [n]));
      },
      { signal, maxAttempts: 1 },
    ),
  'begin()': async (pool, n, signal) => {
    const tx = await pool.begin({ signal });
    try {
      await tx.query('insert into rows values ($1)', [n], { signal });
      await tx.query('insert into rows values ($1)', [n], { signal });
      await tx.commit();
    } finally {
      await tx[Symbol.asyncDispose]();
    }
  },
  'a batch': (pool, n, signal) =>
    pool.batch(
      [1, 2].map(() => ({ sql: 'insert into rows values ($1)', params: [n] })),
      { errors: 'all-or-nothing', signal },
    ),
};

for (const [name, write] of Object.entries(LEFT))
  test(`sec_x07: ${name}, given up after any turn of the event loop, is whole or not there, and none stays open`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1 });
    await pool.query('select 1');
    const told = { done: 0, left: 0, unknown: 0 };
    // A turn more each time, and further ones when the machine is slow, until it was over several times before it was left.
    for (
      let [turns, n, overs] = [0, 1000, 0];
      overs < 5;
      turns += 1 + Math.floor(turns / 20), n++
    ) {
      const leaving = new AbortController();
      let isOver = false;
      const outcome = write(pool, n, leaving.signal)
        .then(
          () => 'done',
          ({ outcome, name }) => (outcome === 'unknown' ? outcome : name),
        )
        .finally(() => {
          isOver = true;
        });
      for (let turn = 0; turn < turns && !isOver; turn++) await nextTurn();
      overs = isOver ? overs + 1 : 0;
      leaving.abort();
      const end = await outcome;
      // Whoever comes next stands in no transaction of somebody else.
      const [row] = await pool.query('select count(*)::int as rows from rows where n = $1', [n]);
      if (end === 'done') assert.equal(row.rows, 2);
      else if (end === 'unknown') assert.ok(row.rows === 0 || row.rows === 2, `${row.rows} rows`);
      else assert.deepEqual([end, row.rows], ['AbortError', 0]);
      told[end === 'AbortError' ? 'left' : end] += 1;
      // A session whose connection was given up may take a moment to see that.
      await waitFor(async () => (await db.sql(OPEN)).length === 0, { what: 'no open transaction' });
    }
    t.diagnostic(JSON.stringify(told));
    assert.ok(told.left > 0 && told.done > 0);
    await db.sql('delete from rows where n >= 1000');
  });

test('sec_x02: a transaction whose backend ended rejects everything and nothing of it is kept', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const before = await count();
  const tx = await pool.begin();
  const [{ pid }] = await tx.query('select pg_backend_pid() as pid');
  await tx.query('insert into rows values (1)');
  await db.sql('select pg_terminate_backend($1, 5000)', [pid]);
  for (const use of [() => tx.query('select 1'), () => tx.query('select 2')]) {
    const error = await failureOf(use());
    assert.deepEqual(
      [error.name, error.outcome, error.transactionLost],
      ['TransactionLostError', 'failed', true],
    );
  }
  assert.notEqual((await failureOf(tx.commit())).outcome, 'unknown');
  assert.equal(await count(), before);
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('sec_x06: serialization failures run the function again, as often as asked', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, retry: { baseDelayMs: 1, maxDelayMs: 2 } });
  let runs = 0;
  const conflict = async (tx) => {
    runs += 1;
    await tx.query(`do $$ begin raise exception 'conflict' using errcode = '40001'; end $$`);
  };
  const error = await failureOf(pool.transaction(conflict, { maxAttempts: 4 }));
  assert.deepEqual([error.code, runs], ['40001', 4]);
  runs = 0;
  await pool.transaction((tx) => (runs === 0 ? conflict(tx) : tx.query('select 1')));
  assert.equal(runs, 1);
});

test('sec_x01: what a stream writes is committed behind its last row, or where it is left, or its end rejects', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await db.sql('truncate rows');
  const insert = 'insert into rows select n from generate_series(1, 300) n returning n';
  let seen = 0;
  for await (const { n } of pool.stream(insert, [], { batchSize: 100 })) seen = n;
  assert.deepEqual([seen, await count()], [300, 300]);
  for await (const { n } of pool.stream(insert, [], { batchSize: 100 })) if (n === 5) break;
  assert.equal(await count(), 600);
  const orphans = pool.stream('insert into children values (7) returning n');
  assert.deepEqual(await orphans.next(), { done: false, value: { n: 7 } });
  const error = await failureOf(orphans.next());
  assert.deepEqual([error.code, error.outcome], ['23503', 'failed']);
  assert.deepEqual(await db.sql('select * from children'), []);
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('a stream that fails in the middle gives the rows before and the error, and frees its connection', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const seen = [];
  const failing = async () => {
    const sql = 'select 100 / (1500 - n) as v, n from generate_series(1, 3000) n';
    for await (const { n } of pool.stream(sql, [], { batchSize: 100 })) seen.push(n);
  };
  const error = await failureOf(failing());
  assert.deepEqual([error.code, error.outcome], ['22012', 'failed']);
  // The batch with the error in it is not delivered.
  assert.ok(seen.length >= 1300 && seen.length < 1500, String(seen.length));
  assert.deepEqual(
    seen,
    Array.from(seen, (_, i) => i + 1),
  );
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('a stream that is left while its next batch has failed says that nothing was kept', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const before = await count();
  await db.sql(`create function keep(int) returns int language sql as
    'insert into rows values ($1) returning n'`);
  // The sixth row fails, and is asked for when half of the first batch is used.
  const sql = 'select n, 1 / (6 - keep(n)) as v from generate_series(1, 9) n';
  const left = async () => {
    for await (const { n } of pool.stream(sql, [], { batchSize: 4 })) if (n === 3) break;
  };
  const error = await failureOf(left());
  assert.deepEqual([error.code, error.outcome], ['22012', 'failed']);
  assert.equal(await count(), before);
  await db.released(pool);
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('a stream that is given up while it waits for a connection says so at once', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 4000 });
  const tx = await pool.begin();
  const began = performance.now();
  const late = await failureOf(pool.stream('select 1 as x', [], { timeoutMs: 50 }).next());
  assert.deepEqual([late.name, late.outcome], ['TimeoutError', 'not-sent']);
  const signal = AbortSignal.timeout(50);
  assert.equal(await failureOf(pool.stream('select 1 as x', [], { signal }).next()), signal.reason);
  assert.ok(performance.now() - began < 2000, 'waited for a connection that it had no use for');
  assert.equal(pool.status().waiting, 0);
  await tx.rollback();
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  await db.released(pool);
});

/** 200 MB; a batch of 500 has five. */
const LARGE = `select repeat('x', 10000) as v from generate_series(1, 20000)`;

/** Ways to read it a batch at a time. @type {Record<string, (proxied: string, t: import('node:test').TestContext) => Promise<AsyncIterable<{ v: string }>>>} */
const READERS = {
  'a pool': async (connectionString, t) =>
    db.openPool(t, { connectionString, poolSize: 1 }).stream(LARGE),
  'a transaction': async (connectionString, t) => {
    const tx = await db.openPool(t, { connectionString, poolSize: 1 }).begin();
    t.after(() => tx.rollback());
    return tx.stream(LARGE);
  },
  'a client': async (connectionString, t) => {
    const client = new Client({ connectionString });
    t.after(() => client.end());
    await client.connect();
    return client.query(new QueryStream(LARGE));
  },
};

/** Reads so many rows, waits until the server does nothing any more, and tells how many bytes have come until then. */
async function readSome(stream, proxy, rows) {
  for (let row = 0; row < rows; row++) assert.equal((await stream.next()).value.v.length, 10_000);
  const waits = `select from pg_stat_activity
    where query = $1 and wait_event = 'ClientRead' and pid <> pg_backend_pid()`;
  await waitFor(async () => (await db.sql(waits, [LARGE])).length === 1, {
    what: 'a server that waits',
  });
  return proxy.counts.toClient + proxy.held('toClient');
}

for (const [name, open] of Object.entries(READERS))
  test(`CP-76, sec_f06: a slow consumer of ${name}'s stream holds the server back`, async (t) => {
    const proxy = await db.openProxy(t);
    const stream = (await open(proxy.url(db.url), t))[Symbol.asyncIterator]();
    const came = await readSome(stream, proxy, 300);
    t.diagnostic(`${came} bytes`);
    assert.ok(came < 12_000_000, `${came} bytes came`);
    await stream.return?.();
  });

test('CP-76, sec_f06: what is streamed does not fill the memory', async (t) => {
  const stream = db.openPool(t, { poolSize: 1 }).stream(LARGE);
  global.gc?.();
  const before = process.memoryUsage().rss;
  let [rows, most] = [0, 0];
  for await (const { v } of stream) {
    rows += 1;
    assert.equal(v.length, 10_000);
    if (rows % 100 === 0) most = Math.max(most, process.memoryUsage().rss);
  }
  assert.equal(rows, 20_000);
  t.diagnostic(`at most ${most - before} bytes more`);
  assert.ok(most - before < 120_000_000, `grew by ${most - before}`);
});

test('a stream that is left behind the end of its transaction has nothing to close', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const begun = async (tx) => {
    const rows = tx.stream('select generate_series(1, 9) as n', [], { batchSize: 2 });
    await rows.next();
    return rows;
  };
  const rows = await pool.transaction(begun);
  assert.deepEqual(await rows.return('enough'), { done: true, value: 'enough' });
  // What it has not read is gone, and whoever wants it hears of that.
  const wanted = await pool.transaction(begun);
  const drain = async () => {
    for await (const _row of wanted);
  };
  await assert.rejects(drain(), { code: 'ERR_CLOSED', outcome: 'not-sent' });
  const tx = await pool.begin();
  for await (const _row of tx.stream('select generate_series(1, 9) as n', [], { batchSize: 2 })) {
    await tx.commit();
    break;
  }
});
