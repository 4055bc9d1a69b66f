// A demoted primary serves nothing, whatever connections are still open to it (CP-7, CP-8, CP-10 to CP-12, CP-14, CP-22).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { createListener, createPool, FencedError, NoPrimaryError } = require('../../lib/index.js');
const m = require('../support/backend-messages.js');
const { startCluster } = require('../support/cluster.js');
const {
  behave,
  failureOf,
  readRequest,
  rightAnswer,
  scriptedPool,
} = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  cluster = await startCluster({ synchronous: false });
  await cluster.primary.sql('create table t (id int primary key, port int)');
});
after(() => cluster.stop());

function open(t, options) {
  const pool = createPool(cluster.options(options));
  t.after(() => pool.end({ timeoutMs: 500 }));
  return pool;
}

/** Opens all connections of a pool and leaves them idle. */
const fill = (pool, size) =>
  Promise.all(Array.from({ length: size }, () => pool.query('select pg_sleep(0.05)')));

const PORT = 'select inet_server_port() as port';

test('CP-10, sec_m01: a fenced primary is left within one statement, and found again when it is released', async (t) => {
  const pool = open(t, { acquireTimeoutMs: 700, poolSize: 3 });
  const { primary } = cluster;
  await pool.query('insert into t values (1, 0)');
  await fill(pool, 3);
  await primary.fence();
  t.after(() => primary.unfence());
  const began = performance.now();
  const errors = await Promise.all([
    failureOf(pool.query('insert into t values (2, 0)')),
    failureOf(pool.query('select count(*) from t')),
    failureOf(pool.query('update t set port = 1')),
  ]);
  const took = performance.now() - began;
  for (const error of errors) {
    assert.ok(error instanceof NoPrimaryError, error.stack);
    assert.match(error.message, /^query: no writable primary available after 700ms: /);
    assert.ok(error.message.includes(`${primary.host} is read-only`), error.message);
    assert.equal(error.outcome, 'not-sent');
  }
  assert.ok(took >= 690, `not before the window is over: ${took} ms`);
  await primary.unfence();
  await pool.query('insert into t values (2, 0)');
  assert.equal((await pool.query('select id from t')).length, 2);
});

test('CP-10: the check travels in the packet of the statement, without a query or a round trip', async (t) => {
  /** @type {string[][]} */
  const packets = [];
  const script = async (connection) => {
    for (;;) {
      const check = await connection.readMessage();
      if (check.type === 'X') return;
      // Answered only now: a client that waited for the check would hang here.
      const statement = check.type === 'S' ? await connection.readUntil('S') : [check];
      packets.push([check, ...statement].map(({ type }) => type));
      await connection.send(m.ready(), ...rightAnswer(statement));
    }
  };
  const { pool } = await scriptedPool(t, script, { validationIntervalMs: 0 });
  for (let i = 0; i < 3; i++) assert.equal((await pool.query('select x')).length, 1);
  assert.deepEqual(packets, [
    ['S', 'P', 'D', 'B', 'E', 'S'],
    ['S', 'B', 'E', 'S'],
    ['S', 'B', 'E', 'S'],
  ]);
});

test('CP-10: writes need no check, and a young connection is not checked', async (t) => {
  /** @type {string[]} */
  const first = [];
  const { pool } = await scriptedPool(
    t,
    async (connection) => {
      for (;;) {
        const message = await connection.readMessage();
        if (message.type === 'X') return;
        first.push(message.type);
        if (message.type === 'S') {
          await connection.send(m.ready());
          continue;
        }
        const rest = await connection.readUntil('S');
        await connection.send(...rightAnswer([message, ...rest]));
      }
    },
    { validationIntervalMs: 60_000 },
  );
  await pool.query('select x');
  await pool.query('select x');
  await pool.query('insert into x values (1) returning x');
  assert.deepEqual(first, ['S', 'P', 'B', 'P']);
});

const isFenced = m.parameterStatus('default_transaction_read_only', 'on');
const isFree = m.parameterStatus('default_transaction_read_only', 'off');
const many = Array.from({ length: 5000 }, () => ['old'.repeat(100)]);
const refusal = [m.error({ S: 'ERROR', V: 'ERROR', C: '25006', M: 'read-only' }), m.ready()];

/** What a node says in front of a statement and behind it, and whose answer its caller gets. @type {[string, { before?: Buffer[], behind?: Buffer[], tag?: string, rows?: string[][], answer?: Buffer[] }, 'old' | 'new'][]} */
const VERDICTS = [
  ['a read on a node that was fenced already', { before: [isFenced] }, 'new'],
  ['the same, and more than a frame of rows', { before: [isFenced], rows: many }, 'new'],
  ['the same, of a SHOW', { before: [isFenced], tag: 'SHOW' }, 'new'],
  ['the same, of a FETCH', { before: [isFenced], tag: 'FETCH 1' }, 'new'],
  ['what is no read there', { before: [isFenced], tag: 'NOTIFY' }, 'old'],
  ['what is refused there', { before: [isFenced], answer: refusal }, 'new'],
  ['a read in front of the end of the fence', { before: [isFenced], behind: [isFree] }, 'old'],
  ['a read that was overtaken by the fence', { behind: [isFenced] }, 'old'],
  [
    'what is refused by a fence that is told of behind it',
    { behind: [isFenced], answer: refusal },
    'new',
  ],
];

for (const [what, { before = [], behind = [], tag, rows = [['old']], answer }, whose] of VERDICTS)
  test(`CP-10: ${what}: the ${whose} answer`, async (t) => {
    const { pool, server } = await scriptedPool(
      t,
      async (connection) => {
        if (server.connections === 1) {
          const request = await readRequest(connection, before);
          const right = answer ?? rightAnswer(request, { rows, ...(tag && { tag }) });
          await connection.send(...right.slice(0, -1), ...behind, m.ready());
        }
        await behave(connection, { rows: [['new']] });
      },
      { validationIntervalMs: 0, warmStatements: 0, acquireTimeoutMs: 5000 },
    );
    const expected = whose === 'old' ? rows : [['new']];
    assert.deepEqual([...(await pool.query('select x', [], { rowMode: 'array' }))], expected);
    assert.equal(server.connections, whose === 'old' ? 1 : 2);
    // Whatever it was told last: a connection of a fenced node is not used again.
    assert.deepEqual([...(await pool.query('select x', [], { rowMode: 'array' }))], [['new']]);
    const isLeft = whose === 'new' || (behind.at(-1) ?? before.at(-1)) === isFenced;
    assert.equal(server.connections, isLeft ? 2 : 1);
  });

test('CP-11: a server that does not report its role is asked in the packet of the statement', async (t) => {
  const answers = ['off', 'on', 'off'];
  /** @type {string[]} */
  const seen = [];
  const { pool, server } = await scriptedPool(
    t,
    async (connection) => {
      await connection.readStartup();
      await connection.send(m.authOk(), m.backendKey(1), m.ready());
      for (;;) {
        const check = await connection.readUntil('S');
        const statement = await connection.readUntil('S');
        seen.push(check[0].text.includes('show transaction_read_only') ? 'asked' : 'not asked');
        await connection.send(
          m.parseComplete(),
          m.bindComplete(),
          m.dataRow([answers.shift() ?? 'off']),
          m.commandComplete('SHOW'),
          m.ready(),
          ...rightAnswer(statement),
        );
      }
    },
    { raw: true, validationIntervalMs: 0, warmStatements: 0 },
  );
  await pool.query('select x');
  assert.equal(server.connections, 1);
  // The second answer says that the statement ran read-only: it is repeated on another connection.
  assert.equal((await pool.query('select x')).length, 1);
  assert.equal(server.connections, 2);
  assert.deepEqual(seen, ['asked', 'asked', 'asked']);
});

test('CP-12, sec_m01: the role is known at login, without a query', async (t) => {
  const { pool } = await scriptedPool(t, async (connection) => {
    const [first] = await connection.readUntil('S');
    assert.equal(first.type, 'P', 'a write is the first thing that is said');
    await connection.send(...rightAnswer([first]));
  });
  await failureOf(pool.query('insert into x values (1)', [], { timeoutMs: 300 }));
});

test('CP-7: a transaction that was overtaken by the fence is rolled back, not committed', async (t) => {
  const pool = open(t);
  const { primary } = cluster;
  t.after(() => primary.unfence());
  const tx = await pool.begin();
  await tx.query('insert into t values (70, 0)');
  await primary.fence();
  await tx.query('insert into t values (71, 0)');
  const error = await failureOf(tx.commit());
  assert.ok(error instanceof FencedError, error.stack);
  assert.deepEqual([error.code, error.outcome, error.transient], ['25006', 'failed', true]);
  const rows = await primary.sql('select 1 from t where id in (70, 71)');
  assert.equal(rows.length, 0);
  // transaction(fn) runs again once the fence is gone.
  let runs = 0;
  await primary.unfence();
  await pool.transaction(async (each) => {
    runs += 1;
    await each.query('insert into t values (72, 0)');
    if (runs === 1) {
      await primary.fence();
      await each.query('select 1');
      setTimeout(() => void primary.unfence(), 50);
    }
  });
  assert.equal(runs, 2);
  assert.equal((await primary.sql('select 1 from t where id = 72')).length, 1);
});

test('CP-8: READ WRITE does not go around the fence, and a session that lifts it is not used again', async (t) => {
  const { primary } = cluster;
  t.after(() => primary.unfence());
  const pool = open(t, { acquireTimeoutMs: 500, poolSize: 1 });
  await fill(pool, 1);
  await primary.fence();
  for (const accessMode of ['read write', 'read-write']) {
    const error = await failureOf(
      pool.transaction((tx) => tx.query('insert into t values (80, 0)'), {
        accessMode: /** @type {any} */ (accessMode),
        maxAttempts: 1,
      }),
    );
    assert.ok(error instanceof FencedError || error instanceof NoPrimaryError, error.stack);
  }
  assert.equal((await primary.sql('select 1 from t where id = 80')).length, 0);
  await primary.unfence();
  const [{ pid }] = await pool.query('select pg_backend_pid() as pid');
  await pool.query('set default_transaction_read_only = off');
  const [{ pid: next }] = await pool.query('select pg_backend_pid() as pid');
  assert.notEqual(next, pid);
  assert.throws(() => open(t, { options: '-c default_transaction_read_only=off' }), {
    option: 'options',
  });
});

test('a single statement that meets 25006 goes to another node, even unchecked', async (t) => {
  const { primary } = cluster;
  const pool = open(t, { fenceCheck: 'off', acquireTimeoutMs: 5000 });
  await fill(pool, 2);
  await primary.fence();
  const write = pool.query('insert into t values (90, 0)');
  await waitFor(() => pool.status().waiting === 1, { what: 'the statement back in the queue' });
  await primary.unfence();
  await write;
  assert.equal((await primary.sql('select 1 from t where id = 90')).length, 1);
});

test('a listener alone leaves a primary that was fenced, and tells the gap', async (t) => {
  const { primary } = cluster;
  t.after(() => primary.unfence());
  const listener = createListener(cluster.options({ rebalanceMs: 20, acquireTimeoutMs: 200 }));
  t.after(() => listener.end());
  listener.on('error', () => {});
  const told = (name) => new Promise((resolve) => listener.once(name, resolve));
  const [lost, gap] = [told('lost'), told('gap')];
  const heard = [];
  await listener.listen('news', ({ payload }) => heard.push(payload));
  await primary.fence();
  const cause = await lost;
  assert.ok(cause instanceof FencedError, String(cause));
  await primary.unfence();
  const { since, until, channels } = await gap;
  assert.deepEqual(channels, ['news']);
  assert.ok(since <= until, `${since} ${until}`);
  await primary.sql("notify news, 'here'");
  await waitFor(() => heard.includes('here'), { what: 'the notification' });
});

test('CP-10, CP-14, CP-22: after a promotion beside a fenced primary nothing comes from the old nodes', async (t) => {
  // Two thousand statements wait at once, on whatever machine.
  const writer = open(t, { poolSize: 5, acquireTimeoutMs: 40_000 });
  const reader = open(t, { poolSize: 5, mode: 'read-only' });
  await Promise.all([fill(writer, 5), fill(reader, 5)]);
  const old = cluster.primary;
  const [next] = cluster.standbys;
  await old.fence();
  await cluster.promote(next);

  const ports = new Set();
  const writes = Array.from({ length: 1000 }, async (_, i) => {
    const [{ port }] = await writer.query(
      'insert into t values ($1, inet_server_port()) returning port',
      [1000 + i],
    );
    ports.add(port);
  });
  const reads = Array.from({ length: 1000 }, async () => {
    const [{ port }] = await writer.query(PORT);
    ports.add(port);
  });
  await Promise.all([...writes, ...reads]);
  assert.deepEqual([...ports], [next.port]);
  assert.equal((await next.sql('select 1 from t where id >= 1000')).length, 1000);

  // The promoted node leaves the pool that reads from standbys, and the fenced one is no substitute.
  const wave = () => Promise.all(Array.from({ length: 5 }, () => reader.query(PORT)));
  for (let i = 0; i < 10; i++) await wave();
  const standby = cluster.nodes.find((node) => node !== old && node !== next);
  // On each of its connections.
  for (let i = 0; i < 50; i++) {
    for (const [{ port }] of await wave()) assert.equal(port, standby?.port);
  }

  // The old primary comes back unfenced on the timeline that the cluster has left.
  await old.unfence();
  const fresh = open(t);
  for (let i = 0; i < 20; i++) assert.equal((await fresh.query(PORT))[0].port, next.port);
});
