// One pool, several threads: each asks and is answered on its own event loop, within the limits of the one pool.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { joinPool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table entries (worker int, n int)');

/** A thread that has joined: it runs the bodies it is sent, with `pool` and `gate`, and posts what they return. */
const MEMBER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { joinPool } = require(workerData.lib);
  const pool = joinPool(workerData.token);
  parentPort.on('message', async (body) => {
    try {
      const run = new (async () => {}).constructor('pool', 'number', 'gate', body);
      parentPort.postMessage({ value: await run(pool, workerData.number, workerData.gate) });
    } catch (error) {
      parentPort.postMessage({ failed: { name: error.name, code: error.code, outcome: error.outcome } });
    }
  });
`;

function startMember(t, pool, number = 0) {
  const lib = path.join(__dirname, '../../lib/index.js');
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const workerData = { lib, token: pool.share(), number, gate };
  const worker = new Worker(MEMBER, { eval: true, workerData });
  t.after(() => worker.terminate());
  const ask = async (body) => {
    worker.postMessage(body);
    const [answer] = await once(worker, 'message');
    if (answer.failed) throw Object.assign(new Error('in the worker'), { failed: answer.failed });
    return answer.value;
  };
  return { worker, ask, gate };
}

test('threads share connections, limits and figures', async (t) => {
  const pool = db.openPool(t, { poolSize: 3 });
  const members = [1, 2, 3].map((number) => startMember(t, pool, number));
  const counts = await Promise.all(
    members.map(({ ask }) =>
      ask(`
        await Promise.all(Array.from({ length: 200 }, (_, n) =>
          pool.query('insert into entries values ($1, $2)', [number, n])));
        const [{ sum }] = await pool.transaction((tx) =>
          tx.query('select sum(n)::int as sum from entries where worker = $1', [number]));
        let streamed = 0;
        for await (const { i } of pool.stream('select i from generate_series(1, 500) i')) streamed += i;
        return [sum, streamed, pool.querySync('select 5 as five')[0].five, pool.status().maxSize];
      `),
    ),
  );
  for (const seen of counts) assert.deepEqual(seen, [19_900, 125_250, 5, 3]);
  assert.ok(pool.status().size <= 3);
  const [{ backends }] = await pool.query(
    `select count(*)::int as backends from pg_stat_activity
     where datname = current_database() and application_name <> 'observer'`,
  );
  assert.ok(backends <= 3, `${backends} backends`);
  assert.ok(pool.getStats().queries >= 600);
});

test('statements wait for connections that another thread has', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const { ask } = startMember(t, pool);
  const tx = await pool.begin();
  await tx.query('select 1');
  const waiting = ask(`return (await pool.query('select 3 as n'))[0].n`);
  await waitFor(() => pool.status().waiting === 1, { what: 'a waiting statement' });
  await tx.commit();
  assert.equal(await waiting, 3);
});

test('a thread that is blocked holds up no other', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const { ask, gate } = startMember(t, pool);
  await ask('await pool.query("select 1")');
  const blocked = ask(`
    const late = pool.query('select 4 as n');
    await new Promise(process.nextTick);
    Atomics.store(gate, 1, 1);
    const how = Atomics.wait(gate, 0, 0, 30_000);
    return [how, (await late)[0].n];
  `);
  await waitFor(() => Atomics.load(gate, 1) === 1, { what: 'the block' });
  for (let n = 0; n < 50; n++)
    assert.deepEqual(await pool.query('select $1::int as n', [n]), [{ n }]);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  assert.notEqual((await blocked)[0], 'timed-out');
  assert.equal((await blocked)[1], 4);
});

test('a thread that leaves, or is ended in mid-query, leaves the pool whole', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const leaving = startMember(t, pool);
  const ended = await leaving.ask(`
    const last = pool.query('select 1 as n, pg_sleep(0.05)');
    await pool.end();
    const refused = await pool.query('select 2').catch((error) => error.name);
    return [(await last)[0].n, refused, pool.status().maxSize];
  `);
  assert.deepEqual(ended, [1, 'ClosedError', 0]);
  for (let round = 0; round < 5; round++) {
    const { worker } = startMember(t, pool);
    worker.postMessage(`
      const tx = await pool.begin();
      await tx.query('select pg_sleep(20)');
    `);
    await waitFor(() => pool.status().inUse === 1, { what: 'its statement' });
    await worker.terminate();
    await waitFor(() => pool.status().inUse === 0, { what: 'its connection' });
    assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  }
});

test('what is in flight hears its signal although the pool that was joined has been left', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const joined = joinPool(pool.share());
  const abort = new AbortController();
  const running = joined.query('select pg_sleep(600) /* left */', [], { signal: abort.signal });
  const stopped = assert.rejects(running, { name: 'AbortError' });
  await db.running('left');
  await joined.end();
  abort.abort();
  await stopped;
  await db.idle('left');
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

test('it ends with the thread that made it', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const { ask } = startMember(t, pool);
  assert.equal(await ask(`return (await pool.query('select 1 as n'))[0].n`), 1);
  const token = pool.share();
  await pool.end();
  await assert.rejects(ask(`return pool.query('select 1')`), ({ failed }) => {
    assert.equal(failed.name, 'ClosedError');
    assert.equal(failed.outcome, 'not-sent');
    return true;
  });
  assert.throws(() => pool.share(), { name: 'ClosedError' });
  assert.throws(() => joinPool(token), { name: 'ClosedError' });
});

test('what each thread has for itself', async (t) => {
  const pool = db.openPool(t, { types: 'pg', rowMode: 'array' });
  const same = joinPool(pool.share());
  const other = joinPool(pool.share(), { types: 'lossless', rowMode: 'object' });
  assert.deepEqual([...(await same.query('select 1::int8 as n'))], [['1']]);
  assert.deepEqual([...(await other.query('select 1::int8 as n'))], [{ n: 1n }]);
  await Promise.all([same.end(), other.end()]);
  assert.deepEqual([...(await pool.query('select 2 as n'))], [[2]]);
});

test('tokens that are none are refused, by name', (t) => {
  const pool = db.openPool(t);
  const token = pool.share();
  assert.doesNotMatch(JSON.stringify(token), /password|secret/i);
  for (const wrong of [undefined, null, 'token', {}, { ...token, kind: 'other' }]) {
    assert.throws(() => joinPool(wrong), { message: /option "token" must be what pool.share/ });
  }
  const foreign = { ...token, pid: token.pid + 1 };
  assert.throws(() => joinPool(foreign), { message: /shared by threads, not by processes/ });
  assert.throws(() => joinPool(token, { poolSize: 3 }), { message: /unknown option "poolSize"/ });
});

test('a pool that asks the primary on a login of its own stays with its thread', (t) => {
  const pool = db.openPool(t, { mode: 'prefer-standby', maxLagBytes: 1000 });
  assert.throws(() => pool.share(), { message: /option "maxLagBytes" keeps a pool to its thread/ });
});

for (const direction of ['copyTo', 'copyFrom']) {
  test(`a thread that is terminated in the middle of a ${direction} leaves its connection to the others`, async (t) => {
    const pool = db.openPool(t, { poolSize: 1 });
    await pool.query('create table if not exists copied (n int)');
    const code = `
      const { joinPool } = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      const { parentPort, workerData } = require('node:worker_threads');
      const pool = joinPool(workerData);
      setInterval(() => {}, 1000);
      const isTo = ${direction === 'copyTo'};
      const copy = isTo
        ? pool.copyTo('copy (select generate_series(1, 100000000)) to stdout')
        : pool.copyFrom('copy copied from stdin');
      if (isTo) copy.once('data', () => { copy.pause(); parentPort.postMessage(0); });
      else copy.write('1\\n', () => parentPort.postMessage(0));`;
    const worker = new Worker(code, { eval: true, workerData: pool.share() });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    assert.deepEqual(await pool.query('select count(*)::int as n from copied'), [{ n: 0 }]);
  });
}

/** What a thread runs when it is terminated, the marked statement as `sql`; a part of them on connections of its own. */
const LEFT_RUNNING = {
  'a statement': 'await pool.query(sql)',
  'statements that wait for a connection':
    'await Promise.all([1, 2, 3, 4].map(() => pool.query(sql)))',
  'a batch': 'await pool.batch([{ sql }])',
  'a transaction': 'await pool.transaction((tx) => tx.query(sql))',
  'a stream': 'for await (const row of pool.stream(sql)) row;',
  'a client': 'const client = new Client(url); await client.connect(); await client.query(sql)',
};

for (const [what, code] of Object.entries(LEFT_RUNNING)) {
  test(`what a terminated thread has running is cancelled on the server: ${what}`, async (t) => {
    const pool = db.openPool(t, { poolSize: 2 });
    const sql = 'select pg_sleep(600) /* forsaken */';
    const ours = pool.query('select pg_sleep(1)::text as done');
    const { worker } = startMember(t, pool);
    worker.postMessage(`
      const { Client } = require(workerData.lib);
      const [sql, url] = ${JSON.stringify([sql, db.url])};
      ${code};
    `);
    await db.running('forsaken');
    await worker.terminate();
    await db.idle('forsaken');
    assert.deepEqual([...(await ours)], [{ done: '' }]);
    await db.released(pool);
    assert.deepEqual([...(await pool.query('select 1 as x'))], [{ x: 1 }]);
    await db.idle('forsaken');
  });
}

test('a thread chooses how COMMITs are resolved among what the pool has', async (t) => {
  const markers = 'commit_markers';
  await db.sql(`create table ${markers} (
    id uuid primary key, committed boolean not null default true, at timestamptz not null default now())`);
  const write = (pool) => pool.transaction((tx) => tx.query('insert into entries values (9, 9)'));
  const left = async () => (await db.sql(`select from ${markers}`)).length;
  const plain = db.openPool(t);
  assert.throws(() => joinPool(plain.share(), { commitResolution: 'marker' }), {
    option: 'commitResolution',
  });
  const marked = db.openPool(t, { commitResolution: 'marker', commitMarkerTable: markers });
  for (const [commitResolution, expected] of /** @type {const} */ ([
    ['off', 0],
    ['xid', 0],
    ['marker', 1],
  ])) {
    const joined = joinPool(marked.share(), { commitResolution });
    await write(joined);
    await joined.end();
    assert.equal(await left(), expected, commitResolution);
  }
});
