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
const closed = (stream) => new Promise((resolve) => stream.once('close', resolve));
const failed = (stream) => new Promise((resolve) => stream.once('error', resolve));

function fail() {
  throw new Error('no text');
}

/** Nothing that has arrived is heard of for so long. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

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

for (const what of /** @type {const} */ (['timeoutMs', 'maxStatementMs', 'stream', 'copyFrom'])) {
  test(`a statement that was given up unsent is not left out of what is committed: ${what}`, async (t) => {
    const pool = await open(t, what === 'maxStatementMs' ? { maxStatementMs: 1000 } : {});
    const tx = await pool.begin();
    await tx.query(insert(1));
    await db.sql('select pg_advisory_lock(7)');
    // Waits for the lock, and the next one for its answer.
    const slow = tx.query('select pg_advisory_xact_lock(7)', [], { timeoutMs: 30_000 });
    await db.running('pg_advisory_xact_lock(7)');
    const limit = what === 'maxStatementMs' ? undefined : { timeoutMs: 20 };
    const lost =
      what === 'stream'
        ? failureOf(tx.stream(`${insert(2)} returning n`, [], limit).next())
        : what === 'copyFrom'
          ? failed(tx.copyFrom('copy rows from stdin', limit))
          : failureOf(tx.query(insert(2), [], limit));
    await new Promise(setImmediate);
    // Its time runs out while nobody hears of it.
    block(what === 'maxStatementMs' ? 1300 : 300);
    const end = failureOf(tx.commit());
    await db.sql('select pg_advisory_unlock(7)');
    const error = await end;
    assert.deepEqual([error.name, error.outcome], ['TransactionRolledBackError', 'failed']);
    const { name, outcome, message } = await lost;
    assert.deepEqual([name, outcome], ['TimeoutError', 'not-sent']);
    assert.equal(error.cause.message, message);
    await slow;
    assert.deepEqual(await stored(), []);
    await db.released(pool);
  });
}

test('a statement that was refused in the turn of COMMIT is not left out of what is committed', async (t) => {
  const pool = await open(t);
  for (const options of [undefined, { rowMode: /** @type {const} */ ('array') }]) {
    const tx = await pool.begin();
    const wrong = [insert('$1'), [Symbol('no value')], options];
    const ends = await Promise.allSettled([
      tx.query(insert(1), [], options),
      tx.query(.../** @type {[string, any[], any]} */ (wrong)),
      tx.commit(),
    ]);
    const [, refused, end] = ends.map(({ reason }) => reason);
    assert.deepEqual([end.name, end.cause], ['TransactionRolledBackError', refused]);
    assert.deepEqual(await stored(), []);
  }
  // Whoever has heard of it may go on without it.
  const tx = await pool.begin();
  await tx.query(insert(1));
  await failureOf(tx.query(insert('$1'), [Symbol('no value')]));
  await failureOf(tx.query(insert('$1'), [1], { signal: AbortSignal.abort() }));
  await tx.commit();
  assert.deepEqual(await stored(), [1]);
});

for (const [what, ask] of /** @type {[string, (tx: any) => Promise<any>][]} */ ([
  ['a signal that has fired', (tx) => tx.query(insert(2), [], { signal: AbortSignal.abort() })],
  ['a parameter', (tx) => tx.query(insert('$1'), [Symbol('no value')])],
  ['an error of the caller', (tx) => tx.queryResult(insert('$1'), [{ toJSON: () => fail() }])],
  ['an option', (tx) => tx.query(insert(2), [], { timeoutMs: -1 })],
  ['its text', (tx) => tx.query('rollback and chain')],
  ['its rows', (tx) => tx.stream(`${insert('$1')} returning n`, [Symbol('no value')]).next()],
  ['a stream’s parameter', (tx) => tx.stream(insert('$1'), [{ toJSON: () => fail() }]).next()],
])) {
  test(`transaction(fn) commits nothing without the last act of fn, refused for ${what}, that nobody has awaited`, async (t) => {
    const pool = await open(t);
    /** @type {Promise<any> | undefined} */
    let refused;
    const giveUp = async (tx) => {
      await tx.query(insert(1));
      refused = failureOf(ask(tx));
    };
    const error = await failureOf(pool.transaction((tx) => giveUp(tx)));
    assert.equal(error.name, 'TransactionRolledBackError');
    assert.equal(error.cause, await refused);
    assert.deepEqual(await stored(), []);
    // Whoever has heard of it may go on without it.
    await pool.transaction(async (tx) => {
      await tx.query(insert(3));
      await failureOf(ask(tx));
    });
    assert.deepEqual(await stored(), [3]);
    await db.released(pool);
  });
}

test('a savepoint is undone without its last act that nobody has awaited and that was never sent', async (t) => {
  const pool = await open(t);
  const refused = await pool.transaction(async (tx) => {
    await tx.query(insert(1));
    const part = async () => {
      await tx.query(insert(2));
      failureOf(tx.query(insert('$1'), [Symbol('no value')]));
    };
    const error = await failureOf(tx.savepoint(part));
    await tx.savepoint(() => tx.query(insert(3)));
    return error;
  });
  assert.deepEqual([refused.code, refused.outcome], ['22P02', 'not-sent']);
  assert.deepEqual(await stored(), [1, 3]);
});

test('COMMIT overtakes no stream that was asked for before it, and none runs behind it', async (t) => {
  const pool = await open(t);
  const holder = await pool.begin();
  const work = pool.transaction(async (tx) => {
    const rows = tx.stream(`${insert(1)} returning n`).next();
    const second = tx.stream(`${insert(2)} returning n`);
    const ended = tx.commit();
    const late = failureOf(second.next());
    await holder.rollback();
    await ended;
    assert.equal((await late).code, 'ERR_CLOSED');
    return (await rows).value;
  });
  assert.deepEqual(await work, { n: 1 });
  assert.deepEqual(await stored(), [1]);
  await db.released(pool);
});

test('COMMIT waits for a COPY that was asked for before it', async (t) => {
  const pool = await open(t);
  await pool.transaction((tx) => {
    tx.copyFrom('copy rows from stdin').end('1\n2\n');
  });
  assert.deepEqual(await stored(), [1, 2]);
});

test('COMMIT waits no longer than its timeoutMs for what was asked for before it', async (t) => {
  const pool = await open(t);
  const tx = await pool.begin();
  await tx.query(insert(1));
  const copy = tx.copyFrom('copy rows from stdin');
  const ended = failed(copy);
  await new Promise((resolve) => copy.write('2\n', resolve));
  const error = await failureOf(tx.commit({ timeoutMs: 50 }));
  assert.deepEqual([error.name, error.outcome], ['TimeoutError', 'not-sent']);
  assert.notEqual((await ended).outcome, 'unknown');
  assert.deepEqual(await stored(), []);
  await db.released(pool);
});

for (const method of /** @type {const} */ (['copyFrom', 'copyTo'])) {
  test(`ROLLBACK waits for no data of a ${method} that nobody goes on with`, async (t) => {
    const pool = await open(t);
    const mine = new Error('mine');
    /** @type {any} */
    let copy;
    const work = pool.transaction(async (tx) => {
      await tx.query(insert(1));
      if (method === 'copyFrom') {
        copy = tx.copyFrom('copy rows from stdin');
        await new Promise((resolve) => copy.write('2\n', resolve));
      } else {
        copy = tx.copyTo('copy (select generate_series(1, 10000000)) to stdout');
        await new Promise((resolve) => copy.once('readable', resolve));
      }
      throw mine;
    });
    assert.equal(await failureOf(work), mine);
    if (!copy.closed) await closed(copy);
    assert.deepEqual(await stored(), []);
    assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  });
}

test('a transaction or batch that was given up in the queue waits for no connection to roll back on', async (t) => {
  const pool = await open(t, { acquireTimeoutMs: 60_000 });
  const holder = await pool.begin();
  await holder.query('select 1');
  const limits = { timeoutMs: 50 };
  const all = /** @type {const} */ ({ errors: 'all-or-nothing' });
  for (const work of [
    () => pool.transaction((tx) => tx.query(insert(1), [], limits)),
    () => pool.transaction((tx) => tx.query(insert(1)), { signal: AbortSignal.timeout(50) }),
    () =>
      pool.transaction(async (tx) => {
        throw await failed(tx.copyTo('copy rows to stdout', limits));
      }),
    () => pool.batch([insert(1), insert(2)], { ...all, ...limits }),
    () => pool.batch([insert(1), { sql: insert('$1'), params: [Symbol('x')] }], all),
  ]) {
    const error = await failureOf(work());
    assert.ok(error.outcome === 'not-sent' || error.name === 'TimeoutError', error.stack);
    assert.equal(pool.status().waiting, 0);
  }
  await holder.rollback();
  await db.released(pool);
  assert.deepEqual(await stored(), []);
});

test('ROLLBACK of a transaction that found no connection has nothing to do', async (t) => {
  const pool = await open(t, { acquireTimeoutMs: 100 });
  const holder = await pool.begin();
  const value = await pool.transaction(async (tx) => {
    assert.equal((await failureOf(tx.query(insert(1)))).code, '53300');
    await tx.rollback();
    return 'left';
  });
  assert.equal(value, 'left');
  await holder.rollback();
});

test('a COPY that was asked for in front of a savepoint is not undone with that', async (t) => {
  const pool = await open(t);
  const rowCount = await pool.transaction(async (tx) => {
    const copy = tx.copyFrom('copy rows from stdin');
    const isOver = closed(copy);
    copy.end('1\n');
    await failureOf(tx.savepoint(() => Promise.reject(new Error('undone'))));
    await isOver;
    return copy.rowCount;
  });
  assert.equal(rowCount, 1);
  assert.deepEqual(await stored(), [1]);
});

test('a COPY among several statements does not end the transaction it is in', async (t) => {
  const pool = await open(t);
  for (const text of [
    'select 1; commit; copy rows to stdout',
    'select 1; rollback; begin; copy rows to stdout;',
  ]) {
    const tx = await pool.begin();
    await tx.query(insert(1));
    assert.throws(() => tx.copyTo(text), /^TypeError: sql ends the transaction/);
    tx.copyTo("select '; commit'; copy rows to stdout;").resume();
    await tx.rollback();
  }
  assert.deepEqual(await stored(), []);
});
