// What is tried again after a loss, and what never is.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const net = require('node:net');
const { once } = require('node:events');
const pg = require('pg');
const { RetryStrategy, createPool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
const vectors = require('../vectors/retry.json');

const db = testDatabase(`
  create table t (n int);
  create sequence s;
  create table accounts (name text primary key, balance int);
  create function writes() returns int language sql as 'insert into t values (-1) returning 1'`);

const FAST = { minBackoff: 1, maxBackoff: 20 };
const open = (t, options) =>
  openServerless(t, { connectionString: db.url, reaper: false, ...FAST, ...options });

test('A6: the classification is that of every vector', () => {
  for (const { retryable, ...fields } of vectors.classify) {
    const error =
      fields.error === null ? null : Object.assign(new Error(fields.message ?? ''), fields);
    assert.equal(RetryStrategy.isRetryable(error), retryable, JSON.stringify(fields));
  }
  assert.equal(RetryStrategy.isRetryable(null), false);
  // A driver's own code does not hide what the server said.
  assert.equal(RetryStrategy.isRetryable({ code: 'X', sqlstate: '57P01' }), true);
  assert.equal(RetryStrategy.isRetryable({ code: 'X', sqlstate: '42601' }), false);
});

test('A7: delays are whole and within the bounds of every vector, which they reach', () => {
  for (const { base, cap, previous, min, max } of vectors.backoff) {
    const drawn = Array.from({ length: 5000 }, () => RetryStrategy.getBackoff(base, cap, previous));
    assert.ok(drawn.every((delay) => Number.isInteger(delay) && delay >= min && delay <= max));
    assert.ok(Math.max(...drawn) - min >= (max - min) * 0.9);
  }
});

test('SC-1: inserts whose answer is cut off are made once and reported as unknown', async (t) => {
  const proxy = await db.openProxy(t);
  const { client } = open(t, { connectionString: proxy.url(db.url) });
  for (let n = 0; n < 20; n++) {
    await client.connect();
    proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
    await assert.rejects(client.query('insert into t values ($1)', [n]), {
      name: 'OutcomeUnknownError',
      outcomeUnknown: true,
    });
  }
  assert.deepEqual(await db.sql('select count(*)::int as n from t where n >= 0'), [{ n: 20 }]);
});

test('SC-1: reads whose answer is cut off succeed; what would write is found out and not repeated', async (t) => {
  const proxy = await db.openProxy(t);
  const { client, count } = open(t, { connectionString: proxy.url(db.url) });
  for (let n = 0; n < 20; n++) {
    await client.connect();
    proxy.cutAt({ direction: 'toClient', text: 'marked', before: true });
    const { rows } = await client.query(`select 'marked' as word, $1::int as n`, [n]);
    assert.deepEqual(rows, [{ word: 'marked', n }]);
  }
  assert.equal(count('onQueryRetry'), 20);
  for (const text of [
    `select nextval('s'), 'marked' as word`,
    `with w as (insert into t values (-2) returning 1) select 'marked' as word from w`,
    `select writes(), 'marked' as word`,
    `select 'marked' as word; insert into t values (-3)`,
  ]) {
    await client.connect();
    proxy.cutAt({ direction: 'toClient', text: 'marked', before: true });
    await assert.rejects(client.query(text), { outcomeUnknown: true }, text);
  }
  const [{ n }] = await db.sql('select count(*)::int as n from t where n = -2');
  const [{ last_value }] = await db.sql('select last_value::int from s');
  assert.deepEqual([n, last_value], [1, 1]);
});

test('SC-1: a statement that is declared idempotent is repeated; retryMode decides the rest', async (t) => {
  const proxy = await db.openProxy(t);
  const upsert = `insert into t values (777) returning 'marked'`;
  for (const [options, query, rows] of [
    [{}, { text: upsert, idempotent: true }, 2],
    [{ retryMode: 'legacy' }, { text: upsert }, 2],
    [{ retryMode: 'never' }, { text: upsert }, 1],
  ]) {
    await db.sql('delete from t where n = 777');
    const { client } = open(t, { connectionString: proxy.url(db.url), ...options });
    await client.connect();
    proxy.cutAt({ direction: 'toClient', text: 'marked', before: true });
    const outcome = await client.query(query).then(
      () => 'done',
      ({ outcomeUnknown }) => outcomeUnknown,
    );
    assert.equal(outcome, rows === 2 ? 'done' : true);
    const [{ n }] = await db.sql('select count(*)::int as n from t where n = 777');
    assert.equal(n, rows, JSON.stringify(options));
    await client.end();
  }
  await assert.rejects(open(t, {}).client.query({ text: 'select 1', idempotent: 1 }), {
    name: 'TypeError',
  });
});

test('SC-1: what a first try leaves in doubt stays in doubt when there is no second one', async (t) => {
  const asked = [
    { text: 'insert into t select 300 from pg_sleep(600)', idempotent: true },
    { text: 'select writes() from pg_sleep(600)' },
    { text: 'insert into t select 300 from pg_sleep(600)', retryMode: 'legacy' },
  ];
  for (const [at, { text, retryMode = 'safe', ...more }] of asked.entries()) {
    let asks = 0;
    const password = () => {
      if (asks++ > 0) throw new Error('no password for the second connection');
      return 'any';
    };
    const { client, count } = open(t, { password, retryMode });
    const mark = `no second try ${at}`;
    const refused = assert.rejects(client.query({ text: `${text} /* ${mark} */`, ...more }), {
      name: 'OutcomeUnknownError',
      code: '57P01',
      safeToRetry: false,
    });
    const [pid] = await db.running(mark, 1, { asleep: true });
    await db.sql('select pg_terminate_backend($1)', [pid]);
    await refused;
    assert.equal(count('onQueryRetry'), 1);
  }
});

test('SC-3: a connection that is dropped first and passes then is a connection', async (t) => {
  const proxy = await db.openProxy(t);
  for (let round = 0; round < 100; round++) {
    const { client, count, of } = open(t, { connectionString: proxy.url(db.url) });
    proxy.cutAt({ direction: 'toServer', byte: 1 });
    await client.connect();
    assert.notEqual(client.getClient(), null);
    assert.deepEqual([count('onConnect'), of('onReconnect')[0].retries], [1, 1]);
    assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
    await client.end();
  }
});

test('SC-13: a listener that says nothing at first does not stop a connection', async (t) => {
  const { hostname, port } = new URL(db.url);
  let accepted = 0;
  const server = net.createServer((client) => {
    accepted++;
    client.on('error', () => {});
    if (accepted === 1) return;
    const upstream = net.connect(Number(port), hostname);
    upstream.on('error', () => {});
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = /** @type {net.AddressInfo} */ (server.address());
  const url = new URL(db.url);
  url.port = String(own);
  for (const library of [undefined, pg]) {
    accepted = 0;
    const own = { connectionString: url.href, library };
    const { client, of } = open(t, { ...own, connectionTimeoutMillis: 300 });
    assert.equal((await client.query('select 1 as n')).rows[0].n, 1);
    assert.equal(accepted, 2);
    if (library) assert.equal(of('onReconnect')[0].err.message, 'timeout expired');
    await client.end();
  }
  server.close();
});

test('SC-13: a wrong database, user or password is not tried again', async (t) => {
  const { client, count } = open(t, { connectionString: db.url.replace(/[^/]*$/, 'missing') });
  await assert.rejects(client.query('select 1'), { code: '3D000' });
  assert.equal(count('onReconnect'), 0);
  const { mayConnectAgain } = require('../../lib/serverless/retry.js');
  for (const [message, again] of [
    ['no such database: missing', false],
    ['no such user', false],
    ['unsupported startup parameter: x', false],
    ['server closed the connection unexpectedly', true],
  ]) {
    assert.equal(mayConnectAgain({ code: '08P01', message }), again, message);
  }
});

test('SC-2: transaction(fn) commits, rolls back, and says which', async (t) => {
  const { client } = open(t, {});
  const value = await client.transaction(async (tx) => {
    await tx.query('insert into t values (9001)');
    return 'returned';
  });
  assert.equal(value, 'returned');
  const reason = new Error('of the caller');
  await assert.rejects(
    client.transaction(async (tx) => {
      await tx.query('insert into t values (9002)');
      throw reason;
    }),
    reason,
  );
  await assert.rejects(
    client.transaction(async (tx) => {
      await tx.query('select 1/0').catch(() => {});
    }),
    { code: '25P02' },
  );
  await assert.rejects(
    client.transaction((tx) => tx.query('insert into t values (9003)'), { readOnly: true }),
    { code: '25006' },
  );
  const rows = await db.sql('select n from t where n > 9000');
  assert.deepEqual(rows, [{ n: 9001 }]);
  await assert.rejects(client.transaction(/** @type {any} */ ('begin')), { name: 'TypeError' });
  await assert.rejects(
    client.transaction(() => {}, { isolation: /** @type {any} */ ('high') }),
    {
      name: 'TypeError',
    },
  );
});

test('SC-2: a conflict runs the function again', async (t) => {
  const { client } = open(t, {});
  let runs = 0;
  await client.transaction(
    async (tx) => {
      runs++;
      await tx.query('insert into t values (9100)');
      if (runs === 1) {
        await tx.query(`do $$ begin raise sqlstate '40001' using message = 'conflict'; end $$`);
      }
    },
    { isolation: 'serializable' },
  );
  assert.equal(runs, 2);
  assert.deepEqual(await db.sql('select count(*)::int as n from t where n = 9100'), [{ n: 1 }]);
});

test('SC-2, sec_x04: 200 transfers through a relay that cuts at random points: every call tells the truth', async (t) => {
  await db.sql(`insert into accounts values ('a', 1000), ('b', 0)`);
  const proxy = await db.openProxy(t);
  const { client } = open(t, { connectionString: proxy.url(db.url), retries: 6 });
  const words = ['COMMIT', 'UPDATE 1', 'BEGIN'];
  const transfer = () =>
    client.transaction(async (tx) => {
      await tx.query(`update accounts set balance = balance - 1 where name = 'a'`);
      await tx.query(`update accounts set balance = balance + 1 where name = 'b'`);
    });
  const balances = async () => {
    const rows = await db.sql('select balance from accounts order by name');
    return rows.map(({ balance }) => balance);
  };
  await transfer();
  // How many bytes a connection takes that makes one of them.
  const whole = { ...proxy.counts };
  let [applied, cuts] = [1, 0];
  for (let round = 0; round < 200; round++) {
    const direction = Math.random() < 0.5 ? 'toClient' : 'toServer';
    if (round % 2 === 0) {
      await client.connect().catch(() => {});
      const word = words[Math.floor(Math.random() * words.length)];
      const text = direction === 'toClient' ? word : word.toLowerCase().slice(0, 6);
      proxy.cutAt({ direction, text, before: Math.random() < 0.5 });
    } else {
      await client.clean();
      const byte = Math.floor(Math.random() * whole[direction]);
      proxy.cutAt({ direction, byte, reset: Math.random() < 0.5 });
    }
    // The server is there: nothing may stay unknown.
    await transfer();
    applied += 1;
    cuts += 1 - proxy.cuts.size;
    assert.deepEqual(await balances(), [1000 - applied, applied]);
    proxy.heal();
  }
  t.diagnostic(`${cuts} cuts`);
  assert.ok(cuts > 100, `${cuts} cuts`);
});

/** Ends the session of a client, which has not heard of it yet. */
async function endBackend(client, pool) {
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  // While the thread is blocked the client does not hear of it.
  pool.querySync('select pg_terminate_backend($1)', [pid]);
  while (pool.querySync('select from pg_stat_activity where pid = $1', [pid]).length > 0);
}

test('SC-2: a BEGIN that was never sent is not repeated without the statements behind it', async (t) => {
  const { client } = open(t, {});
  const pool = createPool({ connectionString: db.url });
  t.after(() => pool.end());
  for (const texts of [
    ['begin', 'insert into t values (9200)', 'commit'],
    ['begin', 'select 1'],
  ]) {
    await endBackend(client, pool);
    const asked = await Promise.allSettled(texts.map((text) => client.query(text)));
    for (const { reason } of asked) assert.equal(reason?.transactionLost, true, String(reason));
    if (texts.length === 2) assert.equal((await client.query('rollback')).command, 'ROLLBACK');
    await client.query('insert into t values (9201)');
  }
  assert.deepEqual(await db.sql('select n from t where n between 9200 and 9201'), [
    { n: 9201 },
    { n: 9201 },
  ]);
});

test('SC-2: nothing of a transaction overtakes another part of it, whenever the loss is heard of', async (t) => {
  const { client } = open(t, { secret: undefined, leaseMode: 'optional' });
  const pool = createPool({ connectionString: db.url });
  t.after(() => pool.end());
  // The engine may have learnt of the loss before the statements were asked, and not have told of it yet: rarely.
  for (let round = 0; round < 80; round++) {
    await endBackend(client, pool);
    const texts = ['begin', 'insert into t values (9210)', 'rollback'];
    const asked = await Promise.allSettled(texts.map((text) => client.query(text)));
    const told = asked.map(({ reason }) => reason?.transactionLost ?? String(reason));
    assert.deepEqual(told, [true, true, 'undefined'], `round ${round}`);
  }
  assert.deepEqual(await db.sql('select n from t where n = 9210'), []);
});

test('SC-2: what is asked while a BEGIN is tried again stands inside of its transaction', async (t) => {
  /** @type {Promise<unknown>[]} */
  const behind = [];
  const ask = (text) => behind.push(client.query(text));
  const onQueryRetry = () => {
    if (behind.length === 0) queueMicrotask(() => ask('insert into t values (9240)'));
  };
  const { client } = open(t, { minBackoff: 200, maxBackoff: 200, hooks: { onQueryRetry } });
  const pool = createPool({ connectionString: db.url });
  t.after(() => pool.end());
  await endBackend(client, pool);
  await client.query('begin');
  await Promise.all(behind);
  assert.equal(behind.length, 1);
  await client.query('rollback');
  assert.deepEqual(await db.sql('select n from t where n = 9240'), []);
});

test('SC-2: transaction(fn) does not end a transaction that its owner has lost and not ended', async (t) => {
  const { client, count } = open(t, {});
  await client.query('begin');
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  await db.sql('select pg_terminate_backend($1)', [pid]);
  await waitFor(() => count('onClientDead') === 1, { what: 'the loss' });
  const lost = { name: 'TransactionLostError', transactionLost: true };
  await assert.rejects(
    client.transaction(() => assert.fail('it must not begin')),
    lost,
  );
  await assert.rejects(client.query('insert into t values (9250)'), lost);
  await assert.rejects(client.query('commit'), lost);
  await client.transaction((tx) => tx.query('insert into t values (9251)'));
  const rows = await db.sql('select n from t where n between 9250 and 9251');
  assert.deepEqual(rows, [{ n: 9251 }]);
});

test('SC-2: a transaction whose COMMIT or ROLLBACK waited for too long does not stay open', async (t) => {
  const { client } = open(t, { defaultQueryTimeoutMs: 1000 });
  await db.sql('select pg_advisory_lock(9300)');
  t.after(() => db.sql('select pg_advisory_unlock_all()'));
  const patient = (text) => ({ text, query_timeout: 60_000 });
  /** @type {Promise<unknown>} */
  let left = Promise.resolve();
  const leave = (tx) => {
    left = tx.query(patient('select pg_advisory_xact_lock(9300)')).catch(() => {});
  };
  await client.connect();
  const changed = client.transaction(async (tx) => {
    await tx.query(patient('insert into t values (9300)'));
    leave(tx);
    throw new Error('changed its mind');
  });
  await assert.rejects(changed, /changed its mind/);
  await left;
  await client.query(patient('insert into t values (9301)'));
  let runs = 0;
  await client.transaction(async (tx) => {
    runs++;
    await tx.query(patient('insert into t values (9302)'));
    if (runs === 1) leave(tx);
  });
  assert.equal(runs, 2);
  assert.deepEqual(await db.sql('select n from t where n between 9300 and 9302 order by n'), [
    { n: 9301 },
    { n: 9302 },
  ]);
});
