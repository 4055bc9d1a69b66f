// A primary that leaves while a write waits for its standby has acknowledged nothing, in whatever language it says so (CP-1).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { NotReplicatedError, OutcomeUnknownError } = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const m = require('../support/backend-messages.js');
const {
  failureOf,
  readRequest,
  rightAnswer,
  scriptedPool,
} = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
const {
  isNotReplicated,
  waitingForStandby,
  withoutStandbys,
} = require('../support/unreplicated.js');
require('../support/stray-errors.js');

// Taken over by the servers. The locale C.UTF-8 has no language of its own, so this one is used, except where it is C.
process.env.LANGUAGE = 'de';

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  // What the servers log is read by those who start them.
  cluster = await startCluster({ conf: { lc_messages: 'C' } });
  await cluster.primary.server.sql('create table t (id int primary key)');
});
after(() => cluster.stop());

/** A pool that is spoken to in that language. */
const speaking = (t, messages) =>
  withoutStandbys(t, cluster, { options: `-c lc_messages=${messages}` });

let id = 0;

const INSERT = 'insert into t values ($1)';
// Its own text, which is never answered at once: what is quick may share its connection, and of those one at a time waits.
const WAITING = `${INSERT} -- until a standby has it`;

/** Every way of writing. @type {Record<string, (pool: any) => Promise<any>>} */
const WAYS = {
  statement: (pool) => pool.query(WAITING, [++id]),
  transaction: (pool) => pool.transaction((tx) => tx.query(INSERT, [++id])),
  exactlyOnce: (pool) => pool.query(WAITING, [++id], { exactlyOnce: true }),
  retry: (pool) => pool.query(WAITING, [++id], { retry: true }),
  insert: (pool) => pool.insert('t', { id: ++id }, { idempotency: true, conflictTarget: 'id' }),
  batch: (pool) => pool.batch([{ sql: INSERT, params: [++id] }], { errors: 'all-or-nothing' }),
  insertMany: (pool) => pool.insertMany('t', [{ id: ++id }, { id: ++id }]),
  async begin(pool) {
    const tx = await pool.begin();
    await tx.query(INSERT, [++id]);
    await tx.commit();
  },
};

for (const [language, messages] of [
  ['English', 'C'],
  ['German', 'C.UTF-8'],
]) {
  test(`CP-1: in ${language}: cancelled, terminated`, async (t) => {
    const { pool } = speaking(t, messages);
    const { message } = await failureOf(pool.query('select 1 / 0'));
    if (message === 'division by zero' && language !== 'English')
      t.diagnostic('this server has no translations');
    else
      assert.equal(
        message,
        { English: 'division by zero', German: 'Division durch Null' }[language],
      );
    isNotReplicated(await failureOf(pool.query(WAITING, [++id], { timeoutMs: 300 })));
    for (const write of Object.values(WAYS)) {
      const problem = failureOf(write(pool));
      const [pid] = await waitingForStandby(cluster);
      await cluster.primary.sql('select pg_terminate_backend($1)', [pid]);
      isNotReplicated(await problem);
    }
  });

  test(`CP-1: in ${language}: fast shutdown`, async (t) => {
    const { pool, resume } = speaking(t, messages);
    const problems = Object.values(WAYS).map((write) => failureOf(write(pool)));
    const all = problems.length;
    await waitFor(async () => (await waitingForStandby(cluster)).length === all, {
      what: 'all that wait',
    });
    const down = cluster.primary.server.shutdown();
    for (const problem of await Promise.all(problems)) isNotReplicated(problem);
    resume(); // the server waits for its standbys
    await down;
    await cluster.primary.server.start();
  });

  test(`CP-3: in ${language}: immediate shutdown`, async (t) => {
    const { pool, resume } = speaking(t, messages);
    const problem = failureOf(WAYS.statement?.(pool));
    const done = WAYS.transaction?.(pool);
    await waitFor(async () => (await waitingForStandby(cluster)).length === 2, {
      what: 'two that wait',
    });
    await cluster.primary.server.shutdown('SIGQUIT');
    // It dies without a word about the standby, so nobody knows; what became of the COMMIT is looked for.
    const error = await problem;
    assert.ok(error instanceof OutcomeUnknownError && !(error instanceof NotReplicatedError));
    assert.deepEqual([error.code, error.outcome], ['IN_DOUBT', 'unknown']);
    await cluster.primary.server.start();
    resume(); // a commit that the server has found in its log is told once a standby has it
    await done;
    const rows = await cluster.primary.sql('select id from t where id > $1 order by 1', [id - 2]);
    assert.deepEqual(rows, [{ id: id - 1 }, { id }]);
  });
}

test('CP-1: the routine decides, and neither the words nor the code', async (t) => {
  const warning = {
    S: '警告',
    V: 'WARNING',
    C: '57P01',
    M: '同期レプリケーションの待ち状態をキャンセル',
  };
  const { pool } = await scriptedPool(t, async (connection) => {
    for (;;) {
      const request = await readRequest(connection);
      const text = request.map(({ body }) => body.toString('latin1')).join();
      const routine = text.includes('odd') ? 'SyncRepWaitForLSN' : 'ProcessInterrupts';
      const answer = rightAnswer(request, { fields: [], rows: [], tag: 'INSERT 0 1' });
      await connection.send(...answer.slice(0, -2), m.notice({ ...warning, R: routine }));
      if (text.includes('lost')) return connection.finish();
      await connection.send(...answer.slice(-2));
    }
  });
  isNotReplicated(await failureOf(pool.query(`insert into t values ('odd')`)));
  assert.equal((await pool.query(`insert into t values ('even')`)).rowCount, 1);
  isNotReplicated(await failureOf(pool.query(`insert into t values ('odd, lost')`)));
});
