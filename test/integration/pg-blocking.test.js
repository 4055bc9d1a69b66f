// connectSync and querySync of the pg face: JavaScript is blocked, and what would need it is refused.
'use strict';

const assert = require('node:assert/strict');
const { Client } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table t (id int)');

test('connectSync and querySync give what connect and query resolve to', async (t) => {
  const client = new Client(db.url);
  t.after(() => client.end());
  let turns = 0;
  setImmediate(() => turns++);
  assert.equal(client.connectSync(), client);
  assert.ok(client.processID > 0);
  const simple = client.querySync('select 1 as a');
  const extended = client.querySync({ text: 'select $1::int as a', values: [2], rowMode: 'array' });
  const several = client.querySync('select 1 as a; select 2 as b');
  assert.equal(turns, 0);
  assert.deepEqual(simple, await client.query('select 1 as a'));
  assert.deepEqual([extended.rows, extended.fields[0].name], [[[2]], 'a']);
  assert.deepEqual(
    several.map(({ rows }) => rows),
    [[{ a: 1 }], [{ b: 2 }]],
  );
});

test('what fails is thrown, and the client goes on', async (t) => {
  const client = new Client(db.url);
  t.after(() => client.end());
  assert.throws(() => client.querySync('select 1'), /connected client/);
  client.connectSync();
  assert.throws(() => client.querySync('select 1/0'), { code: '22012' });
  assert.throws(() => client.querySync('select 1', 'x'), /values must be an array/);
  assert.throws(() => client.querySync(null), /null or undefined/);
  assert.throws(() => client.connectSync(), /already been connected/);
  const late = { text: 'select pg_sleep(10)', query_timeout: 50 };
  assert.throws(() => client.querySync(late), /Query read timeout/);
  const running = client.query('select 1 as a');
  assert.throws(() => client.querySync('select 2'), /nothing else runs/);
  assert.deepEqual((await running).rows, [{ a: 1 }]);
  assert.deepEqual(client.querySync('select 3 as a').rows, [{ a: 3 }]);
});

test('a password function is refused with a clear error, a failed connect is thrown', () => {
  const asking = new Client({ host: '127.0.0.1', user: 'u', password: () => 'x' });
  assert.throws(() => asking.connectSync(), /"password" is a function/);
  const judged = new Client({
    host: '127.0.0.1',
    user: 'u',
    password: 'canary',
    ssl: { checkServerIdentity: () => undefined },
  });
  assert.throws(
    () => judged.connectSync(),
    ({ message }) =>
      /"ssl.checkServerIdentity" is a function/.test(message) && !/canary/.test(message),
  );
  const nowhere = new Client({ host: '127.0.0.1', port: 1, user: 'u' });
  assert.throws(() => nowhere.connectSync(), { code: 'ECONNREFUSED' });
});

test('a session that ends under a blocking statement throws, there and afterwards', () => {
  const client = new Client(db.url);
  client.connectSync();
  function callerOfQuerySync(text) {
    return client.querySync(text);
  }
  for (const message of [/terminating connection/, /^Connection terminated unexpectedly$/]) {
    assert.throws(
      () => callerOfQuerySync('select pg_terminate_backend(pg_backend_pid())'),
      (error) => message.test(error.message) && /callerOfQuerySync/.test(error.stack),
    );
  }
});

test('a blocking call from a parser is refused, and nothing of it is sent', async (t) => {
  const clients = [new Client(db.url), new Client(db.url)];
  for (const client of clients) client.connectSync();
  t.after(() => Promise.all(clients.map((client) => client.end())));
  const [asking, other] = clients;
  const types = { getTypeParser: () => () => other.querySync('insert into t values (1)') };
  await assert.rejects(asking.query({ text: 'select 1', types }), /blocking call.*type parser/);
  const { rows } = await other.query('select * from t');
  assert.deepEqual(rows, []);
});

test('whatever a parser throws, a blocking call throws it', (t) => {
  const client = new Client(db.url);
  t.after(() => client.end());
  client.connectSync();
  for (const thrown of [undefined, null, 0]) {
    const parser = () => {
      throw thrown;
    };
    const text = 'select n from generate_series(1, 3) n';
    const seen = [];
    try {
      seen.push(client.querySync({ text, types: { getTypeParser: () => parser } }).rows);
    } catch (error) {
      seen.push('threw', error);
    }
    assert.deepEqual(seen, ['threw', thrown]);
  }
});
