// A text of the server that no string can hold: on every face its own call fails, says why, and nothing else does.
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const {
  Client,
  OutcomeUnknownError,
  Pool,
  QueryStream,
  ResultError,
} = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');

/** In the place of the 536 870 888 characters of V8, which would take gigabytes to reach. */
const LIMIT = 100_000;

const db = testDatabase('create table kept (id int, text text)');
const { latin1Slice, ucs2Slice } = Buffer.prototype;

/** Refuses as the runtime does. */
const limited = (slice, size) =>
  function sliced(start, end) {
    if ((end - start) / size <= LIMIT) return slice.call(this, start, end);
    const message = `Cannot create a string longer than 0x${LIMIT.toString(16)} characters`;
    throw Object.assign(new Error(message), { code: 'ERR_STRING_TOO_LONG' });
  };

before(() => {
  Buffer.prototype.latin1Slice = limited(latin1Slice, 1);
  Buffer.prototype.ucs2Slice = limited(ucs2Slice, 2);
});
after(() => Object.assign(Buffer.prototype, { latin1Slice, ucs2Slice }));

const LATIN = `select repeat('x', ${LIMIT + 1}) as x`;
const WIDE = `select repeat('ł', ${LIMIT + 1}) as x`;
const TEXTS = [
  LATIN,
  WIDE,
  `select json_build_array(repeat('x', ${LIMIT + 1})) as x`,
  `select array[repeat('x', ${LIMIT + 1})] as x`,
  `insert into kept values (1, 'x') returning repeat('x', ${LIMIT + 1}) as x`,
  `select n, repeat('x', case n when 3 then ${LIMIT + 1} else 9 end) as x from generate_series(1, 5) n`,
];

async function failureOf(asked) {
  return asked.then(
    () => assert.fail('it has resolved'),
    (error) => error,
  );
}

/** @param {any} error @param {string} code */
function isTold(error, code) {
  assert.ok(error instanceof OutcomeUnknownError, String(error.stack));
  assert.ok(error.cause instanceof ResultError);
  assert.deepEqual(
    [error.outcome, error.code, error.cause.code],
    ['unknown', code, 'ERR_RESULT_TOO_LARGE'],
  );
  assert.match(error.message, /a value of the result has \d{6} characters.*substr\(\)/);
}

for (const sql of TEXTS) {
  test(`createPool: ${sql}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1 });
    const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
    isTold(await failureOf(pool.query(sql)), 'IN_DOUBT');
    isTold(await failureOf(pool.queryResult(sql)), 'IN_DOUBT');
    assert.throws(
      () => pool.querySync(sql),
      (error) => {
        isTold(error, 'IN_DOUBT');
        return true;
      },
    );
    isTold(
      await failureOf(Array.fromAsync?.(pool.stream(sql)) ?? collect(pool.stream(sql))),
      'IN_DOUBT',
    );
    assert.deepEqual(await pool.query('select pg_backend_pid() as pid'), [{ pid }]);
  });

  test(`the pg face: ${sql}`, async (t) => {
    const pool = new Pool({ connectionString: db.url, max: 1 });
    t.after(() => pool.end());
    const client = new Client(db.url);
    await client.connect();
    t.after(() => client.end());
    const pid = async () => (await pool.query('select pg_backend_pid() as pid')).rows[0].pid;
    const before = await pid();
    for (const more of [{}, { name: 'named' }, { queryMode: 'extended', rowMode: 'array' }]) {
      for (const target of [pool, client]) {
        isTold(await failureOf(target.query({ text: sql, ...more })), 'ERR_RESULT_TOO_LARGE');
      }
    }
    const told = await new Promise((resolve) => client.query(sql, resolve));
    isTold(told, 'ERR_RESULT_TOO_LARGE');
    isTold(await failureOf(collect(client.query(new QueryStream(sql)))), 'ERR_RESULT_TOO_LARGE');
    assert.deepEqual((await client.query('select 1 as a')).rows, [{ a: 1 }]);
    assert.equal(await pid(), before, 'the connection is kept');
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
  });

  test(`ServerlessClient: ${sql}`, async (t) => {
    const { client, count } = openServerless(t, { connectionString: db.url });
    await client.query('select 1');
    isTold(await failureOf(client.query(sql)), 'ERR_RESULT_TOO_LARGE');
    assert.deepEqual((await client.query('select 1 as a')).rows, [{ a: 1 }]);
    assert.deepEqual([count('onReconnect'), count('onQueryRetry')], [0, 0]);
  });
}

async function collect(rows) {
  const all = [];
  for await (const row of rows) all.push(row);
  return all;
}

test('neighbours on the connection are served, and a transaction goes on', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const lengths = [1, LIMIT + 1, 2, LIMIT + 1, LIMIT];
  const asked = lengths.map((length) => pool.query(`select repeat('x', $1) as x`, [length]));
  const results = await Promise.allSettled(asked);
  assert.deepEqual(
    results.map(({ value, reason }) => value?.[0].x.length ?? reason.name),
    [1, 'OutcomeUnknownError', 2, 'OutcomeUnknownError', LIMIT],
  );
  const { id } = await pool.transaction(async (tx) => {
    isTold(await failureOf(tx.query(LATIN)), 'IN_DOUBT');
    await tx.query(`insert into kept values (2, 'in a transaction')`);
    return (await tx.query('select id from kept where id = 2'))[0];
  });
  assert.deepEqual([id, await db.sql('select id from kept where id = 2')], [2, [{ id: 2 }]]);
});

test('what takes no string is read: bytes, and pieces', async (t) => {
  const pool = db.openPool(t);
  const [{ bytes, piece }] = await pool.query(
    `select convert_to(x, 'UTF8') as bytes, substr(x, 1, 5) as piece from (${LATIN}) long`,
  );
  assert.deepEqual([bytes.length, piece], [LIMIT + 1, 'xxxxx']);
});
