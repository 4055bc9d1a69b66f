// Bulk insert: any values as parameters are, all rows or none, and the connection usable whatever happens.
'use strict';

const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase(`
  create domain document as jsonb;
  create domain paper as document;
  create table t (
    id int8, label text, price numeric, day timestamptz, tags text[], data jsonb, plain json, bytes bytea, yes bool,
    wrapped paper
  );
  create table "Odd ""name""" ("a b" int, "select" text);
  create schema other;
  create table other.t (id int primary key);
`);

const open = (t, options) => db.openPool(t, { poolSize: 1, ...options });
const numbers = (count) => Array.from({ length: count }, (_, id) => ({ id }));

test('every kind of value arrives as it would as a parameter', async (t) => {
  const pool = open(t);
  const rows = [
    {
      id: 9007199254740993n,
      label: 'tab\t, newline\n, return\r, backslash \\, \\N, \\., ünïcode 🚢, \b\f\v',
      price: '12345678901234567890.123',
      day: new Date(0),
      tags: ['a', null, 'b "quoted" \\ {x}', ''],
      data: [1, 'x', { deep: ['\\', '\n'] }],
      plain: { a: [true, null] },
      bytes: Buffer.from([0, 9, 10, 13, 92, 255]),
      yes: true,
    },
    {
      id: 1,
      label: '',
      price: 1.5,
      day: null,
      tags: [],
      data: {},
      bytes: Buffer.alloc(0),
      yes: false,
    },
    {
      id: -2n,
      label: undefined,
      bytes: new DataView(new ArrayBuffer(2)),
    },
  ];
  assert.equal(await pool.insertMany('t', rows), 3);
  const copied = await pool.query('table t');
  // A domain over a domain over jsonb.
  await pool.insertMany('t', [{ id: 7, wrapped: [[1], ['\t']] }]);
  const [{ wrapped }] = await pool.query('select wrapped from t where id = 7');
  assert.deepEqual(wrapped, [[1], ['\t']]);
  await pool.query('truncate t');
  for (const row of rows) {
    const columns = Object.keys(row);
    const places = columns.map((_, i) => `$${i + 1}`);
    await pool.query(`insert into t (${columns}) values (${places})`, Object.values(row));
  }
  assert.deepEqual([...copied], [...(await pool.query('table t'))]);
  assert.equal(copied[0].label, rows[0].label);
  assert.deepEqual(copied[0].data, rows[0].data);
  assert.deepEqual(copied[0].bytes, rows[0].bytes);
});

test('arrays of values in the order of the columns, and rows from any iterable', async (t) => {
  const pool = open(t);
  await pool.query('truncate other.t');
  const table = ['other', 't'];
  assert.equal(await pool.insertMany(table, [[1], [2]], { columns: ['id'] }), 2);
  function* generated() {
    for (let id = 3; id < 6; id++) yield { id };
  }
  assert.equal(await pool.insertMany(table, generated()), 3);
  async function* asynchronous() {
    yield* generated();
  }
  await assert.rejects(pool.insertMany(table, asynchronous()), { code: '23505' });
  assert.equal(await pool.insertMany(table, new Set([{ id: 9 }])), 1);
  assert.equal(await pool.insertMany(table, []), 0);
  assert.deepEqual(
    (await pool.query('select id from other.t order by id')).map(({ id }) => id),
    [1, 2, 3, 4, 5, 9],
  );
});

test('sec_q02: names of tables and columns are quoted', async (t) => {
  const pool = open(t);
  await pool.insertMany('Odd "name"', [{ 'a b': 1, select: 'x' }]);
  assert.deepEqual(await pool.query('select * from "Odd ""name"""'), [{ 'a b': 1, select: 'x' }]);
  for (const table of ['t; drop table t', 't"', '$$', 'x'.repeat(1024)]) {
    await assert.rejects(pool.insertMany(table, [{ id: 1 }]), ({ code }) => code === '42P01');
  }
  await assert.rejects(pool.insertMany('t', [{ 'id) from stdin; --': 1 }]), { code: '42703' });
});

test('a hundred thousand rows, in bounded memory', async (t) => {
  const pool = open(t);
  await pool.query('create table many (id int, label text)');
  function* rows() {
    for (let id = 0; id < 100_000; id++) yield [id, `label ${id}`];
  }
  const columns = ['id', 'label'];
  assert.equal(await pool.insertMany('many', rows(), { columns }), 100_000);
  const [sum] = await pool.query('select count(*)::int as n, sum(id)::int8 as sum from many');
  assert.deepEqual(sum, { n: 100_000, sum: 4999950000n });
});

test('values larger than a block and than the outbox', async (t) => {
  const pool = open(t);
  await pool.query('truncate t');
  const sizes = [60_000, 65_500, 65_536, 262_144, 3_000_000];
  const rows = sizes.flatMap((size, id) => [
    { id, label: '\\'.repeat(size) },
    { id: 100, label: 'x' },
  ]);
  assert.equal(await pool.insertMany('t', rows), 10);
  const stored = await pool.query('select length(label) as n from t where id < 100 order by id');
  assert.deepEqual(
    stored.map(({ n }) => n),
    sizes,
  );
});

test('what is wrong with a row is said with its number, and nothing was stored', async (t) => {
  const pool = open(t);
  await pool.query('truncate t');
  for (const [row, message, number = 500] of [
    [{ id: Symbol('x') }, /parameter \$1 .*symbol/],
    [{ id: 1, lable: 'x' }, /row 500 has the key "lable", which is no column/],
    [null, /row 500 must be an object or an array/],
    [[1, 2], /row 500 has 2 values for 1 columns/],
    [
      {
        get id() {
          throw new TypeError('mine');
        },
      },
      /mine/,
      null,
    ],
  ]) {
    const rows = [...numbers(500), row, ...numbers(5)];
    await assert.rejects(pool.insertMany('t', rows), (error) => {
      assert.match(error.message, message);
      assert.ok(error instanceof TypeError);
      assert.equal(error.row, number ?? undefined);
      return true;
    });
    assert.deepEqual(await pool.query('select * from t'), []);
  }
});

test('what the server refuses is its error, with the line', async (t) => {
  const pool = open(t);
  await pool.query('truncate t');
  const rows = [...numbers(70), { id: 'seventy' }, ...numbers(30_000)];
  await assert.rejects(pool.insertMany('t', rows), (error) => {
    assert.equal(error.code, '22P02');
    assert.match(error.where, /line 71, column id/);
    assert.equal(error.outcome, 'failed');
    return true;
  });
  assert.deepEqual(await pool.query('select * from t'), []);
});

test('a source that fails, a signal and a time limit give it up', async (t) => {
  const pool = open(t);
  await pool.query('truncate t');
  let closed = 0;
  async function* failing() {
    try {
      yield* numbers(1000);
      throw new Error('the source broke');
    } finally {
      closed++;
    }
  }
  await assert.rejects(pool.insertMany('t', failing()), /the source broke/);
  const controller = new AbortController();
  async function* endless() {
    try {
      for (let id = 0; ; id++) {
        if (id === 5000) controller.abort(new Error('enough'));
        yield { id };
      }
    } finally {
      closed++;
    }
  }
  await assert.rejects(pool.insertMany('t', endless(), { signal: controller.signal }), /enough/);
  await assert.rejects(pool.insertMany('t', endless(), { timeoutMs: 50 }), {
    name: 'TimeoutError',
  });
  assert.equal(closed, 3);
  assert.deepEqual(await pool.query('select * from t'), []);
  assert.equal(pool.status().size, 1);
});

/** So many rows by hand, then `end`; what it is told when it is left. */
function byHand(count, end, left) {
  let id = 0;
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => (id++ < count ? { done: false, value: { id } } : end()),
      return: left,
    }),
  };
}

test('a source that has ended or failed is not told, and what one says that is told hides nothing', async (t) => {
  const pool = open(t);
  await pool.query('truncate t');
  const told = [];
  const left = () => {
    told.push('left');
    throw new Error('said when it was left');
  };
  const done = () => ({ done: true });
  assert.equal(await pool.insertMany('t', byHand(3, done, left)), 3);
  const broken = () => {
    throw new Error('the source broke');
  };
  await assert.rejects(pool.insertMany('t', byHand(3, broken, left)), /the source broke/);
  assert.deepEqual(told, []);
  await assert.rejects(
    pool.insertMany(
      't',
      byHand(3, () => ({ value: 'no row' }), left),
    ),
    {
      message: /row 3 must be an object/,
    },
  );
  assert.deepEqual(told, ['left']);
  const [{ n }] = await pool.query('select count(*)::int as n from t');
  assert.equal(n, 3);
});

test('a source is told that it is left while it makes a row, and before its first one', async (t) => {
  const pool = open(t);
  await pool.query('truncate t');
  for (const count of [0, 3]) {
    const controller = new AbortController();
    let told = 0;
    const hanging = () => {
      controller.abort(new Error('enough'));
      return new Promise(() => {});
    };
    const left = async () => {
      told++;
    };
    const { signal } = controller;
    await assert.rejects(pool.insertMany('t', byHand(count, hanging, left), { signal }), /enough/);
    assert.equal(told, 1, `behind ${count} rows`);
    // A signal that has fired already: no row is asked for.
    const unasked = byHand(1, () => assert.fail('asked'), left);
    await assert.rejects(pool.insertMany('t', unasked, { signal }), /enough/);
    assert.equal(told, 2);
  }
  assert.deepEqual(await pool.query('select * from t'), []);
});

test('a source that takes its time to end is waited for', async (t) => {
  const pool = open(t);
  let hasEnded = false;
  const left = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    hasEnded = true;
  };
  const noRow = () => ({ value: 'no row' });
  await assert.rejects(pool.insertMany('t', byHand(2, noRow, left)), /row 2 must be an object/);
  assert.ok(hasEnded);
});

test('a signal and a time limit hold on a server that is frozen', async (t) => {
  const proxy = await db.openProxy(t);
  const pool = open(t, { connectionString: proxy.url(db.url), poolSize: 2 });
  await Promise.all([pool.query('select 1'), pool.query('select pg_sleep(0.01)')]);
  proxy.blackHole();
  const controller = new AbortController();
  const loads = [
    assert.rejects(pool.insertMany('t', numbers(1), { signal: controller.signal }), /enough/),
    assert.rejects(pool.insertMany('t', numbers(1), { timeoutMs: 50 }), /50 ?ms/),
  ];
  await waitFor(() => proxy.held('toServer') > 0, { what: 'the question for the types' });
  controller.abort(new Error('enough'));
  await Promise.all(loads);
  proxy.heal();
});

test('wrong arguments send nothing', async (t) => {
  // There is no server: what was to be sent would fail with that. The pool tries to connect at its first use in any case.
  const pool = open(t, {
    connectionString: undefined,
    hosts: ['127.0.0.1:1'],
    acquireTimeoutMs: 500,
  });
  for (const [args, message] of [
    [['', [{}]], /table must be a name/],
    [[42, [{}]], /table must be a name/],
    [[[], [{}]], /table must be a name/],
    [['t', 42], /rows must be an array or another iterable/],
    [['t', 'rows'], /rows must be an array or another iterable/],
    [['t', [[1]]], /need the option "columns"/],
    [['t', [{}]], /row 0 must be an object with columns/],
    [['t', [null]], /row 0 must be an object with columns/],
    [['t', [{ id: 1 }], { columns: [] }], /columns/],
    [['t', [{ id: 1 }], { colums: ['id'] }], /did you mean "columns"/],
  ]) {
    await assert.rejects(pool.insertMany(...args), { name: 'TypeError', message });
  }
  await assert.rejects(pool.insertMany('t', [{ id: 1 }]), { name: 'NoPrimaryError' });
});
