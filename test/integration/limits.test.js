// What bounds a statement and its result: maxResultBytes, maxStatementMs, and COPY where nobody feeds it.
'use strict';

const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const {
  failureOf,
  readRequest,
  rightAnswer,
  scriptedPool,
} = require('../support/script-replies.js');
const m = require('../support/backend-messages.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table target (id int)');

const MEGABYTE = 1024 * 1024;
const LARGE = `select repeat('x', 1000) as x from generate_series(1, 1000000)`;

test('sec_f08: a result with more bytes than allowed is cancelled, and the connection serves the next', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, maxResultBytes: MEGABYTE });
  const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
  const error = await failureOf(pool.query(LARGE));
  assert.equal(error.name, 'ResultError');
  assert.equal(error.code, 'ERR_RESULT_TOO_LARGE');
  assert.match(error.message, /more than the 1048576 bytes of maxResultBytes/);
  assert.deepEqual([error.outcome, error.safeToRetry], ['failed', false]);
  assert.deepEqual(await pool.query('select pg_backend_pid() as pid'), [{ pid }]);
  const blocking = () => pool.querySync(LARGE);
  assert.throws(blocking, { name: 'ResultError' });
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('sec_f08: as many bytes as allowed pass', async (t) => {
  const pool = db.openPool(t, { maxResultBytes: MEGABYTE });
  // A column count, a length, and the text.
  const text = (length) => pool.query(`select repeat('x', $1) as x`, [length]);
  assert.equal((await text(MEGABYTE - 6))[0].x.length, MEGABYTE - 6);
  const error = await failureOf(text(MEGABYTE - 5));
  assert.match(error.message, /maxResultBytes/);
});

test('sec_f08: only its own statement fails, also with neighbours on the connection', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, maxResultBytes: 10_000 });
  const sql = `select repeat('x', $1) as x`;
  await pool.query(sql, [1]);
  const lengths = [1, 2, 20_000, 3, 30_000, 4];
  const results = await Promise.allSettled(lengths.map((length) => pool.query(sql, [length])));
  const told = results.map(({ status, value, reason }) =>
    status === 'fulfilled' ? value[0].x.length : reason.message,
  );
  const refused = 'the result has more than the 10000 bytes of maxResultBytes';
  assert.deepEqual(told, [1, 2, refused, 3, refused, 4]);
});

test('sec_f08: a write whose answer is too large is in doubt, never failed', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, maxResultBytes: 1000 });
  const sql = `insert into target values (1) returning repeat('x', 5000) as x`;
  const error = await failureOf(pool.query(sql));
  const [{ n }] = await db.sql('select count(*)::int as n from target');
  // The cancel may have come in time or not; what is said is true in both cases.
  if (n === 0) assert.deepEqual([error.name, error.outcome], ['ResultError', 'failed']);
  else {
    assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown']);
    assert.equal(error.cause.name, 'ResultError');
  }
});

test('sec_f08: a row that is not wanted is not kept while it arrives', async (t) => {
  const length = 64 * MEGABYTE;
  const { pool } = await scriptedPool(
    t,
    async (connection) => {
      const request = await readRequest(connection);
      const before = rightAnswer(request).slice(0, -3);
      const head = Buffer.concat([m.int16(1), m.int32(length)]);
      const row = m.message('D', head, 4 + head.length + length);
      await connection.send(...before, row);
      const piece = Buffer.alloc(MEGABYTE, 'x');
      for (let sent = 0; sent < length; sent += piece.length) await connection.send(piece);
      await connection.send(m.commandComplete('SELECT 1'), m.ready());
      await connection.send(...rightAnswer(await readRequest(connection)));
      await connection.stall();
    },
    { maxResultBytes: MEGABYTE },
  );
  global.gc?.();
  const before = process.memoryUsage();
  const asked = failureOf(pool.query('select x'));
  const error = await asked;
  const native = process.memoryUsage().rss - before.rss;
  assert.match(error.cause?.message ?? error.message, /maxResultBytes/);
  assert.ok(native < length + 48 * MEGABYTE, `grew by ${native} bytes`);
  assert.equal((await pool.query('select x')).length, 1);
});

test('the signal of a transaction, and that of a statement in one with limits, stop what runs', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const reason = new Error('enough');
  const other = new AbortController();
  for (const limits of [
    (signal) => [{ signal }, undefined],
    (signal) => [{ timeoutMs: 60_000 }, { signal }],
    (signal) => [{ signal }, { signal: other.signal }],
    (signal) => [{ signal: other.signal }, { signal }],
  ]) {
    const controller = new AbortController();
    const [ofTransaction, ofStatement] = limits(controller.signal);
    const tx = await pool.begin(ofTransaction);
    const stopped = failureOf(tx.query('select pg_sleep(60) /* stopped */', [], ofStatement));
    await db.running('/* stopped */');
    controller.abort(reason);
    assert.equal(await stopped, reason);
    await tx.rollback();
  }
});

test('maxStatementMs holds inside a transaction, and its end has two seconds longer', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, maxStatementMs: 100 });
  const tx = await pool.begin();
  const error = await failureOf(tx.query('select pg_sleep(20)'));
  assert.deepEqual([error.name, error.outcome, error.afterMs], ['TimeoutError', 'failed', 100]);
  await tx.rollback();
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  // Deferred work may take COMMIT longer than any statement.
  await db.sql(`
    create function slow() returns trigger language plpgsql as
      $$ begin perform pg_sleep(0.3); return null; end $$;
    create table slow (id int);
    create constraint trigger slow after insert on slow deferrable initially deferred
      for each row execute function slow()`);
  await pool.transaction((inner) => inner.query('insert into slow values (1)'));
  assert.deepEqual(await db.sql('select id from slow'), [{ id: 1 }]);
});

test('CP-51: an error names the limit of the caller, not what was left of it', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, retry: { baseDelayMs: 1 } });
  await pool.query('create sequence tried');
  const slow = 'select pg_sleep(20)';
  const after = (/** @type {(tx: any) => Promise<any>} */ work) =>
    pool.transaction(
      async (tx) => {
        await tx.query('select pg_sleep(0.05)');
        await work(tx);
      },
      { timeoutMs: 200 },
    );
  const asked = {
    statement: () => after((tx) => tx.query(slow)),
    stream: () => after((tx) => tx.stream(slow).next()),
    copy: () =>
      after(
        (tx) =>
          new Promise((_, reject) => tx.copyTo(`copy (${slow}) to stdout`).on('error', reject)),
      ),
    'second try': () =>
      pool.query(
        `do $$ begin
          if nextval('tried') = 1 then perform pg_sleep(0.05); raise sqlstate '40001'; end if;
          perform pg_sleep(20);
        end $$`,
        [],
        { timeoutMs: 200, retry: true },
      ),
  };
  for (const [what, ask] of Object.entries(asked)) {
    const error = await failureOf(ask());
    assert.deepEqual([error.name, error.afterMs], ['TimeoutError', 200], what);
    assert.equal(error.message, 'query: cancelled after timeout of 200ms', what);
    assert.match(error.stack, /^TimeoutError: query: cancelled after timeout of 200ms\n/, what);
  }
  const own = await failureOf(
    pool.transaction((tx) => tx.query(slow, [], { timeoutMs: 100 }), { timeoutMs: 60_000 }),
  );
  assert.equal(own.afterMs, 100, 'a limit of the statement');
});

test('CP-51: a statement behind the end of its transaction’s time was not sent, and says so', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('select 1');
  const tx = await pool.begin({ timeoutMs: 200 });
  await db.sql('select pg_sleep(0.25)');
  const { name, code, outcome, phase, afterMs } = await failureOf(tx.query('select 1'));
  assert.deepEqual(
    { name, code, outcome, phase, afterMs },
    {
      name: 'TimeoutError',
      code: 'ERR_TIMEOUT',
      outcome: 'not-sent',
      phase: 'statement',
      afterMs: 200,
    },
  );
  await tx.rollback();
});

test('CP-52: maxStatementMs holds for COPY and insertMany, whose own timeoutMs comes first', async (t) => {
  await db.sql(`
    create table slow_rows (id int);
    create function slow_row() returns trigger language plpgsql as
      $$ begin perform pg_sleep(20); return new; end $$;
    create trigger slow_row before insert on slow_rows for each row execute function slow_row()`);
  const pool = db.openPool(t, { poolSize: 1, maxStatementMs: 100 });
  const sleeping = 'copy (select pg_sleep(20)) to stdout';
  const ended = (/** @type {any} */ stream) =>
    new Promise((resolve) => stream.once('error', resolve));
  const written = () => {
    const stream = pool.copyFrom('copy slow_rows from stdin');
    stream.end('1\n');
    return ended(stream);
  };
  for (const [limit, fail] of /** @type {[number, () => Promise<any>][]} */ ([
    [100, () => ended(pool.copyTo(sleeping).resume())],
    [50, () => ended(pool.copyTo(sleeping, { timeoutMs: 50 }).resume())],
    [100, written],
    [100, () => failureOf(pool.insertMany('slow_rows', [{ id: 1 }]))],
    [50, () => failureOf(pool.insertMany('slow_rows', [{ id: 1 }], { timeoutMs: 50 }))],
  ])) {
    const error = await fail();
    assert.deepEqual([error.name, error.afterMs], ['TimeoutError', limit]);
  }
});

test('unnamed statements stay unnamed inside transactions', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, preparedStatements: 'unnamed' });
  await pool.transaction(async (tx) => {
    for (const n of [1, 2]) {
      assert.deepEqual(await tx.query('select $1::int as n', [n]), [{ n }]);
    }
    assert.deepEqual(await tx.query('select count(*)::int as n from pg_prepared_statements'), [
      { n: 0 },
    ]);
  });
});

test('a COPY that nobody feeds fails alone, and what was asked behind it is carried out', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const copy = 'copy target from stdin';
  const first = await failureOf(pool.query(copy));
  assert.deepEqual([first.code, first.outcome], ['57014', 'failed']);
  const tx = await pool.begin();
  const asked = [
    tx.query('select 1 as x'),
    failureOf(tx.query(copy)),
    failureOf(tx.query('select 2')),
  ];
  const [before, failed, after] = await Promise.all(asked);
  assert.deepEqual(before, [{ x: 1 }]);
  assert.equal(failed.code, '57014');
  assert.equal(after.code, '25P02');
  await tx.rollback();
  assert.deepEqual(await pool.query('select 3 as x'), [{ x: 3 }]);
});

test('dates read the same from text and binary in every DateStyle', async (t) => {
  const sql = `select '2024-02-01'::date as d, '2024-02-01 10:00'::timestamp as t,
    '2024-02-01 10:00+00'::timestamptz as z, array['2024-02-01'::date] as a`;
  const iso = {
    d: '2024-02-01',
    t: '2024-02-01T10:00:00',
    z: '2024-02-01T10:00:00+00:00',
    a: ['2024-02-01'],
  };
  await db.sql(
    `do $$ begin execute format('alter role %I set datestyle = german', current_user); end $$`,
  );
  t.after(() =>
    db.sql(`do $$ begin execute format('alter role %I reset datestyle', current_user); end $$`),
  );
  const plain = db.openPool(t, { poolSize: 1 });
  for (const way of ['first', 'second', 'third'])
    assert.deepEqual(await plain.query(sql), [iso], way);
  const german = db.openPool(t, { poolSize: 1, options: '-c DateStyle=German -c TimeZone=UTC' });
  const [first] = await german.query(sql);
  assert.equal(first.d, '01.02.2024');
  for (const way of ['second', 'third']) assert.deepEqual(await german.query(sql), [first], way);
  // A session that changes its style itself.
  const tx = await plain.begin();
  await tx.query('set local datestyle = sql');
  const [sqlStyle] = await tx.query(sql);
  assert.equal(sqlStyle.d, '02/01/2024');
  assert.deepEqual(await tx.query(sql), [sqlStyle]);
  await tx.rollback();
  assert.deepEqual(await plain.query(sql), [iso]);
});

test('sec_j04: results of many columns that do not come again do not fill the memory', async (t) => {
  const gc = globalThis.gc;
  assert.ok(gc, 'run with --expose-gc');
  const pool = db.openPool(t, { poolSize: 1 });
  const ask = async (from, to) => {
    for (let n = from; n < to; n++) {
      const columns = Array.from({ length: 1600 }, (_, k) => `${k} as "of_${n}_and_${k}"`);
      const [row] = await pool.query(`select ${columns.join()}`);
      assert.equal(row[`of_${n}_and_1599`], 1599);
    }
  };
  await ask(0, 5);
  gc();
  const before = process.memoryUsage().heapUsed;
  await ask(5, 250);
  gc();
  const more = process.memoryUsage().heapUsed - before;
  assert.ok(more < 90e6, `${more} bytes are kept`);
  await ask(0, 5);
});
