// Closures and parts of transactions: isolation, retries, savepoints, disposal, and single rows that may be sent again.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const { pipeline } = require('node:stream/promises');
const { promisify } = require('node:util');
const { isTransientError } = require('../../lib/resilience.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase(`
  create table rows (n int);
  create table accounts (id int primary key, balance int);
  insert into accounts values (1, 0), (2, 0);
  create table orders (_id text primary key, total numeric, place int unique);
`);

const values = async () => (await db.sql('select n from rows order by n')).map(({ n }) => n);
const setting = (tx, name) => tx.query(`select current_setting('${name}') as value`);

test('CP-80: isolation, access mode and deferrable are those of the transaction', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const options = /** @type {const} */ ({
    isolation: 'serializable',
    accessMode: 'read-only',
    deferrable: true,
  });
  await pool.transaction(async (tx) => {
    const names = ['isolation', 'read_only', 'deferrable'];
    const seen = [];
    for (const name of names) seen.push((await setting(tx, `transaction_${name}`))[0].value);
    assert.deepEqual(seen, ['serializable', 'on', 'on']);
    assert.equal((await failureOf(tx.query('insert into rows values (1)'))).code, '25006');
    await tx.rollback();
  }, options);
  for (const isolation of /** @type {const} */ (['read-committed', 'repeatable-read'])) {
    const tx = await pool.begin({ isolation });
    const [{ value }] = await setting(tx, 'transaction_isolation');
    assert.equal(value, isolation.replace('-', ' '));
    await tx.commit();
  }
});

test('CP-83: a deadlock and a serialization failure run the closure again, and both changes are kept once', async (t) => {
  const pool = db.openPool(t, { poolSize: 2, retry: { maxAttempts: 10, baseDelayMs: 1 } });
  const runs = [0, 0];
  const add = 'update accounts set balance = balance + 1 where id = $1';
  let arrived = 0;
  let open = () => {};
  const both = new Promise((resolve) => {
    open = () => resolve(undefined);
  });
  const move = (index, ids, options) =>
    pool.transaction(async (tx) => {
      runs[index] += 1;
      await tx.query(add, [ids[0]]);
      arrived += 1;
      if (arrived === 2) open();
      await both;
      await tx.query(add, [ids[1]]);
    }, options);
  await Promise.all([move(0, [1, 2]), move(1, [2, 1])]);
  // The one that was rolled back may meet the other one a second time.
  assert.ok(runs[0] + runs[1] >= 3, 'one of them ran again');
  const read = 'select balance from accounts where id = 1';
  await Promise.all(
    [0, 1].map(() =>
      pool.transaction(
        async (tx) => {
          const [{ balance }] = await tx.query(read);
          await tx.query('update accounts set balance = $1 where id = 1', [balance + 1]);
        },
        { isolation: 'serializable' },
      ),
    ),
  );
  assert.deepEqual(await db.sql('select balance from accounts order by id'), [
    { balance: 4 },
    { balance: 2 },
  ]);
});

test('CP-80: what a savepoint’s function did is undone when it throws, and the transaction goes on', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const mine = new Error('mine');
  await pool.transaction(async (tx) => {
    await tx.query('insert into rows values (10)');
    const failed = tx.savepoint(async () => {
      await tx.query('insert into rows values (11)');
      throw mine;
    });
    assert.equal(await failureOf(failed), mine);
    const refused = tx.transaction((inner) => inner.query('select no_such_column'));
    assert.equal((await failureOf(refused)).code, '42703');
    const value = await tx.transaction(async (inner) => {
      await inner.query('insert into rows values (12)');
      await failureOf(inner.savepoint((third) => third.query('select no_such_column')));
      return 'kept';
    });
    assert.equal(value, 'kept');
  });
  assert.deepEqual(await values(), [10, 12]);
});

test('a savepoint as the first act brings BEGIN along', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.transaction((tx) => tx.savepoint(() => tx.query('delete from rows')));
  assert.deepEqual(await values(), []);
});

test('a transaction that is left by its block is rolled back', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  // What a compiler makes of `await using`.
  const tx = await pool.begin();
  try {
    await tx.query('insert into rows values (1)');
  } finally {
    await tx[Symbol.asyncDispose]();
  }
  assert.deepEqual(await values(), []);
  assert.equal((await failureOf(tx.query('select 1'))).name, 'ClosedError');
});

test('insert gives the row as it was stored, and names are quoted', async (t) => {
  const pool = db.openPool(t);
  const [row] = await pool.insert('orders', { _id: 'a', total: '12.50' });
  assert.deepEqual(row, { _id: 'a', total: '12.50', place: null });
  const [again] = await pool.insert(['public', 'orders'], { _id: 'b' });
  assert.equal(again._id, 'b');
  const error = await failureOf(pool.insert('orders', { '_id"; drop table orders; --': 1 }));
  assert.equal(error.code, '42703');
  assert.equal((await failureOf(pool.insert('orders', { _id: 'a' }))).code, '23505');
});

test('an idempotent insert of a row that is there gives nothing, by the index that is named', async (t) => {
  const pool = db.openPool(t);
  const options = { idempotency: true };
  assert.equal((await pool.insert('orders', { _id: 'c', place: 1 }, options)).length, 1);
  const twice = await pool.insert('orders', { _id: 'c', total: 5 }, options);
  assert.deepEqual([twice.length, twice.rowCount], [0, 0]);
  const place = { idempotency: true, conflictTarget: 'place' };
  assert.equal((await pool.insert('orders', { _id: 'd', place: 1 }, place)).length, 0);
  const problem = await failureOf(pool.insert('orders', { _id: 'e' }, { conflictTarget: 'place' }));
  assert.equal(problem.message, 'option "conflictTarget" needs "idempotency"');
});

test('an idempotent insert whose answers are lost is tried again and stored once', async (t) => {
  const proxy = await db.openProxy(t);
  const connectionString = proxy.url(db.url);
  const pool = db.openPool(t, { connectionString, poolSize: 1, retry: { baseDelayMs: 1 } });
  for (let round = 0; round < 2; round++)
    proxy.cutAt({ direction: 'toClient', text: 'INSERT', before: true });
  const rows = await pool.insert('orders', { _id: 'f' }, { idempotency: true });
  assert.equal(rows.length, 0, 'the first one was stored');
  assert.deepEqual(await db.sql(`select count(*)::int as n from orders where _id = 'f'`), [
    { n: 1 },
  ]);
  proxy.cutAt({ direction: 'toClient', text: 'INSERT', before: true });
  assert.equal((await failureOf(pool.insert('orders', { _id: 'g' }))).code, 'IN_DOUBT');
});

/** A pool with one connection, whose answer to the first INSERT is lost. */
async function lossyPool(t, options = {}) {
  const proxy = await db.openProxy(t);
  proxy.cutAt({ direction: 'toClient', text: 'INSERT', before: true });
  const retry = { baseDelayMs: 1 };
  const connectionString = proxy.url(db.url);
  const plain = { connectionString, poolSize: 1, warmStatements: 0, retry };
  return { proxy, pool: db.openPool(t, { ...plain, ...options }) };
}

/** Nobody knows what became of the first try, whatever the second one met. */
function assertOpen(problem, met) {
  const { name, outcome } = problem;
  assert.deepEqual([name, problem.code, outcome], ['OutcomeUnknownError', 'IN_DOUBT', 'unknown']);
  const [first, last] = problem.cause.errors;
  assert.deepEqual([first.outcome, last.message], ['unknown', met]);
}

test('CP-3: what a try has left open stays open when a later one fails', async (t) => {
  await db.sql(`
    create table once (_id text primary key);
    create function refuse() returns trigger language plpgsql as $$ begin
      if exists (select from once where _id = new._id) then raise exception 'seen before'; end if;
      return new;
    end $$;
    create trigger refuse before insert on once for each row execute function refuse();
  `);
  const inserted = await lossyPool(t);
  const insert = inserted.pool.insert('once', { _id: 'a' }, { idempotency: true });
  assertOpen(await failureOf(insert), 'seen before');
  const queried = await lossyPool(t);
  const query = queried.pool.query(`insert into once values ('b')`, [], { retry: true });
  assertOpen(await failureOf(query), 'seen before');
  assert.deepEqual(await db.sql('select _id from once order by 1'), [{ _id: 'a' }, { _id: 'b' }]);
});

test('CP-3: what a try has left open stays open when its caller does not wait for the next one', async (t) => {
  const { pool } = await lossyPool(t, { retry: { baseDelayMs: 60_000, maxDelayMs: 60_000 } });
  const controller = new AbortController();
  const { signal } = controller;
  const insert = failureOf(pool.insert('orders', { _id: 'h' }, { idempotency: true, signal }));
  await waitFor(() => pool.status().counters.retries === 1, { what: 'the pause before a try' });
  controller.abort();
  assertOpen(await insert, 'This operation was aborted');
  assert.equal((await db.sql(`select from orders where _id = 'h'`)).length, 1);
});

test('CP-15: what is committed is reported as such although nobody says where the log is', async (t) => {
  const { pool, proxy } = await lossyPool(t);
  await failureOf(pool.insert('orders', { _id: 'i' }));
  const lose = () =>
    proxy.cutAt({ direction: 'toServer', text: 'pg_current_wal_lsn', before: true });
  lose();
  let runs = 0;
  const done = await pool.transaction(
    async (tx) => {
      runs += 1;
      await tx.query(`insert into orders (_id) values ('j')`);
      return 'value';
    },
    { lsn: true },
  );
  assert.deepEqual([done, runs], [{ value: 'value', lsn: null }, 1]);
  lose();
  const rows = /** @type {any} */ (await pool.insert('orders', { _id: 'k' }, { lsn: true }));
  assert.deepEqual([rows.length, rows.lsn], [1, null]);
});

test('CP-83: a closure that has committed by itself is not run again, whatever it throws then', async (t) => {
  const pool = db.openPool(t, { retry: { baseDelayMs: 1 } });
  let runs = 0;
  const problem = await failureOf(
    pool.transaction(async (tx) => {
      runs += 1;
      await tx.query('insert into rows values (77)');
      await tx.commit();
      await pool.query(`do $$ begin raise exception using errcode = '40001'; end $$`);
    }),
  );
  assert.deepEqual([problem.code, runs], ['40001', 1]);
});

test('CP-80: timeoutMs is for the whole transaction: all attempts, and a function that does not return', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, retry: { baseDelayMs: 1 } });
  const functions = [
    () => new Promise(() => {}),
    async (tx) => {
      await tx.query('insert into rows values (80)');
      await new Promise(() => {});
    },
    (tx) => tx.query('insert into rows select 80 from pg_sleep(60)'),
  ];
  for (const fn of functions) {
    let runs = 0;
    const counted = (tx) => {
      runs += 1;
      return fn(tx);
    };
    const error = await failureOf(pool.transaction(counted, { timeoutMs: 150 }));
    assert.deepEqual([error.code, runs], ['57014', 1], error.stack);
    assert.notEqual(error.outcome, 'unknown');
  }
  assert.ok(!(await values()).includes(80));
  await waitFor(() => pool.status().available === pool.status().size, { what: 'all given back' });
});

test('CP-80: the signal of a transaction ends it although its function does not return', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const abort = new AbortController();
  const reason = new Error('enough');
  const error = await failureOf(
    pool.transaction(
      async (tx) => {
        await tx.query('insert into rows values (81)');
        abort.abort(reason);
        await new Promise(() => {});
      },
      { signal: abort.signal },
    ),
  );
  assert.equal(error, reason);
  assert.ok(!(await values()).includes(81));
  // One that has fired before is not waited for either.
  const late = { signal: AbortSignal.abort(reason) };
  assert.equal(await failureOf(pool.transaction(() => new Promise(() => {}), late)), reason);
});

for (const [limit, end] of /** @type {const} */ ([
  ['timeoutMs', 'its function does not return'],
  ['timeoutMs', 'its function throws'],
  ['signal', 'its function does not return'],
])) {
  test(`CP-80: ${limit} ends a transaction of a server that is frozen, where ${end}`, async (t) => {
    const proxy = await db.openProxy(t);
    const pool = db.openPool(t, { connectionString: proxy.url(db.url), poolSize: 1 });
    await pool.query('select 1 as x');
    const abort = new AbortController();
    const mine = new Error('mine');
    const error = await failureOf(
      pool.transaction(
        async (tx) => {
          await tx.query('insert into rows values (83)');
          proxy.blackHole();
          abort.abort(mine);
          if (end === 'its function throws') throw mine;
          await new Promise(() => {});
        },
        limit === 'signal' ? { signal: abort.signal } : { timeoutMs: 300 },
      ),
    );
    if (error !== mine) assert.deepEqual([error.code, error.outcome], ['57014', 'failed']);
    assert.equal(error === mine, limit === 'signal' || end === 'its function throws');
    proxy.heal();
    assert.ok(!(await values()).includes(83));
  });
}

for (const limit of ['timeoutMs', 'signal']) {
  test(`CP-80: a function that returns while its transaction is rolled back by ${limit} has committed nothing`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1 });
    const abort = new AbortController();
    const error = await failureOf(
      pool.transaction(
        async (tx) => {
          await tx.query('insert into rows values (81)');
          abort.abort();
          for (;;) {
            const failure = await tx.query('select 1').catch((cause) => cause);
            if (failure.code === 'ERR_CLOSED') return 'done';
            await new Promise(setImmediate);
          }
        },
        limit === 'signal' ? { signal: abort.signal } : { timeoutMs: 50 },
      ),
    );
    assert.equal(error.name, limit === 'signal' ? 'AbortError' : 'TimeoutError', error.stack);
    assert.equal((await values()).includes(81), false);
  });
}

test('CP-80: a transaction that was left by its signal does not keep the process for the rest of its time', async () => {
  const program = `
    const { createPool } = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
    const pool = createPool(process.argv[1]);
    const abort = new AbortController();
    const fn = async (tx) => {
      await tx.query('select 1');
      abort.abort();
      await new Promise(() => {});
    };
    pool.transaction(fn, { signal: abort.signal, timeoutMs: 10000000 }).catch((error) => {
      console.log(error.name);
      return pool.end();
    });`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program, db.url]);
  assert.equal(stdout, 'AbortError\n');
});

test('CP-80: a function that has committed and goes on is not told that its transaction failed', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const value = await pool.transaction(
    async (tx) => {
      await tx.query('insert into rows values (82)');
      await tx.commit();
      // Longer than the transaction has: this is the time that passes, not a wait for something.
      await new Promise((resolve) => setTimeout(resolve, 300));
      return 'done';
    },
    { timeoutMs: 150 },
  );
  assert.equal(value, 'done');
  assert.ok((await values()).includes(82));
});

test('a savepoint that could not be rolled back to is not committed with the rest', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, maxStatementMs: 150 });
  const error = await failureOf(
    pool.transaction(async (tx) => {
      await tx.query('insert into rows values (83)');
      let slow;
      const part = tx.savepoint(async () => {
        await tx.query('insert into rows values (84)');
        // Holds up what comes behind it for longer than that may wait.
        slow = tx.query('select pg_sleep(0.6)', [], { timeoutMs: 10_000 });
        throw new Error('undo it');
      });
      assert.equal((await failureOf(part)).message, 'undo it');
      await slow;
    }),
  );
  assert.deepEqual([error.name, error.outcome], ['TransactionRolledBackError', 'failed']);
  assert.ok(!(await values()).some((n) => n === 83 || n === 84));
});

test('CP-83: a statement that took longer than its timeoutMs does not begin the transaction again', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  // The limit is for the statement, not for the connection it needs.
  await pool.query('select 1');
  let runs = 0;
  const work = (tx) => {
    runs += 1;
    return tx.query('select pg_sleep(30)', [], { timeoutMs: 50 });
  };
  const error = await failureOf(pool.transaction(work));
  assert.deepEqual([error.name, error.outcome], ['TimeoutError', 'failed']);
  assert.equal(runs, 1);
});

test('CP-83: a transaction with a time limit begins again while time is left', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  let runs = 0;
  const work = async (tx) => {
    runs += 1;
    const state = runs < 3 ? '40001' : '23505';
    await tx.query(`do $$ begin raise sqlstate '${state}'; end $$`);
  };
  const error = await failureOf(pool.transaction(work, { timeoutMs: 60_000 }));
  assert.deepEqual([error.code, runs], ['23505', 3]);
});

test('CP-83: a transaction begins again where a server answers that it cannot serve now', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, retry: { maxAttempts: 3, baseDelayMs: 1 } });
  const codes =
    '08000 08001 08003 08004 08006 08007 25006 40001 40P01 53300 53400 57P01 57P02 57P03';
  const runsOf = async (/** @type {string} */ state) => {
    let runs = 0;
    const work = (tx) => {
      runs += 1;
      return tx.query(`do $$ begin raise sqlstate '${state}'; end $$`);
    };
    assert.equal((await failureOf(pool.transaction(work))).code, state);
    return runs;
  };
  for (const state of codes.split(' ')) assert.equal(await runsOf(state), 3, state);
  for (const state of ['23505', '55P03', '53100', '57014'])
    assert.equal(await runsOf(state), 1, state);
});

test('CP-83: what writes in a transaction that asked for no writes is not begun again', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, retry: { maxAttempts: 3, baseDelayMs: 1 } });
  const write = 'insert into rows values (1) returning n';
  const ways = {
    query: (tx) => tx.query(write),
    queryResult: (tx) => tx.queryResult(write),
    stream: async (tx) => {
      for await (const _row of tx.stream(write));
    },
    copyFrom: async (tx) => pipeline(['1\n'], tx.copyFrom('copy rows from stdin')),
    'behind another': async (tx) => {
      await tx.query('select 1');
      await tx.query(write, [], { timeoutMs: 60_000 });
    },
  };
  for (const accessMode of /** @type {const} */ (['read-only', 'read only'])) {
    for (const [way, work] of Object.entries(ways)) {
      let runs = 0;
      const counted = (tx) => {
        runs += 1;
        return work(tx);
      };
      const error = await failureOf(pool.transaction(counted, { accessMode }));
      assert.deepEqual([error.code, error.transient, runs], ['25006', false, 1], way);
      assert.equal(isTransientError(error), false);
    }
  }
});

test('CP-80: a transaction whose signal has fired already does not call its function', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const signal = AbortSignal.abort(new Error('given up before'));
  const work = () => assert.fail('it was called');
  assert.equal((await failureOf(pool.transaction(work, { signal }))).message, 'given up before');
});

test('CP-83: a transaction that got no connection begins again, at most maxAttempts times', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, acquireTimeoutMs: 100, retry: { maxAttempts: 3 } });
  const holder = await pool.begin();
  let runs = 0;
  const work = (tx) => {
    runs += 1;
    return tx.query('select 1');
  };
  assert.equal((await failureOf(pool.transaction(work))).code, '53300');
  assert.equal(runs, 3);
  assert.equal(pool.status().counters.retries, 2);
  await holder.rollback();
});
