// What a program does with its values after the call changes nothing of what is sent on the pg face, however long that waits.
'use strict';

const assert = require('node:assert/strict');
const { Client, Cursor, Pool, Query, QueryStream } = require('../../lib/index.js');
const { heldQuery, heldValues } = require('../../lib/pg/held-values.js');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const db = testDatabase();
const TEXT = 'select $1::bytea as a, $2::bytea[] as b, $3::int as c';

/** Values, and what undoes them. */
function values() {
  const bytes = Buffer.from('kept');
  const inner = Buffer.from('also');
  const given = [bytes, [inner], 7];
  const spoil = () => {
    bytes.fill(0x7a);
    inner.fill(0x7a);
    given[1].push(Buffer.from('more'));
    given[2] = 8;
  };
  return { given, spoil };
}

const KEPT = [{ a: Buffer.from('kept'), b: [Buffer.from('also')], c: 7 }];

/** How a query is asked for, and where it waits. `ask` gives its rows. */
const ASKS = {
  'by text': (target, given) => target.query(TEXT, given).then(({ rows }) => rows),
  'by config': (target, given) =>
    target.query({ text: TEXT, values: given }).then(({ rows }) => rows),
  'with a signal': (target, given) =>
    target
      .query({ text: TEXT, values: given, signal: new AbortController().signal })
      .then(({ rows }) => rows),
  'in a batch': (target, given) =>
    target.batch([{ text: TEXT, values: given }]).then(([{ value }]) => value.rows),
};
const OF_CLIENT = {
  'a Query': (client, given) =>
    new Promise((resolve, reject) => {
      const query = client.query(new Query(TEXT, given));
      query.on('end', ({ rows }) => resolve(rows)).on('error', reject);
    }),
  'a Cursor': async (client, given) => {
    const cursor = client.query(new Cursor(TEXT, given));
    const rows = await cursor.read(5);
    await cursor.close();
    return rows;
  },
  'a QueryStream': (client, given) => client.query(new QueryStream(TEXT, given)).toArray(),
};

for (const [name, ask] of Object.entries(ASKS)) {
  test(`sec_f04: on a pool, ${name}: new, idle and busy`, async (t) => {
    const pool = new Pool({ connectionString: db.url, max: 1 });
    t.after(() => pool.end());
    for (const state of ['new', 'idle', 'busy']) {
      const { given, spoil } = values();
      const holder = state === 'busy' ? await pool.connect() : undefined;
      const asked = ask(pool, given);
      spoil();
      holder?.release();
      assert.deepEqual(await asked, KEPT, state);
    }
  });
}

for (const [name, ask] of Object.entries({ ...ASKS, ...OF_CLIENT })) {
  test(`sec_f04: on a client, ${name}: before it is open, open, and behind a cursor`, async (t) => {
    const client = new Client(db.url);
    t.after(() => client.end());
    for (const state of ['new', 'open', 'behind']) {
      const { given, spoil } = values();
      const before = state === 'behind' ? client.query(new Cursor('select 1')) : undefined;
      const asked = ask(client, given);
      spoil();
      if (state === 'new') await client.connect();
      await before?.close();
      assert.deepEqual(await asked, KEPT, state);
    }
  });
}

test('what cannot be copied is refused when it is sent', async (t) => {
  const pool = new Pool({ connectionString: db.url, max: 1 });
  t.after(() => pool.end());
  const detached = new Uint8Array(8);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const cycle = [];
  cycle.push(cycle, cycle);
  for (const value of [detached, cycle]) {
    const given = [value];
    assert.equal(heldValues(given), given);
    await assert.rejects(pool.query('select $1', [value]));
  }
  assert.equal((await pool.query('select 1')).rowCount, 1);
});

test('configs stay as they are: those of a class have members that no copy has', () => {
  class Sql {
    #text = 'select $1';
    values = [1];
    get text() {
      return this.#text;
    }
  }
  const own = new Sql();
  assert.equal(heldQuery(own), own);
  const frozen = Object.freeze({
    get text() {
      return 'select $1';
    },
    values: Object.freeze([1]),
  });
  const held = heldQuery(frozen);
  assert.notEqual(held.values, frozen.values);
  assert.deepEqual({ ...held }, { text: 'select $1', values: [1] });
  assert.equal(heldQuery('select 1'), 'select 1');
});
