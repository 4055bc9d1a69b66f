// What a statement leaves in its session, and `resetQuery`, which removes it before anyone else gets the connection (CP-63, P02, P03).
'use strict';

const assert = require('node:assert/strict');
const { Client } = require('pg');
const pg = require('../../lib/index.js');
const { Cursor, createPool } = pg;
const { testDatabase } = require('../support/pools.js');
const { SECRET, leases } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase(`
  create table kept (a int, b int default 0);
  create function tenant(name text) returns text language sql as $$ select set_config('app.tenant', name, false) $$`);

const DISCARD = { poolSize: 1, resetQuery: 'DISCARD ALL' };
const DRIVERS = ['loop', 'engine'];

const STATE = `select pg_backend_pid() as pid, coalesce(current_setting('app.tenant', true), '') as tenant, current_setting('work_mem') as memory,
       to_regclass('pg_temp.scratch')::text as scratch, array(select pg_listening_channels()) as channels,
       (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
       (select count(*)::int from pg_cursors where is_holdable) as cursors`;

const stateOf = async (asked) => (await asked.query(STATE))[0];

const pidOf = async (pool) => (await pool.query('select pg_backend_pid() as pid'))[0].pid;

const openPg = (t, options) => {
  const pool = new pg.Pool({ connectionString: db.url, max: 1, ...options });
  t.after(() => pool.end());
  return pool;
};

/** The last text of a backend. */
const lastOf = async (pid) =>
  (await db.sql('select query from pg_stat_activity where pid = $1', [pid]))[0].query;

for (const driver of DRIVERS) {
  test(`sec_p02: nothing of a session is left for the next user (${driver})`, async (t) => {
    const pool = db.openPool(t, { ...DISCARD, driver });
    const clean = await stateOf(pool);
    await pool.transaction(async (tx) => {
      await tx.query(`set work_mem = '7MB'`);
      await tx.query('create temp table scratch (a int)');
      await tx.query('listen jobs');
      await tx.query(`select tenant('acme'), pg_advisory_lock(4711)`);
      await tx.query('declare held cursor with hold for select 1');
    });
    assert.deepEqual(await stateOf(pool), clean);
    assert.equal(pool.status().counters.connects, 1, 'the connection is the same');
  });

  test(`sec_p02: statements outside of transactions are followed too (${driver})`, async (t) => {
    const pool = db.openPool(t, { ...DISCARD, driver });
    for (const text of [
      `set app.tenant = 'acme'`,
      `select set_config('app.tenant', 'acme', false)`,
      `select tenant('acme')`,
      `do $$ begin perform tenant('acme'); end $$`,
      `insert into kept (a) select length(tenant('acme'))`,
      `with x as (select tenant('acme')) select * from x`,
    ]) {
      await pool.query(text);
      assert.equal((await stateOf(pool)).tenant, '', text);
    }
  });

  test(`what is cancelled or refused is followed too (${driver})`, async (t) => {
    const pool = db.openPool(t, { ...DISCARD, driver });
    await pool.query('select 1');
    const late = pool.query(`select tenant('acme'), pg_sleep(60)`, [], { timeoutMs: 150 });
    await assert.rejects(late, { name: 'TimeoutError' });
    assert.equal((await stateOf(pool)).tenant, '');
    const refused = pool.query(
      'select pg_advisory_lock(n), 1 / (n - 2) from generate_series(1, 2) n',
    );
    await assert.rejects(refused, { code: '22012' });
    assert.equal((await stateOf(pool)).locks, 0);
  });

  test(`who leaves a transaction open leaves nothing either (${driver})`, async (t) => {
    const pool = db.openPool(t, { ...DISCARD, driver });
    const session = await pool.begin();
    await session.query('select pg_advisory_lock(4711)');
    await session.rollback();
    assert.equal((await stateOf(pool)).locks, 0);
    const stream = pool.stream(`select tenant('acme'), n from generate_series(1, 10000) n`);
    for await (const { n } of stream) if (n === 5) break;
    assert.equal((await stateOf(pool)).tenant, '');
  });
}

test('what leaves nothing costs nothing', async (t) => {
  const pool = db.openPool(t, DISCARD);
  const { pid } = await stateOf(pool);
  for (const [text, values] of [
    ['select $1::int as n', [1]],
    ['insert into kept (a, b) values ($1, $2) returning (a)', [1, 2]],
    ['insert into "kept" ("a") values ($1) on conflict do nothing', [1]],
    ['update kept set b = coalesce(b, 0) + 1 where a in ($1, 2)', [1]],
    [`select set_config('app.tenant', $1, true)`, ['acme']],
  ]) {
    await pool.query(text, values);
    assert.equal(await lastOf(pid), text);
  }
  await pool.transaction(async (tx) => {
    await tx.query(`set local app.tenant = 'acme'`);
    await tx.query('select 1');
  });
  assert.match(await lastOf(pid), /^COMMIT/);
});

test('statements that leave something share no connection', async (t) => {
  const pool = db.openPool(t, { ...DISCARD, poolSize: 2 });
  const setting = `select tenant($1), pg_backend_pid() as pid`;
  const reading = `select current_setting('app.tenant', true) as tenant`;
  // Known to be quick, so that they would travel behind each other.
  for (let n = 0; n < 4; n++) await Promise.all([pool.query(setting, ['a']), pool.query(reading)]);
  const asked = [];
  for (let n = 0; n < 300; n++) {
    asked.push(pool.query(setting, [`tenant ${n}`]).then(() => undefined));
    asked.push(pool.query(reading).then(([{ tenant }]) => tenant));
  }
  const seen = (await Promise.all(asked)).filter((tenant) => tenant);
  assert.deepEqual(seen, []);
});

test('without it what a session is set to stays, as it says', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  await pool.query(`select tenant('acme')`);
  assert.equal((await stateOf(pool)).tenant, 'acme');
});

test('what is prepared is prepared anew behind DISCARD ALL, and nobody notices', async (t) => {
  for (const text of ['DISCARD ALL', 'DEALLOCATE ALL']) {
    const pool = db.openPool(t, { poolSize: 1, preparedStatements: 'named' });
    const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
    for (let n = 0; n < 6; n++) {
      // In a transaction a statement that the server has forgotten would fail it, and so would the probe of its COMMIT.
      const read = await pool.transaction(async (tx) => {
        const [row] = await tx.query('insert into kept (a) values ($1) returning a', [n]);
        return row.a;
      });
      assert.equal(read, n);
      assert.deepEqual(await pool.query('select $1::int as n', [n]), [{ n }]);
      await pool.query(text);
    }
    assert.deepEqual(await pool.query('select pg_backend_pid() as pid'), [{ pid }]);
    const [{ n }] = await pool.query(`select count(*)::int as n from pg_prepared_statements`);
    assert.ok(n <= 2, `${n} statements are kept`);
    const { counters } = pool.status();
    assert.deepEqual([counters.connects, counters.retries], [1, 0]);
  }
});

test('sec_p03: a connection whose reset fails is closed, and the event says why', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, resetQuery: 'select 1 / 0' });
  const retired = [];
  pool.on('retire', (event) => retired.push(event));
  const pid = await pidOf(pool);
  await pool.query('set work_mem = 7000');
  assert.notEqual(await pidOf(pool), pid);
  assert.deepEqual(await pool.query('show work_mem'), [{ work_mem: '4MB' }]);
  assert.equal(retired.length, 1);
  const [{ reason, error }] = retired;
  assert.deepEqual([reason, error.code], ['reset', '22012']);
  assert.equal(pool.status().counters.evictions.reset, 1);
  await pool.end();
  const others = retired.slice(1).map((event) => [event.reason, event.error]);
  assert.deepEqual(others, [['shutdown', null]]);
});

test('sec_p03: a reset that does not end ends its connection, not its pool', async (t) => {
  const pool = db.openPool(t, {
    ...{ poolSize: 1, acquireTimeoutMs: 300 },
    resetQuery: 'select pg_sleep(60)',
  });
  const pid = await pidOf(pool);
  await pool.query('set work_mem = 7000');
  await waitFor(() => pool.status().counters.evictions.reset === 1, { what: 'the end of it' });
  await waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of its backend' });
  assert.notEqual(await pidOf(pool), pid);
});

test('a pool that ends does not wait for a reset', async (t) => {
  const pool = db.openPool(t, { poolSize: 1, resetQuery: 'select pg_sleep(60)' });
  await pool.query('set work_mem = 7000');
  await db.running('pg_sleep(60)');
  await pool.end({ timeoutMs: 100 });
  await db.idle('pg_sleep(60)');
});

test('a text that cannot be a statement is refused', () => {
  for (const [resetQuery, problem] of [
    ['', /"resetQuery" must be a non-empty string/],
    [' ', /"resetQuery" must be a statement, for example DISCARD ALL/],
    ['a\0b', /"resetQuery" must be a non-empty string without U\+0000/],
    [1, /"resetQuery"/],
  ]) {
    assert.throws(() => createPool({ resetQuery }), problem);
  }
});

test('DISCARD ALL takes the name of a lease, which is signed anew before anyone has the connection', async (t) => {
  const lease = { secret: SECRET, serviceName: 'reset', leaseTtlMs: 600 };
  const pool = db.openPool(t, { poolSize: 1, resetQuery: 'DISCARD ALL', lease });
  const current = async () => {
    const [{ name, pid }] = await pool.query(
      `select current_setting('application_name') as name, pg_backend_pid() as pid`,
    );
    return { exp: leases.parseAndVerify(name).exp, pid };
  };
  const first = await current();
  const clock = async () =>
    (await db.sql(`select (extract(epoch from now()) * 1000)::float8 as now`))[0].now;
  const isOver = async () => (await current()).exp > first.exp && (await clock()) > first.exp;
  await waitFor(isOver, { what: 'the end of the first lease' });
  const now = await clock();
  await pool.query('set work_mem = 7000');
  const after = await current();
  assert.equal(after.pid, first.pid);
  assert.ok(after.exp > now, 'the lease lasts');
});

for (const preparedStatements of ['named', 'unnamed']) {
  test(`pg face: nothing of a session is left for the next user (${preparedStatements})`, async (t) => {
    const pool = openPg(t, { resetQuery: 'DISCARD ALL', preparedStatements });
    const stateOfPg = async () => (await pool.query(STATE)).rows[0];
    const clean = await stateOfPg();
    for (const use of [
      (client) => client.query('listen jobs'),
      (client) => client.query('create temp table scratch (a int)'),
      (client) => client.query(`select tenant($1)`, ['acme']),
      (client) => client.query({ name: 'own', text: 'select tenant($1)', values: ['acme'] }),
      // Prepared anew behind the reset.
      (client) => client.query({ name: 'own', text: 'select tenant($1)', values: ['acme'] }),
      (client) => client.query('select 1; select pg_advisory_lock(1)'),
      async (client) => {
        const cursor = client.query(new Cursor(`select tenant('acme') from generate_series(1, 9)`));
        await cursor.read(1);
        await cursor.close();
      },
      async (client) => {
        await client.query('begin');
        await client.query('declare held cursor with hold for select 1');
        await client.query('commit; begin');
      },
    ]) {
      const client = await pool.connect();
      await use(client);
      client.release();
      assert.deepEqual(await stateOfPg(), clean, String(use));
    }
    await pool.query(`select tenant('acme')`);
    assert.equal((await stateOfPg()).tenant, '');
  });
}

test('pg face: statements that leave something share no client, others do', async (t) => {
  const pool = openPg(t, { max: 2, resetQuery: 'DISCARD ALL' });
  const setting = 'select tenant($1)';
  const reading = `select current_setting('app.tenant', true) as tenant`;
  for (let n = 0; n < 4; n++) await Promise.all([pool.query(setting, ['a']), pool.query(reading)]);
  const asked = [];
  for (let n = 0; n < 300; n++) {
    asked.push(pool.query(setting, [`tenant ${n}`]).then(() => undefined));
    asked.push(pool.query(reading).then(({ rows: [{ tenant }] }) => tenant));
  }
  const seen = (await Promise.all(asked)).filter((tenant) => tenant);
  assert.deepEqual(seen, []);
});

test('pg face: a client whose reset fails is closed', async (t) => {
  const pool = openPg(t, { resetQuery: 'select 1 / 0' });
  const { rows: before } = await pool.query(STATE);
  await pool.query('set work_mem = 7000');
  const { rows: after } = await pool.query(STATE);
  assert.notEqual(after[0].pid, before[0].pid);
  assert.equal(after[0].memory, '4MB');
});

test('pg face: transactions that are kept are not reset, and what a reset leaves is kept', async (t) => {
  const pool = openPg(t, {
    rollbackOnRelease: false,
    resetQuery: `select set_config('app.tenant', coalesce(current_setting('app.tenant', true), '') || 'x', false)`,
  });
  const reading = `select current_setting('app.tenant', true) as tenant`;
  const tenant = async () => (await pool.query(reading)).rows[0].tenant;
  await pool.query('begin');
  await pool.query(`set app.tenant = 'acme'`);
  assert.equal(await tenant(), 'acme');
  await pool.query('commit');
  assert.equal(await tenant(), 'acmex');
  assert.equal(await tenant(), 'acmex');
});

test('pg face: a text that cannot be a statement is refused', () => {
  for (const resetQuery of ['', ' ', 1, null]) {
    assert.throws(() => new pg.Pool({ resetQuery }), /"resetQuery" must be a statement/);
  }
});

test('pg face: clients of another package cannot be reset, and a pool of them says so', () => {
  const given = { Client, resetQuery: 'DISCARD ALL' };
  assert.throws(() => new pg.Pool(given), /"resetQuery" needs clients of this package/);
  class Own extends pg.Client {}
  assert.ok(new pg.Pool({ ...given, Client: Own }));
});
