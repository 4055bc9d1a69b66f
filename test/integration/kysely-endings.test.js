// BerthDialect where something ends early: a wait, a signal, a connection, a driver that cannot be made.
'use strict';

const assert = require('node:assert/strict');
const { CompiledQuery, Kysely, sql } = require('kysely');
const { createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const database = testDatabase();
const ABORTED = { signal: AbortSignal.abort() };
const NO_TEXT = { toJSON: () => assert.fail() };
const one = CompiledQuery.raw('select 1 as n');

/** The driver, as Kysely uses it. */
async function driverOf(t, config) {
  const connection = { connectionString: database.url, poolSize: 1 };
  const driver = new BerthDialect({ connection, ...config }).createDriver();
  await driver.init();
  t.after(() => driver.destroy());
  return driver;
}

/** A driver whose only connection is taken. */
async function busyDriver(t) {
  const connection = { connectionString: database.url, poolSize: 1, acquireTimeoutMs: 1000 };
  const driver = await driverOf(t, { connection });
  const busy = await driver.acquireConnection();
  await busy.executeQuery(one);
  return { driver, busy };
}

for (const where of ['on its own', 'in a transaction']) {
  test(`a stream ${where} that is given up while it waits for a connection says so at once`, async (t) => {
    const { driver, busy } = await busyDriver(t);
    const waiting = await driver.acquireConnection();
    if (where !== 'on its own') await driver.beginTransaction(waiting, {});
    const signal = AbortSignal.timeout(50);
    await assert.rejects(waiting.streamQuery(one, 10, { signal }).next(), (error) => {
      return error === signal.reason;
    });
    await driver.rollbackTransaction(waiting);
    await driver.releaseConnection(waiting);
    assert.deepEqual((await busy.executeQuery(one)).rows, [{ n: 1 }]);
    await driver.releaseConnection(busy);
  });
}

test('the reason of a signal is thrown as it is', async (t) => {
  const { driver, busy } = await busyDriver(t);
  const reason = Object.freeze(new Error('enough'));
  const controller = new AbortController();
  const waiting = await driver.acquireConnection();
  const queued = waiting.executeQuery(one, { signal: controller.signal });
  controller.abort(reason);
  const late = busy.executeQuery(one, { signal: controller.signal });
  const isReason = (error) => error === reason;
  await Promise.all([assert.rejects(queued, isReason), assert.rejects(late, isReason)]);
  const shared = new Error('shared');
  const { stack } = shared;
  const signal = AbortSignal.abort(shared);
  await assert.rejects(busy.executeQuery(one, { signal }), (error) => error === shared);
  await assert.rejects(busy.streamQuery(one, 1, { signal }).next(), (error) => error === shared);
  assert.equal(shared.stack, stack);
  await driver.releaseConnection(waiting);
  await driver.releaseConnection(busy);
});

test('onConnectionError is told of connections that are lost, and of no other doubt', async (t) => {
  const errors = [];
  const driver = await driverOf(t, { onConnectionError: (error) => errors.push(error) });
  const connection = await driver.acquireConnection();
  const { rows } = await connection.executeQuery(
    CompiledQuery.raw('select pg_backend_pid() as pid'),
  );
  const copy = CompiledQuery.raw('copy (select 1) to stdout');
  await assert.rejects(connection.executeQuery(copy), {
    name: 'OutcomeUnknownError',
    message: /^the data of COPY TO STDOUT/,
  });
  assert.deepEqual(errors, []);
  assert.ok(await database.isBackend(rows[0].pid), 'the connection lives');
  const running = connection.executeQuery(CompiledQuery.raw('select pg_sleep(30) /* lose me */'));
  const rejected = assert.rejects(running, { name: 'OutcomeUnknownError' });
  await database.running('lose me');
  await database.sql('select pg_terminate_backend($1)', [rows[0].pid]);
  await rejected;
  assert.deepEqual(
    errors.map(({ name }) => name),
    ['OutcomeUnknownError'],
  );
  await driver.releaseConnection(connection);
});

test('a BEGIN with an isolation level that the server does not know costs nothing', async (t) => {
  const errors = [];
  const connection = { connectionString: database.url, poolSize: 1 };
  const onConnectionError = (error) => errors.push(error);
  const db = new Kysely({ dialect: new BerthDialect({ connection, onConnectionError }) });
  t.after(() => db.destroy());
  const pidOf = async (on) => (await sql`select pg_backend_pid() as pid`.execute(on)).rows[0].pid;
  await db.connection().execute(async (held) => {
    const pid = await pidOf(held);
    const snapshot = held.transaction().setIsolationLevel('snapshot');
    await assert.rejects(
      snapshot.execute(async () => assert.fail('it was never begun')),
      { code: '42601' },
    );
    assert.equal(await pidOf(held), pid);
    assert.equal(await held.transaction().execute(pidOf), pid);
  });
  assert.deepEqual(errors, []);
});

test('a BEGIN that is refused is told as that, and not as a lost connection', async (t) => {
  const errors = [];
  const driver = await driverOf(t, { onConnectionError: (error) => errors.push(error) });
  const connection = await driver.acquireConnection();
  await driver.beginTransaction(connection, { accessMode: 'read sideways' });
  await assert.rejects(connection.executeQuery(one), { code: '42601' });
  const never = {
    name: 'TransactionRolledBackError',
    code: '25P02',
    message: /^the transaction was never begun: syntax error/,
    transient: false,
  };
  await assert.rejects(connection.executeQuery(one), never);
  await assert.rejects(connection.streamQuery(one, 1).next(), never);
  await assert.rejects(driver.commitTransaction(connection), {
    name: 'AbortedTransactionError',
    code: '25P02',
  });
  await driver.releaseConnection(connection);
  const other = await driver.acquireConnection();
  await driver.beginTransaction(other, { accessMode: 'read sideways' });
  await assert.rejects(other.executeQuery(one), { code: '42601' });
  await driver.rollbackTransaction(other);
  await assert.rejects(other.executeQuery(one), {
    name: 'ClosedError',
    message: /^the connection was given up when BEGIN was refused/,
    outcome: 'not-sent',
  });
  await driver.releaseConnection(other);
  assert.deepEqual(errors, []);
});

test('onConnectionError is told once of a connection, however many statements are lost with it', async (t) => {
  const errors = [];
  const driver = await driverOf(t, { onConnectionError: (error) => errors.push(error) });
  for (const n of [1, 2]) {
    const connection = await driver.acquireConnection();
    await driver.beginTransaction(connection, {});
    await connection.executeQuery(one);
    const asked = ['lose us', 'and us'].map((what) =>
      connection.executeQuery(CompiledQuery.raw(`select pg_sleep(30) /* ${what} */`)),
    );
    const ends = Promise.allSettled(asked);
    const [pid] = await database.running('lose us');
    await database.sql('select pg_terminate_backend($1)', [pid]);
    assert.deepEqual(
      (await ends).map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    await driver.rollbackTransaction(connection);
    await driver.releaseConnection(connection);
    assert.deepEqual(
      errors.map(({ name }) => name),
      Array(n).fill('TransactionLostError'),
    );
  }
});

test('onConnectionError is not told of a connection that could not be opened', async (t) => {
  const errors = [];
  const connection = { connectionString: database.url, sslmode: 'require' };
  const onConnectionError = (error) => errors.push(error);
  const driver = await driverOf(t, { connection, onConnectionError });
  const refused = await driver.acquireConnection();
  await assert.rejects(refused.executeQuery(one), { name: 'TlsError', outcome: 'not-sent' });
  await driver.releaseConnection(refused);
  assert.deepEqual(errors, []);
});

test('idleInTransactionMs begins anew behind a stream, and does not end one beside which others run', async (t) => {
  const errors = [];
  const onConnectionError = (error) => errors.push(error);
  const driver = await driverOf(t, { idleInTransactionMs: 60_000, onConnectionError });
  let passed = 0;
  const now = performance.now.bind(performance);
  t.mock.method(performance, 'now', () => now() + passed);
  t.mock.timers.enable({ apis: ['setInterval'] });
  const connection = await driver.acquireConnection();
  await driver.beginTransaction(connection, {});
  await connection.executeQuery(one);
  const series = CompiledQuery.raw('select generate_series(1, 4) as n');
  for await (const _ of connection.streamQuery(series, 1)) {
    await connection.executeQuery(one);
    passed += 100_000;
    t.mock.timers.tick(15_000);
  }
  t.mock.timers.tick(15_000);
  assert.deepEqual(errors, []);
  assert.deepEqual((await connection.executeQuery(one)).rows, [{ n: 1 }]);
  passed += 100_000;
  t.mock.timers.tick(15_000);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['25P03'],
  );
  await driver.rollbackTransaction(connection);
  await driver.releaseConnection(connection);
});

test('a driver whose second pool cannot be made keeps nothing of the first', async (t) => {
  let reads = 0;
  let most = Number.POSITIVE_INFINITY;
  const retry = {
    get maxAttempts() {
      reads += 1;
      if (reads > most) throw new Error('not twice');
      return 2;
    },
  };
  const applicationName = 'half a driver';
  const connection = { connectionString: database.url, minIdle: 1, applicationName, retry };
  await createPool(connection).end();
  // What making one pool takes: the second one fails.
  most = 2 * reads;
  const dialect = new BerthDialect({ connection, readOnlyTransactions: 'standby' });
  const db = new Kysely({ dialect });
  t.after(() => db.destroy());
  await assert.rejects(sql`select 1`.execute(db), { message: 'not twice' });
  // Begun later: by then the first pool's connection would be there.
  await database.openPool(t).query('select 1');
  const text = "select from pg_stat_activity where application_name = 'half a driver'";
  assert.deepEqual(await database.sql(text), []);
});

test('init and destroy hear their signal, and what they have begun is not lost', async (t) => {
  const pool = database.openPool(t, { poolSize: 1 });
  let give;
  let made = 0;
  const makes = () => {
    made += 1;
    return new Promise((resolve) => {
      give = () => resolve(pool);
    });
  };
  const driver = new BerthDialect({ pool: makes }).createDriver();
  const gone = new Error('gone');
  const given = async (work) => {
    const controller = new AbortController();
    const working = work({ signal: controller.signal });
    setImmediate(() => controller.abort(gone));
    await assert.rejects(working, (error) => error === gone);
  };
  await given((options) => driver.init(options));
  const again = driver.init();
  give();
  await again;
  assert.equal(made, 1, 'the pool of the first call is taken');
  const connection = await driver.acquireConnection();
  const slow = connection.executeQuery(CompiledQuery.raw('select pg_sleep(0.5) /* a last one */'));
  await database.running('a last one');
  await given((options) => driver.destroy(options));
  await slow;
  await driver.destroy();
  await assert.rejects(pool.query('select 1'), { code: 'ERR_CLOSED' });
});

test('a pool that comes when nobody waits for it any more is closed by destroy', async (t) => {
  const pool = database.openPool(t);
  let give;
  const making = new Promise((resolve) => {
    give = resolve;
  });
  const driver = new BerthDialect({ pool: () => making }).createDriver();
  const controller = new AbortController();
  const begun = driver.init({ signal: controller.signal });
  controller.abort();
  await assert.rejects(begun, { name: 'AbortError' });
  const ended = driver.destroy();
  give(pool);
  await ended;
  await assert.rejects(pool.query('select 1'), { code: 'ERR_CLOSED' });
});

test('a semicolon in front of a statement takes no rows from it', async (t) => {
  const driver = await driverOf(t);
  const connection = await driver.acquireConnection();
  const { rows } = await connection.executeQuery(CompiledQuery.raw('; -- and\n;select 1 as n;'));
  assert.deepEqual(rows, [{ n: 1 }]);
  await driver.releaseConnection(connection);
});

test('a text with literals of many megabytes is one statement as any other', async (t) => {
  const driver = await driverOf(t);
  const connection = await driver.acquireConnection();
  const size = 9 * 2 ** 20;
  for (const [open, fill] of [
    ["'", 'x'],
    ["E'", 'x'],
    ["E'", "''"],
    ["E'", '\\\\'],
  ]) {
    const text = `select length(${open}${fill.repeat(size / fill.length)}') as n;`;
    const { rows } = await connection.executeQuery(CompiledQuery.raw(text));
    assert.deepEqual(rows, [{ n: size / fill.length }]);
  }
  await driver.releaseConnection(connection);
});

const INSERT = 'insert into kept values ($1)';
for (const [what, ask] of /** @type {[string, (connection: any) => Promise<any>][]} */ ([
  ['its signal', (one) => one.executeQuery(CompiledQuery.raw(INSERT, [1]), ABORTED)],
  ['a parameter', (one) => one.executeQuery(CompiledQuery.raw(INSERT, [NO_TEXT]))],
  ['its rows', (one) => one.streamQuery(CompiledQuery.raw(INSERT, [NO_TEXT]), 1).next()],
])) {
  test(`COMMIT misses the statement in front of it, refused for ${what}, that nobody has heard of`, async (t) => {
    await database.sql('drop table if exists kept; create table kept (n int)');
    const driver = await driverOf(t);
    const connection = await driver.acquireConnection();
    await driver.beginTransaction(connection, {});
    await connection.executeQuery(CompiledQuery.raw(INSERT, [1]));
    const refused = failureOf(ask(connection));
    const error = await failureOf(driver.commitTransaction(connection));
    assert.deepEqual([error.name, error.code], ['AbortedTransactionError', '25P02']);
    assert.equal(error.cause.cause, await refused);
    await driver.rollbackTransaction(connection);
    assert.deepEqual(await database.sql('select n from kept'), []);
    // Whoever has heard of it may go on without it.
    await driver.beginTransaction(connection, {});
    await connection.executeQuery(CompiledQuery.raw(INSERT, [2]));
    await failureOf(ask(connection));
    await driver.commitTransaction(connection);
    assert.deepEqual(await database.sql('select n from kept'), [{ n: 2 }]);
    await driver.releaseConnection(connection);
  });
}

test('the last act of a function that Kysely runs in a transaction is missed though nobody awaited it', async (t) => {
  await database.sql('drop table if exists kept; create table kept (n int)');
  const connection = { connectionString: database.url, poolSize: 1 };
  const db = new Kysely({ dialect: new BerthDialect({ connection }) });
  t.after(() => db.destroy());
  /** @type {Promise<any> | undefined} */
  let refused;
  const work = db.transaction().execute(async (trx) => {
    await sql`insert into kept values (1)`.execute(trx);
    refused = failureOf(sql`insert into kept values (${NO_TEXT})`.execute(trx));
  });
  const error = await failureOf(work);
  assert.equal(error.name, 'AbortedTransactionError');
  assert.equal(error.cause.cause, await refused);
  assert.deepEqual(await database.sql('select n from kept'), []);
});

test('the COMMIT of a stream is waited for no longer than its signal says', async (t) => {
  await database.sql(`
    create table held (n int);
    create function hold() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock(78); return null; end';
    create constraint trigger held after insert on held deferrable initially deferred
      for each row execute function hold()`);
  await database.sql('select pg_advisory_lock(78)');
  const driver = await driverOf(t);
  const connection = await driver.acquireConnection();
  const controller = new AbortController();
  const { signal } = controller;
  const text = CompiledQuery.raw('insert into held values (1) returning n');
  const rows = connection.streamQuery(text, 1, { signal });
  assert.deepEqual((await rows.next()).value.rows, [{ n: 1 }]);
  const end = failureOf(rows.next());
  await database.running('COMMIT');
  controller.abort();
  const error = await end;
  assert.deepEqual([error.name, error.outcome], ['OutcomeUnknownError', 'unknown']);
  await database.sql('select pg_advisory_unlock(78)');
  await driver.releaseConnection(connection);
});

test('killSession ends what catches the cancel where the server looks for its client', async (t) => {
  const options = '-c client_connection_check_interval=100ms';
  const connection = { connectionString: database.url, poolSize: 1, options };
  const driver = await driverOf(t, { connection });
  const killed = await driver.acquireConnection();
  const text = `do $$ begin loop
      begin perform pg_sleep(60); exception when query_canceled then null; end;
    end loop; end $$ /* stubborn */`;
  const running = failureOf(killed.executeQuery(CompiledQuery.raw(text)));
  const [pid] = await database.running('stubborn', 1, { asleep: true });
  await killed.killSession();
  // Nobody was there to say how it ended.
  assert.equal((await running).outcome, 'unknown');
  const isGone = async () =>
    (await database.sql('select 1 from pg_stat_activity where pid = $1', [pid])).length === 0;
  await waitFor(isGone, { what: 'the end of the session' });
  const message = 'query: the connection was closed by killSession()';
  await assert.rejects(killed.executeQuery(one), { code: 'ERR_CLOSED', message });
  await driver.releaseConnection(killed);
  const next = await driver.acquireConnection();
  assert.deepEqual((await next.executeQuery(one)).rows, [{ n: 1 }]);
  await driver.releaseConnection(next);
});

test('a stream that outlives its transaction says so, and harms no later one', async (t) => {
  const connection = { connectionString: database.url, poolSize: 1 };
  const db = new Kysely({ dialect: new BerthDialect({ connection }) });
  t.after(() => db.destroy());
  const begin = async (on) => {
    const rows = on.selectFrom(sql`generate_series(1, 9)`.as('n')).selectAll().stream(2);
    assert.equal((await rows.next()).done, false);
    return rows;
  };
  const drain = async (rows) => {
    for await (const _row of rows);
  };
  const gone = { code: 'ERR_CLOSED', message: 'stream: the transaction it was read in is over' };
  await assert.rejects(drain(await db.transaction().execute(begin)), gone);
  // Whoever leaves it has got what he wanted.
  assert.equal((await (await db.transaction().execute(begin)).return()).done, true);
  const driver = await driverOf(t);
  const held = await driver.acquireConnection();
  await driver.beginTransaction(held, {});
  const rows = held.streamQuery(CompiledQuery.raw('select generate_series(1, 9) as n'), 2);
  await rows.next();
  await driver.commitTransaction(held);
  await driver.beginTransaction(held, {});
  await held.executeQuery(one);
  await assert.rejects(drain(rows), gone);
  assert.deepEqual((await held.executeQuery(one)).rows, [{ n: 1 }]);
  await driver.commitTransaction(held);
  await driver.releaseConnection(held);
});
