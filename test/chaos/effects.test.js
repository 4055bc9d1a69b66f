// What errors say against what is in the table, with the line cut at every byte of requests and replies (X02, X03).
'use strict';

const assert = require('node:assert/strict');
const { after, before, describe, it } = require('node:test');
const { createPool } = require('../../lib/index.js');
const { startProxy } = require('../support/proxy.js');
const { freshDatabase } = require('../support/shared.js');
const { failureOf } = require('../support/script-replies.js');
const { waitFor } = require('../support/wait.js');

/** Every byte is cut in turn: no more than a guard against hanging, since it is all work and a slow machine has longer. */
const TIMEOUT = { timeout: 200_000 };

/** @type {Awaited<ReturnType<typeof freshDatabase>>} */
let database;
/** @type {import('../../types/pool.js').Pool} */
let observer;
let lastId = 0;

before(async () => {
  database = await freshDatabase();
  observer = createPool(database.url);
  await observer.query('create table effects (id int, step int)');
});
after(async () => {
  await observer.end();
  await database.drop();
});

const count = async (id) => {
  const [{ n }] = await observer.query('select count(*)::int as n from effects where id = $1', [
    id,
  ]);
  return n;
};

/** A pool of one connection behind a proxy of its own. */
async function behindProxy(context, options = {}) {
  const proxy = await startProxy({ host: database.host, port: database.port });
  const open = () =>
    createPool({
      connectionString: proxy.url(database.url),
      sslmode: 'disable',
      poolSize: 1,
      acquireTimeoutMs: 4000,
      // Nearly every cut of a transaction has it run again; the pause before that is not what is tested.
      retry: { baseDelayMs: 1, maxDelayMs: 1 },
      ...options,
    });
  context.after(() => proxy.close());
  return { proxy, open };
}

/**
 * Does `work` with the line cut at each byte in turn, and compares what it said with what is in the table.
 * @param {{ direction: 'toServer' | 'toClient', reset: boolean, step: number, steps: number }} how
 * @param {(pool: any, id: number) => Promise<unknown>} work writes `steps` rows
 */
async function cutEverywhere(context, { direction, reset, step, steps }, work) {
  const { proxy, open } = await behindProxy(context);
  const seen = { resolved: 0, 'not-sent': 0, failed: 0, unknown: 0 };
  for (let byte = 0; ; byte += step) {
    const id = ++lastId;
    const pool = open();
    proxy.cutAt({ direction, byte, reset });
    const outcome = await work(pool, id).then(
      () => 'resolved',
      (error) => error.outcome ?? `no outcome: ${error.stack}`,
    );
    const isOver = proxy.cuts.size > 0;
    proxy.heal();
    await pool.end();
    // Its goodbye may still be on the way, and the next cut is not meant for it.
    await waitFor(() => proxy.open === 0, { what: 'the end of the connection' });
    const rows = await count(id);
    const where = `cut ${direction} at ${byte}: ${outcome}, ${rows} rows`;
    if (outcome === 'resolved') assert.equal(rows, steps, where);
    else if (outcome === 'unknown') assert.ok(rows === 0 || rows === steps, where);
    else if (outcome === 'failed' || outcome === 'not-sent') assert.equal(rows, 0, where);
    else assert.fail(where);
    seen[outcome] += 1;
    if (isOver) break;
  }
  return seen;
}

const insert = (pool, id) => pool.query('insert into effects values ($1, 1)', [id]);
const transaction = (pool, id) =>
  pool.transaction(async (tx) => {
    await tx.query('insert into effects values ($1, 1)', [id]);
    await tx.query('insert into effects values ($1, 2)', [id]);
  });
const pipelined = (pool, id) =>
  pool.transaction((tx) =>
    Promise.all([1, 2].map((step) => tx.query('insert into effects values ($1, $2)', [id, step]))),
  );

describe('effects', { concurrency: 6 }, () => {
  for (const direction of /** @type {const} */ (['toServer', 'toClient'])) {
    for (const reset of [true, false]) {
      const how = { direction, reset, step: direction === 'toServer' ? 1 : 4 };
      const name = `${direction}_${reset ? 'rst' : 'fin'}`;
      it(`sec_x03_autocommit_cut_${name}`, TIMEOUT, async (context) => {
        const seen = await cutEverywhere(context, { ...how, steps: 1 }, insert);
        assert.ok(seen.resolved > 0 && seen.unknown > 0, JSON.stringify(seen));
      });
      it(`sec_x03_transaction_cut_${name}`, TIMEOUT, async (context) => {
        const every = { ...how, step: how.step * 3, steps: 2 };
        const seen = await cutEverywhere(context, every, transaction);
        assert.ok(seen.resolved > 0, JSON.stringify(seen));
      });
    }
  }
  it('sec_x03_pipelined_transaction_cut', TIMEOUT, async (context) => {
    const how = { direction: /** @type {const} */ ('toServer'), reset: true, step: 2, steps: 2 };
    await cutEverywhere(context, how, pipelined);
  });
});

describe('transactions', { concurrency: 6 }, () => {
  for (let boundary = 0; boundary <= 3; boundary++) {
    it(`sec_x02_backend_ended_before_statement_${boundary}`, TIMEOUT, async (context) => {
      const pool = createPool({ connectionString: database.url, poolSize: 2 });
      context.after(() => pool.end());
      const id = ++lastId;
      const traffic = Promise.all(
        Array.from({ length: 50 }, (_, n) => pool.query('select $1::int as n', [n])),
      );
      const tx = await pool.begin();
      const [{ pid }] = await tx.query('select pg_backend_pid() as pid');
      let kill = boundary;
      const results = [];
      for (let step = 0; step < 3; step++) {
        if (kill-- === 0) await observer.query('select pg_terminate_backend($1, 2000)', [pid]);
        results.push(
          await tx.query('insert into effects values ($1, $2)', [id, step]).then(
            () => 'ok',
            (error) => error,
          ),
        );
      }
      if (kill === 0) await observer.query('select pg_terminate_backend($1, 2000)', [pid]);
      const committed = await tx.commit().then(
        () => undefined,
        (error) => error,
      );
      for (const [step, result] of results.entries()) {
        if (step < boundary) assert.equal(result, 'ok');
        else assert.equal(result.outcome, 'failed', `${step}: ${result}`);
      }
      // COMMIT met a dead connection: it may not have been answered, but it was certainly not carried out.
      assert.ok(committed instanceof Error);
      assert.equal(await count(id), 0);
      await traffic;
      assert.equal((await pool.query('select 1 as x')).length, 1);
    });
  }

  it('sec_x02_a_wrong_first_parameter_does_not_lose_begin', TIMEOUT, async (context) => {
    const pool = createPool(database.url);
    context.after(() => pool.end());
    const id = ++lastId;
    const failed = pool.transaction(async (tx) => {
      await failureOf(tx.query('insert into effects values ($1, 0)', [Symbol('wrong')]));
      await tx.query('insert into effects values ($1, 1)', [id]);
      throw new Error('roll back');
    });
    assert.equal((await failureOf(failed)).message, 'roll back');
    assert.equal(await count(id), 0);
  });

  it('sec_x02_an_aborted_first_statement_does_not_lose_begin', TIMEOUT, async (context) => {
    const pool = createPool({ connectionString: database.url, poolSize: 1 });
    context.after(() => pool.end());
    const id = ++lastId;
    const holder = await pool.begin();
    const tx = pool.transaction(async (inner) => {
      const abort = new AbortController();
      const given = inner.query('select 1', [], { signal: abort.signal });
      abort.abort(new Error('changed my mind'));
      assert.equal((await failureOf(given)).message, 'changed my mind');
      const later = inner.query('insert into effects values ($1, 1)', [id]);
      await holder.rollback();
      await later;
      throw new Error('roll back');
    });
    assert.equal((await failureOf(tx)).message, 'roll back');
    assert.equal(await count(id), 0);
  });

  it('sec_x02_a_timed_out_first_statement_does_not_lose_begin', TIMEOUT, async (context) => {
    const pool = createPool({ connectionString: database.url, poolSize: 1 });
    context.after(() => pool.end());
    const id = ++lastId;
    const holder = await pool.begin();
    const tx = pool.transaction(async (inner) => {
      const late = failureOf(inner.query('select 1', [], { timeoutMs: 30 }));
      const second = inner.query('insert into effects values ($1, 1)', [id]);
      const error = await late;
      assert.equal(error.outcome, 'not-sent', String(error));
      await holder.rollback();
      await second;
      throw new Error('roll back');
    });
    assert.equal((await failureOf(tx)).message, 'roll back');
    assert.equal(await count(id), 0);
  });
});
