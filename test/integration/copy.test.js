// COPY as streams of createPool: data both ways, back pressure, and connections that stay usable whatever happens.
'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { once } = require('node:events');
const { Readable, Writable } = require('node:stream');
const { buffer, text } = require('node:stream/consumers');
const { pipeline } = require('node:stream/promises');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
const { uncaughtIn } = require('../support/uncaught.js');

const db = testDatabase('create table t (id int primary key, label text)');

const one = (pool) => pool.query('select 1 as one').then(([row]) => row.one);
const closed = (stream) => new Promise((resolve) => stream.once('close', resolve));
const failure = (stream) => new Promise((resolve) => stream.once('error', resolve));
/** One connection, so that every test sees whether it is usable afterwards. */
const open = (t, options) => db.openPool(t, { poolSize: 1, ...options });

async function empty(pool) {
  await pool.query('truncate t');
}

test('rows go in and out again as they are, in text and binary', async (t) => {
  const pool = open(t);
  await empty(pool);
  const rows = Array.from({ length: 5000 }, (_, i) => `${i}\tlabel ü ${i}\n`);
  const from = pool.copyFrom('copy t from stdin');
  assert.equal(from.rowCount, null);
  await pipeline(Readable.from(rows), from);
  assert.equal(from.rowCount, 5000);
  const to = pool.copyTo('copy (select * from t order by id) to stdout');
  assert.equal(await text(to), rows.join(''));
  assert.equal(to.rowCount, 5000);
  const binary = await buffer(pool.copyTo('copy t to stdout (format binary)'));
  assert.equal(binary.subarray(0, 6).toString('latin1'), 'PGCOPY');
  await empty(pool);
  const back = pool.copyFrom('copy t from stdin (format binary)');
  await pipeline(Readable.from([binary]), back);
  assert.equal(back.rowCount, 5000);
});

test('pieces of any size arrive complete, single bytes and megabytes', async (t) => {
  const pool = open(t);
  await empty(pool);
  const long = 'x'.repeat(3_000_000);
  await pipeline(Readable.from([`1\t${long}\n`]), pool.copyFrom('copy t from stdin'));
  const bytes = Buffer.from('2\tsingle bytes\n');
  const single = pool.copyFrom('copy t from stdin');
  for (const byte of bytes) single.write(Buffer.of(byte));
  single.end();
  await once(single, 'finish');
  assert.equal(
    await text(pool.copyTo('copy (select * from t order by id) to stdout')),
    `1\t${long}\n2\tsingle bytes\n`,
  );
});

test('listeners and callbacks of a COPY are called in the context of whoever asked for it', async (t) => {
  const pool = open(t, { poolSize: 2 });
  await empty(pool);
  const requests = new AsyncLocalStorage();
  const seen = [];
  const note = (name, what) => () => seen.push([name, requests.getStore(), what]);
  const inAndOut = async (name) => {
    const from = pool.copyFrom('copy t from stdin');
    from.on('finish', note(name, 'finish')).on('close', note(name, 'close of FROM'));
    from.write(`${name}\tlabel\n`, note(name, 'written'));
    from.end(note(name, 'end'));
    await closed(from);
    const to = pool.copyTo(`copy (select id from t where id = ${name}) to stdout`);
    to.on('data', note(name, 'data')).on('end', note(name, 'end of data'));
    to.on('close', note(name, 'close of TO'));
    await closed(to);
    const none = pool.copyTo('copy nothing to stdout');
    none.on('error', note(name, 'error'));
    await closed(none);
  };
  await Promise.all([1, 2].map((name) => requests.run(name, inAndOut, name)));
  assert.equal(seen.length, 2 * 8);
  assert.deepEqual(
    seen.filter(([name, store]) => name !== store),
    [],
  );
});

test('a COPY without rows takes and gives nothing', async (t) => {
  const pool = open(t);
  await empty(pool);
  const from = pool.copyFrom('copy t from stdin');
  from.end();
  await once(from, 'finish');
  assert.equal(from.rowCount, 0);
  const to = pool.copyTo('copy t to stdout');
  assert.equal(await text(to), '');
  assert.equal(to.rowCount, 0);
});

test('a slow reader holds the server back', async (t) => {
  const pool = open(t);
  globalThis.gc?.();
  const before = process.memoryUsage().arrayBuffers;
  const to = pool.copyTo(
    `copy (select i, repeat('x', 1000) from generate_series(1, 200000) i) to stdout`,
  );
  await once(to, 'readable');
  // 200 MB are there; what has left the server is what fits into buffers, however long nobody reads.
  const [pid] = await db.running('generate_series(1, 200000)');
  const waiting = () =>
    db
      .sql('select wait_event from pg_stat_activity where pid = $1', [pid])
      .then(([row]) => row.wait_event);
  await waitFor(async () => (await waiting()) === 'ClientWrite', { what: 'a server that waits' });
  assert.ok(process.memoryUsage().arrayBuffers - before < 100e6);
  let bytes = 0;
  for await (const piece of to) bytes += piece.length;
  assert.equal(to.rowCount, 200_000);
  assert.ok(bytes > 200e6);
});

test('a server that does not read holds the writer back', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = open(t, { connectionString: proxy.url(db.url) });
  await empty(pool);
  const from = pool.copyFrom('copy t from stdin');
  from.write('0\tfirst\n');
  await waitFor(() => from.writableLength === 0, { what: 'the first row on its way' });
  proxy.blackHole();
  const line = Buffer.from(`${'x'.repeat(65_000)}`);
  let written = 0;
  from.write('1\t');
  while (written < 1000 && (from.write(line) || (await drained(from)))) written++;
  assert.ok(written < 1000, `${written} pieces were taken`);
  proxy.heal();
  from.end('\n');
  await once(from, 'finish');
  assert.equal(from.rowCount, 2);
});

/** Waits for room, for as long as anything moves. */
async function drained(stream) {
  const { writableLength } = stream;
  return Promise.race([
    once(stream, 'drain').then(() => true),
    waitFor(() => stream.writableLength < writableLength, { timeoutMs: 300 }).then(
      () => true,
      () => false,
    ),
  ]);
}

test('an error of the server in the middle is the stream’s error, and nothing was stored', async (t) => {
  const pool = open(t);
  await empty(pool);
  for (const [data, code] of [
    ['1\ta\n1\tb\n', '23505'],
    ['x\ta\n', '22P02'],
    ['1\n', '22P04'],
  ]) {
    const rest = Readable.from([
      data,
      ...Array.from({ length: 500 }, () => '9\tmore\n'.repeat(1000)),
    ]);
    await assert.rejects(pipeline(rest, pool.copyFrom('copy t from stdin')), {
      name: 'error',
      code,
      outcome: 'failed',
    });
    assert.equal(await one(pool), 1);
  }
  assert.deepEqual(await pool.query('select * from t'), []);
});

test('an error while the server sends is the stream’s error', async (t) => {
  const pool = open(t);
  const to = pool.copyTo(
    'copy (select 1 / (100000 - i) from generate_series(1, 100000) i) to stdout',
  );
  await assert.rejects(text(to), { code: '22012' });
  assert.equal(await one(pool), 1);
});

test('destroying a COPY FROM stores nothing and gives the connection back', async (t) => {
  const pool = open(t);
  await empty(pool);
  const reason = new Error('changed my mind');
  for (const when of ['at once', 'begun', 'with data under way']) {
    const from = pool.copyFrom('copy t from stdin');
    if (when !== 'at once') await new Promise((resolve) => from.write('1\ta\n', resolve));
    if (when === 'with data under way') for (let i = 2; i < 50_000; i++) from.write(`${i}\ta\n`);
    const failed = failure(from);
    from.destroy(reason);
    assert.equal(await failed, reason, when);
    assert.equal(await one(pool), 1, when);
    assert.equal(pool.status().size, 1, when);
  }
  assert.deepEqual(await pool.query('select * from t'), []);
});

test('a COPY FROM may be destroyed with an error whose message is no text', async (t) => {
  const pool = open(t);
  await empty(pool);
  for (const message of [7, {}]) {
    const reason = Object.assign(new Error('replaced'), { message });
    const from = pool.copyFrom('copy t from stdin');
    await new Promise((resolve) => from.write('1\ta\n', resolve));
    const failed = failure(from);
    from.destroy(reason);
    assert.equal(await failed, reason);
    const rows = (function* () {
      yield { id: 1 };
      throw reason;
    })();
    await assert.rejects(pool.insertMany('t', rows), (error) => error === reason);
    assert.equal(await one(pool), 1);
  }
  assert.deepEqual(await pool.query('select * from t'), []);
});

test('leaving a COPY TO early ends it on the server', async (t) => {
  const pool = open(t);
  const sql = `copy (select generate_series(1, 100000000), repeat('x', 100)) to stdout`;
  for await (const piece of pool.copyTo(sql)) {
    assert.ok(piece.length > 0);
    break;
  }
  assert.equal(await one(pool), 1);
  const unread = pool.copyTo(sql);
  await once(unread, 'readable');
  unread.destroy();
  await closed(unread);
  assert.equal(await one(pool), 1);
  const { size, available, inUse, waiting } = pool.status();
  assert.deepEqual(
    { size, available, inUse, waiting },
    { size: 1, available: 1, inUse: 0, waiting: 0 },
  );
});

test('what is no COPY, or one in the other direction, is said so', async (t) => {
  const pool = open(t);
  for (const [method, sql, expected] of [
    ['copyFrom', 'select 1', /no COPY in this direction/],
    ['copyFrom', '', /no COPY in this direction/],
    ['copyFrom', 'copy t to stdout', /no COPY in this direction/],
    ['copyTo', 'copy t from stdin', /No source stream defined/],
    ['copyTo', 'select 1', /no COPY in this direction/],
    ['copyFrom', 'copy nowhere from stdin', /relation "nowhere" does not exist/],
    ['copyFrom', 'copy t from stdin; copy t from stdin', /No source stream defined/],
  ]) {
    const stream = pool[method](sql);
    const failed = failure(stream);
    if (method === 'copyFrom') stream.end();
    else stream.resume();
    assert.match((await failed).message, expected, sql);
    assert.equal(await one(pool), 1, sql);
  }
  await empty(pool);
  const insert = pool.copyFrom("insert into t values (1, 'done')");
  const { name, code, outcome, safeToRetry } = await failure(insert);
  assert.deepEqual(
    [name, code, outcome, safeToRetry],
    ['OutcomeUnknownError', 'ERR_CONFIG', 'unknown', false],
  );
  assert.deepEqual(await pool.query('select label from t'), [{ label: 'done' }]);
});

test('a signal destroys with its reason, a time limit with a TimeoutError', async (t) => {
  const pool = open(t);
  await empty(pool);
  const controller = new AbortController();
  const from = pool.copyFrom('copy t from stdin', { signal: controller.signal });
  await new Promise((resolve) => from.write('1\ta\n', resolve));
  const failed = failure(from);
  const reason = new Error('enough');
  controller.abort(reason);
  assert.equal(await failed, reason);
  assert.equal(await one(pool), 1);

  const slow = pool.copyFrom('copy t from stdin', { timeoutMs: 100 });
  slow.write('1\ta\n');
  const error = await failure(slow);
  assert.equal(error.name, 'TimeoutError');
  assert.equal(error.outcome, 'failed');
  assert.equal(await one(pool), 1);
  assert.deepEqual(await pool.query('select * from t'), []);

  const to = pool.copyTo('copy (select pg_sleep(60)) to stdout', { timeoutMs: 100 });
  assert.equal((await failure(to.resume())).name, 'TimeoutError');
  assert.equal(await one(pool), 1);
});

/** So many rows of 10 000 bytes, then a wait until the observer lets it go on, then the same number again. */
const inHalves = (rows) => `copy (select repeat('x', 9999) from generate_series(1, ${rows})
  union all select pg_advisory_xact_lock(7)::text
  union all select repeat('y', 9999) from generate_series(1, ${rows})) to stdout`;

/** A COPY TO that the server finishes after it was given up, because no cancel reaches it. */
async function finishedAfterAbort(t, rows, take) {
  const proxy = await db.openProxy(t);
  const pool = open(t, { connectionString: proxy.url(db.url), sslmode: 'disable' });
  await one(pool);
  await db.sql('select pg_advisory_lock(7)');
  const controller = new AbortController();
  const to = pool.copyTo(inHalves(rows), { signal: controller.signal });
  const taken = take(to);
  await once(to, 'readable');
  await db.running('union all select');
  proxy.refuse();
  controller.abort(new Error('enough'));
  await waitFor(() => proxy.counts.refused > 0, { what: 'a cancel that does not arrive' });
  await db.sql('select pg_advisory_unlock(7)');
  return { proxy, pool, to, taken };
}

test('a COPY TO that the server finishes although it was given up has all of its data', async (t) => {
  const { proxy, pool, to, taken } = await finishedAfterAbort(t, 40, text);
  const rows = (letter) => `${letter.repeat(9999)}\n`.repeat(40);
  assert.equal(await taken, `${rows('x')}\n${rows('y')}`);
  assert.equal(to.rowCount, 81);
  proxy.heal();
  assert.equal(await one(pool), 1);
});

test('a COPY TO without some of its data is no success', async (t) => {
  const { proxy, pool, taken } = await finishedAfterAbort(t, 400, failure);
  const { name, code, outcome, cause } = await taken;
  assert.deepEqual(
    [name, code, outcome, cause.name, cause.code],
    ['OutcomeUnknownError', 'IN_DOUBT', 'unknown', 'ResultError', 'ERR_RESULT_INCOMPLETE'],
  );
  proxy.heal();
  assert.equal(await one(pool), 1);
});

test('sec_c02: a lost connection before the end was sent is certainly no success', async (t) => {
  const pool = open(t);
  await empty(pool);
  const from = pool.copyFrom('copy t from stdin');
  await new Promise((resolve) => from.write('1\ta\n', resolve));
  const failed = failure(from);
  await db.sql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query like 'copy t%' and pid <> pg_backend_pid()`);
  // The server says nothing while it waits for data.
  from.write('2\tb\n');
  const error = await failed;
  assert.equal(error.outcome, 'failed');
  assert.deepEqual(await pool.query('select * from t'), []);
});

test('sec_c02: what was asked for as a COPY and is none may have taken effect when its answer is lost', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = open(t, { connectionString: proxy.url(db.url), sslmode: 'disable' });
  await empty(pool);
  proxy.cutAt({ direction: 'toClient', text: 'INSERT', before: true });
  const copy = pool.copyFrom('insert into t values (1)');
  copy.write('1\n');
  const error = await failure(copy);
  assert.equal(error.outcome, 'unknown', error.stack);
  assert.deepEqual(await db.sql('select id from t'), [{ id: 1 }]);
});

test('sec_c02: a COPY whose end was sent may be complete when its answer is lost', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = open(t, { connectionString: proxy.url(db.url), sslmode: 'disable' });
  await empty(pool);
  proxy.cutAt({ direction: 'toClient', text: 'COPY 1', before: true });
  const copy = pool.copyFrom('copy t from stdin');
  copy.end('1\ta\n');
  assert.equal((await failure(copy)).outcome, 'unknown');
  assert.deepEqual(await db.sql('select id from t'), [{ id: 1 }]);
});

test('a COPY in a transaction is part of it, also as its first statement', async (t) => {
  const pool = open(t);
  await empty(pool);
  await pool.transaction(async (tx) => {
    await pipeline(Readable.from(['1\ta\n']), tx.copyFrom('copy t from stdin'));
    assert.equal(await text(tx.copyTo('copy t to stdout')), '1\ta\n');
  });
  await assert.rejects(
    pool.transaction(async (tx) => {
      await pipeline(Readable.from(['2\tb\n']), tx.copyFrom('copy t from stdin'));
      throw new Error('rolled back');
    }),
    /rolled back/,
  );
  assert.deepEqual(await pool.query('select id from t'), [{ id: 1 }]);
});

test('a COPY as an ordinary statement does no harm to those behind it', async (t) => {
  const pool = open(t);
  await empty(pool);
  await pool.transaction(async (tx) => {
    await tx.query('savepoint a');
    const refused = assert.rejects(tx.query('copy t from stdin'), { code: '57014' });
    const rest = ['rollback to a', 'select 2 as two'].map((sql) => tx.query(sql));
    await refused;
    assert.deepEqual(await rest[0], []);
    assert.deepEqual(await rest[1], [{ two: 2 }]);
  });
  await assert.rejects(pool.query('copy t to stdout'), /use copyTo/);
});

test('ten COPYs each way at the same time', async (t) => {
  const pool = db.openPool(t, { poolSize: 10 });
  await empty(pool);
  await Promise.all(
    Array.from({ length: 10 }, async (_, copy) => {
      const rows = Array.from({ length: 1000 }, (_, i) => `${copy * 1000 + i}\t${copy}\n`);
      await pipeline(Readable.from(rows), pool.copyFrom('copy t from stdin'));
    }),
  );
  const counts = await Promise.all(
    Array.from({ length: 10 }, async () => {
      let lines = 0;
      const count = new Writable({
        write(piece, _, done) {
          lines += piece.toString('latin1').split('\n').length - 1;
          done();
        },
      });
      await pipeline(pool.copyTo('copy t to stdout'), count);
      return lines;
    }),
  );
  assert.deepEqual(counts, Array(10).fill(10_000));
});

test('end of the pool settles a COPY nobody feeds', async () => {
  const { createPool } = require('../../lib/index.js');
  const pool = createPool({ connectionString: db.url, poolSize: 1 });
  const from = pool.copyFrom('copy t from stdin');
  await new Promise((resolve) => from.write('1\ta\n', resolve));
  const failed = failure(from);
  await pool.end({ timeoutMs: 50 });
  assert.ok((await failed) instanceof Error);
});

for (const mine of [new Error('mine'), Object.create(null)]) {
  test(`sec_j05: what a listener of a COPY throws is the process's to hear of, as an ${typeof mine} ${mine.message}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 2 });
    const to = pool.copyTo(
      `copy (select repeat('y', 999) from generate_series(1, 20000)) to stdout`,
    );
    let bytes = 0;
    let pieces = 0;
    to.on('data', (piece) => {
      bytes += piece.length;
      pieces += 1;
      if (pieces % 3 === 1) throw mine;
    });
    const beside = [];
    to.on('data', () => beside.push(one(pool)));
    const thrown = await uncaughtIn(() => once(to, 'end'));
    assert.equal(bytes, 20_000_000);
    assert.ok(thrown.length > 1 && thrown.every((error) => error === mine));
    assert.ok((await Promise.all(beside)).every((value) => value === 1));
  });
}

test('a listener of a COPY may block for another statement', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const to = pool.copyTo('copy (select generate_series(1, 3)) to stdout');
  const seen = [];
  to.on('data', () => seen.push(pool.querySync('select 1 as one')[0].one));
  await once(to, 'end');
  assert.equal(seen[0], 1);
});

test('callbacks of a COPY FROM that throw keep it neither from going on nor from ending', async (t) => {
  const pool = open(t);
  await empty(pool);
  const from = pool.copyFrom('copy t from stdin');
  const mine = new Error('mine');
  const fail = () => {
    throw mine;
  };
  from.once('drain', fail);
  const given = pool.copyFrom('copy t from stdin');
  given.on('error', () => {});
  const thrown = await uncaughtIn(async () => {
    for (let i = 0; i < 400; i++)
      from.write(`${i}\t${'a'.repeat(999)}\n`, i === 5 ? fail : undefined);
    from.end();
    await closed(from);
    // One that waits for a connection which is refused.
    given.write('nonsense\n', fail);
    given.destroy();
    await closed(given);
  });
  assert.deepEqual([from.rowCount, new Set(thrown)], [400, new Set([mine])]);
  assert.equal(await one(pool), 1);
});
