// The option `library` with pg on a real server: leases, reaper, losses and transactions as through the engine.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const pg = require('pg');
const { LeaseManager } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { SECRET, openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table t (n int)');
const EAGER = { minConnectionIdleTimeSec: 0, reaperCooldownMs: 0 };

const open = (t, options) =>
  openServerless(t, {
    connectionString: db.url,
    library: pg,
    minBackoff: 1,
    maxBackoff: 20,
    ...options,
  });

const NAME =
  'select application_name as name, pg_backend_pid() as pid from pg_stat_activity where pid = pg_backend_pid()';

/** A connection of another process: named by a lease that ends in `ms`. */
async function holder(t, service, ms) {
  const leases = new LeaseManager(service, 'AbCd_-19', SECRET);
  const client = new pg.Client({
    connectionString: db.url,
    application_name: leases.generateAppName(Date.now() + ms),
  });
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.end().catch(() => {}));
  return { client, pid: /** @type {any} */ (client).processID };
}

function fail() {
  throw new Error('no text');
}

const rowsOf = async (n) =>
  (await db.sql('select count(*)::int as rows from t where n = $1', [n]))[0].rows;

test('the lease is on the server, verifies, and wins over a name in the connectionString', async (t) => {
  const url = new URL(db.url);
  url.searchParams.set('application_name', 'mine');
  const { client } = open(t, { connectionString: url.href, serviceName: 'seam1', reaper: false });
  const { rows } = await client.query(NAME);
  const lease = new LeaseManager('seam1', 'reader', SECRET).parseAndVerify(rows[0].name);
  assert.deepEqual([lease?.svc, lease?.isExpired], ['seam1', false]);
  assert.equal(lease?.exp, /** @type {any} */ (client)._leaseExp);
  assert.ok(client.getClient() instanceof pg.Client);
});

for (const query of [
  'application_name=a&application_name=b',
  'application%5Fname=a',
  'statement_timeout=7000&application_name=a&application_name=b&application_name=c&lock_timeout=9000',
]) {
  test(`the lease wins over every name in the connectionString: ${query}`, async (t) => {
    const connectionString = `${db.url}?${query}`;
    const { client } = open(t, { connectionString, serviceName: 'seam9', reaper: false });
    const { rows } = await client.query(NAME);
    const lease = new LeaseManager('seam9', 'reader', SECRET).parseAndVerify(rows[0].name);
    assert.deepEqual([lease?.svc, lease?.isExpired], ['seam9', false]);
    const [limits] = (await client.query(`select current_setting('statement_timeout') as s`)).rows;
    assert.equal(limits.s, query.includes('statement_timeout') ? '7s' : '0');
  });
}

test('a lease in the soft window is renewed, and the server shows what the client believes', async (t) => {
  const { client, count } = open(t, { leaseTtlMs: 300, reaper: false, serviceName: 'seam2' });
  const manager = new LeaseManager('seam2', 'reader', SECRET);
  await waitFor(
    async () => {
      await client.query('select 1');
      return count('onHeartbeat') >= 3;
    },
    { what: '3 renewals' },
  );
  const { rows } = await client.query(NAME);
  const believed = /** @type {any} */ (client)._leaseExp;
  // The answer may have brought the next renewal with it.
  assert.ok(Math.abs((manager.parseAndVerify(rows[0].name)?.exp ?? 0) - believed) <= 600);
});

test('SC-14: nothing is renewed or reaped inside a transaction', async (t) => {
  const { client, count } = open(t, { leaseTtlMs: 60, ...EAGER, serviceName: 'seam3' });
  await client.query('begin');
  const before = count('onHeartbeat') + count('onReap');
  for (let n = 0; n < 20; n++) await client.query('select pg_sleep(0.01)');
  assert.equal(count('onHeartbeat') + count('onReap'), before);
  await client.query('rollback');
  await waitFor(
    async () => {
      await client.query('select 1');
      return count('onHeartbeat') + count('onReap') > before;
    },
    { what: 'what was due' },
  );
});

test('a pass ends what has expired, spares the living, and leaves no lock', async (t) => {
  const zombie = await holder(t, 'seam4', -1000);
  const stuck = await holder(t, 'seam4', -1000);
  await stuck.client.query('begin');
  const living = await holder(t, 'seam4', 60_000);
  const foreign = await holder(t, 'seam-4', -1000);
  const { client, of } = open(t, { ...EAGER, serviceName: 'seam4' });
  await client.connect();
  const [pass] = await waitFor(() => of('onReap').length > 0 && of('onReap'), { what: 'a pass' });
  assert.deepEqual([pass.locked, pass.killed, pass.candidates], [true, 2, 2]);
  for (const { pid } of [zombie, stuck]) {
    await waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of a zombie' });
  }
  for (const { pid } of [living, foreign]) assert.equal(await db.isBackend(pid), true);
  await client.end();
  const locks = await db.sql(`select from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())`);
  assert.equal(locks.length, 0);
});

test('SC-6: passes never get between the statements of a transaction, awaited or not', async (t) => {
  const { client, count } = open(t, { ...EAGER, leaseTtlMs: 500, serviceName: 'seam5' });
  for (let round = 0; round < 20; round++) {
    const texts = [
      'begin',
      'set transaction isolation level serializable',
      `insert into t values (${5000 + round})`,
      'commit',
    ];
    const answers =
      round % 2 === 0
        ? await Promise.all(texts.map((text) => client.query(text)))
        : [
            await client.query(texts[0]),
            await client.query(texts[1]),
            await client.query(texts[2]),
            await client.query(texts[3]),
          ];
    assert.equal(answers.at(-1)?.command, 'COMMIT');
  }
  const [{ n }] = await db.sql('select count(*)::int as n from t where n >= 5000');
  assert.equal(n, 20);
  assert.ok(count('onReap') > 0);
});

test('SC-1: a write whose answer is cut off is unknown and made once; a read is repeated', async (t) => {
  const proxy = await db.openProxy(t);
  const { client } = open(t, { connectionString: proxy.url(db.url), reaper: false });
  await client.connect();
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  const lost = { name: 'OutcomeUnknownError', outcomeUnknown: true };
  await assert.rejects(client.query('insert into t values (1)'), lost);
  assert.equal(await rowsOf(1), 1);
  proxy.cutAt({ direction: 'toClient', text: 'SELECT 1', before: true });
  assert.deepEqual((await client.query('select 7 as x')).rows, [{ x: 7 }]);
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  const twice = { text: 'insert into t values (2)', idempotent: true };
  assert.equal((await client.query(twice)).rowCount, 1);
  assert.equal(await rowsOf(2), 2);
});

test('SC-2: nothing of a lost transaction reaches a new connection', async (t) => {
  const { client, of } = open(t, { reaper: false });
  await client.query('begin');
  const pid = (await client.query(NAME)).rows[0].pid;
  await client.query('insert into t values (3)');
  await db.sql('select pg_terminate_backend($1)', [pid]);
  await waitFor(() => of('onClientDead').length === 1, { what: 'the loss' });
  assert.equal(of('onClientDead')[0].meta.sqlstate, '57P01');
  const lost = { name: 'TransactionLostError', transactionLost: true };
  await assert.rejects(client.query('insert into t values (3)'), lost);
  await assert.rejects(client.query('commit'), lost);
  assert.equal((await client.query('select 1 as x')).rows[0].x, 1);
  await client.query('begin');
  assert.equal((await client.query('rollback')).command, 'ROLLBACK');
  assert.equal(await rowsOf(3), 0);
});

test('SC-5: a connection that was ended while nobody used it is found out before the statement', async (t) => {
  const { client, of } = open(t, { reaper: false });
  const pid = (await client.query(NAME)).rows[0].pid;
  const ended = db.sql('select pg_terminate_backend($1)', [pid]);
  await ended;
  await waitFor(async () => !(await db.isBackend(pid)), { what: 'the end of the backend' });
  // This process was stopped meanwhile: the end lies in its socket, and both clocks have gone on.
  const until = performance.now() + 1100;
  while (performance.now() < until);
  assert.equal((await client.query('insert into t values (4)')).rowCount, 1);
  assert.equal(await rowsOf(4), 1);
  assert.equal(of('onClientDead').length, 1);
});

test('SC-21: a statement that takes too long is cancelled, and the next one works', async (t) => {
  const { client } = open(t, { defaultQueryTimeoutMs: 200, reaper: false });
  const pid = (await client.query(NAME)).rows[0].pid;
  await assert.rejects(client.query('select pg_sleep(60)'), {
    code: 'ERR_QUERY_TIMEOUT',
    message: 'Query read timeout',
    outcome: 'unknown',
    safeToRetry: false,
  });
  await waitFor(
    async () =>
      (await db.sql(`select from pg_stat_activity where pid = $1 and state = 'active'`, [pid]))
        .length === 0,
    { what: 'the end of the statement' },
  );
  assert.equal((await client.query(NAME)).rows[0].pid, pid);
});

test('a repeated read that takes too long leaves no transaction open', async (t) => {
  const proxy = await db.openProxy(t);
  const { client: gate } = await holder(t, 'other', 60_000);
  /** The second try finds what it reads locked. */
  const lock = async () => {
    proxy.refuse();
    await gate.query('select pg_advisory_lock(78)');
    proxy.heal();
  };
  const { client } = openServerless(t, {
    ...{
      connectionString: proxy.url(db.url),
      library: pg,
      leaseMode: 'optional',
      secret: undefined,
    },
    ...{ defaultQueryTimeoutMs: 300, retries: 50, minBackoff: 20, maxBackoff: 20 },
    maxQueryRetryTimeMs: 2000,
    hooks: { onQueryRetry: lock },
  });
  await client.connect();
  proxy.cutAt({ direction: 'toClient', text: 'marked', before: true });
  const read = client.query(`select pg_advisory_xact_lock_shared(78), 'marked' as word`);
  await assert.rejects(read, { outcomeUnknown: true });
  await gate.query('select pg_advisory_unlock_all()');
  assert.equal((await client.query('insert into t values (9401)')).rowCount, 1);
  assert.equal(await rowsOf(9401), 1);
});

test('a pass that takes too long leaves no transaction open', async (t) => {
  // The server takes its time for the second half of a pass.
  class Slow extends pg.Client {
    query(text, ...rest) {
      const slow = String(text).startsWith('begin;') ? `${text}; select pg_sleep(1)` : text;
      return super.query(slow, ...rest);
    }
  }
  const zombie = await holder(t, 'seam10', -1000);
  const { client, of } = open(t, {
    ...{ ...EAGER, serviceName: 'seam10', defaultQueryTimeoutMs: 300 },
    ...{ library: { ...pg, Client: Slow }, reaperCooldownMs: 600_000 },
  });
  await client.connect();
  const [pass] = await waitFor(() => of('onReap').length > 0 && of('onReap'), { what: 'a pass' });
  assert.equal(pass.err?.message, 'Query read timeout');
  const late = { text: 'insert into t values (9400)', query_timeout: 10_000 };
  assert.equal((await client.query(late)).rowCount, 1);
  assert.equal(await rowsOf(9400), 1);
  assert.equal(await db.isBackend(zombie.pid), true);
});

test('a COMMIT that takes too long is not run again, and its outcome is unknown', async (t) => {
  await db.sql('create table held (n int)');
  await db.sql(`create function hold() returns trigger language plpgsql as
    'begin perform pg_advisory_xact_lock(77); return null; end'`);
  await db.sql(`create constraint trigger held after insert on held deferrable initially deferred
    for each row execute function hold()`);
  const { client: gate } = await holder(t, 'other', 60_000);
  await gate.query('select pg_advisory_lock(77)');
  const { client } = open(t, { query_timeout: 300, reaper: false });
  let runs = 0;
  const moved = client.transaction(async (tx) => {
    runs++;
    await tx.query('insert into held values (1)');
  });
  await assert.rejects(moved, {
    name: 'OutcomeUnknownError',
    code: 'ERR_QUERY_TIMEOUT',
    phase: 'commit',
    safeToRetry: false,
  });
  assert.equal(runs, 1);
  // Nobody has cancelled it.
  await gate.query('select pg_advisory_unlock(77)');
  await waitFor(async () => (await db.sql('select from held')).length === 1);
  assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
});

test('a driver that throws at its end ends no process and no call', async () => {
  class Client extends EventEmitter {
    async connect() {}
    async query() {
      return { rows: [{}] };
    }
    end() {
      throw new Error('no end');
    }
  }
  const { client, of } = openServerless({ after() {} }, { library: { Client } });
  await client.connect();
  client.getClient().emit('error', new Error('boom'));
  await waitFor(() => of('onClientDead').length === 1);
  await client.connect();
  await client.end();
});

test('transaction(fn) commits, rolls back and runs again; what only the engine does is refused', async (t) => {
  const { client } = open(t, { reaper: false });
  await client.transaction((tx) => tx.query('insert into t values (6)'));
  await assert.rejects(
    client.transaction(async (tx) => {
      await tx.query('insert into t values (6)');
      throw new Error('no');
    }),
    { message: 'no' },
  );
  assert.equal(await rowsOf(6), 1);
  let runs = 0;
  await client.transaction(async (tx) => {
    await tx.query('insert into t values (7)');
    const { rows } = await tx.query('select pg_backend_pid() as pid');
    if (runs++ === 0) await db.sql('select pg_terminate_backend($1)', [rows[0].pid]);
    await tx.query('select 1');
  });
  assert.deepEqual([runs, await rowsOf(7)], [2, 1]);
  const once = client.query({ text: 'insert into t values (8)', exactlyOnce: true });
  await assert.rejects(once, /^TypeError: option "exactlyOnce" is done by the engine/);
  assert.throws(() => open(t, { exactlyOnce: true }), /option "exactlyOnce" is done by the engine/);
  const watched = () => open(t, { onSlowQuery: () => {} });
  assert.throws(watched, /option "onSlowQuery" is done by the engine/);
  assert.throws(() => open(t, { library: {} }), /option "library" must be a module/);
});

test('SC-18: what reaperConnection leaves out is that of the client, of its connectionString too', async (t) => {
  await db.sql('create role stuffed_seam login connection limit 1');
  t.after(() => db.sql('drop role stuffed_seam'));
  const url = new URL(db.url);
  url.username = 'stuffed_seam';
  const leases = new LeaseManager('stuffseam', 'AbCd_-19', SECRET);
  const name = leases.generateAppName(Date.now() - 1000);
  const zombie = new pg.Client({ connectionString: url.href, application_name: name });
  zombie.on('error', () => {});
  await zombie.connect();
  t.after(() => zombie.end().catch(() => {}));
  const { username: user, password } = new URL(db.url);
  const { client, of } = open(t, {
    ...{ ...EAGER, serviceName: 'stuffseam', connectionString: url.href },
    reaperConnection: { user, password: decodeURIComponent(password) },
  });
  await client.query('select 1');
  assert.equal(of('onReap')[0].killed, 1);
  await client.end();
});

test('SC-3, SC-20: a dead server gets 1 + retries attempts, and a connection that is refused first is one', async (t) => {
  const proxy = await db.openProxy(t);
  const { client, count, of } = open(t, { connectionString: proxy.url(db.url), reaper: false });
  proxy.refuse();
  await assert.rejects(client.query('select 1'));
  assert.equal(count('onReconnect'), 3);
  proxy.heal();
  await client.query('select 1');
  assert.equal(of('onConnect').length, 1);
});

test('SC-18: on a server that is full, reaperConnection makes room', async (t) => {
  await db.sql('create role crowded_seam login connection limit 2');
  t.after(() => db.sql('drop role crowded_seam'));
  const url = new URL(db.url);
  url.username = 'crowded_seam';
  const leases = new LeaseManager('crowdseam', 'AbCd_-19', SECRET);
  for (let i = 0; i < 2; i++) {
    const zombie = new pg.Client({
      connectionString: url.href,
      application_name: leases.generateAppName(Date.now() - 1000),
    });
    zombie.on('error', () => {});
    await zombie.connect();
    t.after(() => zombie.end().catch(() => {}));
  }
  const { client, of } = open(t, {
    ...EAGER,
    serviceName: 'crowdseam',
    connectionString: url.href,
    reaperConnection: { connectionString: db.url },
  });
  const { rows } = await client.query('select current_user::text as role');
  assert.deepEqual([rows[0].role, of('onReap')[0].killed], ['crowded_seam', 2]);
  await client.end();
});

for (const [what, ask] of /** @type {[string, (tx: any) => Promise<any>][]} */ ([
  ['a parameter', (tx) => tx.query('insert into t select $1', [{ toPostgres: () => fail() }])],
  ['its name', (tx) => tx.query({ name: 'one', text: 'insert into t values (311)' })],
])) {
  test(`SC-2: transaction(fn) misses the last act of fn, refused by the library for ${what}, though nobody awaited it`, async (t) => {
    const { client } = open(t);
    await client.query({ name: 'one', text: 'select 1' });
    /** @type {Promise<any>[]} */
    let asked = [];
    const giveUp = async (tx) => {
      await tx.query('insert into t values (310)');
      // Behind another one, for whose answer it waits.
      asked = [tx.query('select 2'), failureOf(ask(tx))];
    };
    const error = await failureOf(client.transaction((tx) => giveUp(tx)));
    assert.deepEqual([error.code, error.outcome], ['25P02', 'failed']);
    assert.equal(error.cause, await asked[1]);
    assert.equal(await rowsOf(310), 0);
    await client.transaction(async (tx) => {
      await tx.query('insert into t values (310)');
      await failureOf(ask(tx));
    });
    assert.equal((await db.sql('delete from t where n = 310 returning n')).length, 1);
  });
}
