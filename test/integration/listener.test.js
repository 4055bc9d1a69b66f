// Listener: many channels on one connection, which is replaced when it is lost, and the gap is told.
'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { execFile } = require('node:child_process');
const { once } = require('node:events');
const { createListener } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();

function open(t, options = {}) {
  const listener = createListener({ connectionString: db.url, ...options });
  t.after(() => listener.end());
  return listener;
}

/** `events.once` would reject at an `error`. */
const next = (listener, name) => new Promise((resolve) => listener.once(name, resolve));
const notify = (channel, payload = '') => db.sql('select pg_notify($1, $2)', [channel, payload]);
/** Connections of one listener; those of earlier tests may still be closing. */
const backends = (applicationName) =>
  db.sql('select pid from pg_stat_activity where application_name = $1', [applicationName]);
const kill = () =>
  db.sql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query ~ '^(UN)?LISTEN'`);

test('a handler hears what is committed after listen resolved, with payload and process', async (t) => {
  const listener = open(t);
  const heard = [];
  await listener.listen('jobs', (notification) => heard.push(notification));
  const [{ pid }] = await db.sql('select pg_backend_pid() as pid');
  await notify('jobs', 'ünïcode');
  await notify('jobs');
  await waitFor(() => heard.length === 2, { what: 'both notifications' });
  assert.deepEqual(heard, [
    { channel: 'jobs', payload: 'ünïcode', processId: pid },
    { channel: 'jobs', payload: '', processId: pid },
  ]);
});

test('many channels share one connection, in the order of the server', async (t) => {
  const listener = open(t, { applicationName: 'many channels' });
  const heard = [];
  const channels = Array.from({ length: 20 }, (_, i) => `c${i}`);
  await Promise.all(
    channels.map((channel) => listener.listen(channel, ({ payload }) => heard.push(payload))),
  );
  assert.equal((await backends('many channels')).length, 1);
  await db.sql(`select pg_notify('c' || i % 20, i::text) from generate_series(0, 999) i`);
  await waitFor(() => heard.length === 1000, { what: 'a thousand notifications' });
  assert.deepEqual(
    heard,
    Array.from({ length: 1000 }, (_, i) => String(i)),
  );
});

test('the longest payload and names that need quotes arrive as they are', async (t) => {
  const listener = open(t);
  const heard = [];
  const names = ['Mixed Case', 'q"uote', "it's; drop table x", 'ä'.repeat(31), '$$', 'new\nline'];
  for (const name of names) await listener.listen(name, (n) => heard.push([n.channel, n.payload]));
  for (const name of names) await notify(name, 'x'.repeat(7999));
  await waitFor(() => heard.length === names.length, { what: 'one for each name' });
  assert.deepEqual(
    heard,
    names.map((name) => [name, 'x'.repeat(7999)]),
  );
});

test('sec_q02: a name the server would cut or refuse, and what is no handler, is refused before anything is sent', async (t) => {
  const listener = open(t, { applicationName: 'refused names' });
  await assert.rejects(listener.listen('jobs', 'no function'), {
    name: 'TypeError',
    message: 'handler must be a function, got string',
  });
  for (const [name, message] of [
    ['', /must not be empty/],
    ['x'.repeat(64), /at most 63 bytes/],
    ['ä'.repeat(32), /at most 63 bytes/],
    ['a\0b', /U\+0000/],
    [42, /must be a string, got number/],
  ]) {
    await assert.rejects(listener.listen(name), { name: 'TypeError', message });
  }
  assert.deepEqual(await backends('refused names'), []);
});

test('a lost connection is replaced, all channels are heard again, and the gap comes first', async (t) => {
  const listener = open(t, { applicationName: 'replaced' });
  const order = [];
  listener.on('lost', (cause) => order.push(['lost', cause.code]));
  listener.on('gap', (gap) => order.push(['gap', gap]));
  listener.on('notification', ({ channel }) => order.push(['heard', channel]));
  await listener.listen('a');
  await listener.listen('b');
  await notify('a');
  await waitFor(() => order.length === 1, { what: 'the first notification' });
  const before = new Date();
  const gap = next(listener, 'gap');
  await kill();
  await gap;
  await notify('a');
  await notify('b');
  await waitFor(() => order.length === 5, { what: 'lost, gap and both notifications' });
  assert.deepEqual(
    order.map(([what]) => what),
    ['heard', 'lost', 'gap', 'heard', 'heard'],
  );
  assert.equal(order[1][1], '57P01');
  const [, { channels, since, until, cause }] = order[2];
  assert.deepEqual(channels, ['a', 'b']);
  assert.ok(since <= until && since.getTime() <= before.getTime() + 1000);
  assert.equal(cause.code, '57P01');
  assert.equal((await backends('replaced')).length, 1);
});

test('twenty losses in a row lose no channel', async (t) => {
  const listener = open(t);
  const heard = [];
  const gaps = [];
  listener.on('gap', (gap) => gaps.push(gap));
  await listener.listen('kept', ({ payload }) => heard.push(payload));
  for (let round = 0; round < 20; round++) {
    const gap = next(listener, 'gap');
    await kill();
    await gap;
    await notify('kept', String(round));
    await waitFor(() => heard.includes(String(round)), { what: `notification ${round}` });
  }
  assert.equal(heard.length, 20);
  // Each begins behind the notification that was heard behind the one before.
  const overlapping = gaps.filter(({ since }, i) => i > 0 && since < gaps[i - 1].until);
  assert.deepEqual([gaps.length, overlapping], [20, []]);
});

test('a server that is away is tried again until it is back', async (t) => {
  const proxy = await db.openProxy(t);
  const listener = open(t, { connectionString: proxy.url(db.url), acquireTimeoutMs: 200 });
  const failures = [];
  listener.on('error', (error) => failures.push(error));
  const heard = [];
  await listener.listen('away', ({ payload }) => heard.push(payload));
  proxy.refuse();
  const lost = next(listener, 'lost');
  await kill();
  await lost;
  await waitFor(() => failures.length >= 2, { what: 'two failed attempts' });
  await assert.rejects(listener.listen('more'), ({ code }) => code === '08006');
  const gap = next(listener, 'gap');
  proxy.heal();
  const { channels } = await gap;
  assert.deepEqual(channels, ['away']);
  await notify('away', 'again');
  await waitFor(() => heard.length === 1, { what: 'the notification after the return' });
});

test('listen without a server rejects in time and leaves nothing behind', async (t) => {
  const listener = open(t, {
    connectionString: 'postgres://x@127.0.0.1:1/x',
    acquireTimeoutMs: 100,
  });
  await assert.rejects(listener.listen('nowhere'), { code: '08006' });
  await listener.end();
});

test('listen that has failed may be called again', async (t) => {
  const proxy = await db.openProxy(t);
  const listener = open(t, { connectionString: proxy.url(db.url), acquireTimeoutMs: 2000 });
  proxy.refuse();
  await assert.rejects(listener.listen('again'), { code: '08006' });
  proxy.heal();
  // Behind the end of the attempt, which is no longer wanted.
  await new Promise(setImmediate);
  await listener.listen('again');
});

test('a process ends although listen has found no server', async () => {
  const script = `
    const { createListener } = require('./lib/index.js');
    const listener = createListener({ connectionString: 'postgres://x@127.0.0.1:1/x', acquireTimeoutMs: 100 });
    listener.listen('nowhere').catch(({ code }) => console.log(code));`;
  assert.deepEqual(await run(script, () => {}), [0, '08006\n']);
});

test('the last handler of a channel ends LISTEN, the others go on', async (t) => {
  const listener = open(t, { applicationName: 'last handler' });
  const heard = [];
  const handler = ({ payload }) => heard.push(payload);
  const stopFirst = await listener.listen('twice', handler);
  const stopSecond = await listener.listen('twice', handler);
  await notify('twice', '1');
  await waitFor(() => heard.length === 2, { what: 'both calls of the handler' });
  await stopFirst();
  await stopFirst();
  await notify('twice', '2');
  await waitFor(() => heard.length === 3, { what: 'the call of the other one' });
  await stopSecond();
  const [{ query }] = await db.sql(`select query from pg_stat_activity
    where application_name = 'last handler'`);
  assert.equal(query, 'UNLISTEN "twice"');
  await listener.listen('other', handler);
  await notify('twice', '3');
  await notify('other', '4');
  await waitFor(() => heard.includes('4'), { what: 'the other channel' });
  assert.deepEqual(heard, ['1', '1', '2', '4']);
});

test('sec_j05: a handler that throws stops neither its neighbours nor the connection', async (t) => {
  const listener = open(t);
  const heard = [];
  const errors = [];
  listener.on('error', (error) => errors.push(error.message));
  listener.on('error', () => {
    throw new Error('even the error handler');
  });
  await listener.listen('bad', () => {
    throw new Error('sync');
  });
  await listener.listen('bad', async () => {
    throw new Error('async');
  });
  await listener.listen('bad', ({ payload }) => heard.push(payload));
  const warned = once(process, 'warning');
  await notify('bad', '1');
  await notify('bad', '2');
  await waitFor(() => heard.length === 2 && errors.length === 4, { what: 'everything' });
  assert.deepEqual([...errors].sort(), ['async', 'async', 'sync', 'sync']);
  assert.match((await warned)[0].message, /even the error handler/);
});

test('a handler that listens from within is called once for each notification', async (t) => {
  const listener = open(t);
  const heard = [];
  const stops = [];
  const handler = ({ payload }) => {
    heard.push(payload);
    if (heard.length === 1) stops.push(listener.listen('within', handler));
  };
  stops.push(listener.listen('within', handler));
  await stops[0];
  await notify('within', '1');
  await waitFor(() => heard.length > 0, { what: 'the first notification' });
  await Promise.all(stops);
  assert.deepEqual(heard, ['1']);
  await notify('within', '2');
  await waitFor(() => heard.length >= 3, { what: 'the second one, for both' });
  assert.deepEqual(heard, ['1', '2', '2']);
});

test('end is idempotent, refuses new channels, and closes the connection politely', async () => {
  const listener = createListener(db.url);
  await listener.listen('ended');
  const ending = listener.end();
  assert.equal(listener.end(), ending);
  await ending;
  await waitFor(async () => (await db.connections()) === 0, { what: 'the end of the connection' });
  await assert.rejects(listener.listen('late'), { name: 'ClosedError' });
});

test('listen that end interrupts says that the listener is closed, and what to do', async () => {
  const message = /^the listener is closed .*createListener makes another/;
  const wrong = { name: 'ClosedError', code: 'ERR_CLOSED', outcome: 'not-sent', message };
  const unconnected = createListener(db.url);
  const first = assert.rejects(unconnected.listen('first'), wrong);
  await unconnected.end();
  await first;
  const connected = createListener(db.url);
  await connected.listen('a');
  const second = assert.rejects(connected.listen('b'), wrong);
  await connected.end();
  await second;
  await assert.rejects(connected.listen('late'), wrong);
});

test('end while it connects and while it pauses settles every call', async () => {
  const listener = createListener({
    connectionString: 'postgres://x@127.0.0.1:1/x',
    acquireTimeoutMs: 5000,
  });
  const errors = [];
  listener.on('error', (error) => errors.push(error.message));
  const waiting = assert.rejects(listener.listen('never'));
  await listener.end();
  await waiting;
  await new Promise(setImmediate);
  assert.deepEqual(errors, [], 'its own end is nobody’s failure');
});

test('options about results and sizes of pools are refused by name', () => {
  const given = { poolSize: 2, logger: () => {}, types: 'pg', maxUses: 1, onSlowQuery: () => {} };
  const more = { unref: true, exactlyOnce: true, commitResolution: 'off', resolveTimeoutMs: 1 };
  const further = { warmStatements: 1, statementCacheSize: 1, preparedStatements: 'named' };
  for (const [name, value] of Object.entries({ ...given, ...more, ...further })) {
    assert.throws(() => createListener({ connectionString: db.url, [name]: value }), {
      message: new RegExp(`"${name}" has no meaning`),
    });
  }
});

/** What a process prints that runs this script, and its exit code; `onText` hears the output so far. */
async function run(script, onText) {
  const limit = { timeout: 30_000 };
  const child = execFile(process.execPath, ['-e', script, db.url], limit);
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
    onText(text);
  });
  const [code] = await once(child, 'close');
  return [code, text];
}

test('it keeps the process alive while it listens, and lets it end afterwards', async () => {
  const script = `
    const { createListener } = require('./lib/index.js');
    const listener = createListener(process.argv[1]);
    listener.listen('exit', async ({ payload }) => {
      console.log(payload);
      await listener.end();
    }).then(() => console.log('listening'));`;
  const output = await run(script, (text) => text === 'listening\n' && notify('exit', 'bye'));
  assert.deepEqual(output, [0, 'listening\nbye\n']);
});

test('it keeps the process alive when it listens again on the connection it has', async () => {
  const script = `
    const { createListener } = require('./lib/index.js');
    const listener = createListener(process.argv[1]);
    (async () => {
      const stop = await listener.listen('before');
      await stop();
      await listener.listen('again', async ({ payload }) => {
        console.log(payload);
        await listener.end();
      });
      // Behind everything that could hold the process for a moment.
      setTimeout(() => console.log('listening'), 100);
    })();`;
  const output = await run(script, (text) => text === 'listening\n' && notify('again', 'bye'));
  assert.deepEqual(output, [0, 'listening\nbye\n']);
});

test('a process may end whose listener gave its last channel up when the connection was lost', async () => {
  const script = `
    const { createListener } = require('./lib/index.js');
    const listener = createListener({ connectionString: process.argv[1], applicationName: 'gives up' });
    listener.on('gap', () => console.log('gap'));
    (async () => {
      const stop = await listener.listen('given up');
      listener.on('lost', stop);
      console.log('listening');
    })();`;
  const output = await run(script, (text) => text === 'listening\n' && kill());
  assert.deepEqual(output, [0, 'listening\n']);
});

test('who listens after a loss that concerned nobody is told of no gap', async (t) => {
  const listener = open(t);
  const told = [];
  listener.on('gap', (gap) => told.push(gap));
  const stop = await listener.listen('old');
  listener.on('lost', stop);
  const lost = next(listener, 'lost');
  await kill();
  await lost;
  const heard = new Promise((resolve) => {
    listener.listen('new', resolve).then(() => notify('new'));
  });
  await heard;
  assert.deepEqual(told, []);
});

test('handlers may throw what is no text', async (t) => {
  const listener = open(t);
  const warnings = [];
  const warned = (warning) => warnings.push(warning.message);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  await listener.listen('odd', () => {
    throw Symbol('odd');
  });
  await listener.listen('odd', async () => {
    throw Object.create(null);
  });
  const heard = new Promise((resolve) => {
    listener.listen('odd', resolve).then(() => notify('odd'));
  });
  await heard;
  await waitFor(() => warnings.length >= 2, { what: 'both warnings' });
  assert.deepEqual(warnings, [
    'a handler of a Listener threw: Symbol(odd)',
    'a handler of a Listener threw: what is no text',
  ]);
});

test('handlers hear outside of what other statements are asked in', async (t) => {
  const listener = open(t);
  const pool = db.openPool(t);
  const requests = new AsyncLocalStorage();
  const heard = [];
  await listener.listen('seen', () => heard.push(requests.getStore()));
  // A thread that awaits one answer looks for it by itself, and finds the notification beside it.
  for (let round = 0; round < 200; round++) {
    await requests.run(`request ${round}`, () =>
      pool.query("select pg_notify('seen', $1)", [round]),
    );
  }
  await waitFor(() => heard.length === 200, { what: 'all notifications' });
  assert.deepEqual(new Set(heard), new Set([undefined]));
});
