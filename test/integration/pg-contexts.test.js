// In which asynchronous context the pg face calls back: that of whoever asked, not of whoever else uses the client.
'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { once } = require('node:events');
const ForeignCursor = require('pg-cursor');
const ForeignStream = require('pg-query-stream');
const { Client, Cursor, QueryStream } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const database = testDatabase();
const ROWS = 'select generate_series(1, 30)';

async function readCursor(client, Class, note) {
  const cursor = client.query(new Class(ROWS));
  await new Promise((resolve) => {
    cursor.read(5, () => {
      note('read');
      resolve();
    });
  });
  await new Promise((resolve) => {
    cursor.close(() => {
      note('closed');
      resolve();
    });
  });
  const failing = client.query(new Class('select 1 / 0'));
  await new Promise((resolve) => {
    failing.read(1, (error) => {
      note(`failed with ${error.code}`);
      resolve();
    });
  });
}

async function readStream(client, Class, note) {
  const stream = client.query(new Class(ROWS, [], { batchSize: 20 }));
  stream.on('data', () => note('row'));
  stream.on('end', () => note('end'));
  await once(stream, 'close');
}

for (const [name, read, Class] of [
  ['Cursor', readCursor, Cursor],
  ['QueryStream', readStream, QueryStream],
  ['Cursor of pg-cursor', readCursor, ForeignCursor],
  ['QueryStream of pg-query-stream', readStream, ForeignStream],
]) {
  test(`a ${name} calls back in the context of its own request`, async () => {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const requests = new AsyncLocalStorage();
    const seen = [];
    const run = (request) =>
      requests.run(request, read, client, Class, (what) =>
        seen.push({ what, request, store: requests.getStore() }),
      );
    await Promise.all(['first', 'second'].map(run));
    await client.end();
    assert.ok(seen.length >= 6);
    assert.deepEqual(
      seen.filter(({ request, store }) => request !== store),
      [],
    );
  });
}
