// An answer that cannot be read, for want of memory: it costs its own statement, and those that arrive with it nothing.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const ForeignCursor = require('pg-cursor');
const { Client, Cursor } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();

const LARGE = `select repeat('x', 2000000) as x`;

/** Memory is refused to whoever wants a megabyte of it at once. */
function refuseMemory(t) {
  const real = Buffer.allocUnsafeSlow;
  let refused = 0;
  Buffer.allocUnsafeSlow = (length) => {
    if (length <= 1_000_000) return real(length);
    refused++;
    throw new RangeError('Array buffer allocation failed');
  };
  const restore = () => Object.assign(Buffer, { allocUnsafeSlow: real });
  t.after(restore);
  return Object.assign(restore, { refused: () => refused });
}

for (const poolSize of [1, 4]) {
  test(`a value there is no memory for fails alone, ${poolSize} connections`, async (t) => {
    const pool = db.openPool(t, { poolSize });
    await pool.query('select 1 as x');
    const restore = refuseMemory(t);
    const asked = [
      pool.query('select 1 as x'),
      failureOf(pool.query(LARGE)),
      pool.query('select 2 as x'),
      failureOf(pool.query(LARGE)),
      pool.query('select 3 as x'),
    ];
    const [first, failed, second, again, third] = await Promise.all(asked);
    assert.deepEqual([first, second, third], [[{ x: 1 }], [{ x: 2 }], [{ x: 3 }]]);
    for (const error of [failed, again]) {
      assert.equal(error.name, 'OutcomeUnknownError');
      assert.equal(error.safeToRetry, false);
      assert.match(error.message, /the answer could not be read: RangeError: Array buffer/);
    }
    restore();
    const [{ x }] = await pool.query(LARGE);
    assert.equal(x.length, 2_000_000);
    assert.deepEqual(await pool.query('select 4 as x'), [{ x: 4 }]);
    assert.deepEqual(pool.getStats().closed.error, 0);
  });
}

test('a notice and an error there is no memory for are told shortened, those beside them in full', async (t) => {
  const client = new Client(db.url);
  t.after(() => client.end());
  await client.connect();
  const notices = [];
  client.on('notice', ({ code, message }) => notices.push([code, message]));
  const restore = refuseMemory(t);
  await client.query(`do $$ begin
    raise notice 'before';
    raise notice '%', repeat('é', 1000000);
    raise notice 'behind';
  end $$`);
  const error = await failureOf(
    client.query(
      `do $$ begin raise exception '%', repeat('x', 2000000) using errcode = 'ZZ001'; end $$`,
    ),
  );
  assert.equal(restore.refused(), 2);
  restore();
  const [before, long, behind, ...more] = notices;
  assert.deepEqual([before, behind, more], [['00000', 'before'], ['00000', 'behind'], []]);
  assert.match(long[1], /^é{2048}… \(cut: no memory for the rest\)$/);
  assert.deepEqual([error.code, error.outcome], ['ZZ001', 'failed']);
  assert.match(error.message, /^x{4096}… \(cut: no memory for the rest\)$/);
  assert.deepEqual((await client.query('select 1 as x')).rows, [{ x: 1 }]);
});

test('a transaction survives an answer that could not be read', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const restore = refuseMemory(t);
  await pool.transaction(async (tx) => {
    const error = await failureOf(tx.query(LARGE));
    assert.equal(error.name, 'OutcomeUnknownError');
    restore();
    assert.deepEqual(await tx.query('select 1 as x'), [{ x: 1 }]);
  });
});

test('a COPY with a row there is no memory for ends with an error, and its connection is usable', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('select 1 as x');
  const restore = refuseMemory(t);
  const copy = pool.copyTo(
    `copy (select repeat('x', 2000000) from generate_series(1, 50)) to stdout`,
  );
  copy.resume();
  const [error] = await once(copy, 'error');
  assert.match(error.message, /the answer could not be read: RangeError: Array buffer/);
  restore();
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('a statement whose answer could not be read can still be given up', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query('select 1 as x');
  const restore = refuseMemory(t);
  const abort = new AbortController();
  const rows = `select repeat('x', 2000000) from generate_series(1, 8) union all select pg_sleep(600)::text`;
  const asked = failureOf(pool.query(rows, [], { signal: abort.signal }));
  await waitFor(() => restore.refused() > 1, { what: 'two records that cannot be read' });
  abort.abort();
  const error = await asked;
  assert.ok(error === abort.signal.reason || error.name === 'OutcomeUnknownError', error.stack);
  restore();
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

for (const [name, Kind] of Object.entries({ Cursor, 'Cursor of pg-cursor': ForeignCursor })) {
  test(`a ${name} with a row there is no memory for fails, and its client goes on`, async (t) => {
    const client = new Client({ connectionString: db.url, query_timeout: 5000 });
    t.after(() => client.end());
    await client.connect();
    const cursor = client.query(
      new Kind(`select repeat('x', 2000000) as x from generate_series(1, 3)`),
    );
    cursor.on('error', () => {});
    const restore = refuseMemory(t);
    const error = await failureOf(cursor.read(1));
    assert.match(error.message, /the answer could not be read: RangeError: Array buffer/);
    restore();
    assert.deepEqual((await client.query('select 1 as x')).rows, [{ x: 1 }]);
  });
}
