// A COMMIT without an answer, known by the row that its transaction leaves: on any topology, after any number of failovers (CP-5).
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before } = require('node:test');
const { Kysely } = require('kysely');
const { CommitAbortedError, createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { startCluster } = require('../support/cluster.js');
const { poolInDoubt, seenSession } = require('../support/doubt.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { withVariables } = require('../support/variables.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** Nothing but the test writes, and the log is not flushed behind its back: a crash loses what was not committed. */
const QUIET = { autovacuum: 'off', wal_writer_delay: '10s', bgwriter_delay: '10s' };
const MARKED = /** @type {const} */ ({
  commitResolution: 'marker',
  commitMarkerTable: ['public', 'commit_markers'],
});
const TABLE = `create table commit_markers (
  id uuid primary key, committed boolean not null default true, at timestamptz not null default now())`;

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
let next = 0;
before(async () => {
  cluster = await startCluster({ conf: QUIET });
  await cluster.primary.server.sql(
    `${TABLE}; create table t (id int primary key); create table other (id int)`,
  );
});
after(() => cluster.stop());

const onPrimary = (...args) => cluster.primary.sql(...args);
const servers = () => cluster.nodes.map((node) => node.server);
const isThere = async (id) => (await onPrimary('select 1 from t where id = $1', [id])).length === 1;
const onlyPrimary = () => `${cluster.primary.server.host}:${cluster.primary.server.port}`;
const markers = async () =>
  Number((await onPrimary('select count(*) as n from commit_markers'))[0].n);

/** Begins a transaction, writes a row, and gives the transaction's id. */
async function write(pool) {
  next += 1;
  const id = next;
  const tx = await pool.begin();
  await tx.query('insert into t values ($1)', [id]);
  return { tx, id };
}

/** Its promise, with a rejection that is looked at later. */
function later(promise) {
  promise.catch(() => {});
  return promise;
}

async function isAborted(commit, id) {
  const error = await failureOf(commit);
  assert.ok(error instanceof CommitAbortedError, error.stack);
  assert.deepEqual([error.code, error.outcome, error.transient], ['40000', 'failed', true]);
  assert.equal(await isThere(id), false);
}

async function heal(dead) {
  await cluster.rejoin(dead);
  await cluster.streaming();
}

test('CP-5: committed, the answer lost, two failovers behind it: committed', async (t) => {
  const { pool, loseAnswer, letAsk, resolved } = await poolInDoubt(t, servers(), MARKED);
  const { tx, id } = await write(pool);
  loseAnswer();
  const commit = later(tx.commit());
  await waitFor(() => isThere(id), { what: 'the row' });
  for (let failover = 0; failover < 2; failover++) {
    await heal(await cluster.failover());
  }
  letAsk();
  await commit;
  assert.ok(await isThere(id));
  assert.deepEqual(
    resolved.map(({ status }) => status),
    ['committed'],
  );
});

for (const json of /** @type {const} */ (['text', 'value'])) {
  test(`CP-5: not committed, crashed, and the id handed out again: aborted (json: '${json}')`, async (t) => {
    const { pool, loseCommit, letAsk } = await poolInDoubt(t, servers(), { ...MARKED, json });
    const { tx, id } = await write(pool);
    loseCommit();
    const commit = later(tx.commit());
    await heal(await cluster.failover());
    for (let n = 0; n < 5; n++) await onPrimary('insert into other values (1)');
    letAsk();
    await isAborted(commit, id);
  });
}

test('CP-5: no standby had it, one was promoted: aborted', async (t) => {
  const { pool, loseConnections, letAsk } = await poolInDoubt(t, servers(), MARKED);
  for (const node of cluster.standbys) node.pauseReceiver();
  const { tx, id } = await write(pool);
  const commit = later(tx.commit());
  await seenSession(onPrimary, `wait_event = 'SyncRep'`, 'a commit that waits for a standby');
  await loseConnections();
  const dead = cluster.primary;
  await dead.kill();
  for (const node of cluster.standbys) node.endReceiver();
  await cluster.promoteBest(dead);
  await cluster.streaming(1);
  letAsk();
  await isAborted(commit, id);
  await heal(dead);
});

test('CP-5: a clean restart, where the id says nothing: committed', async (t) => {
  const { pool, loseAnswer, letAsk } = await poolInDoubt(t, servers(), MARKED);
  const { tx, id } = await write(pool);
  loseAnswer();
  const commit = later(tx.commit());
  await waitFor(() => isThere(id), { what: 'the row' });
  await cluster.primary.server.restart();
  await cluster.streaming();
  letAsk();
  await commit;
});

test('CP-5: a COMMIT that still waits for its standby is waited for, and transaction(fn) runs again when it cannot be', async (t) => {
  const { pool, loseConnections, letAsk } = await poolInDoubt(t, servers(), MARKED);
  for (const node of cluster.standbys) node.pauseReceiver();
  const resume = () => {
    for (const node of cluster.standbys) node.resumeReceiver();
  };
  t.after(resume);
  const { tx, id } = await write(pool);
  const commit = later(tx.commit());
  const seen = (condition, what) => seenSession(onPrimary, condition, what);
  await seen(`wait_event = 'SyncRep'`, 'a commit that waits for a standby');
  await loseConnections();
  letAsk();
  await seen(`query like '%ON CONFLICT%' and wait_event is not null`, 'a question about it');
  resume();
  await commit;
  assert.ok(await isThere(id));

  const second = await poolInDoubt(t, servers(), MARKED);
  let runs = 0;
  let isLost = false;
  const done = later(
    second.pool.transaction(async (inner) => {
      runs += 1;
      await inner.query('insert into t values ($1)', [id + 1]);
      if (runs === 1) {
        second.loseCommit();
        isLost = true;
      }
      return runs;
    }),
  );
  next = id + 1;
  await waitFor(() => isLost && second.pool.status().size === 0, { what: 'the loss' });
  second.letAsk();
  assert.equal(await done, 2);
});

test('CP-5: who writes nothing leaves no marker, exactlyOnce leaves one, and old ones are deleted', async (t) => {
  const pool = createPool(cluster.options(MARKED));
  t.after(() => pool.end({ timeoutMs: 500 }));
  const start = await markers();
  await pool.transaction((tx) => tx.query('select 1'));
  await pool.transaction((tx) => tx.query('select 1'), { accessMode: 'read-only' });
  await pool.query('insert into other values (2)');
  assert.equal(await markers(), start);
  const rows = await pool.query('insert into other values (3) returning id', [], {
    exactlyOnce: true,
  });
  assert.deepEqual([rows[0].id, rows.rowCount], [3, 1]);
  assert.equal(await markers(), start + 1);
  assert.equal(await pool.pruneCommitMarkers(3_600_000), 0);
  assert.equal(await pool.pruneCommitMarkers(0), start + 1);
  assert.equal(await markers(), 0);
});

/** Makes a pool whose settings are those of a service. */
function ofService(t, options, lines) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-service-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const PGSERVICEFILE = path.join(folder, 'service.conf');
  fs.writeFileSync(PGSERVICEFILE, ['[near]', ...lines, ''].join('\n'));
  return withVariables({ PGSERVICEFILE }, () => createPool({ ...options, service: 'near' }));
}

const MODES = ['read-only', 'prefer-standby', 'any', 'in its URL', 'in its text', 'of its service'];
for (const mode of MODES) {
  test(`CP-5: transactions of a pool in mode ${mode} read from standbys without a marker`, async (t) => {
    const [standby] = cluster.standbys;
    const { host, port } = standby.server;
    const named = { ...cluster.options(MARKED), hosts: [`${host}:${port}`], mode };
    const texts = /** @type {Record<string, string>} */ ({
      'in its URL': `postgres://postgres@${host}:${port}/postgres?target_session_attrs=standby`,
      'in its text': `host=${host} port=${port} user=postgres target_session_attrs=read-only`,
    });
    const connectionString = texts[mode];
    const service = [
      `host=${host}`,
      `port=${port}`,
      'user=postgres',
      'target_session_attrs=standby',
    ];
    const pool =
      mode === 'of its service'
        ? ofService(t, MARKED, service)
        : createPool(connectionString ? { ...MARKED, connectionString } : named);
    t.after(() => pool.end({ timeoutMs: 500 }));
    const ask = 'select pg_is_in_recovery() as is_standby';
    const read = await pool.transaction((tx) => tx.query(ask));
    assert.deepEqual([...read], [{ is_standby: true }]);
    const tx = await pool.begin();
    await tx.query(ask);
    await tx.commit();
    assert.equal((await pool.query(ask, [], { exactlyOnce: true })).length, 1);
  });
}

test('CP-5: where standbys may be met, a transaction that says that it writes leaves its marker', async (t) => {
  const pool = createPool({ ...cluster.options(MARKED), mode: 'any', hosts: [onlyPrimary()] });
  t.after(() => pool.end({ timeoutMs: 500 }));
  const start = await markers();
  const write = (tx) => tx.query('insert into other values (4)');
  await pool.transaction(write, { accessMode: 'read-write' });
  assert.equal(await markers(), start + 1);
  await pool.transaction(write);
  assert.equal(await markers(), start + 1);
  const db = new Kysely({ dialect: new BerthDialect({ pool }) });
  const insert = (tx) => tx.insertInto('other').values({ id: 4 }).execute();
  await db.transaction().setAccessMode('read write').execute(insert);
  assert.equal(await markers(), start + 2);
  await db.transaction().execute(insert);
  assert.equal(await markers(), start + 2);
});

test('CP-5: a table that is not there fails the transaction and names itself', async (t) => {
  const pool = createPool(cluster.options({ ...MARKED, commitMarkerTable: 'no_such_table' }));
  t.after(() => pool.end({ timeoutMs: 500 }));
  const { tx, id } = await write(pool);
  const error = await failureOf(tx.commit());
  assert.deepEqual([error.code, /no_such_table/.test(error.message)], ['42P01', true], error.stack);
  assert.equal(await isThere(id), false);
});

test('CP-5: the table and the way belong together', async (t) => {
  for (const options of [
    { commitResolution: /** @type {const} */ ('marker') },
    { commitMarkerTable: 't' },
  ])
    assert.throws(() => createPool(cluster.options(options)), /commitMarkerTable/);
  const pool = createPool(cluster.options());
  t.after(() => pool.end());
  await assert.rejects(pool.pruneCommitMarkers(0), { option: 'commitMarkerTable' });
});
