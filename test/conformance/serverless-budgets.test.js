// The bounds of one call (rule SC-20): its attempts, its time, and what it shares with others.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const net = require('node:net');
const { getEventListeners } = require('node:events');
const { Budget } = require('../../lib/serverless/retry.js');
const { testDatabase } = require('../support/pools.js');
const { freePort } = require('../support/server.js');
const { openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase('create table t (n int)');

const open = (t, options) =>
  openServerless(t, {
    ...{ connectionString: db.url, reaper: false, minBackoff: 1, maxBackoff: 20 },
    ...options,
  });

test('SC-20: a dead server gets 1 + retries attempts, under one clock, each call with delays of its own', async (t) => {
  const url = `postgres://u@127.0.0.1:${await freePort()}/d`;
  const { client, of } = open(t, { connectionString: url, minBackoff: 10, maxBackoff: 1000 });
  for (let call = 1; call <= 3; call++) {
    await assert.rejects(client.query('select 1'), { code: 'ECONNREFUSED' });
    const delays = of('onReconnect')
      .slice((call - 1) * 3)
      .map(({ delay }) => delay);
    assert.equal(delays.length, 3);
    assert.ok(delays[0] >= 10 && delays[0] <= 30, `first delay ${delays[0]}`);
  }
  const short = open(t, {
    connectionString: url,
    minBackoff: 1500,
    maxBackoff: 1500,
    maxConnectRetryTimeMs: 200,
  });
  await assert.rejects(short.client.connect(), { code: 'ECONNREFUSED' });
  assert.ok(short.of('onReconnect').every(({ delay }) => delay <= 200));
});

test('SC-20: a transaction and exactlyOnce have the attempts and the time of one call', async (t) => {
  const proxy = await db.openProxy(t);
  proxy.refuse();
  const connectionString = proxy.url(db.url);
  const calls = {
    query: ({ client }) => client.query('select 1'),
    exactlyOnce: ({ client }) =>
      client.query({ text: 'insert into t values (1)', exactlyOnce: true }),
    transaction: ({ client }) => client.transaction((tx) => tx.query('select 1')),
    // The number is that of its runs.
    'transaction of one run': ({ client }) =>
      client.transaction((tx) => tx.query('select 1'), { retries: 0 }),
  };
  for (const [name, call] of Object.entries(calls)) {
    proxy.counts.refused = 0;
    const opened = open(t, { connectionString });
    await assert.rejects(call(opened), { code: 'ECONNRESET' }, name);
    assert.equal(proxy.counts.refused, 4, name);
    assert.equal(opened.count('onReconnect'), 3, name);
  }
  // Delays take all the time there is, so a second budget would show.
  const slow = { minBackoff: 300, maxBackoff: 300, maxQueryRetryTimeMs: 250 };
  for (const [name, call] of Object.entries(calls)) {
    const dead = open(t, { connectionString, ...slow });
    await assert.rejects(call(dead), { code: 'ECONNRESET' }, name);
    assert.equal(dead.count('onReconnect'), 1, name);
  }
});

test('SC-20: who joins the attempt of another call has tries and time of his own', async (t) => {
  const port = await freePort();
  const url = `postgres://u@127.0.0.1:${port}/d`;
  const waited = { minBackoff: 60, maxBackoff: 60, retries: 1 };
  const { client, count } = open(t, { connectionString: url, ...waited });
  const first = assert.rejects(client.query('select 1'), { code: 'ECONNREFUSED' });
  // In its only pause: for whoever comes now, the next try is the first of two.
  await waitFor(() => count('onReconnect') === 1);
  const second = assert.rejects(client.query('select 2'), { code: 'ECONNREFUSED' });
  await first;
  await second;
  assert.equal(count('onReconnect'), 2);
  assert.deepEqual([count('onQueryError'), count('onQueryRetry')], [2, 0]);

  const hurried = { maxConnectRetryTimeMs: 50, minBackoff: 400, maxBackoff: 400, retries: 1 };
  const both = open(t, { connectionString: url, ...hurried });
  const calls = {
    connect: () => both.client.connect(),
    query: () => both.client.query('select 1'),
  };
  // Whoever begins it, neither has the limit of the other.
  for (const names of [Object.keys(calls), Object.keys(calls).reverse()]) {
    /** @type {string[]} */
    const ends = [];
    const ended = names.map((name) => calls[name]().catch(() => ends.push(name)));
    await Promise.all(ended);
    assert.deepEqual(ends, ['connect', 'query']);
  }
  assert.deepEqual(
    both.of('onReconnect').map(({ delay }) => delay),
    [400, 400],
  );
});

test('SC-20: a server that comes up while others give up serves who has tries left', async (t) => {
  const { hostname, port: upstream } = new URL(db.url);
  const port = await freePort();
  const url = new URL(db.url);
  url.port = String(port);
  const waited = { minBackoff: 60, maxBackoff: 60, retries: 1 };
  const { client, count } = open(t, { connectionString: url.href, ...waited });
  const first = assert.rejects(client.query('select 1'), { code: 'ECONNREFUSED' });
  await waitFor(() => count('onReconnect') === 1);
  const second = client.query('select 2 as n');
  await first;
  const server = net.createServer((socket) => {
    const there = net.connect(Number(upstream), hostname);
    for (const end of [socket, there]) end.on('error', () => {});
    socket.pipe(there).pipe(socket);
  });
  server.listen(port, '127.0.0.1');
  t.after(() => server.close());
  assert.equal((await second).rows[0].n, 2);
  await client.end();
});

test('SC-20: calls that wait for another try share one listener, and end with the client', async () => {
  const closing = new AbortController();
  const limits = { retries: 1, minBackoff: 1, maxBackoff: 1 };
  const budget = new Budget(limits, 0, closing.signal);
  const waits = Array.from({ length: 20 }, () => budget.pause(600_000));
  assert.equal(getEventListeners(closing.signal, 'abort').length, 1);
  closing.abort();
  await Promise.all(waits);
  await budget.pause(600_000);
  assert.equal(budget.leftMs, 0);
});
