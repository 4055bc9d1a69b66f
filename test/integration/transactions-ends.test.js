// How transactions end whose statements nobody has waited for, or whose texts end them: what is committed is what was asked for.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table rows (n int)');

async function open(t, options) {
  await db.sql('truncate rows');
  return db.openPool(t, { poolSize: 1, ...options });
}

const insert = (n) => `insert into rows values (${n})`;
const stored = async () => (await db.sql('select n from rows order by n')).map(({ n }) => n);

for (const [word, kept] of /** @type {const} */ ([
  ['COMMIT', [1]],
  ['end;', [1]],
  ['ROLLBACK', []],
  ['/* why */ abort work', []],
])) {
  test(`${word} as a text is the end of the transaction`, async (t) => {
    const pool = await open(t);
    const tx = await pool.begin();
    await tx.query(insert(1));
    // Asked for together: what comes behind must not run on its own.
    const [end, late] = await Promise.allSettled([tx.query(word), tx.query(insert(2))]);
    assert.deepEqual([end.status, late.reason?.code], ['fulfilled', 'ERR_CLOSED']);
    assert.deepEqual([end.value.length, end.value.rowCount], [0, null]);
    assert.equal(end.value.command, kept.length > 0 ? 'COMMIT' : 'ROLLBACK');
    for (const use of [() => tx.commit(), () => tx.rollback(), () => tx.query('select 1')])
      assert.equal((await failureOf(use())).code, 'ERR_CLOSED');
    assert.deepEqual(await stored(), kept);
    await db.released(pool);
  });
}

test('COMMIT as a text is no success of a transaction that has failed', async (t) => {
  const pool = await open(t);
  const tx = await pool.begin();
  await tx.query(insert(1));
  await failureOf(tx.query('select 1 / 0'));
  const error = await failureOf(tx.queryResult('commit', [], { timeoutMs: 5000 }));
  assert.deepEqual([error.name, error.outcome], ['TransactionRolledBackError', 'failed']);
  assert.deepEqual(await stored(), []);
});

test('a function that has committed by a text is not run again, and one that has rolled back keeps its value', async (t) => {
  const pool = await open(t, { retry: { baseDelayMs: 1 } });
  let runs = 0;
  const committed = pool.transaction(async (tx) => {
    runs += 1;
    await tx.query(insert(1));
    const { rows, fields, command } = await tx.queryResult('commit');
    assert.deepEqual([rows, fields, command], [[], [], 'COMMIT']);
    throw Object.assign(new Error('a conflict elsewhere'), { code: '40001', outcome: 'failed' });
  });
  assert.deepEqual([(await failureOf(committed)).code, runs], ['40001', 1]);
  const value = await pool.transaction(async (tx) => {
    await tx.query(insert(2));
    await tx.query('rollback');
    return 'value';
  });
  assert.deepEqual([value, await stored()], ['value', [1]]);
});

test('what would leave a transaction that nobody ends is refused before it is sent', async (t) => {
  const pool = await open(t);
  const wrong = { name: 'TypeError', code: 'ERR_CONFIG', outcome: 'not-sent' };
  await pool.transaction(async (tx) => {
    await tx.query(insert(1));
    for (const text of ['commit and chain', 'rollback and chain', `prepare transaction 'x'`])
      await assert.rejects(tx.query(text), wrong);
    for (const method of /** @type {const} */ (['stream', 'copyFrom', 'copyTo']))
      assert.throws(() => tx[method]('rollback'), wrong);
  });
  assert.deepEqual(await stored(), [1]);
  const batch = pool.batch([insert(2), 'rollback', insert(3)], { errors: 'all-or-nothing' });
  await assert.rejects(batch, { ...wrong, message: /^statement 1 of the batch ends/ });
  assert.deepEqual(await stored(), [1]);
});
