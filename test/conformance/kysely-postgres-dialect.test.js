// Rules K1 to K14: Kysely's own PostgresDialect over this package's Pool and Cursor.
'use strict';

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { Kysely, PostgresDialect, sql } = require('kysely');
const { Client, Cursor, Pool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const database = testDatabase('create table k (n int)');

/** A pool of the pg face that ends with the test. */
function openPool(t, options = {}) {
  const pool = new Pool({ connectionString: database.url, max: 3, ...options });
  t.after(async () => {
    if (!pool.ending) await pool.end();
  });
  return pool;
}

function open(pool, config = {}) {
  const db = new Kysely({ dialect: new PostgresDialect({ pool, cursor: Cursor, ...config }) });
  return db;
}

test('K1: the same client comes back for the same connection', async (t) => {
  let created = 0;
  const pool = openPool(t, { max: 1 });
  const db = open(pool, { onCreateConnection: async () => void created++ });
  for (let i = 0; i < 50; i++) await sql`select 1`.execute(db);
  assert.equal(created, 1);
  const first = await pool.connect();
  first.release();
  const second = await pool.connect();
  second.release();
  assert.equal(second, first);
});

test('K2: a client released inside a transaction: the next borrower is not in one', async (t) => {
  const pool = openPool(t, { max: 1 });
  const client = await pool.connect();
  await client.query('begin');
  await client.query('insert into k values (2)');
  client.release();
  const next = await pool.connect();
  const { rows } = await next.query(
    'select count(*)::int as n, now() = statement_timestamp() as fresh from k',
  );
  next.release();
  assert.deepEqual(rows, [{ n: 0, fresh: true }]);
});

test('K3: release(true) lowers totalCount, and the next query gets a new backend', async (t) => {
  const pool = openPool(t, { max: 1 });
  const client = await pool.connect();
  const { rows } = await client.query('select pg_backend_pid() as pid');
  assert.equal(client.processID, rows[0].pid);
  client.release(true);
  await waitFor(() => pool.totalCount === 0, { what: 'the end of the connection' });
  const { rows: after } = await pool.query('select pg_backend_pid() as pid');
  assert.notEqual(after[0].pid, rows[0].pid);
});

test('K4: commit after a failed statement reports ROLLBACK', async (t) => {
  const pool = openPool(t);
  const client = await pool.connect();
  await client.query('begin');
  await assert.rejects(client.query('select 1/0'), { code: '22012' });
  const { command } = await client.query('commit');
  client.release();
  assert.equal(command, 'ROLLBACK');
});

test('K5: two statements with an empty array run both; with a parameter they are refused', async (t) => {
  const pool = openPool(t);
  const results = await pool.query('select 1 as a; select 2 as b', []);
  assert.deepEqual(
    results.map(({ rows }) => rows),
    [[{ a: 1 }], [{ b: 2 }]],
  );
  await assert.rejects(pool.query('select $1::int; select 2', [1]), { code: '42601' });
});

test('K6: a cursor whose query fails rejects at read and closes in every case', async (t) => {
  const pool = openPool(t, { max: 1 });
  const client = await pool.connect();
  const broken = client.query(new Cursor('select 1/0', []));
  await assert.rejects(broken.read(10), { code: '22012' });
  await broken.close();
  const unread = client.query(new Cursor('select 1', []));
  await unread.close();
  await unread.close();
  assert.deepEqual((await client.query('select 3 as n')).rows, [{ n: 3 }]);
  client.release();
});

test('K6: a stream through Kysely gives its connection back, also after break', async (t) => {
  const pool = openPool(t, { max: 2 });
  const db = open(pool);
  const series = () => db.selectFrom(sql`generate_series(1, 250)`.as('s')).select(sql`s`.as('n'));
  let sum = 0;
  for await (const { n } of series().stream(100)) sum += n;
  assert.equal(sum, (250 * 251) / 2);
  for (let i = 0; i < 5; i++) for await (const _ of series().stream(10)) break;
  assert.deepEqual((await sql`select 1 as n`.execute(db)).rows, [{ n: 1 }]);
});

test('K7: a client of a closed port rejects, and end right after leaves nothing behind', async () => {
  const client = new Client({ host: '127.0.0.1', port: 1, user: 'x', database: 'x' });
  await assert.rejects(client.connect(), { code: 'ECONNREFUSED' });
  client.end();
});

test('K8: an idle connection that ends tells a listener once, and nobody else', async (t) => {
  const pool = openPool(t, { max: 1 });
  const errors = [];
  const pidOf = async () => (await pool.query('select pg_backend_pid() as pid')).rows[0].pid;
  await database.sql('select pg_terminate_backend($1)', [await pidOf()]);
  await waitFor(() => pool.totalCount === 0, { what: 'the end without a listener' });
  pool.on('error', (error) => errors.push(error));
  await database.sql('select pg_terminate_backend($1)', [await pidOf()]);
  await waitFor(() => errors.length > 0 && pool.totalCount === 0, { what: 'the event' });
  assert.equal(errors.length, 1);
});

test('K9: a checked-out connection that ends rejects its query, and the pool recovers', async (t) => {
  const pool = openPool(t, { max: 1 });
  pool.on('error', () => {});
  const client = await pool.connect();
  const running = client.query('select pg_sleep(30) /* k9 */');
  const rejected = assert.rejects(running, (error) => typeof error.code === 'string');
  const [pid] = await database.running('k9');
  await database.sql('select pg_terminate_backend($1)', [pid]);
  await rejected;
  client.release();
  assert.deepEqual((await pool.query('select 1 as n')).rows, [{ n: 1 }]);
});

test('K10: end with callers in the queue rejects each of them', async (t) => {
  const pool = openPool(t, { max: 1 });
  const client = await pool.connect();
  const waiting = [pool.connect(), pool.query('select 1')].map((one) =>
    assert.rejects(one, { code: 'ERR_CLOSED' }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  const ended = pool.end();
  await Promise.all(waiting);
  client.release();
  await ended;
});

test('K11: the password is not enumerable and does not show', async (t) => {
  const pool = openPool(t, { connectionString: undefined, host: 'nowhere', password: 'canary-7' });
  assert.equal(Object.keys(pool.options).includes('password'), false);
  assert.equal(pool.options.password, 'canary-7');
  assert.doesNotMatch(inspect(pool, { depth: 9 }), /canary/);
});

const withPassword = {
  'a URL': 'postgres://user:canary-7@nowhere:1/data',
  'a password with signs of its own': 'postgres://user:/c:canary?x#y@canary@nowhere/data',
  'no user': 'postgresql://:canary@nowhere/data',
  'a socket': 'socket:/tmp?db=data&password=canary-7&encoding=utf8',
  'a parameter': 'postgres://user@nowhere/data?sslpassword=canary&application_name=x',
  'words, as libpq takes them': "user=user password = 'canary \\' canary' host=nowhere dbname=data",
};

for (const [what, connectionString] of Object.entries(withPassword)) {
  test(`K11: the password in a connection string does not show: ${what}`, (t) => {
    const pool = openPool(t, { connectionString });
    assert.equal(pool.options.connectionString, connectionString);
    assert.equal({ ...pool.options }.connectionString, connectionString);
    for (const text of [
      inspect(pool, { depth: 9 }),
      inspect(pool.options, { showHidden: true }),
      JSON.stringify(pool),
      JSON.stringify(pool.options),
    ]) {
      assert.doesNotMatch(text, /canary/);
      assert.match(text, /data/);
      assert.match(text, /\*\*\*/);
    }
  });
}

test('K12: a second release throws, a second end rejects, in the words of pg', async (t) => {
  const pool = openPool(t);
  const client = await pool.connect();
  client.release();
  assert.throws(() => client.release(), {
    message: 'Release called on client which has already been released to the pool.',
  });
  await pool.end();
  await assert.rejects(pool.end(), { message: 'Called end on pool more than once' });
});

test('K13: values go round through sql templates', async (t) => {
  const db = open(openPool(t));
  for (const [type, value] of [
    ['text', 'größer'],
    ['int4', 7],
    ['int8', '9007199254740993'],
    ['numeric', '1.10'],
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
