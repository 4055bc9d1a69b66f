// Code of the caller's that runs while a statement is asked for: getters, Proxies, toJSON and classes of byte arrays (F02, F04).
'use strict';

const assert = require('node:assert/strict');
const ForeignCursor = require('pg-cursor');
const { Client, Cursor } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
require('../support/stray-errors.js');

const db = testDatabase();

/** An array whose second member is computed whenever it is read. */
function withGetter(get) {
  const params = ['first', ''];
  Object.defineProperty(params, 1, { get });
  return params;
}

/** Statements before and behind are what they were. */
async function intact(pool, others) {
  assert.deepEqual(await Promise.all(others), [[{ n: 1 }], [{ n: 2 }]]);
  assert.deepEqual(await pool.query('select 3 as n'), [{ n: 3 }]);
}

test('sec_f02: a getter among the parameters that asks for something hurts no statement', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const before = pool.query('select 1 as n');
  const inner = [];
  const outer = pool.query(
    'select $1 || $2 as text',
    withGetter(() => {
      inner.push(pool.query('select 4 as n').catch((error) => error));
      return ' second';
    }),
  );
  const behind = pool.query('select 2 as n');
  assert.deepEqual(await outer, [{ text: 'first second' }]);
  // At the first look nothing is written yet.
  const [asked, refused] = await Promise.all(inner);
  assert.deepEqual(asked, [{ n: 4 }]);
  assert.deepEqual([refused.code, refused.outcome], ['ERR_ENCODE', 'not-sent']);
  await intact(pool, [before, behind]);
});

test('sec_f02: a getter among the parameters that blocks or gives another statement up hurts no statement', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const before = pool.query('select 1 as n');
  const abort = new AbortController();
  const given = failureOf(pool.query('select pg_sleep(60)', [], { signal: abort.signal }));
  let reads = 0;
  const outer = pool.query(
    'select $1 || $2 as text',
    withGetter(() => {
      reads += 1;
      if (reads === 2) {
        abort.abort();
        assert.throws(() => pool.querySync('select 1'), { code: 'ERR_ENCODE' });
      }
      return ' second';
    }),
  );
  const behind = pool.query('select 2 as n');
  assert.deepEqual(await outer, [{ text: 'first second' }]);
  assert.equal((await given).name, 'AbortError');
  await intact(pool, [before, behind]);
});

for (const [name, Kind] of Object.entries({ Cursor, 'Cursor of pg-cursor': ForeignCursor })) {
  test(`sec_f02: a getter among the parameters that reads a ${name} blocks no client`, async (t) => {
    const client = new Client({ connectionString: db.url, query_timeout: 5000 });
    t.after(() => client.end());
    await client.connect();
    const pool = db.openPool(t, { poolSize: 1 });
    const cursor = client.query(new Kind('select n from generate_series(1, 9) n'));
    cursor.on?.('error', () => {});
    assert.deepEqual(await cursor.read(1), [{ n: 1 }]);
    const reads = [];
    await pool.query(
      'select $1 || $2 as text',
      withGetter(() => {
        reads.push(reads.length === 1 && failureOf(cursor.read(1)));
        return ' second';
      }),
    );
    assert.equal((await reads[1]).code, 'ERR_ENCODE');
    assert.deepEqual((await client.query('select 3 as n')).rows, [{ n: 3 }]);
  });
}

test('sec_f02: parameters that are something else at the second look are refused', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const before = pool.query('select 1 as n');
  const changing = [
    [{}],
    ['y'.repeat(300_000), 'y'.repeat(300_000), 'y'.repeat(300_000), 'y'.repeat(900_000)],
  ];
  for (const values of changing) {
    let reads = 0;
    const params = withGetter(() => ['x', ...values][Math.min(reads++, values.length)]);
    const { outcome, message } = await failureOf(pool.query('select $1, $2', params));
    assert.deepEqual([outcome, /changed while/.test(message)], ['not-sent', true], message);
  }
  await intact(pool, [before, pool.query('select 2 as n')]);
});

test('sec_f04: of a byte array exactly its bytes are sent, whatever its class says of their number', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const lengths = [100, 2 ** 40, -5, 'abc', Number.NaN];
  for (const length of lengths) {
    class Lying extends Uint8Array {
      get length() {
        return length;
      }
    }
    const [{ sent }] = await pool.query('select $1::bytea as sent', [new Lying([1, 2, 3])]);
    assert.deepEqual(sent, Buffer.from([1, 2, 3]), `${length}`);
  }
  const resizable = new ArrayBuffer(8, { maxByteLength: 8 });
  const beyond = new Uint8Array(resizable, 4, 4);
  resizable.resize(2);
  const impostors = [beyond, new Proxy(new Uint8Array(4), {}), Object.create(Uint8Array.prototype)];
  for (const impostor of impostors) {
    const { code, outcome } = await failureOf(pool.query('select $1::bytea', [impostor]));
    assert.deepEqual([code, outcome], ['22P02', 'not-sent']);
  }
});

test('sec_c03: a signal that fires while the parameters are made ends its own statement', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const abort = new AbortController();
  const value = {
    toJSON() {
      abort.abort();
      return 1;
    },
  };
  const sleep = 'select pg_sleep(60), $1::jsonb';
  assert.equal((await failureOf(pool.query(sleep, [value], abort))).name, 'AbortError');
  assert.deepEqual(await pool.query('select 1 as n'), [{ n: 1 }]);
});

test('sec_c03: on a client of the pg face too', async (t) => {
  const client = new Client(db.url);
  await client.connect();
  t.after(() => client.end());
  const abort = new AbortController();
  const value = {
    toJSON() {
      abort.abort();
      return 1;
    },
  };
  const { signal } = abort;
  const sleep = client.query({ text: 'select pg_sleep(60), $1::jsonb', values: [value], signal });
  assert.equal((await failureOf(sleep)).name, 'AbortError');
  assert.equal((await client.query('select 1')).rowCount, 1);
});
