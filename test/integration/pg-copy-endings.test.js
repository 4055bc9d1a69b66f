// COPY that does not come to its end, in both directions and however: the client goes on, and nothing was stored.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const copyStreams = require('pg-copy-streams');
const { Client, Pool, copyFrom, copyTo } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table item (id int primary key, name text)');

const MANY = 'select n, repeat($$x$$, 100) from generate_series(1, 50000) n';
/** Fails behind many rows. */
const LATE = 'select 1 / (40000 - n), repeat($$x$$, 100) from generate_series(1, 50000) n';

const lines = function* (last) {
  for (let id = 0; id < 20_000; id++) yield `${id}\tname ${id}\n`;
  if (last !== undefined) yield last;
};

const failure = (promise) =>
  promise.then(
    () => assert.fail('it came to its end'),
    (error) => error,
  );

/** Each runs on a client, and gives a word on what came of it. */
const ENDINGS = ({ from, to }) => ({
  'FROM: a row that is wrong, behind many': async (client) => {
    const stream = client.query(from('copy item from stdin'));
    return (await failure(pipeline(Readable.from(lines('x\tx\n')), stream))).code;
  },
  'FROM: a row that is there already': async (client) => {
    const stream = client.query(from('copy item from stdin'));
    return (await failure(pipeline(Readable.from(lines('1\tx\n')), stream))).code;
  },
  'FROM: bytes that are no binary rows': async (client) => {
    const stream = client.query(from('copy item from stdin (format binary)'));
    return (await failure(pipeline(Readable.from(lines()), stream))).code;
  },
  'FROM: a source that fails': async (client) => {
    async function* failing() {
      yield* lines();
      throw new Error('the source broke');
    }
    return (await failure(pipeline(failing, client.query(from('copy item from stdin'))))).message;
  },
  'FROM: destroyed in the middle': async (client) => {
    const stream = client.query(from('copy item from stdin'));
    stream.on('error', () => {});
    await new Promise((resolve) => stream.write('1\tx\n', resolve));
    stream.destroy(new Error('mine'));
    return 'destroyed';
  },
  'FROM: a table that is not there': async (client) => {
    const stream = client.query(from('copy gone from stdin'));
    const [error] = await once(stream, 'error');
    return error.code;
  },
  'TO: an error behind many rows': async (client) => {
    const stream = client.query(to(`copy (${LATE}) to stdout`));
    stream.resume();
    const [error] = await once(stream, 'error');
    return error.code;
  },
  'TO: destroyed after its first bytes': async (client) => {
    const stream = client.query(to(`copy (${MANY}) to stdout`));
    stream.on('error', () => {});
    await once(stream, 'data');
    stream.destroy();
    return 'destroyed';
  },
  'TO: a loop that is left': async (client) => {
    for await (const chunk of client.query(to(`copy (${MANY}) to stdout (format binary)`))) {
      if (chunk.length > 0) return 'left';
    }
    return 'read to its end';
  },
  'TO: a target that fails': async (client) => {
    const stream = client.query(to(`copy (${MANY}) to stdout`));
    const target = async function* (source) {
      for await (const chunk of source) {
        if (chunk.length > 0) throw new Error('the target broke');
        yield chunk;
      }
    };
    return (await failure(pipeline(stream, target, async (rest) => void (await rest.next()))))
      .message;
  },
  'TO: a table that is not there': async (client) => {
    const stream = client.query(to('copy gone to stdout'));
    stream.resume();
    const [error] = await once(stream, 'error');
    return error.code;
  },
});

const EXPECTED = ['22P02', '23505', '22P04', 'the source broke', 'destroyed', '42P01'].concat([
  ...['22012', 'destroyed', 'left', 'the target broke', '42P01'],
]);

for (const [name, streams] of Object.entries({
  'our streams': { from: copyFrom, to: copyTo },
  'pg-copy-streams': copyStreams,
})) {
  test(`${name}: one ending behind the other on one client, with a query behind each`, async (t) => {
    const client = await new Client(db.url).connect();
    t.after(() => client.end());
    const came = [];
    for (const run of Object.values(ENDINGS(streams))) {
      came.push(await run(client));
      const { rows } = await client.query(
        'select count(*)::int as n, pg_backend_pid() as pid from item',
      );
      assert.deepEqual(rows, [{ n: 0, pid: client.processID }], came.at(-1));
      assert.equal(client.getTransactionStatus(), 'I');
    }
    assert.deepEqual(came, EXPECTED);
  });

  test(`${name}: a client that is given back at once serves the next one`, async (t) => {
    const pool = new Pool({ connectionString: db.url, max: 1 });
    t.after(() => pool.end());
    for (const run of Object.values(ENDINGS(streams))) {
      const client = await pool.connect();
      const over = run(client);
      await over;
      client.release();
      const { rows } = await pool.query('select count(*)::int as n from item');
      assert.deepEqual(rows, [{ n: 0 }]);
    }
    assert.equal(pool.totalCount, 1);
  });
}

test('inside a transaction the savepoint is what is left', async (t) => {
  const client = await new Client(db.url).connect();
  t.after(() => client.end());
  await client.query('begin; insert into item values (1, $$kept$$); savepoint s');
  const error = await failure(
    pipeline(Readable.from(['1\tx\n']), client.query(copyFrom('copy item from stdin'))),
  );
  assert.equal(error.code, '23505');
  assert.equal(client.getTransactionStatus(), 'E');
  await client.query('rollback to s');
  assert.deepEqual((await client.query('select name from item')).rows, [{ name: 'kept' }]);
  await client.query('rollback');
});
