// A backend that is told to leave (57P01): what it has certainly not run is no doubt, everything else stays one.
'use strict';

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { ServerlessClient } = require('../../lib/index.js');
const m = require('../support/backend-messages.js');
const { testDatabase } = require('../support/pools.js');
const { behave, readRequest, rightAnswer, scriptedPool } = require('../support/script-replies.js');
const { openServerless } = require('../support/serverless.js');

const TIMEOUT = { timeout: 20_000 };
const db = testDatabase('create table left_behind (n int)');

const LEAVING = { S: 'FATAL', V: 'FATAL', C: '57P01', M: 'leaving' };
/** As a backend itself says it, from `ProcessInterrupts` in its postgres.c. */
const OWN = { ...LEAVING, F: 'postgres.c', R: 'ProcessInterrupts' };

/** A pool whose first connection says `words` in place of an answer, behind `before`. */
async function leaver(context, words, before = () => []) {
  let requests = 0;
  const { pool, server } = await scriptedPool(context, async (connection) => {
    if (connection.number > 1) return behave(connection);
    let request = await readRequest(connection);
    // The statement is prepared first; what counts is the request that runs it.
    while (!request.some(({ type }) => type === 'B' || type === 'Q')) {
      await connection.send(...rightAnswer(request));
      request = await readRequest(connection);
    }
    requests++;
    await connection.send(...before(request), m.error(words));
    await connection.finish();
  });
  return { pool, server, requests: () => requests };
}

const outcomeOf = (promise) =>
  promise.then(
    (rows) => ({ rows, error: undefined }),
    (error) => ({ rows: undefined, error }),
  );

describe('a backend that leaves', { concurrency: 4 }, () => {
  it('sec_x03_what_it_has_not_begun_runs_elsewhere', TIMEOUT, async (context) => {
    const { pool, requests } = await leaver(context, OWN);
    const { rows, error } = await outcomeOf(
      pool.query('insert into t values ($1) returning x', [1]),
    );
    assert.equal(error, undefined);
    assert.deepEqual([rows.length, requests()], [1, 1]);
  });

  it('sec_x03_that_runs_elsewhere_with_a_wait_of_its_own_as_well', TIMEOUT, async (context) => {
    const { pool, requests } = await leaver(context, OWN);
    const asked = pool.query('insert into t values ($1) returning x', [1], {
      acquireTimeoutMs: 10_000,
    });
    const { rows, error } = await outcomeOf(asked);
    assert.equal(error, undefined);
    assert.deepEqual([rows.length, requests()], [1, 1]);
  });

  it('sec_x03_bound_may_have_run', TIMEOUT, async (context) => {
    const bound = (request) =>
      request.flatMap(({ type }) => {
        if (type === 'P') return [m.parseComplete()];
        if (type === 'D') return [m.parameterDescription([]), m.rowDescription([{ name: 'x' }])];
        return type === 'B' ? [m.bindComplete()] : [];
      });
    const { pool } = await leaver(context, OWN, bound);
    const { error } = await outcomeOf(pool.query('insert into t values (1) returning x'));
    assert.deepEqual([error.outcome, error.cause?.code], ['unknown', '57P01']);
  });

  it('sec_x03_a_pooler_does_not_know', TIMEOUT, async (context) => {
    const { pool } = await leaver(context, LEAVING);
    const { error } = await outcomeOf(pool.query('insert into t values (1) returning x'));
    assert.equal(error.outcome, 'unknown');
  });

  it('sec_x03_the_simple_protocol_does_not_tell', TIMEOUT, async (context) => {
    const { server } = await leaver(context, OWN);
    const client = new ServerlessClient({
      host: server.host,
      port: server.port,
      user: 'tester',
      database: 'tester',
      ssl: false,
      leaseMode: 'optional',
    });
    context.after(() => client.end());
    await assert.rejects(client.query('insert into t values (1);'), { outcomeUnknown: true });
  });

  it('sec_x03_nothing_of_a_transaction_runs_elsewhere', TIMEOUT, async (context) => {
    let begun = 0;
    const { pool } = await scriptedPool(context, async (connection) => {
      const request = await readRequest(connection);
      begun++;
      const said = request.flatMap(({ type }) => {
        if (type === 'P') return [m.parseComplete()];
        if (type === 'B') return [m.bindComplete()];
        if (type === 'Q') return [m.commandComplete('BEGIN')];
        return type === 'E' ? [m.commandComplete('BEGIN')] : [];
      });
      await connection.send(...said, m.ready('T'));
      await readRequest(connection);
      await connection.send(m.error(OWN));
      await connection.finish();
    });
    const tx = await outcomeOf(
      pool.begin().then(async (begunTx) => {
        await begunTx.query('insert into t values (1)').catch(() => {});
        await begunTx.query('insert into t values ($1)', [2]);
      }),
    );
    assert.ok(tx.error);
    assert.equal(begun, 1, 'requests in front of the loss');
  });
});

it('sec_x03_a_race_of_inserts_with_their_end_counts_right', { timeout: 60_000 }, async (t) => {
  const options = { connectionString: db.url, reaper: false, minBackoff: 1, maxBackoff: 5 };
  const { client, count } = openServerless(t, options);
  const outcomes = { done: 0, unknown: 0, written: 0 };
  const rounds = process.env.LEASE_STORM === 'full' ? 2000 : 200;
  for (let n = 0; n < rounds; n++) {
    const { rows } = await client.query('select pg_backend_pid() as pid');
    const ending = db.sql('select pg_terminate_backend($1)', [rows[0].pid]);
    // Now before the signal, now behind it.
    if (n % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
    const { error } = await outcomeOf(client.query('insert into left_behind values ($1)', [n]));
    await ending;
    const [{ written }] = await db.sql(
      'select count(*)::int as written from left_behind where n = $1',
      [n],
    );
    if (error === undefined) {
      outcomes.done++;
      assert.equal(written, 1, `${n} was reported as done`);
    } else {
      outcomes.unknown++;
      assert.equal(error.outcomeUnknown, true, String(error));
      assert.ok(written <= 1);
      outcomes.written += written;
    }
  }
  assert.ok(count('onClientDead') > 0);
  const { unknown, written } = outcomes;
  const doubts = `${unknown} inserts in doubt, ${written} of them written`;
  t.diagnostic(`${count('onClientDead')} connections ended, ${doubts}`);
});
