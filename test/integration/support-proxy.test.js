// Each fault of the proxy, seen by a client of a real server.
'use strict';

const assert = require('node:assert/strict');
const { after, afterEach, before, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { Client } = require('pg');
const { startProxy } = require('../support/proxy.js');
const { freshDatabase } = require('../support/shared.js');
const { waitFor } = require('../support/wait.js');

let server;
let proxy;
before(async () => {
  server = await freshDatabase();
  proxy = await startProxy(server);
});
afterEach(() => proxy.heal());
after(async () => {
  await proxy.close();
  await server.drop();
});

/** Connects through the proxy; a connection that a test cuts reports to nobody. */
async function connect() {
  const client = new Client({ connectionString: proxy.url(server.url) });
  client.on('error', () => {});
  await client.connect();
  return client;
}

test('without faults everything passes and is counted', async () => {
  const before = { ...proxy.counts };
  const client = await connect();
  const { rows } = await client.query(`select repeat('x', 3000000) as long`);
  assert.equal(rows[0].long.length, 3_000_000);
  assert.equal(proxy.open, 1);
  await client.end();
  await waitFor(() => proxy.open === 0, { what: 'the end of the connection' });
  assert.equal(proxy.counts.connections, before.connections + 1);
  assert.ok(proxy.counts.toClient - before.toClient > 3_000_000);
  assert.ok(proxy.counts.toServer - before.toServer > 50);
});

test('a delay holds each direction, and single bytes arrive complete', async () => {
  const client = await connect();
  proxy.delay(25);
  proxy.split(1);
  const started = performance.now();
  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }]);
  assert.ok(performance.now() - started >= 49);
  await client.end();
});

test('a black hole swallows, healing delivers', async () => {
  const client = await connect();
  proxy.blackHole();
  const answer = client.query('select 2 as two');
  const first = await Promise.race([answer, sleep(100, 'nothing')]);
  assert.equal(first, 'nothing');
  proxy.heal();
  assert.deepEqual((await answer).rows, [{ two: 2 }]);
  await client.end();
});

test('a text that has passed before a cut is planned sets nothing off', async () => {
  const client = await connect();
  await client.query(`select 'marked' as word`);
  proxy.cutAt({ direction: 'toClient', text: 'marked', before: true });
  assert.deepEqual((await client.query('select 3 as three')).rows, [{ three: 3 }]);
  await assert.rejects(client.query(`select 'mar' || 'ked' as word`));
});

test('a cut when a text passes reaches the server, one before it does not', async () => {
  const observer = new Client({ connectionString: server.url });
  await observer.connect();
  await observer.query('create table cut_rows (n int)');
  for (const [n, before] of [
    [1, false],
    [2, true],
  ]) {
    const client = await connect();
    proxy.cutAt({ direction: 'toServer', text: `values (${n})`, before });
    // the simple protocol ends the statement with a zero byte, so the cut falls before the last byte
    await assert.rejects(client.query(`insert into cut_rows values (${n})`));
  }
  const client = await connect();
  proxy.cutAt({ direction: 'toClient', text: 'INSERT', before: true });
  await assert.rejects(client.query('insert into cut_rows values (3)'));
  const { rows } = await observer.query('select n from cut_rows');
  assert.deepEqual(rows, [{ n: 3 }]);
  await observer.end();
});

test('a cut at a byte forwards exactly that many', async () => {
  const before = proxy.counts.toClient;
  proxy.cutAt({ direction: 'toClient', byte: 5 });
  await assert.rejects(connect());
  assert.equal(proxy.counts.toClient - before, 5);
  assert.equal(proxy.cuts.size, 0);
});

test('reset ends open connections with ECONNRESET, new ones work', async () => {
  const client = await connect();
  const waiting = client.query('select pg_sleep(30)');
  await waitFor(() => proxy.open === 1);
  await Promise.all([assert.rejects(waiting, { code: 'ECONNRESET' }), proxy.cutAll()]);
  const next = await connect();
  await next.end();
});

test('refuse resets new connections and leaves open ones', async () => {
  const client = await connect();
  const refused = proxy.counts.refused;
  proxy.refuse();
  await assert.rejects(connect());
  assert.equal(proxy.counts.refused, refused + 1);
  assert.equal((await client.query('select 1')).rowCount, 1);
  await client.end();
});
