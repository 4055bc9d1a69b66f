// COPY streams against the package pg-copy-streams on `pg`: data, counts, errors, early ends.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Readable } = require('node:stream');
const { buffer } = require('node:stream/consumers');
const { pipeline } = require('node:stream/promises');
const reference = require('pg');
const { from: referenceFrom, to: referenceTo } = require('pg-copy-streams');
const ours = require('../../lib/index.js');
const { pair, withForeign } = require('../support/pg-pair.js');
const { freshDatabase } = require('../support/shared.js');
const { test } = require('../support/timed-test.js');

const warnings = [];
process.on('warning', (warning) => warnings.push(warning));

const { compareAll } = pair(`
  create table item (id int primary key, label text);
  create table noted (id int, label text);
  insert into noted select i, repeat('é', i % 50) from generate_series(1, 2000) i;
`);

const fromOf = (driver) =>
  driver === reference || driver.isForeign ? referenceFrom : ours.copyFrom;
const toOf = (driver) => (driver === reference || driver.isForeign ? referenceTo : ours.copyTo);
const stored = async (client) => (await client.query('select * from item order by id')).rows;
const failing = (promise) =>
  promise.then(
    () => 'no error',
    (error) => error,
  );

const TAKEN = [
  ['text', 'copy item from stdin', ['1\tone\n', '2\t\\N\n', '3\tt\\tab\n']],
  ['csv', 'copy item from stdin (format csv, header)', ['id,label\n1,"a,b"\n', '2,\n']],
  ['a delimiter', "copy item from stdin (delimiter ';')", ['1;x\n2;y\n']],
  ['a column list', 'copy item (id) from stdin', ['1\n2\n3\n']],
  ['lines cut anywhere', 'copy item from stdin', [...'1\tone\n2\ttwo\n']],
  ['no rows', 'copy item from stdin', []],
  ['a last line without its end', 'copy item from stdin', ['1\tone']],
  ['the end mark', 'copy item from stdin', ['1\tone\n\\.\n']],
].map(([name, sql, data]) => ({
  name: `COPY FROM with ${name}`,
  run: async (driver, { connect }) => {
    const client = await connect();
    const stream = client.query(fromOf(driver)(sql));
    await pipeline(Readable.from(data), stream);
    return [stream.rowCount, await stored(client)];
  },
}));

const GIVEN = [
  'copy noted to stdout',
  'copy noted to stdout (format csv, header, force_quote *)',
  'copy noted to stdout (format binary)',
  'copy (select * from noted where id < 0) to stdout',
  'copy (select repeat(chr(120), 1000000) from generate_series(1, 5)) to stdout',
].map((sql) => ({
  name: `COPY TO: ${sql}`,
  run: async (driver, { connect }) => {
    const client = await connect();
    const stream = client.query(toOf(driver)(sql));
    const bytes = await buffer(stream);
    const after = await client.query('select 1 as after');
    return [bytes, stream.rowCount, after];
  },
}));

const OUT = 'copy (select n from generate_series(1, 3) n) to stdout';
const ORDINARY = [
  ['simple', OUT],
  ['with no values', { text: OUT, values: [] }],
  ['extended', { text: OUT, queryMode: 'extended' }],
  ['named', { name: 'out', text: OUT }],
  ['in batches', { text: OUT, rows: 2 }],
  ['binary, as arrays', { text: OUT, queryMode: 'extended', binary: true, rowMode: 'array' }],
  ['with values', { text: OUT, values: [1] }],
  ['with a parameter', { text: 'copy (select $1::int) to stdout', values: [1] }],
  ['among others', `select 1 as a; ${OUT}; select 2 as b`],
  [
    'of what it deletes',
    { text: 'copy (delete from noted where id < 4 returning id) to stdout', name: 'gone' },
  ],
].map(([name, asked]) => ({
  name: `COPY TO STDOUT as an ordinary query, ${name}: its count without its data, and the client goes on`,
  run: async (driver, { connect, pool: make }) => {
    const told = [];
    for (const target of [await connect(), await connect({ pipeline: true }), make()]) {
      // Twice: a statement may be kept prepared the second time.
      for (const one of [asked, asked]) {
        told.push(await target.query(one).catch((error) => [error.code, error.message]));
        told.push((await target.query('select count(*) from noted')).rows);
      }
    }
    const client = await connect();
    const query = client.query(new driver.Query(asked));
    told.push(
      await new Promise((resolve) => {
        query.on('end', resolve).on('error', ({ code }) => resolve(code));
      }),
    );
    return told;
  },
}));

const ERRORS = [
  ['a duplicate key', 'copy item from stdin', ['1\ta\n', '1\tb\n']],
  ['a wrong number', 'copy item from stdin', ['x\ta\n']],
  ['a missing column', 'copy item from stdin', ['1\n']],
  ['a table that is not there', 'copy nowhere from stdin', ['1\ta\n']],
  ['a wrong text', 'copi item from stdin', ['1\ta\n']],
].map(([name, sql, data]) => ({
  name: `COPY FROM fails with ${name}, and the client goes on`,
  run: async (driver, { connect }) => {
    const client = await connect();
    const error = await failing(pipeline(Readable.from(data), client.query(fromOf(driver)(sql))));
    return [error, await stored(client)];
  },
}));

const OTHERS = [
  {
    name: 'COPY TO fails in the middle, and the client goes on',
    run: async (driver, { connect }) => {
      const client = await connect();
      const sql = 'copy (select 1 / (5000 - i) from generate_series(1, 9000) i) to stdout';
      const stream = client.query(toOf(driver)(sql));
      const failed = new Promise((resolve) => stream.once('error', resolve));
      stream.resume();
      return [await failed, await stored(client)];
    },
  },
  {
    name: 'a source that fails takes the COPY back',
    run: async (driver, { connect }) => {
      const client = await connect();
      async function* source() {
        yield '1\tone\n';
        throw new Error('the source broke');
      }
      const stream = client.query(fromOf(driver)('copy item from stdin'));
      const error = await failing(pipeline(Readable.from(source()), stream));
      return [error.message, await stored(client)];
    },
  },
  {
    name: 'a COPY in a transaction that is rolled back',
    run: async (driver, { connect }) => {
      const client = await connect();
      await client.query('begin');
      const stream = client.query(fromOf(driver)('copy item from stdin'));
      await pipeline(Readable.from(['1\tone\n']), stream);
      const inside = await stored(client);
      await client.query('rollback');
      return [inside, await stored(client)];
    },
  },
  {
    name: 'finish comes when the rows are there for others',
    run: async (driver, { connect, observer }) => {
      const client = await connect();
      const stream = client.query(fromOf(driver)('copy item from stdin'));
      stream.end('1\tone\n');
      await once(stream, 'finish');
      return (await observer.query('select * from item')).rows;
    },
  },
  {
    name: 'queries before, between and behind COPYs keep their order',
    run: async (driver, { connect }) => {
      const client = await connect();
      const before = client.query('select 1 as n');
      const taking = client.query(fromOf(driver)('copy item from stdin'));
      const between = client.query('select count(*)::int as n from item');
      const giving = client.query(toOf(driver)('copy item to stdout'));
      const behind = client.query('select 3 as n');
      taking.end('1\tone\n2\ttwo\n');
      const bytes = await buffer(giving);
      return [(await before).rows, (await between).rows, String(bytes), (await behind).rows];
    },
  },
  {
    name: 'from one client into another',
    run: async (driver, { connect }) => {
      const [source, target] = [await connect(), await connect()];
      await target.query('create table there (like noted)');
      const taking = target.query(fromOf(driver)('copy there from stdin (format binary)'));
      await pipeline(source.query(toOf(driver)('copy noted to stdout (format binary)')), taking);
      const sql =
        'select count(*)::int as n, sum(id)::int as sum, md5(string_agg(label, $1 order by id)) from there';
      return [taking.rowCount, (await target.query(sql, [','])).rows];
    },
  },
];

const CASES = [...TAKEN, ...GIVEN, ...ERRORS, ...OTHERS];
compareAll(CASES);
compareAll(CASES.map(withForeign('pg-copy-streams')));

compareAll(ORDINARY);

test('a COPY TO STDOUT is refused where rows are read in batches, and what follows runs', async (t) => {
  const { url, drop } = await freshDatabase();
  const client = new ours.Client(url);
  const pool = ours.createPool({ connectionString: url, poolSize: 1 });
  t.after(async () => {
    await Promise.all([client.end(), pool.end()]);
    await drop();
  });
  await client.connect();
  const refused = ({ cause, message }) =>
    cause instanceof ours.ResultError &&
    cause.code === 'ERR_RESULT_FORMAT' &&
    /copyTo/.test(message);
  await assert.rejects(client.query(new ours.Cursor(OUT)).read(2), refused);
  assert.deepEqual((await client.query('select 1 as a')).rows, [{ a: 1 }]);
  await assert.rejects(buffer(client.query(new ours.QueryStream(OUT))), refused);
  assert.deepEqual((await client.query('select 1 as a')).rows, [{ a: 1 }]);
  await assert.rejects(pool.stream(OUT).next(), refused);
  assert.deepEqual(await pool.query('select 1 as a'), [{ a: 1 }]);
});

test('that data was left out is said once', () => {
  assert.deepEqual(
    warnings.filter(({ code }) => code === 'PG_BERTH_COPY_DATA').map(({ message }) => message),
    ['the data of a COPY TO STDOUT was left out, as in pg: client.copyTo(text) gives it'],
  );
});
