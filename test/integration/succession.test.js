// Transactions that wait for a connection begin behind the COMMIT of whoever has it, and neither hears of the other.
'use strict';

const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

/** A COMMIT that has inserted 'held' waits for the advisory lock 7, one that has inserted 'wrong' fails. */
const db = testDatabase(`
  create table notes (note text, pid int default pg_backend_pid());
  create table balances (id int primary key, balance int not null);
  insert into balances select i, 0 from generate_series(0, 9) i;
  create function at_commit() returns trigger language plpgsql as $$ begin
    if new.note = 'held' then perform pg_advisory_xact_lock(7); end if;
    if new.note = 'wrong' then raise 'it is wrong' using errcode = '23514'; end if;
    return null;
  end $$;
  create constraint trigger late after insert on notes deferrable initially deferred
    for each row execute function at_commit();
`);
const DRIVERS = process.platform === 'linux' ? ['loop', 'engine'] : ['engine'];

/** Backends of others that wait inside of a transaction. */
const IDLE = `select pid from pg_stat_activity where datname = current_database()
  and state = 'idle in transaction' and pid <> pg_backend_pid()`;

const notes = async () =>
  (await db.sql('select note from notes order by note')).map((row) => row.note);

const insert = (pool, note, options) =>
  pool.transaction((tx) => tx.query('insert into notes (note) values ($1)', [note]), options);

function withResolvers() {
  let resolve = () => {};
  const promise = new Promise((settle) => {
    resolve = () => settle(undefined);
  });
  return { promise, resolve };
}

/** Holds the lock that COMMITs of 'held' wait for. */
async function holdCommits() {
  await db.sql('truncate notes');
  await db.sql('select pg_advisory_lock(7)');
}

/**
 * A transaction whose COMMIT hangs, and behind that the first statement of the next one.
 * Only what was quick when it ran last is trusted with somebody behind it; on a busy machine that takes several attempts.
 */
function succeeded(pool, next) {
  return waitFor(
    async () => {
      await pool.transaction((tx) => tx.query('select 1'));
      await holdCommits();
      const held = insert(pool, 'held', { maxAttempts: 1 });
      held.catch(() => {});
      const { promise: opened, resolve: open } = withResolvers();
      const behind = next(opened);
      behind.catch(() => {});
      await waitFor(async () => {
        const waits = `select from pg_locks where locktype = 'advisory' and not granted`;
        return (await db.sql(waits)).length === 1;
      });
      if (pool.status().waiting === 0) return { held, behind, open };
      await db.sql('select pg_advisory_unlock(7)');
      open();
      let areOver = false;
      Promise.allSettled([held, behind]).then(() => {
        areOver = true;
      });
      // What sleeps without end runs now, behind no COMMIT: it is for the next attempt to do that.
      await waitFor(async () => {
        await db.sql(`select pg_cancel_backend(pid) from pg_stat_activity
          where state = 'active' and query like '%pg_sleep(600)' and pid <> pg_backend_pid()`);
        return areOver;
      });
      return undefined;
    },
    { what: 'a transaction behind a COMMIT', timeoutMs: 30_000 },
  );
}

for (const driver of DRIVERS) {
  test(`many transactions on few connections are all carried out once, driver ${driver}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 2, driver });
    await db.sql('update balances set balance = 0');
    let refused = 0;
    const caller = async (number) => {
      for (let i = 0; i < 20; i++) {
        const fails = (number + i) % 7 === 0;
        const done = pool.transaction(async (tx) => {
          await tx.query('update balances set balance = balance + 1 where id = $1', [number % 10]);
          const [{ balance }] = await tx.query('select balance from balances where id = $1', [
            number % 10,
          ]);
          assert.ok(balance > 0);
          if (fails) await tx.query(`insert into notes (note) values ('wrong')`);
        });
        const error = await done.then(
          () => undefined,
          (problem) => problem,
        );
        assert.equal(error?.code, fails ? '23514' : undefined);
        refused += Number(fails);
      }
    };
    await Promise.all(Array.from({ length: 40 }, (_, number) => caller(number)));
    const [{ sum }] = await db.sql('select sum(balance)::int from balances');
    assert.equal(sum, 40 * 20 - refused);
    await db.released(pool);
    assert.ok((await db.connections()) <= 2);
  });

  test(`a transaction behind a COMMIT waits no longer than for a connection, driver ${driver}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1, driver, acquireTimeoutMs: 1500 });
    let runs = 0;
    const { held, behind } = await succeeded(pool, () =>
      pool.transaction((tx) => {
        runs += 1;
        return tx.query(`insert into notes (note) select 'behind' from pg_sleep(600)`);
      }),
    );
    const before = runs;
    const error = await failureOf(behind);
    assert.deepEqual([error.name, error.outcome], ['TimeoutError', 'failed']);
    assert.equal(runs, before, 'it has waited long enough');
    await db.sql('select pg_advisory_unlock(7)');
    await held;
    // What nobody waits for any more is not run to its end.
    await db.released(pool);
    assert.deepEqual(await notes(), ['held']);
    await insert(pool, 'later');
    assert.deepEqual(await notes(), ['held', 'later']);
  });

  test(`a backend that is ended in its COMMIT has not run what is behind that, driver ${driver}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1, driver });
    const { held, behind } = await succeeded(pool, () => insert(pool, 'behind'));
    await db.sql(`select pg_terminate_backend(pid) from pg_locks
      where locktype = 'advisory' and not granted`);
    const error = await failureOf(held);
    assert.notEqual(error.outcome, 'not-sent');
    await behind;
    await db.sql('select pg_advisory_unlock(7)');
    assert.deepEqual(await notes(), ['behind'], 'begun again, and kept once');
  });

  test(`who was not asked anything behind a COMMIT waits for another connection, driver ${driver}`, async (t) => {
    const proxy = await db.openProxy(t);
    const pool = db.openPool(t, { poolSize: 1, driver, connectionString: proxy.url(db.url) });
    let runs = 0;
    // Only what was quick when it ran last is trusted with somebody behind it.
    const { left, behind } = await waitFor(
      async () => {
        await insert(pool, 'quick');
        await db.sql('truncate notes');
        const { promise: ended, resolve: end } = withResolvers();
        const left = pool.transaction(
          async (tx) => {
            await tx.query(`insert into notes (note) values ('left')`);
            await ended;
          },
          { maxAttempts: 1 },
        );
        left.catch(() => {});
        await waitFor(async () => (await db.sql(IDLE)).length === 1);
        runs = 0;
        const behind = pool.transaction(
          (tx) => {
            runs += 1;
            return tx.query(`insert into notes (note) values ('behind')`);
          },
          { maxAttempts: 1 },
        );
        behind.catch(() => {});
        await waitFor(() => pool.status().waiting === 1);
        // The backend leaves, and that is heard behind the COMMIT only.
        proxy.blackHole();
        await db.sql(`select pg_terminate_backend(pid) from (${IDLE}) idle`);
        await waitFor(async () => (await db.sql(IDLE)).length === 0);
        end();
        await waitFor(() => pool.status().waiting === 0 || runs === 0, { timeoutMs: 500 }).catch(
          () => {},
        );
        const isBehind = pool.status().waiting === 0;
        proxy.heal();
        if (isBehind) return { left, behind };
        await Promise.allSettled([left, behind]);
        return undefined;
      },
      { what: 'a transaction behind a COMMIT', timeoutMs: 30_000 },
    );
    const error = await failureOf(left);
    assert.equal(error.outcome, 'failed');
    await behind;
    assert.equal(runs, 1, 'nothing of it was sent');
    assert.deepEqual(await notes(), ['behind']);
    await db.released(pool);
  });

  test(`a stream behind a COMMIT gives all its rows, driver ${driver}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1, driver });
    const { held, behind } = await succeeded(pool, async () => {
      const rows = pool.stream('select generate_series(1, 7) as n', [], { batchSize: 2 });
      const numbers = [];
      for await (const { n } of rows) numbers.push(n);
      return numbers;
    });
    await db.sql('select pg_advisory_unlock(7)');
    await held;
    assert.deepEqual(await behind, [1, 2, 3, 4, 5, 6, 7]);
    await db.released(pool);
    assert.equal(pool.status().counters.connects, 1);
  });

  test(`who gives up behind a COMMIT leaves it alone, driver ${driver}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1, driver });
    const mine = new Error('mine');
    const { held, behind, open } = await succeeded(pool, (opened) =>
      pool.transaction(async (tx) => {
        tx.query(`insert into notes (note) values ('behind')`).catch(() => {});
        await opened;
        throw mine;
      }),
    );
    open();
    await db.sql('select pg_advisory_unlock(7)');
    await held;
    assert.equal(await failureOf(behind), mine);
    await db.released(pool);
    assert.deepEqual(await notes(), ['held']);
  });
}
