// Statements and transactions that are applied exactly once, over a relay that cuts anywhere (SC-2, CP-4).
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table t (n int); create table parent (n int primary key)');

const FAST = { reaper: false, minBackoff: 1, maxBackoff: 10, retries: 6 };
const open = (t, options = {}) =>
  openServerless(t, { connectionString: db.url, ...FAST, ...options });

async function behindRelay(t, options) {
  const proxy = await db.openProxy(t);
  return { proxy, ...open(t, { connectionString: proxy.url(db.url), ...options }) };
}

const rowsOf = async (n) => (await db.sql('select from t where n = $1', [n])).length;

// Where the one connection of a statement is cut: its request, its answer, its COMMIT, the answer to that.
const CUTS = [
  { direction: 'toServer', text: 'insert into t' },
  { direction: 'toClient', text: 'INSERT 0 1' },
  { direction: 'toServer', text: 'COMMIT' },
  { direction: 'toClient', text: 'COMMIT' },
];

for (const [index, cut] of CUTS.entries()) {
  for (const before of [true, false]) {
    const place = `${before ? 'in front of' : 'behind'} "${cut.text}" ${cut.direction}`;
    test(`SC-2: exactlyOnce: cut ${place}, the statement is applied once and says so`, async (t) => {
      const { proxy, client, of } = await behindRelay(t);
      await client.connect();
      proxy.cutAt({ ...cut, before });
      const n = 10 + 2 * index + Number(before);
      const { command, rowCount, rows } = await client.query({
        text: 'insert into t values ($1) returning n',
        values: [n],
        exactlyOnce: true,
      });
      assert.deepEqual(
        { command, rowCount, rows },
        { command: 'INSERT', rowCount: 1, rows: [{ n }] },
      );
      assert.equal(await rowsOf(n), 1);
      assert.equal(of('onClientDead').length, 1);
      assert.equal(of('onQueryStart').length, 1);
    });
  }
}

test('SC-2: transaction(fn): an unanswered COMMIT behind several statements in one text is looked up', async (t) => {
  const { proxy, client } = await behindRelay(t);
  await client.connect();
  proxy.cutAt({ direction: 'toClient', text: 'COMMIT', before: true });
  const value = await client.transaction(async (tx) => {
    await tx.query('insert into t values (50); insert into t values (51)');
    return 'done';
  });
  assert.equal(value, 'done');
  assert.deepEqual([await rowsOf(50), await rowsOf(51)], [1, 1]);
});

test('SC-2: a COMMIT that the server refuses is an error, however its transaction began', async (t) => {
  await db.sql('create table child (n int references parent deferrable initially deferred)');
  const { client } = open(t);
  const wrong = { text: 'insert into child values (1)', exactlyOnce: true };
  await assert.rejects(client.query(wrong), { code: '23503' });
  await assert.rejects(
    client.transaction((tx) => tx.query(wrong.text)),
    { code: '23503' },
  );
  assert.equal((await client.query('select count(*)::int as n from child')).rows[0].n, 0);
});

test('SC-2: exactlyOnce of the client holds for every statement outside transactions', async (t) => {
  const { proxy, client } = await behindRelay(t, { exactlyOnce: true });
  await client.connect();
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  await client.query('insert into t values (60)');
  assert.equal(await rowsOf(60), 1);
  // Inside a transaction of the caller's a statement shares its fate.
  await client.query('begin');
  await client.query('insert into t values (61)');
  await client.query('rollback');
  assert.equal(await rowsOf(61), 0);
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  const plain = client.query({ text: 'insert into t values (62)', exactlyOnce: false });
  await assert.rejects(plain, { outcomeUnknown: true });
});

test('SC-2: inside a transaction exactlyOnce of a query is refused', async (t) => {
  const { client } = open(t);
  await client.query('begin');
  const refused = { name: 'TypeError', message: /^option "exactlyOnce" of a query/ };
  await assert.rejects(
    client.query({ text: 'insert into t values (70)', exactlyOnce: true }),
    refused,
  );
  await client.query('rollback');
  await assert.rejects(client.query({ text: 'begin', exactlyOnce: true }), refused);
});

test('SC-2: exactlyOnce of the client: what is asked behind a BEGIN that has no connection yet is part of it', async (t) => {
  const { client, count } = open(t, { exactlyOnce: true });
  const refused = { name: 'TypeError', message: /^option "exactlyOnce" of a query/ };
  const [, , , { command }] = await Promise.all([
    client.query('begin'),
    client.query('insert into t values (75)'),
    assert.rejects(client.query({ text: 'insert into t values (76)', exactlyOnce: true }), refused),
    client.query('rollback'),
  ]);
  assert.equal(command, 'ROLLBACK');
  assert.deepEqual([await rowsOf(75), await rowsOf(76)], [0, 0]);
  // Behind its end a statement stands for itself again.
  await Promise.all([client.query('begin'), client.query('commit'), client.query('select 1')]);
  assert.equal(count('onConnect'), 1);
});

test('SC-2: statements of others never get into the transaction of one that is applied exactly once', async (t) => {
  const { proxy, client } = await behindRelay(t);
  await client.connect();
  proxy.cutAt({ direction: 'toServer', text: 'COMMIT', before: true });
  const answers = await Promise.all([
    client.query({ text: 'insert into t values (80)', exactlyOnce: true }),
    client.query('insert into t values (81)'),
    client.query({ text: 'insert into t values (82)', exactlyOnce: true }),
    client.query('insert into t values (83)'),
  ]);
  assert.deepEqual(
    answers.map(({ rowCount }) => rowCount),
    [1, 1, 1, 1],
  );
  for (const n of [80, 81, 82, 83]) assert.equal(await rowsOf(n), 1);
});

test('SC-2: a statement that fails leaves neither a transaction nor a queue behind', async (t) => {
  const { client } = open(t);
  const failing = client.query({ text: 'insert into nowhere values (1)', exactlyOnce: true });
  const next = client.query('select pg_current_xact_id_if_assigned() as id');
  await assert.rejects(failing, { code: '42P01' });
  assert.equal((await next).rows[0].id, null);
});

test('SC-2: transaction(fn): what was closed in the middle is not finished over a new connection', async (t) => {
  const { client, count } = open(t);
  let runs = 0;
  const closed = client.transaction(async (tx) => {
    runs++;
    await tx.query('insert into t values (9001)');
    await client.clean();
    await tx.query('insert into t values (9002)');
  });
  await assert.rejects(closed, {
    name: 'ClosedError',
    code: 'ERR_CLIENT_CLOSED',
    outcome: 'failed',
  });
  const committed = client.transaction(async (tx) => {
    await tx.query('insert into t values (9003)');
    await client.clean();
  });
  await assert.rejects(committed, { code: 'ERR_CLIENT_CLOSED' });
  assert.deepEqual([await rowsOf(9001), await rowsOf(9002), await rowsOf(9003)], [0, 0, 0]);
  assert.deepEqual([runs, count('onConnect')], [1, 2]);
});

test('SC-2: transaction(fn): what was closed while it was connecting does not begin over a new connection', async (t) => {
  const hooks = { onQueryStart: () => queueMicrotask(() => client.clean()) };
  const { client } = open(t, { hooks });
  const begun = client.transaction(() => assert.fail('it was closed before it began'));
  await assert.rejects(begun, { code: 'ERR_CLIENT_CLOSED' });
  assert.equal(client.getClient(), null);
});

test('SC-2: transaction(fn): a statement behind the end is refused, not committed by itself', async (t) => {
  const { client } = open(t);
  let late;
  const failed = client.transaction(async (tx) => {
    late = tx.query('select 1').then(() => tx.query('insert into t values (9011)'));
    late.catch(() => {});
    throw new Error('of the function');
  });
  await assert.rejects(failed, { message: 'of the function' });
  await assert.rejects(late, { name: 'ClosedError', code: 'ERR_CLOSED', outcome: 'not-sent' });
  const kept = await client.transaction((tx) => tx);
  await assert.rejects(kept.query('insert into t values (9011)'), { code: 'ERR_CLOSED' });
  assert.equal(await rowsOf(9011), 0);
});

test('SC-2: transaction(fn): a text that would end it is refused, and nothing behind it is committed by itself', async (t) => {
  const { client } = open(t);
  const wrong = { name: 'TypeError', code: 'ERR_CONFIG', outcome: 'not-sent' };
  const behind = 'insert into t values (9012); commit; begin';
  for (const query of ['rollback', '/* mine */ COMMIT;', { text: 'abort' }, behind]) {
    const ended = client.transaction(async (tx) => {
      await tx.query('insert into t values (9012)');
      await tx.query(query);
      await tx.query('insert into t values (9013)');
    });
    await assert.rejects(ended, wrong);
  }
  assert.deepEqual([await rowsOf(9012), await rowsOf(9013)], [0, 0]);
});

test('transaction(fn) inside another one of the same client ends by itself, and is the last in nobody’s way', async (t) => {
  const { client } = open(t, { maxQueryRetryTimeMs: 200 });
  let follower;
  const outer = client.transaction(async (tx) => {
    await tx.query('select 1');
    const inner = client.transaction(() => assert.fail('it is not its turn'));
    await assert.rejects(inner, {
      name: 'TimeoutError',
      code: 'ERR_TIMEOUT',
      outcome: 'not-sent',
      message: /^the transaction in front of this one has run no statement for 200 ms/,
    });
    follower = client.transaction(async (next) => (await next.query('select 2 as x')).rows[0].x);
    // Longer than the limit, but with a statement under way.
    await tx.query('select pg_sleep(0.5)');
    return (await tx.query('select 1 as x')).rows[0].x;
  });
  assert.deepEqual([await outer, await follower], [1, 2]);
});

for (const last of ['select 1', undefined]) {
  const what = last === undefined ? 'at its end' : 'with others behind them';
  test(`SC-2: transaction(fn): several statements in one text that were given up before they were sent are missed, ${what}`, async (t) => {
    const { client } = open(t);
    const gate = open(t).client;
    await gate.query('select pg_advisory_lock(4711)');
    const n = last === undefined ? 200 : 202;
    const several = `insert into t values (${n}); insert into t values (${n})`;
    const done = client.transaction(async (tx) => {
      await tx.query(`insert into t values (${n + 1})`);
      tx.query('select pg_advisory_xact_lock(4711)');
      const given = tx.query({ text: several, query_timeout: 50 });
      given.catch(() => gate.query('select pg_advisory_unlock(4711)'));
      if (last !== undefined) tx.query(last);
    });
    await assert.rejects(done, { code: '25P02', outcome: 'failed' });
    assert.deepEqual([await rowsOf(n), await rowsOf(n + 1)], [0, 0]);
  });
}

for (const [what, ask] of /** @type {[string, (tx: any, text: string) => Promise<any>][]} */ ([
  ['a parameter', (tx, text) => tx.query(`${text}::int`, [{ toJSON: () => assert.fail() }])],
  ['its parameters', (tx, text) => tx.query(text, 5)],
  ['a member of the query', (tx, text) => tx.query({ text, signal: AbortSignal.abort() })],
  ['its text', (tx) => tx.query('commit')],
])) {
  test(`SC-2: transaction(fn): the last act of fn, refused for ${what}, is missed though nobody awaited it`, async (t) => {
    const { client } = open(t);
    const text = 'insert into t select $1';
    /** @type {Promise<any> | undefined} */
    let refused;
    const giveUp = async (tx) => {
      await tx.query('insert into t values (300)');
      refused = failureOf(ask(tx, text));
    };
    const error = await failureOf(client.transaction((tx) => giveUp(tx)));
    assert.deepEqual([error.code, error.outcome], ['25P02', 'failed']);
    assert.equal(error.cause, await refused);
    assert.equal(await rowsOf(300), 0);
    await client.transaction(async (tx) => {
      await tx.query('insert into t values (300)');
      await failureOf(ask(tx, text));
    });
    assert.equal((await db.sql('delete from t where n = 300 returning n')).length, 1);
  });
}

for (const library of [undefined, require('pg')]) {
  const driver = library === undefined ? 'the engine' : 'a library';
  test(`a text with a literal of many megabytes that is lost is in doubt as any other, with ${driver}`, async (t) => {
    const { proxy, client } = await behindRelay(t, { library, retries: 0 });
    const text = (n) => `insert into t select ${n} where length('${'x'.repeat(12 << 20)}') > 1`;
    await db.sql('truncate t');
    await client.query(text(901));
    proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
    const error = await failureOf(client.query(text(902)));
    assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown'], error.stack);
    assert.equal(await rowsOf(902), 1);
    await client.transaction((tx) => tx.query(`${text(903)}; select 1`));
    assert.equal(await rowsOf(903), 1);
  });
}
