// Long byte values: their memory is not copied more often than it must be, and nobody ever sees what is somebody else's.
'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const DRIVERS = process.platform === 'linux' ? ['loop', 'engine'] : ['engine'];

const db = testDatabase();

/** Around what is copied, what fits into the inbox, and what a connection keeps room for. */
const SIZES = [1, 65_535, 262_100, 262_144, 262_145, 1_048_576, 3_000_000, 17_000_000];

for (const driver of DRIVERS) {
  test(`long values stay what they are while others follow them (driver ${driver})`, async (t) => {
    const pool = db.openPool(t, { poolSize: 3, driver });
    const kept = [];
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        SIZES.map(async (size) => {
          const sent = randomBytes(size);
          const [row] = await pool.query(
            'select $1::bytea as a, $2::int as n, $1::bytea as b, $3::bytea as c',
            [sent, size, Buffer.from('end')],
          );
          // What was sent may be written over as soon as it was given away.
          kept.push([Buffer.from(sent), row]);
          sent.fill(0);
        }),
      );
    }
    for (const [bytes, { a, n, b, c }] of kept) {
      assert.ok(Buffer.isBuffer(a) && a.equals(bytes) && b.equals(bytes), `${n} bytes`);
      assert.deepEqual([n, String(c)], [bytes.length, 'end']);
    }
  });

  test(`a parameter may change as soon as it was given away (driver ${driver})`, async (t) => {
    const pool = db.openPool(t, { poolSize: 2, driver });
    const bytes = Buffer.alloc(2_000_000);
    const lengths = Array.from({ length: 12 }, (_, i) => {
      bytes.fill(i + 1);
      const text = 'select length($1::bytea) as length, get_byte($1, length($1) - 1) as last';
      return pool.query(text, [bytes.subarray(0, bytes.length - 1000 * i)]);
    });
    const answers = (await Promise.all(lengths)).map(([row]) => row);
    const expected = answers.map((_, i) => ({ length: bytes.length - 1000 * i, last: i + 1 }));
    assert.deepEqual(answers, expected);
  });

  test(`a short value keeps no long one alive (driver ${driver})`, async (t) => {
    const pool = db.openPool(t, { driver });
    const text = `select decode(repeat('ab', 9), 'hex') as short, decode(repeat('cd', 1000000), 'hex') as long`;
    const [{ short, long }] = await pool.query(text);
    // Node gives short ones a place in a pool of its own size.
    assert.ok(short.buffer.byteLength <= 2 * Buffer.poolSize && long.buffer.byteLength < 1_001_000);
    assert.deepEqual([short.toString('hex'), long.length], ['ab'.repeat(9), 1_000_000]);
    assert.ok(long.every((byte) => byte === 0xcd));
  });
}
