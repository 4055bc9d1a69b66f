// Who holds the clients of a pg pool: told by the acquire that timed out (rule P05).
'use strict';

const assert = require('node:assert/strict');
const { Pool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table t (id int)');

function openPool(t, options) {
  const pool = new Pool({
    connectionString: db.url,
    max: 2,
    connectionTimeoutMillis: 500,
    ...options,
  });
  const lent = new Set();
  pool.on('acquire', (client) => lent.add(client));
  pool.on('release', (_error, client) => lent.delete(client));
  // A test that failed leaves clients behind, and the end of the pool would wait for them.
  t.after(() => {
    for (const client of lent) client.release();
    return pool.end();
  });
  return pool;
}

const refusal = (promise) =>
  promise.then(
    () => assert.fail('a client was free'),
    (error) => error,
  );

test('sec_p05: with trackHolders the error names them: label, age and where they were taken', async (t) => {
  const pool = openPool(t, { trackHolders: true });
  async function takeForReport() {
    return pool.connect();
  }
  const labelled = await takeForReport();
  labelled.label = 'nightly report';
  const other = await pool.connect();
  const error = await refusal(pool.connect());
  assert.equal(error.name, 'AcquireTimeoutError');
  assert.match(error.message, /^timeout exceeded when trying to connect; 2 clients are held: /);
  assert.match(error.message, /nightly report for \d+ ms, taken at .*takeForReport/);
  assert.match(error.message, new RegExp(`backend ${other.processID} for \\d+ ms, taken at `));
  assert.deepEqual(
    error.holders.map(({ label, processID }) => [label, processID]),
    [
      ['nightly report', labelled.processID],
      [undefined, other.processID],
    ],
    'the longest first',
  );
  for (const { ageMs, stack } of error.holders) {
    assert.ok(ageMs >= 0);
    assert.match(stack, /pg-holders\.test\.js/);
  }
  assert.ok(error.waitedMs >= 190, `${error.waitedMs}`);
  labelled.release();
  other.release();
});

test('sec_p05: queries of the pool hold clients too, and who has given back is not named', async (t) => {
  const pool = openPool(t, { trackHolders: true });
  const given = await pool.connect();
  given.release();
  async function slowReport() {
    return pool.query('select pg_sleep(1.5)');
  }
  const slow = [slowReport(), slowReport()];
  const error = await refusal(pool.connect());
  assert.equal(error.holders.length, 2);
  for (const { stack } of error.holders) assert.match(stack, /slowReport/);
  await Promise.all(slow);
  const [first, second] = [await pool.connect(), await pool.connect()];
  first.release();
  const third = await pool.connect();
  assert.equal((await refusal(pool.connect())).holders.length, 2);
  second.release();
  third.release();
});

test('sec_p05: without it the error counts, holders have no stack, and the message is that of pg', async (t) => {
  const pool = openPool(t, {});
  const held = [await pool.connect(), await pool.connect()];
  const waiting = [refusal(pool.connect()), refusal(pool.query('select 1'))];
  for (const error of await Promise.all(waiting)) {
    assert.equal(error.message, 'timeout exceeded when trying to connect');
    assert.equal(error.code, 'ERR_ACQUIRE_TIMEOUT');
    const { max, size, available } = error.counts;
    assert.deepEqual([max, size, available], [2, 2, 0]);
    assert.deepEqual(
      error.holders.map(({ stack }) => stack),
      [undefined, undefined],
    );
  }
  for (const client of held) client.release();
});
