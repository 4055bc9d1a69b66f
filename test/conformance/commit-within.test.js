// A text of several statements with a COMMIT in it: what fails behind that has not failed as a whole (CP-3, X03).
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { finished } = require('node:stream/promises');
const { Client } = require('../../lib/pg/index.js');
const { testDatabase } = require('../support/pools.js');
const { failureOf } = require('../support/script-replies.js');
const { openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase('create table t (n int)');
const rowsOf = async (n) => (await db.sql('select from t where n = $1', [n])).length;

/** Whoever can send such texts, and how. */
const FACES = {
  async Client(t) {
    const client = new Client({ connectionString: db.url });
    t.after(() => client.end());
    await client.connect();
    return (query) => client.query(query);
  },
  ServerlessClient(t) {
    const { client } = openServerless(t, { connectionString: db.url, reaper: false });
    return (query) => client.query(query);
  },
  createPool(t) {
    const pool = db.openPool(t, { poolSize: 1 });
    return async ({ text, query_timeout: timeoutMs }) => {
      const reading = text.startsWith('select');
      if (reading) return { rows: await pool.query(text) };
      const out = pool.copyTo(`${text}; copy t to stdout`, timeoutMs ? { timeoutMs } : {});
      out.resume();
      return finished(out);
    };
  },
};

for (const [index, [face, open]] of Object.entries(FACES).entries()) {
  test(`CP-3: ${face}: what fails behind a COMMIT of its own text is unknown, and keeps its words`, async (t) => {
    const query = await open(t);
    const start = async () => (await query({ text: 'select pg_backend_pid() as pid' })).rows[0].pid;
    const pid = await start();
    const n = 10 * index;
    const write = (id) => `begin; insert into t values (${id}); commit`;
    const refused = await failureOf(query({ text: `${write(n)}; select 1 / 0` }));
    assert.deepEqual(
      [refused.code, refused.outcome, refused.safeToRetry],
      ['22012', 'unknown', false],
    );
    assert.equal(await rowsOf(n), 1);
    const late = { text: `${write(n + 1)}; select pg_sleep(60)`, query_timeout: 50 };
    const given = await failureOf(query(late));
    assert.deepEqual([given.name, given.outcome], ['TimeoutError', 'unknown'], given.stack);
    assert.equal(await rowsOf(n + 1), 1);
    const before = await failureOf(query({ text: `begin; select 1 / 0; ${write(n + 2)}` }));
    assert.deepEqual([before.code, before.outcome], ['22012', 'failed']);
    if (face !== 'createPool') await query({ text: 'rollback' });
    assert.equal(await start(), pid, 'the connection goes on');
    assert.equal(await rowsOf(n + 2), 0);
  });
}
