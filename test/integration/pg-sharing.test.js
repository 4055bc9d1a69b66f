// Queries of a saturated pg pool travel ahead of the answers to others, and nobody can tell but by the clock.
'use strict';

const assert = require('node:assert/strict');
const { Client, Pool } = require('../../lib/index.js');
const { isQuick } = require('../../lib/statements.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase(`
  create table item (id int primary key, name text not null);
  insert into item select n, 'item ' || n from generate_series(1, 100) n;
  create table log (n int)`);

const BY_ID = 'select id, name from item where id = $1';

function openPool(t, options = {}) {
  const pool = new Pool({ connectionString: db.url, ...options });
  t.after(() => (pool.ending ? undefined : pool.end()));
  return pool;
}

/** Runs a statement until it counts as quick: on a busy machine the first times may not. */
async function warm(pool, text, values) {
  do await pool.query(text, values);
  while (!isQuick(text));
}

/** How many of 20 queries at once are on the wire: those are lost with the connection, the others never notice. */
async function sentAhead(t, options, ask = (pool, id) => pool.query(BY_ID, [id])) {
  const proxy = await db.openProxy(t);
  const pool = openPool(t, { connectionString: proxy.url(db.url), max: 1, ...options });
  await warm(pool, BY_ID, [1]);
  const holder = new Client(db.url);
  await holder.connect();
  t.after(() => holder.end());
  await holder.query('begin; lock table item in access exclusive mode');
  const asked = Array.from({ length: 20 }, (_, n) => ask(pool, n + 1));
  const settled = Promise.allSettled(asked);
  await db.running('select id, name from item');
  // Without a word of the server's: its FATAL would prove that nothing was run.
  await proxy.cutAll();
  await holder.query('rollback');
  const results = await settled;
  for (const { status, value, reason } of results) {
    if (status === 'fulfilled') assert.equal(value.rows.length, 1);
    else assert.equal(reason.outcome, 'unknown');
  }
  return results.filter(({ status }) => status === 'rejected').length;
}

/** Never more than `limit`, and so many in one of five tries: a thread that lost its core midway sends fewer (after 5 ms). */
async function sendsUpTo(limit, t, options) {
  for (let tries = 1; ; tries++) {
    const sent = await sentAhead(t, options);
    assert.ok(sent <= limit, `${sent} of at most ${limit}`);
    if (sent === limit) return;
    assert.ok(tries < 5, `${sent} of ${limit}, in five tries never more`);
  }
}

test('a saturated pool sends quick queries ahead, eight on each connection', (t) =>
  sendsUpTo(8, t, {}));

test('queries that are asked together have idle clients to themselves', async (t) => {
  const pool = openPool(t, { max: 5 });
  const text = 'select pg_backend_pid() as pid';
  await warm(pool, text);
  const clients = await Promise.all(Array.from({ length: 5 }, () => pool.connect()));
  for (const client of clients) client.release();
  for (const [count, least] of [
    [2, 2],
    [5, 5],
    [9, 5],
  ]) {
    const asked = Array.from({ length: count }, () => pool.query(text));
    const pids = (await Promise.all(asked)).map(({ rows }) => rows[0].pid);
    assert.equal(new Set(pids).size, least, `${count} queries`);
  }
});

test('pipelineDepth says how many; with 1 each waits for its turn', async (t) => {
  await sendsUpTo(3, t, { pipelineDepth: 3 });
  assert.equal(await sentAhead(t, { pipelineDepth: 1 }), 1);
  for (const pipelineDepth of [0, 1.5, '8', null]) {
    assert.throws(() => new Pool({ pipelineDepth }), /"pipelineDepth" must be a whole number/);
  }
});

test('sec_c02: a query that may be cancelled has its connection to itself', async (t) => {
  assert.equal(await sentAhead(t, { query_timeout: 60_000 }), 1);
  const limited = (pool, id) => pool.query({ text: BY_ID, values: [id], query_timeout: 60_000 });
  assert.equal(await sentAhead(t, {}, limited), 1);
  const { signal } = new AbortController();
  const abortable = (pool, id) => pool.query({ text: BY_ID, values: [id], signal });
  assert.equal(await sentAhead(t, {}, abortable), 1);
});

test('everybody gets his own rows or error, and events and counts are those of one after the other', async (t) => {
  const pool = openPool(t, { max: 3 });
  const text = 'select 100 / $1::int as n';
  await warm(pool, text, [1]);
  const seen = { acquire: 0, release: 0, remove: 0 };
  for (const name of Object.keys(seen)) pool.on(name, () => seen[name]++);
  const asked = Array.from({ length: 200 }, (_, n) => pool.query(text, [n % 10]));
  for (const [n, { status, value, reason }] of (await Promise.allSettled(asked)).entries()) {
    if (n % 10 === 0) assert.deepEqual([status, reason.code], ['rejected', '22012']);
    else assert.deepEqual(value.rows, [{ n: Math.trunc(100 / (n % 10)) }]);
  }
  assert.deepEqual(seen, { acquire: 200, release: 200, remove: 0 });
  const { totalCount, idleCount, waitingCount } = pool;
  assert.deepEqual([totalCount, idleCount, waitingCount], [3, 3, 0]);
});

test('callbacks, names, array rows and texts without values travel the same way', async (t) => {
  const pool = openPool(t, { max: 1 });
  const named = { name: 'one item', text: BY_ID, rowMode: 'array' };
  await warm(pool, BY_ID, [1]);
  await warm(pool, 'select 1 as one');
  const asked = Array.from({ length: 24 }, (_, n) => {
    if (n % 3 === 0) return pool.query('select 1 as one');
    if (n % 3 === 1) return pool.query({ ...named, values: [n] });
    return new Promise((resolve, reject) => {
      pool.query(BY_ID, [n], (error, result) => (error ? reject(error) : resolve(result)));
    });
  });
  const rows = (await Promise.all(asked)).map((result) => result.rows[0]);
  const expected = rows.map((_, n) => {
    if (n % 3 === 0) return { one: 1 };
    return n % 3 === 1 ? [n, `item ${n}`] : { id: n, name: `item ${n}` };
  });
  assert.deepEqual(rows, expected);
});

test('what changes the session never has company', async (t) => {
  const pool = openPool(t, { max: 1 });
  const insert = 'insert into log values ($1)';
  await warm(pool, insert, [0]);
  await db.sql('delete from log');
  const asked = [];
  for (let n = 0; n < 30; n++) {
    asked.push(pool.query(n % 10 === 5 ? 'begin' : insert, n % 10 === 5 ? undefined : [n]));
  }
  await Promise.all(asked);
  // Each transaction that was left open was rolled back before the next insert.
  assert.deepEqual(await db.sql('select count(*)::int as n from log'), [{ n: 27 }]);
});

test('nobody overtakes the queue: a checkout is served among queries without end', async (t) => {
  const pool = openPool(t, { max: 1 });
  await warm(pool, BY_ID, [1]);
  let isOver = false;
  const strand = async () => {
    while (!isOver) await pool.query(BY_ID, [1]);
  };
  const strands = Array.from({ length: 20 }, strand);
  for (let n = 0; n < 5; n++) {
    const client = await pool.connect();
    assert.deepEqual((await client.query('select 2 as two')).rows, [{ two: 2 }]);
    client.release();
  }
  isOver = true;
  await Promise.all(strands);
});

test('an idle connection that is gone already costs a quick query nothing', async (t) => {
  const pool = openPool(t, { max: 1 });
  await warm(pool, BY_ID, [1]);
  const { rows } = await pool.query('select pg_backend_pid() as pid');
  const killer = new Client(db.url);
  killer.connectSync();
  t.after(() => killer.end());
  // JavaScript hears nothing of it before it asks.
  killer.querySync('select pg_terminate_backend($1)', [rows[0].pid]);
  killer.querySync('select pg_sleep(0.3)');
  assert.deepEqual((await pool.query(BY_ID, [7])).rows, [{ id: 7, name: 'item 7' }]);
});

test('maxUses counts queries', async (t) => {
  const pool = openPool(t, { max: 1, maxUses: 5 });
  const text = 'select pg_backend_pid() as pid';
  await warm(pool, text);
  const asked = Array.from({ length: 40 }, () => pool.query(text));
  const uses = new Map();
  for (const { rows } of await Promise.all(asked)) {
    uses.set(rows[0].pid, (uses.get(rows[0].pid) ?? 0) + 1);
  }
  assert.ok(Math.max(...uses.values()) <= 5, `${[...uses.values()]}`);
});

test('sec_p06: the end of a pool waits for what was sent and refuses what was not', async (t) => {
  const pool = openPool(t, { max: 1 });
  await warm(pool, BY_ID, [1]);
  const asked = Promise.allSettled(
    Array.from({ length: 20 }, (_, n) => pool.query(BY_ID, [n + 1])),
  );
  await new Promise((resolve) => process.nextTick(resolve));
  await pool.end();
  const results = await asked;
  assert.deepEqual(
    results.map(({ status }) => status),
    Array.from({ length: 20 }, (_, n) => (n < 8 ? 'fulfilled' : 'rejected')),
  );
  for (const { reason } of results.slice(8)) assert.equal(reason.code, 'ERR_CLOSED');
});

test('sec_j05: a listener that throws harms no query', async (t) => {
  const pool = openPool(t, { max: 1 });
  await warm(pool, BY_ID, [1]);
  const thrown = [];
  const hear = (error) => thrown.push(error.message);
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', hear);
  pool.once('release', () => {
    throw new Error('mine');
  });
  const asked = Array.from({ length: 20 }, (_, n) => pool.query(BY_ID, [n + 1]));
  try {
    const first = await Promise.race([asked[0], asked[1]]);
    assert.equal(first.rows.length, 1);
    assert.equal((await Promise.all(asked.slice(1))).length, 19);
  } finally {
    process.removeListener('uncaughtException', hear);
    for (const other of others) process.on('uncaughtException', other);
  }
  assert.deepEqual(thrown, ['mine']);
});
