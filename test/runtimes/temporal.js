// Objects of Temporal as parameters of createPool. Run by temporal.test.js, with a polyfill where there is no Temporal.
'use strict';

const assert = require('node:assert/strict');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');
require('../support/stray-errors.js');

const { Temporal } = /** @type {any} */ (globalThis);
const db = testDatabase();

/** What the server makes of a value, as text, in a time zone of its own. */
async function read(pool, type, value) {
  const [{ text }] = await pool.query(`select ($1::${type})::text`, [value]);
  return text;
}

test('each goes as the date, time or duration that it is', async (t) => {
  const pool = db.openPool(t, { options: '-c TimeZone=Asia/Kathmandu' });
  const { Duration, Instant, PlainDate, PlainDateTime, PlainTime, ZonedDateTime } = Temporal;
  const zoned = ZonedDateTime.from('2024-02-29T23:30:00.5+01:00[Europe/Berlin][u-ca=hebrew]');
  const old = ZonedDateTime.from('1890-06-01T12:00[Europe/Berlin]');
  const hebrew = PlainDate.from('2024-02-29').withCalendar('hebrew');
  const table = [
    [
      Instant.from('2024-02-29T12:34:56.123456Z'),
      'timestamptz',
      '2024-02-29 18:19:56.123456+05:45',
    ],
    [
      Instant.from('2024-02-29T12:00:00.000000501Z'),
      'timestamptz',
      '2024-02-29 17:45:00.000001+05:45',
    ],
    [zoned, 'timestamptz', '2024-03-01 04:15:00.5+05:45'],
    [zoned, 'timestamp', '2024-02-29 23:30:00.5'],
    [zoned, 'date', '2024-02-29'],
    [PlainDate.from('2024-02-29'), 'date', '2024-02-29'],
    [hebrew, 'date', '2024-02-29'],
    [PlainDate.from('+012024-02-29'), 'date', '12024-02-29'],
    [PlainDate.from('0000-12-31'), 'date', '0001-12-31 BC'],
    [PlainDate.from('-000043-03-15'), 'date', '0044-03-15 BC'],
    [PlainDateTime.from('2024-02-29T12:34:56.000001'), 'timestamp', '2024-02-29 12:34:56.000001'],
    [PlainDateTime.from('-000043-03-15T10:00'), 'timestamp', '0044-03-15 10:00:00 BC'],
    [PlainTime.from('12:34:56.789'), 'time', '12:34:56.789'],
    [Duration.from('P1Y2M3W4DT5H6M7.5S'), 'interval', '1 year 2 mons 25 days 05:06:07.5'],
    [Duration.from('-P1DT2H0.000001S'), 'interval', '-1 days -02:00:00.000001'],
    [Duration.from('PT0S'), 'interval', '00:00:00'],
    [PlainDate.from('2024-02-29'), 'text', '2024-02-29'],
    [Temporal.PlainYearMonth.from('2024-02'), 'text', '2024-02'],
  ];
  for (const [value, type, expected] of table) {
    assert.equal(await read(pool, type, value), expected, `${value} as ${type}`);
  }
  // Berlin's own time was 53 minutes and 28 seconds ahead.
  const [{ same }] = await pool.query(
    'select $1::timestamptz = to_timestamp($2::float8 / 1000) as same',
    [old, old.epochMilliseconds],
  );
  assert.equal(same, true);
});

test('in arrays, in rows of an insert, and inside JSON', async (t) => {
  const pool = db.openPool(t);
  const days = ['2024-02-29', '-000043-03-15'].map((day) => Temporal.PlainDate.from(day));
  assert.equal(await read(pool, 'date[]', days), '{2024-02-29,"0044-03-15 BC"}');
  const [{ json }] = await pool.query('select $1::jsonb as json', [[days[0], { day: days[0] }]]);
  assert.deepEqual(json, ['2024-02-29', { day: '2024-02-29' }]);
  await pool.query('create table stay (day date, long interval)');
  const long = Temporal.Duration.from('-PT90M');
  await pool.insertMany('stay', [
    { day: days[0], long },
    { day: days[1], long },
  ]);
  assert.deepEqual(await db.sql('select day::text, long::text from stay order by day'), [
    { day: '0044-03-15 BC', long: '-01:30:00' },
    { day: '2024-02-29', long: '-01:30:00' },
  ]);
});
