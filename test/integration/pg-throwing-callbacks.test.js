// What the program's own code throws inside a pg pool: an uncaught exception or its own operation's failure, and no client is lost.
'use strict';

const assert = require('node:assert/strict');
const { Client, Pool } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
const { uncaughtIn } = require('../support/uncaught.js');

const db = testDatabase();
const MINE = new Error('mine');

const counts = ({ totalCount, idleCount, waitingCount }) => [totalCount, idleCount, waitingCount];

function openPool(t, options = {}) {
  const pool = new Pool({ connectionString: db.url, max: 1, ...options });
  t.after(() => (pool.ending ? undefined : pool.end()));
  return pool;
}

/** Throws when it is first called. */
function once() {
  let isThrown = false;
  return () => {
    if (isThrown) return;
    isThrown = true;
    throw MINE;
  };
}

async function works(pool) {
  assert.deepEqual((await pool.query('select 1 as n')).rows, [{ n: 1 }]);
  const client = await pool.connect();
  assert.deepEqual((await client.query('select 2 as n')).rows, [{ n: 2 }]);
  client.release();
  assert.deepEqual(counts(pool), [1, 1, 0]);
  await pool.end();
}

for (const event of ['connect', 'acquire', 'release', 'remove']) {
  test(`sec_j05: a listener of "${event}" that throws takes no client away`, async (t) => {
    const pool = openPool(t);
    const thrown = await uncaughtIn(async () => {
      pool.once(event, once());
      const client = await pool.connect();
      const next = pool.query('select 1');
      client.release(event === 'remove');
      await next;
      await works(pool);
    });
    assert.deepEqual(thrown, [MINE]);
  });
}

test('sec_j05: whatever a log throws on, the pool goes on', async (t) => {
  const said = new Set();
  const pool = openPool(t, {
    log: (words) => {
      if (said.has(words)) return;
      said.add(words);
      throw MINE;
    },
  });
  const thrown = await uncaughtIn(async () => {
    await pool.query({ text: 'select 1', signal: new AbortController().signal });
    await works(pool);
  });
  assert.ok(said.size >= 8, `${[...said]}`);
  assert.deepEqual(new Set(thrown), new Set([MINE]));
  assert.equal(thrown.length, said.size);
});

test('sec_j05: a verify that throws refuses its client, and the next one is asked about another', async (t) => {
  const refuse = once();
  const pool = openPool(t, {
    verify: (_, done) => {
      refuse();
      done();
    },
  });
  await assert.rejects(pool.query('select 1'), MINE);
  await works(pool);
});

test('sec_j05: one that throws behind its answer has given it', async (t) => {
  const answers = [];
  const pool = openPool(t, {
    verify: (client, done) => {
      answers.push(client);
      done();
      done(new Error('too late'));
      throw MINE;
    },
  });
  const thrown = await uncaughtIn(() => works(pool));
  assert.deepEqual(thrown, [MINE]);
  assert.equal(answers.length, 1);
});

test('sec_j05: what the callback of one connect throws is not what the release of another does', async (t) => {
  const pool = openPool(t);
  const client = await pool.connect();
  const thrown = await uncaughtIn(async () => {
    const lent = new Promise((resolve) => {
      pool.connect((_, next) => {
        resolve(next);
        throw MINE;
      });
    });
    client.release();
    (await lent).release();
    await works(pool);
  });
  assert.deepEqual(thrown, [MINE]);
});

for (const member of ['constructor', 'connect']) {
  test(`sec_j05: a client whose ${member} throws fails whoever it was for`, async (t) => {
    let throws = once();
    class Own extends Client {
      constructor(options) {
        super(options);
        if (member === 'constructor') throws();
      }

      connect(callback) {
        if (member === 'connect') throws();
        return super.connect(callback);
      }
    }
    const pool = openPool(t, { Client: Own });
    await assert.rejects(pool.query('select 1'), MINE);
    throws = once();
    const failure = await new Promise((resolve) => pool.query('select 1', resolve));
    assert.equal(failure, MINE);
    const client = await pool.connect();
    throws = once();
    // Both wait, and none is left when it comes to them.
    const waits = Promise.allSettled([pool.query('select 1'), pool.query('select 2 as n')]);
    client.release(true);
    const [first, second] = await waits;
    assert.equal(first.reason, MINE);
    assert.deepEqual(second.value.rows, [{ n: 2 }]);
    await works(pool);
  });
}
