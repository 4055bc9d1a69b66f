// A COMMIT without an answer is looked into: the eight experiments of the table that a look at the status alone fails (CP-4).
'use strict';

const assert = require('node:assert/strict');
const { finished } = require('node:stream/promises');
const { after, before } = require('node:test');
const { Kysely } = require('kysely');
const { CommitAbortedError, OutcomeUnknownError, createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { startCluster } = require('../support/cluster.js');
const { poolInDoubt, seenSession } = require('../support/doubt.js');
const { failureOf } = require('../support/script-replies.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** Nothing but the test writes, and the log is not flushed behind its back: a crash loses what was not committed. */
const QUIET = { autovacuum: 'off', wal_writer_delay: '10s', bgwriter_delay: '10s' };

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
let next = 0;

before(async () => {
  [server, cluster] = await Promise.all([
    startServer({ conf: QUIET }),
    startCluster({ conf: QUIET }),
  ]);
  const make = 'create table t (id int primary key); create table other (id int)';
  await server.sql(make);
  await cluster.primary.server.sql(make);
});
after(() => Promise.all([server.stop(), cluster.stop()]));

/** Begins a transaction, writes a row, and gives the transaction's id. */
async function write(pool) {
  next += 1;
  const id = next;
  const tx = await pool.begin();
  const [{ xid }] = await tx.query('select pg_current_xact_id()::text as xid');
  await tx.query('insert into t values ($1)', [id]);
  return { tx, id, xid };
}

/** Its promise, with a rejection that is looked at later. */
function later(promise) {
  promise.catch(() => {});
  return promise;
}

const isThere = async (sql, id) => (await sql('select 1 from t where id = $1', [id])).length === 1;
const appears = (sql, id) => waitFor(() => isThere(sql, id), { what: `row ${id}` });

/** Writes elsewhere until the id has been handed out again, and what the server says of it now. */
async function reuse(sql, xid) {
  for (;;) {
    const [row] = await sql(
      `insert into other values (1) returning pg_current_xact_id()::text as xid`,
    );
    if (BigInt(row.xid) >= BigInt(xid)) break;
  }
  const [{ status }] = await sql('select pg_xact_status($1::xid8) as status', [xid]);
  return status;
}

async function isAborted(commit, id, sql) {
  const error = await failureOf(commit);
  assert.ok(error instanceof CommitAbortedError, error.stack);
  assert.deepEqual([error.code, error.outcome, error.transient], ['40000', 'failed', true]);
  assert.equal(await isThere(sql, id), false);
}

const onServer = (...args) => server.sql(...args);

test('CP-4: committed, the answer lost, the primary crashed and restarted: committed', async (t) => {
  const { pool, loseAnswer, letAsk, resolved } = await poolInDoubt(t, [server]);
  const { tx, id, xid } = await write(pool);
  loseAnswer();
  const commit = later(tx.commit());
  await appears(onServer, id);
  await server.kill();
  await server.start();
  letAsk();
  await commit;
  assert.ok(await isThere(onServer, id));
  assert.deepEqual(
    resolved.map((event) => [event.status, event.xid]),
    [['committed', xid]],
  );
});

test('CP-4: of several in doubt at once each one is told what became of itself', async (t) => {
  const fixture = await poolInDoubt(t, [server], { poolSize: 4 });
  const { pool, resolved, loseConnections, letAsk } = fixture;
  await server.sql(`
    create table gated (id int, is_good boolean);
    create function pass() returns trigger language plpgsql as $$ begin
      perform pg_advisory_xact_lock(new.id);
      if not new.is_good then raise 'refused'; end if;
      return null;
    end $$;
    create constraint trigger gate after insert on gated deferrable initially deferred
      for each row execute function pass()`);
  const gates = createPool({ connectionString: server.url, poolSize: 5 });
  t.after(() => gates.end());
  /** A COMMIT that waits on the server until its gate is opened. */
  const commit = async (id, isGood) => {
    const gate = await gates.begin();
    await gate.query('select pg_advisory_xact_lock($1)', [id]);
    const tx = await pool.begin();
    await tx.query('insert into gated values ($1, $2)', [id, isGood]);
    const told = tx.commit().then(
      () => 'committed',
      (error) => error.code,
    );
    const waits = `wait_event_type = 'Lock' and query = 'COMMIT'`;
    const count = `select count(*)::int as n from pg_stat_activity where ${waits}`;
    await waitFor(async () => (await gates.query(count))[0].n === waiting.length + 1, {
      what: 'COMMIT at its gate',
    });
    const doubt = { told, open: () => gate.rollback() };
    waiting.push(doubt);
    return doubt;
  };
  const waiting = [];
  const first = await commit(1, true);
  const second = await commit(2, true);
  const third = await commit(3, true);
  await loseConnections();
  letAsk();
  waiting.shift();
  await first.open();
  assert.equal(await first.told, 'committed');
  const last = await commit(4, false);
  await loseConnections();
  letAsk();
  waiting.pop();
  await last.open();
  await waitFor(() => resolved.length === 2, { what: 'the second resolution' });
  await second.open();
  await third.open();
  assert.deepEqual(await Promise.all([second, third, last].map((doubt) => doubt.told)), [
    'committed',
    'committed',
    '40000',
  ]);
  const there = await server.sql('select id from gated order by id');
  assert.deepEqual(
    there.map(({ id }) => id),
    [1, 2, 3],
  );
});

test('CP-4: not committed, the primary crashed and restarted: aborted', async (t) => {
  const { pool, loseCommit, letAsk } = await poolInDoubt(t, [server]);
  const { tx, id } = await write(pool);
  loseCommit();
  const commit = later(tx.commit());
  await server.kill();
  await server.start();
  letAsk();
  await isAborted(commit, id, onServer);
});

test('CP-4: not committed, crashed, and the id handed out again: the status lies, aborted all the same', async (t) => {
  const { pool, loseCommit, letAsk } = await poolInDoubt(t, [server]);
  const { tx, id, xid } = await write(pool);
  loseCommit();
  const commit = later(tx.commit());
  await server.kill();
  await server.start();
  assert.equal(await reuse(onServer, xid), 'committed', 'the id belongs to another transaction');
  letAsk();
  await isAborted(commit, id, onServer);
});

/** Kills one backend with -9: its server ends all others and recovers, but is not started anew. @param {number} pid */
async function crashInPlace(pid, own = server) {
  const from = own.log.length;
  process.kill(pid, 'SIGKILL');
  const isBack = () => own.log.slice(from).includes('ready to accept connections');
  await waitFor(isBack, { what: 'the end of the recovery' });
}

const backendOf = async (tx) => (await tx.query('select pg_backend_pid() as pid'))[0].pid;

test('CP-4: committed, the answer lost, a process killed and the server recovered in place: committed', async (t) => {
  const { pool, loseAnswer, letAsk } = await poolInDoubt(t, [server]);
  const { tx, id } = await write(pool);
  const [walwriter] = await waitFor(() => {
    const found = server.processes('walwriter');
    return found.length > 0 && found;
  });
  loseAnswer();
  const commit = later(tx.commit());
  await appears(onServer, id);
  await crashInPlace(/** @type {number} */ (walwriter));
  letAsk();
  await commit;
  assert.ok(await isThere(onServer, id));
});

test('CP-4: not committed, its backend killed and the server recovered in place, the id handed out again: status and start lie, aborted all the same', async (t) => {
  const startOf = async () =>
    (await onServer('select pg_postmaster_start_time()::text as at'))[0].at;
  // Twice: the second time the server had recovered before the transaction, too.
  for (let reused = 0; reused < 2; ) {
    const { pool, loseCommit, allLost, letAsk } = await poolInDoubt(t, [server]);
    const { tx, id, xid } = await write(pool);
    const backend = await backendOf(tx);
    const started = await startOf();
    // It is not to see the end of its connection: its own ROLLBACK would come to the log.
    process.kill(backend, 'SIGSTOP');
    loseCommit();
    const commit = later(tx.commit());
    await allLost();
    await crashInPlace(backend);
    // A writer that has just begun may have flushed the log, then the id is not free.
    if ((await reuse(onServer, xid)) === 'committed') reused++;
    assert.equal(await startOf(), started);
    letAsk();
    await isAborted(commit, id, onServer);
  }
});

test('CP-4, CP-83: transaction(fn) runs again when its COMMIT certainly did not happen', async (t) => {
  const { pool, loseCommit, letAsk } = await poolInDoubt(t, [server]);
  const ids = [];
  next += 1;
  const id = next;
  const done = later(
    pool.transaction(async (tx) => {
      await tx.query('insert into t values ($1)', [id]);
      const [{ xid }] = await tx.query('select pg_current_xact_id()::text as xid');
      ids.push(xid);
      if (ids.length === 1) loseCommit();
      return ids.length;
    }),
  );
  await waitFor(() => ids.length === 1, { what: 'the first run' });
  await server.kill();
  await server.start();
  await reuse(onServer, ids[0]);
  letAsk();
  assert.equal(await done, 2);
  assert.ok(await isThere(onServer, id));
});

test('CP-4: committed, the answer lost, the primary restarted in peace: unknown, because nothing proves it', async (t) => {
  const { pool, loseAnswer, letAsk } = await poolInDoubt(t, [server]);
  const { tx, id, xid } = await write(pool);
  loseAnswer();
  const commit = later(tx.commit());
  await appears(onServer, id);
  await server.restart();
  letAsk();
  const error = await failureOf(commit);
  assert.ok(error instanceof OutcomeUnknownError, error.stack);
  assert.deepEqual([error.code, error.outcome], ['IN_DOUBT', 'unknown']);
  assert.ok(error.resolution);
  assert.deepEqual(
    [error.resolution.xid, error.resolution.status, error.resolution.timeline],
    [xid, 'the server cannot know', 1],
  );
  assert.match(error.resolution.lsn, /^[0-9A-F]+\/[0-9A-F]+$/);
});

test('CP-4: a transaction that wrote nothing is no doubt', async (t) => {
  const { pool, loseCommit, letAsk } = await poolInDoubt(t, [server]);
  const tx = await pool.begin();
  await tx.query('select 1');
  loseCommit();
  const error = await failureOf(tx.commit());
  assert.deepEqual([error.outcome, error.transient], ['failed', true], error.stack);
  letAsk();
});

test('CP-4: a connection of its own asks once who its server is, and has the shorter question prepared', async (t) => {
  const { pool } = await poolInDoubt(t, [server]);
  for (let round = 0; round < 2; round++) await (await write(pool)).tx.commit();
  const rows = await pool.query('select statement from pg_prepared_statements where name like $1', [
    'berth%probe',
  ]);
  assert.equal(rows.length, 1);
  assert.doesNotMatch(rows[0].statement, /pg_control_system/);
});

test('CP-4: commitResolution off leaves the doubt', async (t) => {
  const { pool, loseAnswer, letAsk } = await poolInDoubt(t, [server], { commitResolution: 'off' });
  const { tx } = await write(pool);
  loseAnswer();
  const error = await failureOf(tx.commit());
  assert.ok(error instanceof OutcomeUnknownError, error.stack);
  assert.equal(error.resolution, undefined);
  letAsk();
});

test('CP-4: a doubt that nobody can resolve ends with resolveTimeoutMs', async (t) => {
  const { pool, loseAnswer } = await poolInDoubt(t, [server], { resolveTimeoutMs: 300 });
  const { tx } = await write(pool);
  loseAnswer();
  const error = await failureOf(tx.commit());
  assert.ok(error instanceof OutcomeUnknownError, error.stack);
  assert.equal(error.resolution?.status, 'nobody could be asked in time');
});

test('CP-4: a server that refuses the probe loses one transaction, and the next one works without', async (t) => {
  await server.sql('revoke execute on function pg_control_system() from public');
  await server.sql('create role plain login');
  await server.sql('grant all on t to plain');
  t.after(() => server.sql('grant execute on function pg_control_system() to public'));
  const { pool } = await poolInDoubt(t, [server], { user: 'plain' });
  next += 1;
  let runs = 0;
  await pool.transaction((tx) => {
    runs += 1;
    return tx.query('insert into t values ($1)', [next]);
  });
  assert.equal(runs, 2);
  await pool.transaction((tx) => tx.query('delete from t where id = $1', [next]));
});

const onPrimary = (...args) => cluster.primary.sql(...args);
const servers = () => cluster.nodes.map((node) => node.server);

/** Brings the cluster back to three nodes. */
async function heal(dead) {
  await cluster.rejoin(dead);
  await cluster.streaming();
}

test('CP-4: committed and confirmed, the answer lost, the standby promoted: committed', async (t) => {
  const { pool, loseAnswer, letAsk } = await poolInDoubt(t, servers());
  const { tx, id } = await write(pool);
  loseAnswer();
  const commit = later(tx.commit());
  await appears(onPrimary, id);
  const dead = await cluster.failover();
  letAsk();
  await commit;
  assert.ok(await isThere(onPrimary, id));
  await heal(dead);
});

for (const isReused of [false, true]) {
  const what = isReused
    ? ', the id handed out again: the status lies, aborted all the same'
    : ': aborted';
  test(`CP-4: no standby had it, one was promoted${what}`, async (t) => {
    const { pool, loseConnections, letAsk } = await poolInDoubt(t, servers());
    for (const node of cluster.standbys) node.pauseReceiver();
    const { tx, id, xid } = await write(pool);
    const commit = later(tx.commit());
    await seenSession(onPrimary, `wait_event = 'SyncRep'`, 'a commit that waits for a standby');
    await loseConnections();
    const dead = cluster.primary;
    await dead.kill();
    // What their sockets still hold is not to be read.
    for (const node of cluster.standbys) node.endReceiver();
    await cluster.promoteBest(dead);
    await cluster.streaming(1);
    if (isReused) assert.equal(await reuse(onPrimary, xid), 'committed');
    letAsk();
    await isAborted(commit, id, onPrimary);
    await heal(dead);
  });
}

/** Has something commit while no standby confirms, and loses its connection then; the standbys come back after a question. */
async function loseWhileWaiting(t, { loseConnections, letAsk, resolved }, act) {
  for (const node of cluster.standbys) node.pauseReceiver();
  const resume = () => {
    for (const node of cluster.standbys) node.resumeReceiver();
  };
  t.after(resume);
  const done = later(act());
  const seen = (condition, what) => seenSession(onPrimary, condition, what);
  await seen(`wait_event = 'SyncRep'`, 'a commit that waits for a standby');
  await loseConnections();
  letAsk();
  await seen(`query like '%pg_xact_status%'`, 'a question about it');
  assert.equal(resolved.length, 0);
  resume();
  return done;
}

test('CP-4: a COMMIT that waits for its standby is open, and committed once the standby is back', async (t) => {
  const fixture = await poolInDoubt(t, servers());
  const { tx, id } = await write(fixture.pool);
  await loseWhileWaiting(t, fixture, () => tx.commit());
  assert.ok(await isThere(onPrimary, id));
});

test('CP-1, CP-4: a COMMIT that waits for its standby while the server recovers is there, and acknowledged once a standby has it', async (t) => {
  const { pool, resolved } = await poolInDoubt(t, servers());
  for (const node of cluster.standbys) node.pauseReceiver();
  const resume = () => {
    for (const node of cluster.standbys) node.resumeReceiver();
  };
  t.after(resume);
  const { tx, id } = await write(pool);
  const backend = await backendOf(tx);
  const commit = later(tx.commit());
  await seenSession(onPrimary, `wait_event = 'SyncRep'`, 'a commit that waits for a standby');
  await crashInPlace(backend, cluster.primary.server);
  // Now everybody can see it, and another failover would lose it.
  await appears(onPrimary, id);
  const asks = `wait_event = 'SyncRep' and query like '%pg_logical_emit_message%'`;
  await seenSession(onPrimary, asks, 'a question that only a standby can answer');
  assert.equal(resolved.length, 0);
  resume();
  await commit;
  const [standby] = cluster.standbys;
  await appears((...args) => standby.sql(...args), id);
  await cluster.streaming();
});

test('CP-4: COPY, and statements that take no snapshot, bring no probe along: COMMIT does', async (t) => {
  const fixture = await poolInDoubt(t, servers());
  next += 1;
  const tx = await fixture.pool.begin();
  await tx.query('set local work_mem = 1024');
  const copy = tx.copyFrom('copy t from stdin');
  copy.end(`${next}\n`);
  await finished(copy);
  await loseWhileWaiting(t, fixture, () => tx.commit());
  assert.ok(await isThere(onPrimary, next));
});

test('CP-4: a batch that is all or nothing is looked into as well', async (t) => {
  const fixture = await poolInDoubt(t, servers());
  next += 2;
  const rows = [next - 1, next].map((id) => ({ sql: 'insert into t values ($1)', params: [id] }));
  const answers = await loseWhileWaiting(t, fixture, () =>
    fixture.pool.batch(rows, { errors: 'all-or-nothing' }),
  );
  assert.equal(answers.length, 2);
  assert.ok(await isThere(onPrimary, next));
});

/** Rows of a stream that has a transaction of its own. @type {Record<string, (pool: any, id: number) => any>} */
const STREAMS = {
  'a stream': (pool, id) => pool.stream('insert into t values ($1) returning id', [id]),
  'a stream of Kysely': (pool, id) => {
    const kysely = new Kysely({ dialect: new BerthDialect({ pool }) });
    return kysely.insertInto('t').values({ id }).returning('id').stream();
  },
};
for (const [what, open] of Object.entries(STREAMS)) {
  test(`CP-4: ${what} is looked into as well`, async (t) => {
    const fixture = await poolInDoubt(t, servers());
    next += 1;
    const rows = await loseWhileWaiting(t, fixture, async () => {
      const read = [];
      for await (const row of open(fixture.pool, next)) read.push(row);
      return read;
    });
    assert.deepEqual(rows, [{ id: next }]);
    assert.ok(await isThere(onPrimary, next));
    assert.equal(fixture.resolved.length, 1);
  });
}

test('CP-6: a single statement with exactlyOnce has its result although its answer was lost', async (t) => {
  const fixture = await poolInDoubt(t, servers());
  next += 1;
  const rows = await loseWhileWaiting(t, fixture, () =>
    fixture.pool.query('insert into t values ($1) returning id', [next], { exactlyOnce: true }),
  );
  assert.deepEqual([...rows], [{ id: next }]);
  assert.deepEqual([rows.command, rows.rowCount], ['INSERT', 1]);
});

test('CP-6: exactlyOnce of the pool holds for every statement', async (t) => {
  const fixture = await poolInDoubt(t, servers(), { exactlyOnce: true });
  next += 1;
  const rows = await loseWhileWaiting(t, fixture, () =>
    fixture.pool.query('insert into t values ($1) returning id', [next]),
  );
  assert.deepEqual([...rows], [{ id: next }]);
});

test('CP-2, CP-4: commit({ timeoutMs }) rejects in time, and what became of it is told later', async (t) => {
  const { pool, resolved } = await poolInDoubt(t, servers());
  const { tx, xid } = await write(pool);
  for (const node of cluster.standbys) node.pauseReceiver();
  t.after(() => {
    for (const node of cluster.standbys) node.resumeReceiver();
  });
  const error = await failureOf(tx.commit({ timeoutMs: 300 }));
  assert.ok(error instanceof OutcomeUnknownError, error.stack);
  assert.deepEqual([error.resolution?.xid, error.resolution?.status], [xid, null]);
  for (const node of cluster.standbys) node.resumeReceiver();
  await waitFor(() => resolved.length > 0, { what: 'the resolution' });
  assert.deepEqual([resolved[0].status, resolved[0].xid], ['committed', xid]);
});
