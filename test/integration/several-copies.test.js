// Copies of these modules on one thread, such as each test file of Jest or each of several bundles has its own: each has an engine
// of its own, and gets its own answers.
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase();
const LIB = path.join(__dirname, '..', '..', 'lib') + path.sep;

/** What `require` finds first in a place of its own: no module of ours is there yet. */
function freshCopy() {
  const kept = new Map();
  for (const [file, module] of Object.entries(require.cache)) {
    if (!file.startsWith(LIB)) continue;
    kept.set(file, module);
    delete require.cache[file];
  }
  try {
    const { Client, Pool, createPool } = require('../../lib/index.js');
    return { Client, Pool, createPool };
  } finally {
    for (const file of Object.keys(require.cache)) {
      if (file.startsWith(LIB)) delete require.cache[file];
    }
    for (const [file, module] of kept) require.cache[file] = module;
  }
}

test('answers of copies that ask at the same time are not mixed up', async (t) => {
  const copies = Array.from({ length: 3 }, freshCopy);
  assert.notEqual(copies[0].Pool, copies[1].Pool);
  const pools = copies.map(({ Pool }) => new Pool({ connectionString: db.url }));
  t.after(() => Promise.all(pools.map((pool) => pool.end())));
  const asked = pools.flatMap((pool, copy) =>
    Array.from({ length: 20 }, (_, n) => pool.query('select $1::text as name', [`${copy}.${n}`])),
  );
  const names = (await Promise.all(asked)).map(({ rows }) => rows[0].name);
  assert.deepEqual(
    names,
    pools.flatMap((_, copy) => Array.from({ length: 20 }, (_, n) => `${copy}.${n}`)),
  );
});

test('a copy that came first and has ended leaves the next one alone', async () => {
  for (let copy = 0; copy < 3; copy++) {
    const { Client, createPool } = freshCopy();
    const client = new Client(db.url);
    await client.connect();
    assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }]);
    await client.end();
    const pool = createPool(db.url);
    assert.deepEqual(await pool.query('select $1::int as n', [copy]), [{ n: copy }]);
    await pool.end();
  }
});
