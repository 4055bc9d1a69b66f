// What comes from JavaScript is checked before anything is sent, and never hurts a neighbour: rules E03–E07, F02–F05, F07, Q01, Q04.
'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { Worker } = require('node:worker_threads');
const { createPool } = require('../../lib/index.js');
const native = require('../../lib/native.js');
const { testDatabase } = require('../support/pools.js');
const {
  failureOf,
  readRequest,
  rightAnswer,
  scriptedPool,
} = require('../support/script-replies.js');
const { test } = require('../support/timed-test.js');
require('../support/stray-errors.js');

const db = testDatabase('create table kept (n int8)');
const LIB = JSON.stringify(path.resolve(__dirname, '../../lib/index.js'));

/** The parameters of a pool's statement fail it before anything is sent, and the next statement works. */
async function refusedBefore(pool, value, sql = 'select $1::text as v') {
  const error = await failureOf(pool.query(sql, [value]));
  assert.equal(error.outcome, 'not-sent', `${error}`);
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
  return error;
}

test('sec_e03: NUL in a text, a parameter or an option is refused and nothing is sent', async (t) => {
  const seen = [];
  const { pool, server } = await scriptedPool(t, async (connection) => {
    for (;;) {
      const request = await readRequest(connection);
      seen.push(...request);
      await connection.send(...rightAnswer(request));
    }
  });
  const nul = String.fromCharCode(0);
  const asked = [
    failureOf(pool.query(`select '${nul}'`)),
    failureOf(pool.query('select $1', [nul])),
  ];
  for (const error of await Promise.all(asked)) assert.equal(error.outcome, 'not-sent');
  assert.deepEqual([seen.length, server.connections], [0, 0]);
  for (const name of ['user', 'password', 'database', 'applicationName', 'options', 'host']) {
    assert.throws(() => createPool({ [name]: `a${nul}b` }), new RegExp(name), name);
  }
});

test('sec_e04: 65 535 parameters pass, 65 536 are refused here', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const list = (count) => Array.from({ length: count }, (_, i) => `$${i + 1}`).join(',');
  const rows = await pool.query(
    `select count(*)::int as n from (select unnest(array[${list(65_535)}]::int[])) s`,
    Array.from({ length: 65_535 }, (_, i) => i),
  );
  assert.deepEqual(rows, [{ n: 65_535 }]);
  const error = await failureOf(pool.query('select 1', Array(65_536).fill(1)));
  assert.match(error.message, /65535|65 535/);
  assert.equal(error.outcome, 'not-sent');
});

test('sec_e05: lone surrogates are refused in texts, values, arrays and objects', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  for (const lone of ['\ud800', 'a\udc00b', '\udbff\ud800']) {
    assert.equal((await failureOf(pool.query(`select '${lone}'`))).outcome, 'not-sent');
    await refusedBefore(pool, lone);
    await refusedBefore(pool, [lone], 'select $1::text[] as v');
  }
  assert.deepEqual(await pool.query('select $1::text as v', ['\ud83d\ude00']), [
    { v: '\u{1f600}' },
  ]);
});

test('sec_e06: a parameter that cannot be sent fails its own query only', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const cyclic = {};
  cyclic.self = cyclic;
  const thrown = new Error('from a getter');
  const values = [
    Symbol('s'),
    () => {},
    new ArrayBuffer(4),
    cyclic,
    new Date(Number.NaN),
    Promise.resolve(1),
    new Map([[1, 2]]),
    {
      get field() {
        throw thrown;
      },
    },
    {
      toJSON() {
        throw thrown;
      },
    },
    '\ud800',
    detached(),
  ];
  const asked = values.flatMap((value, i) => [
    pool.query('select $1::int as n', [i]),
    pool.query('select $1::text as n', [value]),
  ]);
  const results = await Promise.allSettled(asked);
  for (const [i, result] of results.entries()) {
    if (i % 2 === 0) assert.deepEqual(result.value, [{ n: i / 2 }]);
    else assert.equal(result.status, 'rejected', `value ${(i - 1) / 2}`);
  }
  for (const i of [15, 17]) assert.equal(results[i].reason, thrown);
  await db.released(pool);
});

test('sec_e07: numbers that do not fit are errors, never rounded', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  const beyond = Number.MAX_SAFE_INTEGER + 1;
  for (const [sql, value] of [
    ['insert into kept values ($1)', beyond],
    ['insert into kept values ($1)', -beyond],
    ['insert into kept values ($1)', 1.5],
    ['insert into kept values ($1)', Number.NaN],
    ['insert into kept values ($1)', Number.POSITIVE_INFINITY],
    ['insert into kept values ($1)', 2n ** 63n],
    ['select $1::int4', 2 ** 31],
    ['select $1::int2', -(2 ** 15) - 1],
  ]) {
    const error = await failureOf(pool.query(sql, [value]));
    assert.match(error.code, /^22/, `${sql} ${value}`);
  }
  assert.deepEqual(await db.sql('select n from kept'), []);
  const extremes = [2n ** 63n - 1n, -(2n ** 63n), Number.MAX_SAFE_INTEGER];
  for (const value of extremes) {
    assert.deepEqual(await pool.query('select $1::int8 as n', [value]), [{ n: BigInt(value) }]);
  }
});

test('sec_f02: no export of the engine takes wrong arguments, or dies of them', () => {
  const hostile = [
    undefined,
    null,
    -1,
    1.5,
    Number.NaN,
    2 ** 53,
    'x',
    '{',
    Symbol('s'),
    1n,
    [],
    {},
    () => {},
    new Proxy({}, { get: () => assert.fail('no property is read') }),
    new Uint8Array(3),
    detached(),
  ];
  // These act on the environment itself: wrong arguments are what the others are tried with.
  const tried = Object.keys(native).filter(
    (name) => !['setup', 'hold', 'drain', 'park'].includes(name),
  );
  assert.ok(tried.length > 10);
  for (const name of tried) {
    for (const value of hostile) {
      for (const count of [0, 1, 2, 4]) {
        try {
          const returned = native[name](...Array(count).fill(value));
          if (returned instanceof Promise) returned.catch(() => {});
        } catch (error) {
          assert.ok(error instanceof Error, `${name}: ${String(error)}`);
          assert.doesNotMatch(String(error), /panick/i, name);
        }
      }
    }
  }
});

function detached() {
  const bytes = new Uint8Array(8);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

test('sec_f03: use after the end, a double end and a stale transaction are typed errors', async (t) => {
  const pool = createPool(db.url);
  const tx = await pool.begin();
  await tx.query('select 1');
  await tx.commit();
  for (const use of [() => tx.query('select 1'), () => tx.commit(), () => tx.rollback()]) {
    const { name, code, outcome, message } = await failureOf(use());
    assert.deepEqual(
      [name, code, outcome, message],
      ['ClosedError', 'ERR_CLOSED', 'not-sent', 'transaction: already committed or rolled back'],
    );
  }
  const gone = /^transaction: already committed or rolled back$/;
  assert.throws(() => tx.stream('select 1'), { name: 'ClosedError', message: gone });
  const held = await pool.begin();
  await Promise.all([pool.end({ timeoutMs: 50 }), pool.end(), pool.end()]);
  await pool.end();
  const closed = { name: 'ClosedError', message: 'query: the pool is closed (end() was called)' };
  const late = [
    () => pool.query('select 1'),
    () => pool.begin(),
    () => pool.transaction((inner) => inner.query('select 1')),
    async () => pool.querySync('select 1'),
    async () => pool.stream('select 1').next(),
    () => pool.batch(['select 1']),
    () => held.query('select 1'),
  ];
  for (const use of late) {
    const { name, message, outcome } = await failureOf(use());
    assert.deepEqual({ name, message }, closed);
    assert.notEqual(outcome, 'unknown');
  }
  assert.equal(pool.status().size, 0);
  t.diagnostic(`${await db.connections()} connections left`);
  assert.equal(await db.connections(), 0);
});

test('sec_f04: bytes are taken when the call is made; changing them afterwards changes nothing', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  for (const size of [16, 1_000_000]) {
    const bytes = Buffer.alloc(size, 1);
    const asked = pool.query('select $1::bytea as v', [bytes]);
    bytes.fill(2);
    structuredClone(bytes.buffer.byteLength === size ? bytes.buffer : null, {
      transfer: bytes.buffer.byteLength === size ? [bytes.buffer] : [],
    });
    const [{ v }] = await asked;
    assert.ok(v.equals(Buffer.alloc(size, 1)), `${size} bytes`);
  }
});

test('sec_f07: the caller’s async context and stack are kept', async (t) => {
  const pool = db.openPool(t, { poolSize: 2 });
  const storage = new AsyncLocalStorage();
  const inside = (n) =>
    storage.run(n, async () => {
      await pool.query('select $1::int', [n]);
      assert.equal(storage.getStore(), n);
      const tx = await pool.begin();
      assert.equal(storage.getStore(), n);
      for await (const _ of tx.stream('select 1')) assert.equal(storage.getStore(), n);
      await tx.commit();
      await assert.rejects(pool.query('select no_such_column'), { code: '42703' });
      assert.equal(storage.getStore(), n);
    });
  await Promise.all(Array.from({ length: 20 }, (_, n) => inside(n)));
  async function myOwnFunction() {
    await pool.query('select no_such_column');
  }
  assert.match((await failureOf(myOwnFunction())).stack, /myOwnFunction/);
});

test('sec_q01: parameters never appear in the text of a statement', async (t) => {
  const canary = "canary'); drop table x; --";
  const texts = [];
  for (const preparedStatements of ['named', 'unnamed']) {
    const { pool } = await scriptedPool(
      t,
      async (connection) => {
        for (;;) {
          const request = await readRequest(connection);
          for (const { type, text } of request) if ('PQ'.includes(type)) texts.push(text);
          await connection.send(...rightAnswer(request));
        }
      },
      { preparedStatements },
    );
    for (let n = 0; n < 3; n++) await pool.query('select $1', [canary]);
    for (const value of [[canary], { a: canary }, Buffer.from(canary)]) {
      await pool.query('select $1, 2', [value]).catch(() => {});
    }
  }
  assert.ok(texts.length >= 3);
  for (const text of texts) assert.ok(!text.includes('canary'), text);
});

test('sec_q04: several statements in one call are refused, with parameters and without', async (t) => {
  const pool = db.openPool(t, { poolSize: 1 });
  for (const params of [undefined, [], [1]]) {
    const sql = params?.length ? 'select $1::int; select 2' : 'select 1; select 2';
    const error = await failureOf(pool.query(sql, params));
    assert.equal(error.code, '42601');
  }
  assert.deepEqual(await pool.query('select 1 as x'), [{ x: 1 }]);
});

const inWorker = (code) =>
  new Worker(
    `const { createPool } = require(${LIB}); const url = require('node:worker_threads').workerData;
    (async () => { ${code} })()`,
    { eval: true, workerData: db.url },
  );

test('sec_f05: worker threads use the engine, and may be terminated in the middle of a query', async (t) => {
  const pool = db.openPool(t);
  const code = `const pool = createPool(url);
    for (let i = 0; i < 20; i++) await pool.query('select $1::int as n', [i]);
    require('node:worker_threads').parentPort.postMessage('ready');
    await Promise.all([pool.query("select pg_sleep(20), 'in worker'"), pool.query("select 1")]);`;
  for (let round = 0; round < 5; round++) {
    const workers = [inWorker(code), inWorker(code)];
    const ready = workers.map(
      (worker) => new Promise((resolve) => worker.once('message', resolve)),
    );
    await Promise.all(ready);
    await db.running('in worker', 2);
    assert.equal((await pool.query('select 1 as x')).length, 1);
    await Promise.all(workers.map((worker) => worker.terminate()));
    await db.idle('in worker');
  }
  const ends = inWorker(
    `const pool = createPool(url); await pool.query('select 1'); await pool.end();`,
  );
  assert.equal(await new Promise((resolve) => ends.once('exit', resolve)), 0);
});

test('sec_f05: worker threads may be terminated while answers arrive', async () => {
  const code = `const pool = createPool(url);
    await pool.query('select 1');
    require('node:worker_threads').parentPort.postMessage('ready');
    await Promise.all(Array.from({ length: 20 }, async () => {
      for (;;) await pool.query("select $1::int as n, repeat('abc', 20) as t", [1]);
    }));`;
  for (let round = 0; round < 30; round++) {
    const workers = [inWorker(code), inWorker(code)];
    const busy = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
    await Promise.all(busy);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}, 120_000); // sixty workers start

/** What a program of its own does: its exit code and what it printed. */
function program(code) {
  const child = spawn(process.execPath, [
    '-e',
    `const { createPool } = require(${LIB}); ${code}`,
    db.url,
  ]);
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, output })));
}

test('sec_f05: a worker thread may be terminated inside its password function', async () => {
  const code = `const { Worker } = require('node:worker_threads');
    const url = process.argv[1].replace('postgres@', 'scram_user@');
    const inside = \`const { parentPort, workerData } = require('node:worker_threads');
      require(\${JSON.stringify(${LIB})}).createPool({ connectionString: workerData, password() {
        parentPort.postMessage('asked');
        for (;;);
      } }).query('select 1');\`;
    (async () => {
      const worker = new Worker(inside, { eval: true, workerData: url });
      await new Promise((resolve) => worker.once('message', resolve));
      await worker.terminate();
      const pool = createPool(process.argv[1]);
      console.log('alive', (await pool.query('select 1 as x'))[0].x);
      await pool.end();
    })()`;
  assert.deepEqual(await program(code), { status: 0, output: 'alive 1\n' });
});

test('sec_c05: a process ends by itself when nothing is awaited, and does not before', async () => {
  const url = 'process.argv[1]';
  const idle = await program(
    `createPool(${url}).query('select pg_sleep(0.2), 7 as n').then(([{ n }]) => console.log(n))`,
  );
  assert.deepEqual(idle, { status: 0, output: '7\n' });
  const unused = await program(`createPool(${url}); console.log('made')`);
  assert.deepEqual(unused, { status: 0, output: 'made\n' });
  const inFlight = await program(
    `createPool(${url}).query('select pg_sleep(20)'); setTimeout(() => process.exit(3), 100)`,
  );
  assert.deepEqual(inFlight, { status: 3, output: '' });
});
