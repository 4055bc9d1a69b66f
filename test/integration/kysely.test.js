// BerthDialect: Kysely on the native pool.
'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const kysely = require('kysely');
const { createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { hasSeveral } = require('../../lib/kysely/several.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const { CompiledQuery, Kysely, sql } = kysely;
/** It has a place of its own from 0.29 on. */
const Migrator = kysely.Migrator ?? require('kysely/migration').Migrator;

const database = testDatabase('create table person (id serial primary key, name text unique)');

function open(t, config = {}) {
  const dialect = new BerthDialect({
    // As from a program's own optional setting: those of pg are meant.
    connection: { connectionString: database.url, poolSize: 3, types: undefined },
    ...config,
  });
  const db = new Kysely({ dialect });
  t.after(() => db.destroy());
  return db;
}

const namesOf = async () =>
  (await database.sql('select name from person order by id')).map(({ name }) => name);

test('statements give rows and the number of changed rows', async (t) => {
  const db = open(t);
  const inserted = await db
    .insertInto('person')
    .values([{ name: 'Ada' }, { name: 'Grace' }])
    .returning('name')
    .execute();
  assert.deepEqual(inserted, [{ name: 'Ada' }, { name: 'Grace' }]);
  const { numUpdatedRows } = await db
    .updateTable('person')
    .set({ name: sql`name || '!'` })
    .executeTakeFirst();
  assert.equal(numUpdatedRows, 2n);
  const { count } = await db
    .selectFrom('person')
    .select(db.fn.countAll().as('count'))
    .executeTakeFirstOrThrow();
  assert.equal(count, '2', 'types are those of pg');
  const { numDeletedRows } = await db.deleteFrom('person').executeTakeFirst();
  assert.equal(numDeletedRows, 2n);
});

test('K13: values go round through sql templates', async (t) => {
  const db = open(t);
  for (const [type, value] of [
    ['text', 'größer'],
    ['int4', 7],
    ['int8', '9007199254740993'],
    ['numeric', '1.10'],
    ['float8', 0.5],
    ['bool', true],
    ['jsonb', { a: [1, null] }],
    ['int4[]', [1, 2, null]],
    ['text', null],
    ['bytea', Buffer.from([0, 255])],
    ['timestamptz', new Date(1_700_000_000_123)],
  ]) {
    const { rows } = await sql`select ${value}::${sql.raw(type)} as v`.execute(db);
    assert.deepEqual(rows, [{ v: value }], type);
  }
});

test('a pool that is given keeps its own types, and is closed by destroy', async () => {
  const pool = createPool({ connectionString: database.url, rowMode: 'array' });
  const db = new Kysely({ dialect: new BerthDialect({ pool: async () => pool }) });
  assert.deepEqual((await sql`select 1::int8 as n`.execute(db)).rows, [{ n: 1n }]);
  await db.destroy();
  await assert.rejects(pool.query('select 1'), { code: 'ERR_CLOSED' });
  const wrong = new Kysely({ dialect: new BerthDialect({ pool: async () => ({}) }) });
  await assert.rejects(sql`select 1`.execute(wrong), /option "pool" must be a pool of createPool/);
});

test('options are checked', () => {
  assert.throws(() => new BerthDialect({}), /"pool" or "connection" must be given/);
  assert.throws(() => new BerthDialect({ connection: 'x', pool: {} }), /not both/);
  assert.throws(() => new BerthDialect({ conection: 'x' }), /did you mean "connection"/);
  const standby = { readOnlyTransactions: 'standby' };
  assert.throws(() => new BerthDialect({ ...standby, pool: {} }), /needs "connection"/);
  const hooked = { ...standby, connection: 'x', onCreateConnection() {} };
  assert.throws(() => new BerthDialect(hooked), /"onCreateConnection" exclude each other/);
  assert.throws(
    () => new BerthDialect({ connection: 'x', readOnlyTransactions: 'both' }),
    /one of/,
  );
});

test('an error has the fields of the server and ends with the caller’s stack', async (t) => {
  const db = open(t);
  const error = await sql`select nothing`.execute(db).then(assert.fail, (failure) => failure);
  assert.equal(error.code, '42703');
  assert.match(error.stack, /kysely[\s\S]*kysely\.test\.js/);
});

test('a transaction commits, and rolls back when its function throws', async (t) => {
  const db = open(t);
  await db
    .transaction()
    .execute((trx) => trx.insertInto('person').values({ name: 'kept' }).execute());
  const boom = new Error('boom');
  const failed = db.transaction().execute(async (trx) => {
    await trx.insertInto('person').values({ name: 'lost' }).execute();
    throw boom;
  });
  await assert.rejects(failed, (error) => error === boom);
  assert.deepEqual(await namesOf(), ['kept']);
  await database.sql('truncate person');
});

test('BEGIN travels with the first statement, and an empty transaction costs nothing', async (t) => {
  const db = open(t);
  await db.transaction().execute(async () => 'nothing');

  const settings = await db
    .transaction()
    .setIsolationLevel('serializable')
    .setAccessMode('read only')
    .execute((trx) =>
      sql`select current_setting('transaction_isolation') as i, current_setting('transaction_read_only') as r`.execute(
        trx,
      ),
    );
  assert.deepEqual(settings.rows, [{ i: 'serializable', r: 'on' }]);
});

test('K4: a commit that the server answers with ROLLBACK is an AbortedTransactionError', async (t) => {
  const db = open(t);
  const committed = db.transaction().execute(async (trx) => {
    await trx.insertInto('person').values({ name: 'gone' }).execute();
    await sql`select 1/0`.execute(trx).catch(() => {});
  });
  await assert.rejects(committed, {
    name: 'AbortedTransactionError',
    code: '25P02',
    message: 'Transaction was rolled back instead of committed',
  });
  assert.deepEqual(await namesOf(), []);
});

test('controlled transactions with savepoints', async (t) => {
  const db = open(t);
  const trx = await db.startTransaction().execute();
  await trx.insertInto('person').values({ name: 'a' }).execute();
  const inside = await trx.savepoint('one').execute();
  await inside.insertInto('person').values({ name: 'b' }).execute();
  await assert.rejects(inside.insertInto('person').values({ name: 'a' }).execute(), {
    code: '23505',
  });
  const back = await inside.rollbackToSavepoint('one').execute();
  await back.insertInto('person').values({ name: 'c' }).execute();
  await (await back.releaseSavepoint('one').execute()).commit().execute();
  assert.deepEqual(await namesOf(), ['a', 'c']);
  await database.sql('truncate person');
});

test('a hundred transactions at once over three connections', async (t) => {
  const db = open(t);
  await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      db.transaction().execute((trx) =>
        trx
          .insertInto('person')
          .values({ name: `n${i}` })
          .execute(),
      ),
    ),
  );
  assert.equal((await namesOf()).length, 100);
  await database.sql('truncate person');
});

test('a connection keeps its session, and goes back out of a transaction left open', async (t) => {
  const db = open(t, { connection: { connectionString: database.url, poolSize: 1 } });
  const pids = await db.connection().execute(async (one) => {
    await sql`create temp table mine (n int)`.execute(one);
    await sql`insert into mine values (1)`.execute(one);
    await one.transaction().execute((trx) => sql`insert into mine values (2)`.execute(trx));
    assert.equal((await sql`select from mine`.execute(one)).rows.length, 2);
    await sql`begin`.execute(one);
    await sql`insert into person (name) values ('uncommitted')`.execute(one);
    return sql`select pg_backend_pid() as pid`.execute(one);
  });
  const after =
    await sql`select pg_backend_pid() as pid, (select count(*) from person) as n`.execute(db);
  assert.deepEqual(after.rows, [{ ...pids.rows[0], n: '0' }]);
});

test('a connection that is lost between statements of its own says nothing about them', async (t) => {
  const db = open(t);
  const lost = db.connection().execute(async (connection) => {
    const {
      rows: [row],
    } =
      await sql`insert into person (name) values ('held') returning pg_backend_pid() as pid`.execute(
        connection,
      );
    await database.sql('select pg_terminate_backend($1)', [row.pid]);
    await waitFor(async () => {
      const rows = await database.sql('select from pg_stat_activity where pid = $1', [row.pid]);
      return rows.length === 0;
    });
    await sql`select 1`.execute(connection);
  });
  await assert.rejects(lost, {
    name: 'ClosedError',
    code: '08006',
    outcome: 'not-sent',
    message: /^the connection was lost before the statement was sent/,
  });
  assert.equal((await database.sql("select from person where name = 'held'")).length, 1);
  await database.sql("delete from person where name = 'held'");
});

test('streams without a cursor class: chunks, an early end, an error', async (t) => {
  const db = open(t);
  const series = () => db.selectFrom(sql`generate_series(1, 250)`.as('s')).select(sql`s`.as('n'));
  let sum = 0;
  for await (const { n } of series().stream(100)) sum += n;
  assert.equal(sum, (250 * 251) / 2);
  for (let i = 0; i < 10; i++) for await (const _ of series().stream(10)) break;
  const broken = db
    .selectFrom(sql`generate_series(1, 50)`.as('s'))
    .select(sql`1 / (s - 40)`.as('n'));
  await assert.rejects(
    async () => {
      for await (const _ of broken.stream(7));
    },
    { code: '22012' },
  );
  await assert.rejects(async () => {
    for await (const _ of series().stream(0));
  }, /chunkSize must be a positive integer/);
});

test('K5: several statements in one text run, also at the start of a transaction', async (t) => {
  const db = open(t);
  await sql`create table k5 (n int); insert into k5 values (1); -- done;`.execute(db);
  await db.transaction().execute(async (trx) => {
    await sql`insert into k5 values (2); insert into k5 values (3)`.execute(trx);
  });
  const failed = db.transaction().execute(async (trx) => {
    await sql`insert into k5 values (4); select 1/0`.execute(trx);
  });
  await assert.rejects(failed, { code: '22012' });
  assert.deepEqual(await database.sql('select n from k5 order by n'), [
    { n: 1 },
    { n: 2 },
    { n: 3 },
  ]);
  const parameter = db.executeQuery(CompiledQuery.raw('select $1::int; select 2', [1]));
  await assert.rejects(parameter, { code: '42601' });
});

test('a second statement is found behind everything that may hold a semicolon', () => {
  for (const [text, expected] of [
    ['select 1', false],
    ['select 1;', false],
    ['select 1 ; -- x; y\n /* a; /* b; */ c */ ; ', false],
    ["select ';'; ", false],
    ["select E'\\';select 2' ;", false],
    ["select E'a''b\\'; select 2' ;", false],
    ['select 1 as "a;b"', false],
    ['do $$ begin; end; $$', false],
    ['do $x$ a; $$ b; $x$', false],
    ['select 1; select 2', true],
    ["select 'it''s'; delete from t", true],
    ["select '\\'; select 2", true],
    ['select a$b$; select 2; --$b$', true],
  ]) {
    assert.equal(hasSeveral(text), expected, text);
  }
});

test('introspection and migrations with the lock', async (t) => {
  const db = open(t);
  const person = (await db.introspection.getTables()).find(({ name }) => name === 'person');
  const [id] = person.columns;
  assert.deepEqual(
    [id.name, id.dataType, id.isAutoIncrementing, id.isNullable, id.hasDefaultValue],
    ['id', 'int4', true, false, true],
  );
  const provider = {
    getMigrations: async () => ({
      first: { up: (on) => on.schema.createTable('migrated').addColumn('n', 'integer').execute() },
      second: {
        up: (on) =>
          sql`insert into migrated values (1); insert into migrated values (2)`.execute(on),
      },
    }),
  };
  const migrate = () => new Migrator({ db, provider }).migrateToLatest();
  const results = await Promise.all([migrate(), migrate()]);
  assert.deepEqual(
    results.map(({ error }) => error),
    [undefined, undefined],
  );
  assert.deepEqual(await database.sql('select n from migrated order by n'), [{ n: 1 }, { n: 2 }]);
  const locks = await database.sql("select 1 from pg_locks where locktype = 'advisory'");
  assert.deepEqual(locks, []);
});

test('K1: onCreateConnection runs once per connection, onReserveConnection at each acquisition', async (t) => {
  const seen = { created: 0, reserved: 0 };
  const db = open(t, {
    connection: { connectionString: database.url, poolSize: 1 },
    onCreateConnection: async (connection) => {
      seen.created++;
      await connection.executeQuery(CompiledQuery.raw("set application_name = 'hooked'"));
    },
    onReserveConnection: async () => void seen.reserved++,
  });
  for (let i = 0; i < 50; i++) await sql`select 1`.execute(db);
  assert.deepEqual(seen, { created: 1, reserved: 50 });
  const { rows } = await sql`select current_setting('application_name') as name`.execute(db);
  assert.deepEqual(rows, [{ name: 'hooked' }]);
});

test('an onCreateConnection that fails closes its connection and runs again', async (t) => {
  let calls = 0;
  const db = open(t, {
    connection: { connectionString: database.url, poolSize: 1 },
    onCreateConnection: async () => {
      if (++calls === 1) throw new Error('not yet');
    },
  });
  await assert.rejects(sql`select 1`.execute(db), { message: 'not yet' });
  await sql`select 1`.execute(db);
  assert.equal(calls, 2);
});

/** The driver, as Kysely uses it, with one connection in hand. */
async function driverOf(t, config) {
  const driver = new BerthDialect({ connection: database.url, ...config }).createDriver();
  await driver.init();
  t.after(() => driver.destroy());
  return driver;
}

test('inside a transaction other statements run between the chunks of a stream', async (t) => {
  const driver = await driverOf(t);
  const connection = await driver.acquireConnection();
  await driver.beginTransaction(connection, {});
  const seen = [];
  const query = CompiledQuery.raw('select s from generate_series(1, 5) s');
  for await (const { rows } of connection.streamQuery(query, 2)) {
    const other = await connection.executeQuery(CompiledQuery.raw('select 10 as n'));
    seen.push(rows.length * other.rows[0].n);
  }
  await driver.commitTransaction(connection);
  await driver.releaseConnection(connection);
  assert.deepEqual(seen, [20, 20, 10]);
});

test('cancelQuery stops the statement that runs, and only that', async (t) => {
  const driver = await driverOf(t);
  const connection = await driver.acquireConnection();
  const running = connection.executeQuery(CompiledQuery.raw('select pg_sleep(30) /* cancel me */'));
  const rejected = assert.rejects(running, /cancelled through its connection/);
  await database.running('cancel me');
  await connection.cancelQuery();
  await rejected;
  await database.idle('cancel me');
  await connection.cancelQuery();
  const { rows } = await connection.executeQuery(CompiledQuery.raw('select 1 as n'));
  assert.deepEqual(rows, [{ n: 1 }]);
  await driver.releaseConnection(connection);
});

test('killSession ends the session on the server', async (t) => {
  const driver = await driverOf(t);
  const connection = await driver.acquireConnection();
  const running = connection.executeQuery(CompiledQuery.raw('select pg_sleep(30) /* kill me */'));
  const rejected = assert.rejects(running);
  const [pid] = await database.running('kill me');
  await connection.killSession();
  await rejected;
  await waitFor(
    async () =>
      (await database.sql('select 1 from pg_stat_activity where pid = $1', [pid])).length === 0,
  );
  await assert.rejects(connection.executeQuery(CompiledQuery.raw('select 1')), {
    code: 'ERR_CLOSED',
  });
  await driver.releaseConnection(connection);
});

test('a signal leaves the queue for a connection at once', async (t) => {
  const driver = await driverOf(t, { connection: { connectionString: database.url, poolSize: 1 } });
  const busy = await driver.acquireConnection();
  await busy.executeQuery(CompiledQuery.raw('select 1'));
  const controller = new AbortController();
  const waiting = await driver.acquireConnection();
  const query = CompiledQuery.raw("insert into person (name) values ('never')");
  const rejected = waiting.executeQuery(query, { signal: controller.signal });
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(rejected, (error) => error === reason);
  await driver.releaseConnection(waiting);
  await driver.releaseConnection(busy);
  assert.deepEqual(await namesOf(), []);
});

test('a signal stops a stream on the server', async (t) => {
  const driver = await driverOf(t);
  const connection = await driver.acquireConnection();
  const controller = new AbortController();
  const query = CompiledQuery.raw('select pg_sleep(30) /* stop stream */');
  const reading = connection.streamQuery(query, 10, { signal: controller.signal }).next();
  const rejected = assert.rejects(reading, { message: 'over' });
  await database.running('stop stream');
  controller.abort(new Error('over'));
  await rejected;
  await database.idle('stop stream');
  await driver.releaseConnection(connection);
});

test('a forgotten transaction is closed after idleInTransactionMs and reported with its stack', async (t) => {
  const errors = [];
  const db = open(t, { idleInTransactionMs: 50, onConnectionError: (error) => errors.push(error) });
  const trx = await db.startTransaction().execute();
  await sql`insert into person (name) values ('forgotten')`.execute(trx);
  await waitFor(() => errors.length > 0);
  assert.equal(errors[0].code, '25P03');
  assert.match(errors[0].stack, /kysely\.test\.js/);
  const message = 'query: the transaction was closed after 50ms without a statement';
  await assert.rejects(sql`select 1`.execute(trx), { code: 'ERR_CLOSED', message });
  assert.deepEqual(await namesOf(), []);
});

test('idleInTransactionMs is for idleness: a statement may take longer', async (t) => {
  const errors = [];
  const db = open(t, {
    idleInTransactionMs: 500,
    onConnectionError: (error) => errors.push(error),
  });
  const trx = await db.startTransaction().execute();
  await sql`select pg_sleep(1)`.execute(trx);
  await trx.commit().execute();
  assert.deepEqual(errors, []);
});

test('a transaction that is forgotten before its first statement takes no connection any more', async (t) => {
  const errors = [];
  const db = open(t, { idleInTransactionMs: 50, onConnectionError: (error) => errors.push(error) });
  const trx = await db.startTransaction().execute();
  await waitFor(() => errors.length > 0);
  assert.equal(errors[0].code, '25P03');
  await assert.rejects(sql`select 1`.execute(trx), { code: 'ERR_CLOSED', outcome: 'not-sent' });
  await trx.rollback().execute();
});

test('K9: a backend that ends under its user rejects with a code, and the pool recovers', async (t) => {
  const errors = [];
  const db = open(t, { onConnectionError: (error) => errors.push(error) });
  const running = sql`select pg_sleep(30) /* terminate me */`.execute(db);
  const rejected = assert.rejects(running, (error) => /^(57P01|08006|IN_DOUBT)$/.test(error.code));
  const [pid] = await database.running('terminate me');
  await database.sql('select pg_terminate_backend($1)', [pid]);
  await rejected;
  assert.deepEqual((await sql`select 1 as n`.execute(db)).rows, [{ n: 1 }]);
});

test('K10: destroy turns away who waits, and lets statements under way end', async (t) => {
  const dialect = new BerthDialect({ connection: { connectionString: database.url, poolSize: 1 } });
  const db = new Kysely({ dialect });
  t.after(() => db.destroy());
  const running = sql`select pg_sleep(0.2), 'ended' as how /* drain me */`.execute(db);
  await database.running('drain me');
  const waiting = sql`select 1`.execute(db);
  const rejected = assert.rejects(waiting, { code: 'ERR_CLOSED' });
  await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([db.destroy(), rejected]);
  assert.equal((await running).rows[0].how, 'ended');
});

test('K14: a process that has run a query and called destroy ends by itself', () => {
  const program = `
    const { Kysely, sql } = require('kysely');
    const { BerthDialect } = require(${JSON.stringify(require.resolve('../../lib/kysely/index.js'))});
    const db = new Kysely({ dialect: new BerthDialect({ connection: process.argv[1] }) });
    sql\`select 1 as n\`.execute(db).then(() => db.destroy()).then(() => console.log('destroyed'));`;
  const options = { cwd: __dirname, timeout: 20_000 };
  const { status, stdout } = spawnSync(process.execPath, ['-e', program, database.url], options);
  assert.deepEqual([status, String(stdout)], [0, 'destroyed\n']);
});
