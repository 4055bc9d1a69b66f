// A server that stops answering is noticed within aliveTimeoutMs, however healthy its sockets look (CP-50, CP-52).
'use strict';

const assert = require('node:assert/strict');
const { createPool, OutcomeUnknownError } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { failureOf } = require('../support/script-replies.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
require('../support/stray-errors.js');

for (const tls of [false, true]) {
  test(`CP-52: a frozen server is given up, one that only takes its time is not (${tls ? 'TLS' : 'no TLS'})`, async (t) => {
    const server = await startServer({ tls });
    t.after(() => server.stop());
    const { host, port, user, database } = server;
    const own = {
      host,
      port,
      user,
      database,
      sslmode: /** @type {const} */ (tls ? 'require' : 'disable'),
    };
    const pool = createPool({ ...own, aliveTimeoutMs: 300, poolSize: 3 });
    t.after(() => pool.end({ timeoutMs: 100 }));
    await pool.query('create table t (n int)');
    assert.equal((await pool.query('select 1 as x, pg_sleep(1.5)'))[0].x, 1);
    const idle = pool.status().available;
    assert.equal(idle, 1);
    const slow = failureOf(pool.query('select pg_sleep(60)'));
    const tx = await pool.begin();
    await tx.query('insert into t values (1)');
    server.freeze();
    const commit = failureOf(tx.commit({ timeoutMs: 20_000 }));
    const error = await slow;
    assert.ok(error instanceof OutcomeUnknownError, error.stack);
    assert.match(error.message, /does not answer any more/);
    server.thaw();
    // Nobody knows what became of it before the server is back: then the engine asks.
    const end = await commit.catch(() => undefined);
    assert.ok(end === undefined || end.outcome === 'failed', end?.stack);
    assert.equal((await pool.query('select 1 as x'))[0].x, 1);
  });
}

test('CP-50: behind a frozen primary the pool goes on with the promoted one, without any limit on statements', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  await cluster.primary.server.sql('create table t (n int)');
  const pool = createPool(cluster.options({ aliveTimeoutMs: 400, acquireTimeoutMs: 10_000 }));
  t.after(() => pool.end({ timeoutMs: 100 }));
  await pool.query('insert into t values (1)');
  const old = cluster.primary;
  old.freeze();
  const lost = failureOf(pool.query('insert into t values (2)'));
  await cluster.promoteBest(old);
  assert.ok((await lost) instanceof OutcomeUnknownError);
  await cluster.streaming(1);
  await pool.query('insert into t values (3)');
  assert.equal(pool.status().primary, cluster.primary.host);
  await old.kill();
});

test('CP-52: behind a frozen primary one limit is waited for, not one for each idle connection', async (t) => {
  const cluster = await startCluster({ nodes: 2, synchronous: false });
  t.after(() => cluster.stop());
  await cluster.primary.server.sql('create table t (n int)');
  const pool = createPool(cluster.options({ poolSize: 4, maxStatementMs: 1000 }));
  t.after(() => pool.end({ timeoutMs: 100 }));
  const sleeping = () => pool.query('select pg_sleep(0.1)::text');
  await Promise.all(Array.from({ length: 4 }, sleeping));
  assert.equal(pool.status().available, 4);
  const old = cluster.primary;
  old.freeze();
  await cluster.promoteBest(old);
  const error = await failureOf(pool.query('insert into t values (1)'));
  assert.ok(error instanceof OutcomeUnknownError, error.stack);
  await pool.query('insert into t values (2)');
  assert.equal(pool.status().primary, cluster.primary.host);
  await old.kill();
});
