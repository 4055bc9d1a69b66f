// ServerlessClient on a real server: connecting, statements, ending, its lease, its hooks, and what it refuses.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const driver = require('pg');
const { AequorClient, Pool, ServerlessClient, createPool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { SECRET, leases, openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table notes (n int, note text)');
const open = (t, options = {}) => openServerless(t, { connectionString: db.url, ...options });
const ownName = async (client) =>
  (await client.query(`select current_setting('application_name') as name`)).rows[0].name;

test('A1: the names are those of the predecessor, for require and import', async () => {
  assert.equal(AequorClient, ServerlessClient);
  const imported = await import('pg-berth/serverless');
  assert.equal(imported.ServerlessClient, ServerlessClient);
  assert.equal((await import('../../lib/index.js')).AequorClient, ServerlessClient);
});

test('A1: results are those of pg', async (t) => {
  const { client } = open(t);
  const text = `select 1::int8 as a, 1.50::numeric as b, date '2026-01-02' as c, '{"x": 1}'::json as d,
    '\\x00ff'::bytea as e, $1::text as f`;
  const pg = new driver.Client({ connectionString: db.url });
  await pg.connect();
  t.after(() => pg.end());
  const [ours, theirs] = [await client.query(text, ['v']), await pg.query(text, ['v'])];
  assert.deepEqual(ours.rows, theirs.rows);
  assert.deepEqual(
    [ours.command, ours.rowCount, ours.oid],
    [theirs.command, theirs.rowCount, theirs.oid],
  );
  assert.deepEqual(
    ours.fields.map(({ name, dataTypeID }) => [name, dataTypeID]),
    theirs.fields.map(({ name, dataTypeID }) => [name, dataTypeID]),
  );
  const array = await client.query({
    text: 'select 1 as x, $1::int as x',
    values: [2],
    rowMode: 'array',
  });
  assert.deepEqual(array.rows, [[1, 2]]);
  const named = { name: 'by-n', text: 'select $1::int + 1 as n' };
  assert.equal((await client.query(named, [1])).rows[0].n, 2);
  assert.equal((await client.query({ name: 'by-n', values: [2] })).rows[0].n, 3);
  await assert.rejects(client.query({ name: 'by-n', text: 'select 2' }), /must be unique/);
  const types = { getTypeParser: () => (text) => `<${text}>` };
  assert.equal((await client.query({ text: 'select 7 as n', types })).rows[0].n, '<7>');
});

test('A1: callbacks and submittables are a TypeError, which sends nothing', async (t) => {
  const { client, count } = open(t);
  for (const args of [
    ['select 1', [], () => {}],
    ['select 1', () => {}],
    [{ text: 'select 1', callback() {} }],
    [{ submit() {} }],
  ]) {
    assert.throws(() => client.query(...args), TypeError);
  }
  for (const args of [[], [null], [{}], ['select $1', 'not an array']]) {
    await assert.rejects(client.query(...args), { name: 'TypeError' });
  }
  assert.equal(count('onConnect'), 0);
});

test('A4: concurrent first statements share one connection, and connect() on a live client returns', async (t) => {
  const { client, of } = open(t);
  const pids = await Promise.all(
    Array.from({ length: 4 }, () => client.query('select pg_backend_pid() as pid')),
  );
  assert.equal(new Set(pids.map(({ rows }) => rows[0].pid)).size, 1);
  await client.connect();
  assert.deepEqual(
    of('onConnect').map(({ gen }) => gen),
    [1],
  );
  assert.notEqual(client.getClient(), null);
});

test('A9: the lease is on the server from the first moment, and verifies', async (t) => {
  const { client } = open(t, { serviceName: 'orders', leaseTtlMs: 20_000 });
  const before = Date.now();
  await client.connect();
  const [{ application_name, backend_start }] = await db.sql(
    `select application_name, backend_start from pg_stat_activity where application_name like 's=orders;%'`,
  );
  const lease = leases.parseAndVerify(application_name);
  assert.equal(lease?.svc, 'orders');
  assert.match(lease.inst, /^[\w-]{8}$/);
  assert.equal(lease.isExpired, false);
  // By the server's clock, which is known as exactly as a round trip is short.
  const known = 1000;
  assert.ok(lease.exp >= before + 20_000 - known && lease.exp <= Date.now() + 20_000 + known);
  assert.ok(backend_start instanceof Date);
  assert.equal(new RegExp(`${SECRET}`).test(application_name), false);
});

test('A2: coordinationSecret signs what secret verifies', async (t) => {
  const client = new ServerlessClient({ coordinationSecret: SECRET, connectionString: db.url });
  t.after(() => client.end());
  assert.equal(leases.parseAndVerify(await ownName(client))?.isExpired, false);
});

test('A3: without a secret and with leaseMode "optional" the connection has its plain name', async (t) => {
  const client = new ServerlessClient({
    leaseMode: 'optional',
    connectionString: db.url,
    applicationName: `${'x'.repeat(62)}é`,
  });
  t.after(() => client.end());
  assert.equal(await ownName(client), 'x'.repeat(62));
  assert.throws(
    () => new ServerlessClient({ connectionString: db.url }),
    /Missing config\.coordinationSecret/,
  );
});

test('SC-17: the lease wins over an application_name in the connectionString', async (t) => {
  const { client } = open(t, { connectionString: `${db.url}?application_name=mine` });
  assert.notEqual(leases.parseAndVerify(await ownName(client)), null);
});

test('A4: clean() ends the connection politely, is safe twice, and is not final', async (t) => {
  const { client, count } = open(t, { serviceName: 'cleaned' });
  await client.connect();
  await Promise.all([client.clean(), client.end()]);
  await client.clean();
  assert.equal(client.getClient(), null);
  const gone = async () =>
    (await db.sql(`select from pg_stat_activity where application_name like 's=cleaned;%'`))
      .length === 0;
  await waitFor(gone, { what: 'the end of the backend' });
  assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
  assert.deepEqual([count('onConnect'), count('onClientDead')], [2, 0]);
});

test('SC-3: what a parser throws is what the caller gets, whatever it is', async (t) => {
  const { client } = openServerless(t, { connectionString: db.url, reaper: false });
  for (const thrown of ['text', 5, undefined, null, new Error('of the parser')]) {
    const parser = () => {
      throw thrown;
    };
    const query = { text: 'select 1 as x', types: { getTypeParser: () => parser } };
    const caught = await client.query(query).then(assert.fail, (error) => ({ error }));
    assert.equal(caught.error, thrown);
  }
  const wrong = client.query({ text: 'select 1', types: /** @type {any} */ (5) });
  await assert.rejects(wrong, { name: 'TypeError', message: /^option "types" must be / });
  assert.equal((await client.query('select 1 as x')).rows[0].x, 1);
});

test('SC-3: clean() during connect() rejects it with ERR_CLIENT_CLOSED', async (t) => {
  const { client, count } = open(t);
  const connecting = client.connect();
  await client.clean();
  await assert.rejects(connecting, { name: 'ClosedError', code: 'ERR_CLIENT_CLOSED' });
  assert.equal(client.getClient(), null);
  assert.equal(count('onConnect'), 0);
});

test('A11: hooks of a statement, and of one that fails', async (t) => {
  const { client, of } = open(t);
  const asked = { text: 'select $1::int as n', values: [1] };
  const res = await client.query(asked);
  assert.deepEqual(
    of('onQueryStart').map(({ args }) => args),
    [[asked]],
  );
  assert.equal(of('onQueryEnd')[0].res, res);
  const failing = client.query('select 1/0', []);
  await assert.rejects(failing, { code: '22012', name: 'error' });
  const [{ args, err, duration }] = of('onQueryError');
  assert.deepEqual(
    [args, err.code, Number.isInteger(duration)],
    [['select 1/0', []], '22012', true],
  );
  assert.equal(of('onQueryStart').length, 2);
});

test('A11: hooks that throw or reject change nothing', async (t) => {
  const failing = () => {
    throw new Error('of the hook');
  };
  const hooks = { onConnect: failing, onQueryStart: async () => failing(), onQueryEnd: failing };
  const { client } = open(t, { hooks });
  assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
});

test('A11: a connection that the server ends fires onClientDead once, with code and sqlstate', async (t) => {
  const { client, of, count } = open(t);
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  await db.sql('select pg_terminate_backend($1)', [pid]);
  await waitFor(() => count('onClientDead') > 0, { what: 'the death of the client' });
  const [{ source, err, meta }] = of('onClientDead');
  assert.deepEqual(
    [source, err.code, meta.code, meta.sqlstate],
    ['error', '57P01', '57P01', '57P01'],
  );
  assert.equal((await client.query('select 2 as n')).rows[0].n, 2);
  assert.deepEqual([count('onClientDead'), count('onConnect')], [1, 2]);
});

test('SC-1: a write whose answer was cut off is unknown, and was made once', async (t) => {
  const proxy = await db.openProxy(t);
  const { client } = open(t, { connectionString: proxy.url(db.url) });
  await client.connect();
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  await assert.rejects(client.query(`insert into notes values (1, 'once')`), {
    name: 'OutcomeUnknownError',
    outcomeUnknown: true,
  });
  assert.deepEqual(await db.sql(`select n from notes where note = 'once'`), [{ n: 1 }]);
});

test('SC-2: nothing of a lost transaction reaches a new connection', async (t) => {
  const { client } = open(t);
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  await client.query('begin');
  await client.query(`insert into notes values (1, 'debit')`);
  await db.sql('select pg_terminate_backend($1)', [pid]);
  await waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of the backend' });
  const lost = { name: 'TransactionLostError', transactionLost: true };
  await assert.rejects(client.query(`insert into notes values (1, 'credit')`), lost);
  await assert.rejects(client.query(`insert into notes values (2, 'credit')`), lost);
  await assert.rejects(client.query('commit'), lost);
  assert.deepEqual(await db.sql(`select from notes where note in ('debit', 'credit')`), []);
  assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
});

test('SC-2: ROLLBACK of a lost transaction resolves locally', async (t) => {
  const { client } = open(t);
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  await client.query('begin');
  await db.sql('select pg_terminate_backend($1)', [pid]);
  await waitFor(() => client.getClient() === null, { what: 'the loss' });
  assert.equal((await client.query('rollback')).command, 'ROLLBACK');
  assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
});

for (const library of [undefined, driver]) {
  test(`SC-21: ${library ? 'pg' : 'the engine'}: a statement that takes too long is cancelled, and the next one works at once`, async (t) => {
    const { client } = open(t, { defaultQueryTimeoutMs: 200, library });
    await client.connect();
    const waits = [];
    for (let n = 0; n < 3; n++) {
      await assert.rejects(client.query('select pg_sleep(20) /* too long */'), {
        code: 'ERR_QUERY_TIMEOUT',
        message: 'Query read timeout',
      });
      const asked = performance.now();
      const next = { text: 'select 1 as n', query_timeout: 20_000 };
      assert.equal((await client.query(next)).rows[0].n, 1);
      waits.push(performance.now() - asked);
      await db.idle('pg_sleep(20) /* too long */');
    }
    // A busy machine may hold up one of them.
    assert.ok(Math.min(...waits) < 300, `waited ${waits.map(Math.round)} ms`);
  });
}

test('A2: passwords may be functions; a wrong server is named', async (t) => {
  const { client } = open(t, { password: async () => 'unused' });
  assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
  const wrong = open(t, { connectionString: db.url.replace(/[^/]*$/, 'no_such_database') });
  await assert.rejects(wrong.client.connect(), { code: '3D000' });
  assert.equal(wrong.client.getClient(), null);
});

test('SC-23: neither secret nor password shows in the client, its JSON or a payload of its hooks', async (t) => {
  const { client, calls } = open(t, { password: 'canary-password' });
  await client.query('select 1');
  await client.query('select 1/0').catch(() => {});
  const shown = [inspect(client, { depth: 9, showHidden: true }), JSON.stringify(client)];
  shown.push(inspect(calls, { depth: 9, showHidden: true }));
  for (const text of shown) {
    assert.equal(text.includes(SECRET), false);
    assert.equal(text.includes('canary-password'), false);
  }
});

test('SC-23: a guessable secret of a pool is one warning, on every face', async (t) => {
  /** @type {any[]} */
  const warnings = [];
  const hear = (/** @type {any} */ warning) => warnings.push(warning);
  process.on('warning', hear);
  t.after(() => process.off('warning', hear));
  const pool = createPool({ connectionString: db.url, lease: { secret: 'bc'.repeat(8) } });
  const other = new Pool({ connectionString: db.url, lease: { secret: 'de'.repeat(8) } });
  t.after(() => Promise.all([pool.end(), other.end()]));
  await Promise.all([1, 2, 3].map(() => other.query('select 1')));
  await pool.query('select 1');
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['PG_WEAK_SECRET', 'PG_WEAK_SECRET'],
  );
  assert.match(warnings[0].message, /^option "lease.secret" has so few/);
});

test('SC-23: a guessable secret is one warning, no error', async () => {
  const warned = new Promise((resolve) => process.once('warning', resolve));
  assert.ok(new ServerlessClient({ secret: 'a'.repeat(16), connectionString: db.url }));
  const { code, message } = await warned;
  assert.equal(code, 'PG_WEAK_SECRET');
  assert.doesNotMatch(message, /aaaa/);
});
