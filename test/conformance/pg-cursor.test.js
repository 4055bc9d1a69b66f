// Cursor against the package pg-cursor on `pg`: rows, results, order of events, errors.
'use strict';

const reference = require('pg');
const ReferenceCursor = require('pg-cursor');
const ours = require('../../lib/index.js');
const { pair, seen, withForeign } = require('../support/pg-pair.js');

const { compareAll } = pair(`
  create table item (id int primary key, label text);
  insert into item select i, 'label ' || i from generate_series(1, 25) i;
`);

const cursorOf = (driver) =>
  driver === reference || driver.isForeign ? ReferenceCursor : ours.Cursor;
const SERIES = 'select generate_series(1, 10) as n';

/** A case with one cursor: `use(cursor, client)` says what is seen. */
const on = (name, args, use) => ({
  name,
  run: async (driver, { connect }) => {
    const client = await connect();
    const cursor = client.query(new (cursorOf(driver))(...args));
    const outcome = await use(cursor, client);
    // Whatever happened, the client goes on.
    await cursor.close();
    const after = await client.query('select 1 as after');
    return [seen(outcome), after];
  },
});

const called = (start) =>
  new Promise((resolve) => start((error, rows, result) => resolve({ error, rows, result })));
const failing = (promise) =>
  promise.then(
    () => 'no error',
    (error) => error,
  );

async function readAll(cursor, count) {
  const batches = [];
  for (;;) {
    const rows = await cursor.read(count);
    batches.push(rows);
    if (rows.length === 0) return batches;
  }
}

const READS = [1, 2, 3, 5, 7, 9, 10, 11, 100].map((count) =>
  on(`reads of ${count} give all rows in order`, [SERIES], (cursor) => readAll(cursor, count)),
);

const REST = [[], [0], [null]].map((args) =>
  on(`read(${args.map(String)}) gives all that are left`, [SERIES], async (cursor) => [
    await cursor.read(3),
    await cursor.read(...args),
    await cursor.read(...args),
    await called((done) => cursor.read(args[0], done)),
  ]),
);

const COUNTS = ['2', 1.5, true, 2 ** 31, 2 ** 32 - 1, Number.NaN, '0'].map((count) =>
  on(`read(${typeof count} ${count})`, [SERIES], async (cursor) => [
    await cursor.read(count),
    await called((done) => cursor.read(count, done)),
  ]),
);

const STATEMENTS = [
  ['no rows', 'select 1 as n where false'],
  ['no columns', 'select'],
  ['an empty text', ''],
  ['a comment', '-- nothing'],
  ['create table', 'create table made (a int)'],
  ['insert', "insert into item values (100, 'x')"],
  ['insert returning', "insert into item values (101, 'x'), (102, 'y') returning *"],
  ['update', "update item set label = 'z' where id < 4"],
  ['update returning', "update item set label = 'z' where id < 4 returning id"],
  ['delete', 'delete from item where id > 20'],
  ['values', 'values (1), (2), (3)'],
  ['set', "set application_name = 'x'"],
  ['show', 'show application_name'],
  ['explain', 'explain (costs off) select 1'],
  ['do', 'do $$ begin end $$'],
  ['two columns of one name', 'select 1 as a, 2 as a'],
  ['types', "select 1::int8, 1.50::numeric, true, null::text, '{1,2}'::int[], '{\"a\":1}'::json"],
].map(([name, sql]) =>
  on(`a cursor on ${name}: rows, and the result of each read`, [sql], async (cursor) => [
    await called((done) => cursor.read(2, done)),
    await called((done) => cursor.read(2, done)),
    await called((done) => cursor.read(2, done)),
  ]),
);

const VALUES = [
  [['a', 1], 'select $1::text as a, $2::int as b'],
  [[null, undefined], 'select $1::text as a, $2::int as b'],
  [
    [
      [1, 2],
      ['x', null],
    ],
    'select $1::int[] as a, $2::text[] as b',
  ],
  [[{ a: 1 }, Buffer.from('ab')], 'select $1::json as a, $2::bytea as b'],
  [[new Date(0), true], 'select $1::timestamptz as a, $2::bool as b'],
].map(([values, sql]) =>
  on(`values ${JSON.stringify(values)}`, [sql, values], (cursor) => cursor.read(10)),
);

const CONFIGS = [
  [{ rowMode: 'array' }, 'select 1 as a, 2 as a'],
  [{ types: { getTypeParser: () => (text) => `<${text}>` } }, 'select 1 as a, true as b'],
].map(([config, sql]) =>
  on(`config ${Object.keys(config)}`, [sql, [], config], (cursor) =>
    called((done) => cursor.read(10, done)),
  ),
);

const PARSERS = [
  ['of its option', { types: { getTypeParser: () => (text) => `<${text}>` } }, () => {}],
  ['set on it', {}, (client) => client.setTypeParser(23, (text) => `<${text}>`)],
].map(([name, config, prepare]) => ({
  name: `parsers of a client, ${name}, read rows of cursors`,
  run: async (driver, { connect }) => {
    const client = await connect(config);
    prepare(client);
    const Cursor = cursorOf(driver);
    const rows = await client.query(new Cursor('select 1 as a, true as b')).read(10);
    const own = { types: { getTypeParser: () => () => 'own' } };
    return [rows, await client.query(new Cursor('select 1 as a', [], own)).read(10)];
  },
}));

const ERRORS = [
  ['selekt 1'],
  ['select nothing'],
  ['select 1; select 2'],
  ['select 1 / (3 - i) as n from generate_series(1, 5) i'],
  ['select 1 / $1::int', [0]],
  ['insert into item values (1, null)'],
].map((args) => ({
  name: `an error is every read's error, and the client goes on: ${args[0]}`,
  run: async (driver, { connect }) => {
    const client = await connect();
    const cursor = client.query(new (cursorOf(driver))(...args));
    const outcomes = [];
    for (let i = 0; i < 3; i++) outcomes.push(await failing(cursor.read(2)));
    outcomes.push((await called((done) => cursor.read(2, done))).error);
    // Closing it now is left out: pg-cursor would wait for a ReadyForQuery that has come already.
    return [outcomes, await client.query('select 1 as after')];
  },
}));

const NO_TEXTS = [undefined, null, ''].map((text) =>
  on(`a text that is ${JSON.stringify(text)} is an empty statement`, [text], (cursor) =>
    cursor.read(5),
  ),
);

const OTHERS = [
  on('close before any read', [SERIES], (cursor) => cursor.close()),
  on('close twice, then read', [SERIES], async (cursor) => {
    await cursor.read(2);
    await cursor.close();
    await cursor.close();
    return cursor.read(5);
  }),
  on('close with a callback', [SERIES], async (cursor) => {
    await cursor.read(2);
    return new Promise((resolve) => cursor.close((...args) => resolve(args)));
  }),
  on('the state on the way', [SERIES], async (cursor) => {
    const states = [];
    await cursor.read(4);
    states.push(cursor.state);
    await cursor.read(40);
    states.push(cursor.state);
    await cursor.close();
    states.push(cursor.state);
    return states;
  }),
  on('the result with its fields, and its rows are those of the read', [SERIES], async (cursor) => {
    const { rows, result } = await called((done) => cursor.read(4, done));
    return [result.rows === rows, result];
  }),
  on('row and end events', [SERIES], async (cursor) => {
    const events = [];
    cursor.on('row', (row, result) => events.push(['row', row, result.fields.length]));
    cursor.on('end', (result) => events.push(['end', result.command, result.rowCount]));
    await cursor.read(3);
    await cursor.read(30);
    return events;
  }),
  on('end comes before the callback of the last read', [SERIES], async (cursor) => {
    const order = [];
    cursor.on('end', () => order.push('end'));
    await called((done) =>
      cursor.read(30, (...args) => {
        order.push('read');
        done(...args);
      }),
    );
    return order;
  }),
  on('an error event only for those who listen', ['selekt'], async (cursor) => {
    const errors = [];
    cursor.on('error', (error) => errors.push(error));
    await failing(cursor.read(1));
    await new Promise(setImmediate);
    return errors;
  }),
  {
    name: 'a cursor that was never submitted closes at once',
    run: async (driver) => {
      const cursor = new (cursorOf(driver))('select 1');
      await cursor.close();
      return new Promise((resolve) => cursor.close((...args) => resolve(args)));
    },
  },
  {
    name: 'queries behind an open cursor wait for its end, and each has its answer',
    run: async (driver, { connect }) => {
      const client = await connect();
      const cursor = client.query(new (cursorOf(driver))(SERIES));
      const order = [];
      const behind = client.query('select 2 as two').then(({ rows }) => order.push(rows));
      for (let i = 0; i < 3; i++) order.push(await cursor.read(5));
      await behind;
      return order;
    },
  },
  {
    name: 'a cursor behind a query, and another one behind it',
    run: async (driver, { connect }) => {
      const client = await connect();
      const Cursor = cursorOf(driver);
      const first = client.query('select 1 as one');
      const cursors = [SERIES, 'select 5 as five'].map((sql) => client.query(new Cursor(sql)));
      const reads = [];
      for (const cursor of cursors) {
        reads.push(await cursor.read(3));
        await cursor.close();
      }
      return [(await first).rows, reads];
    },
  },
  {
    name: 'inside a transaction the portal is gone after close: the table can be altered',
    run: async (driver, { connect }) => {
      const client = await connect();
      await client.query('begin');
      const cursor = client.query(new (cursorOf(driver))('select * from item'));
      const rows = await cursor.read(3);
      await cursor.close();
      await client.query('alter table item add other int');
      await client.query('rollback');
      return rows;
    },
  },
  {
    name: 'an error in a transaction leaves it failed',
    run: async (driver, { connect }) => {
      const client = await connect();
      await client.query('begin');
      const cursor = client.query(new (cursorOf(driver))('select 1 / 0'));
      const error = await failing(cursor.read(3));
      const next = await failing(client.query('select 1'));
      await client.query('rollback');
      return [error, next, await client.query('select 1 as one')];
    },
  },
  {
    name: 'outside of a transaction what a cursor wrote is committed with its end',
    run: async (driver, { connect, observer }) => {
      const client = await connect();
      const sql = 'update item set label = label || id::text returning id';
      const cursor = client.query(new (cursorOf(driver))(sql));
      await cursor.read(25);
      await cursor.read(25);
      await client.query('select 1');
      return observer.query("select count(*)::int as n from item where label like 'label %1'");
    },
  },
  {
    name: 'a cursor on a client that was ended gets the client’s error',
    run: async (driver, { connect }) => {
      const client = await connect();
      await client.end();
      const cursor = client.query(new (cursorOf(driver))(SERIES));
      return [await failing(cursor.read(1)), await failing(cursor.read(1))];
    },
  },
  {
    name: 'query_timeout ends a read that is late: the first one, and a later one',
    run: async (driver, { connect }) => {
      const client = await connect({ query_timeout: 700 });
      const slowly = (i) =>
        `select i, case when i = ${i} then pg_sleep(1.5) end from generate_series(1, 5) i`;
      const outcomes = [];
      for (const sql of [slowly(1), slowly(3)]) {
        const cursor = client.query(new (cursorOf(driver))(sql));
        outcomes.push(await failing(cursor.read(2)), await failing(cursor.read(9)));
        outcomes.push(await client.query({ text: 'select 1 as after', query_timeout: 10_000 }));
      }
      return outcomes;
    },
  },
  {
    name: 'query_timeout ends a cursor that waits too long for its turn',
    run: async (driver, { connect }) => {
      const client = await connect();
      const before = client.query('select pg_sleep(1)');
      const cursor = new (cursorOf(driver))(SERIES);
      cursor.query_timeout = 100;
      client.query(cursor);
      const error = await failing(cursor.read(3));
      await before;
      return [error, await client.query('select 1 as after')];
    },
  },
  {
    name: 'query_timeout and a cursor that is read slowly',
    differs: 'the limit is of each read; pg ends the cursor, and later reads give nothing',
    run: async (driver, { connect }) => {
      const client = await connect({ query_timeout: 1000 });
      const cursor = client.query(new (cursorOf(driver))('select generate_series(1, 4) as n'));
      const first = await cursor.read(2);
      await new Promise((resolve) => setTimeout(resolve, 1100));
      return [first, await cursor.read(2)];
    },
    expect: {
      value: [
        [{ n: 1 }, { n: 2 }],
        [{ n: 3 }, { n: 4 }],
      ],
    },
  },
  {
    name: 'two hundred cursors one after the other',
    run: async (driver, { connect }) => {
      const client = await connect();
      let sum = 0;
      for (let i = 0; i < 200; i++) {
        const cursor = client.query(new (cursorOf(driver))('select $1::int as n', [i]));
        sum += (await cursor.read(2))[0].n;
        await cursor.close();
      }
      return sum;
    },
  },
  {
    name: 'forty cursors open at the same time on as many connections',
    run: async (driver, { pool }) => {
      const clients = pool({ max: 40 });
      const lent = await Promise.all(Array.from({ length: 40 }, () => clients.connect()));
      const cursors = lent.map((client) => client.query(new (cursorOf(driver))(SERIES)));
      const sums = [];
      for (let round = 0; round < 4; round++) {
        const rows = await Promise.all(cursors.map((cursor) => cursor.read(3)));
        sums.push(rows.flat().reduce((sum, { n }) => sum + n, 0));
      }
      for (const client of lent) client.release();
      return sums;
    },
  },
];

const CASES = [
  ...READS,
  ...REST,
  ...COUNTS,
  ...STATEMENTS,
  ...VALUES,
  ...CONFIGS,
  ...PARSERS,
  ...ERRORS,
  ...NO_TEXTS,
  ...OTHERS,
];
compareAll(CASES);
compareAll(CASES.map(withForeign('pg-cursor')));

// In pg they throw, where the program asks or, behind a text that is still to be answered, as an uncaught error.
compareAll(
  [-1, '-1'].map((count) => ({
    name: `read(${typeof count} ${count})`,
    run: async (driver, { connect }) => {
      if (driver === reference) return 'not asked';
      const client = await connect();
      const cursor = client.query(new ours.Cursor(SERIES));
      const failed = [
        await failing(cursor.read(count)),
        (await called((done) => cursor.read(count, done))).error,
      ];
      const rows = await cursor.read(3);
      await cursor.close();
      return [failed.map((error) => error?.message), rows.length];
    },
    differs: 'that read alone fails',
    expect: {
      value: [Array(2).fill('the number of rows to read must be a number from 0 upwards'), 3],
    },
  })),
);
