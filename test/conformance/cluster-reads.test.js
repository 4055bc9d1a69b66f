// Reads that see what was written, standbys that are near enough, and the way back from a primary that stood in (CP-14, CP-15).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { Kysely, sql } = require('kysely');
const { createPool } = require('../../lib/index.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { startCluster } = require('../support/cluster.js');
const { failureOf } = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.primary.server.sql(
    'create table t (_id int primary key, n int); insert into t values (0, 0)',
  );
});
after(() => cluster.stop());

function open(t, options) {
  const pool = createPool(cluster.options(options));
  t.after(() => pool.end({ timeoutMs: 500 }));
  return pool;
}

const WHERE = 'select inet_server_port() as port, pg_is_in_recovery() as standby';

async function pauseReplay(t, nodes) {
  for (const node of nodes) await node.sql('select pg_wal_replay_pause()');
  const resume = async () => {
    for (const node of nodes) await node.sql('select pg_wal_replay_resume()');
  };
  t.after(resume);
  return resume;
}

test('CP-15: 1000 rounds of writing on the primary and reading it from standbys, without a miss', async (t) => {
  const [writes, reads] = [open(t), open(t, { mode: 'read-only' })];
  for (let round = 1; round <= 1000; round++) {
    const { lsn } = await writes.transaction(
      (tx) => tx.query('update t set n = $1 where _id = 0', [round]),
      { lsn: true },
    );
    const [{ n, standby }] = await reads.query(
      'select n, pg_is_in_recovery() as standby from t where _id = 0',
      [],
      { after: lsn },
    );
    assert.deepEqual([n, standby], [round, true]);
  }
});

test('CP-15: a read waits for a standby that has come as far, or says that none has', async (t) => {
  const [writes, reads] = [open(t), open(t, { mode: 'read-only' })];
  const [late] = cluster.standbys;
  const resume = await pauseReplay(t, cluster.standbys);
  const { lsn } = /** @type {any} */ (await writes.insert('t', { _id: 1, n: 1 }, { lsn: true }));
  assert.match(lsn, /^[0-9A-F]+\/[0-9A-F]+$/);
  const error = await failureOf(reads.query('select 1', [], { after: lsn, acquireTimeoutMs: 200 }));
  assert.deepEqual([error.name, error.code, error.safeToRetry], ['NoStandbyError', '08006', true]);
  assert.match(error.message, /^query: no standby available after 200ms/);
  const waiting = reads.query(`${WHERE}, (select n from t where _id = 1)`, [], { after: lsn });
  await late.sql('select pg_wal_replay_resume()');
  const [{ n, port }] = await waiting;
  assert.deepEqual([n, port], [1, late.port]);
  await resume();
  await assert.rejects(async () => reads.query('select 1', [], { after: 'x' }), {
    option: 'after',
  });
});

test('CP-15: maxLagBytes keeps reads off a standby that does not replay', async (t) => {
  const limits = { maxLagBytes: 10_000, acquireTimeoutMs: 500 };
  const reads = open(t, { ...limits, mode: 'read-only' });
  const prefers = open(t, { ...limits, mode: 'prefer-standby' });
  const [late, near] = cluster.standbys;
  assert.equal((await reads.query(WHERE))[0].standby, true);
  await pauseReplay(t, [late]);
  await cluster.primary.sql('insert into t select g, g from generate_series(1000, 3000) as g');
  // What the pool knows of the primary may be 50 ms old: until it has asked again the late one counts as near.
  const allNear = async () => {
    for (let read = 0; read < 100; read++)
      if ((await reads.query(WHERE))[0].port !== near.port) return false;
    return true;
  };
  await waitFor(allNear, { what: '100 reads of the near one' });
  assert.ok(await allNear());
  await pauseReplay(t, [near]);
  await cluster.primary.sql('insert into t select g, g from generate_series(4000, 6000) as g');
  const error = await failureOf(
    waitFor(
      async () => (await reads.query(WHERE).catch((cause) => cause)).name === 'NoStandbyError',
      {
        what: 'the lack',
      },
    ).then(() => reads.query(WHERE)),
  );
  assert.equal(error.name, 'NoStandbyError');
  await waitFor(async () => !(await prefers.query(WHERE))[0].standby, { what: 'the primary' });
});

/** Every way of reading but the single statement: where it was read from. @type {Record<string, (pool: any) => Promise<any[]>>} */
const WAYS = {
  begin: async (pool) => {
    const tx = await pool.begin();
    const rows = await tx.query(WHERE);
    await tx.commit();
    return rows;
  },
  transaction: (pool) => pool.transaction((tx) => tx.query(WHERE), { timeoutMs: 60_000 }),
  stream: async (pool) => {
    const rows = [];
    for await (const row of pool.stream(WHERE)) rows.push(row);
    return rows;
  },
  batch: async (pool) => (await pool.batch([WHERE]))[0].value,
  'batch of all or nothing': async (pool) =>
    (await pool.batch([WHERE], { errors: 'all-or-nothing', timeoutMs: 60_000 }))[0],
  copyTo: async (pool) => {
    const chunks = [];
    for await (const chunk of pool.copyTo(`copy (${WHERE}) to stdout`)) chunks.push(chunk);
    const [port, standby] = Buffer.concat(chunks).toString().trim().split('\t');
    return [{ port: Number(port), standby: standby === 't' }];
  },
};

test('CP-15: maxLagBytes keeps every other way of reading off late standbys too', async (t) => {
  const limits = { maxLagBytes: 10_000, acquireTimeoutMs: 500, poolSize: 2 };
  const reads = open(t, { ...limits, mode: 'read-only', retry: { maxAttempts: 1 } });
  const prefers = open(t, { ...limits, mode: 'prefer-standby' });
  const [late, near] = cluster.standbys;
  await pauseReplay(t, [late]);
  await cluster.primary.sql('insert into t select g, g from generate_series(10000, 12000) as g');
  const isOff = async () => (await reads.query(WHERE))[0].port === near.port;
  // A position that is known is 50 ms old at most: from then on none of them counts the late one as near.
  await waitFor(
    async () => {
      for (let read = 0; read < 50; read++) if (!(await isOff())) return false;
      return true;
    },
    { what: '50 reads of the near one' },
  );
  for (const [way, read] of Object.entries(WAYS))
    for (let round = 0; round < 8; round++)
      assert.deepEqual(await read(reads), [{ port: near.port, standby: true }], way);
  await pauseReplay(t, [near]);
  await cluster.primary.sql('insert into t select g, g from generate_series(14000, 16000) as g');
  await waitFor(
    async () => (await reads.query(WHERE).catch((cause) => cause)).name === 'NoStandbyError',
    { what: 'the lack' },
  );
  for (const [way, read] of Object.entries(WAYS)) {
    assert.equal((await failureOf(read(reads))).name, 'NoStandbyError', way);
    assert.equal((await read(prefers))[0].standby, false, way);
  }
  // None of them keeps a connection.
  for (const pool of [reads, prefers])
    await waitFor(() => pool.status().inUse === 0, { what: 'idle connections' });
});

test('maxLagBytes is refused where nothing looks at it', async (t) => {
  const options = cluster.options({ mode: 'any', maxLagBytes: 0 });
  const pool = open(t, { mode: 'any', maxLagBytes: 0 });
  assert.throws(() => pool.querySync('select 1'), { option: 'maxLagBytes', code: 'ERR_CONFIG' });
  for (const given of [{ pool }, { connection: options }]) {
    const db = new Kysely({ dialect: new BerthDialect(given) });
    await assert.rejects(sql`select 1`.execute(db), { option: 'maxLagBytes' });
    await db.destroy();
  }
});

test('CP-15, CP-51: a read that no standby can serve yet is given up when its caller gives it up', async (t) => {
  const reads = open(t, { mode: 'read-only', acquireTimeoutMs: 60_000 });
  const ask = (options) => failureOf(reads.query('select 1', [], { after: 'FFFF/0', ...options }));
  const late = await ask({ timeoutMs: 100 });
  assert.deepEqual(
    [late.name, late.code, late.outcome],
    ['TimeoutError', 'ERR_TIMEOUT', 'not-sent'],
  );
  assert.equal(late.afterMs, 100);
  assert.match(late.message, /timeout of 100ms/);
  const abort = new AbortController();
  const asked = ask({ signal: abort.signal });
  abort.abort(new Error('enough'));
  assert.equal((await asked).message, 'enough');
});

test('CP-15: a primary that answers nobody holds up no read of a standby', async (t) => {
  const limits = { maxLagBytes: 1_000_000, acquireTimeoutMs: 60_000 };
  const known = open(t, { ...limits, mode: 'read-only' });
  assert.equal((await known.query(WHERE))[0].standby, true);
  const { primary } = cluster;
  primary.freeze();
  t.after(() => primary.thaw());
  // Without a limit of its own, which does not shorten the wait for the primary, and with one.
  for (const options of [{}, { timeoutMs: 20_000 }])
    assert.equal((await known.query(WHERE, [], options))[0].standby, true);
});

test('CP-14: prefer-standby leaves the primary within rebalanceMs once a standby is there', async (t) => {
  const pool = open(t, { mode: 'prefer-standby', rebalanceMs: 200, poolSize: 4, raceDelayMs: 50 });
  /** @type {any[]} */
  const retired = [];
  pool.on('retire', (event) => retired.push(event));
  const dead = cluster.standbys;
  // Without its standbys a commit waits; reads do not.
  for (const node of dead) await node.kill();
  const all = () =>
    Promise.all(Array.from({ length: 8 }, () => pool.query(`${WHERE}, pg_sleep(0.01)`)));
  assert.ok((await all()).every(([{ standby }]) => !standby));
  for (const node of dead) await node.server.start();
  await cluster.streaming();
  await waitFor(async () => (await all()).every(([{ standby }]) => standby), {
    what: 'all reads on standbys',
  });
  for (let round = 0; round < 20; round++)
    assert.ok(
      (await all()).every(([{ standby }]) => standby),
      'none goes back',
    );
  assert.ok(
    retired.some(({ reason }) => reason === 'role'),
    JSON.stringify(retired),
  );
});
