// QueryStream against the package pg-query-stream on `pg`: rows, options, early ends, errors.
'use strict';

const { once } = require('node:events');
const { Transform, Writable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const reference = require('pg');
const ReferenceStream = require('pg-query-stream');
const ours = require('../../lib/index.js');
const { pair, withForeign } = require('../support/pg-pair.js');

const { compareAll } = pair('create table item (id int primary key, label text)');

const streamOf = (driver) =>
  driver === reference || driver.isForeign ? ReferenceStream : ours.QueryStream;
const SERIES = 'select generate_series(1, $1::int) as n';

const collect = async (stream) => {
  const rows = [];
  for await (const row of stream) rows.push(row);
  return rows;
};
const closed = (stream) =>
  stream.closed ? undefined : once(stream, 'close').then(() => undefined);
const failure = (stream) => new Promise((resolve) => stream.once('error', resolve));

/** A case with one stream; afterwards the client has to be usable. */
const on = (name, args, use) => ({
  name,
  run: async (driver, { connect }) => {
    const client = await connect();
    const stream = client.query(new (streamOf(driver))(...args));
    const outcome = await use(stream, client);
    return [outcome, await client.query('select 1 as after')];
  },
});

const SIZES = [
  undefined,
  { batchSize: 1 },
  { batchSize: 7 },
  { batchSize: 1000 },
  { highWaterMark: 3 },
  { batchSize: 5, highWaterMark: 50 },
].flatMap((config) =>
  [0, 1, 99, 100, 101, 250].map((rows) =>
    on(`${rows} rows with ${JSON.stringify(config)}`, [SERIES, [rows], config], collect),
  ),
);

const CONFIGS = [
  { rowMode: 'array' },
  { types: { getTypeParser: () => (text) => `<${text}>` } },
].map((config) =>
  on(`config ${Object.keys(config)}`, ['select 1 as a, 2 as a, true as b', [], config], collect),
);

const ENDS = [
  on('the marks of the stream', [SERIES, [1], { batchSize: 12 }], async (stream) => {
    const { readableHighWaterMark, readableObjectMode } = stream;
    await collect(stream);
    return [readableHighWaterMark, readableObjectMode, stream.destroyed];
  }),
  on('leaving the loop early', [SERIES, [100_000], { batchSize: 10 }], async (stream) => {
    let seen = 0;
    for await (const { n } of stream) {
      seen = n;
      if (n === 25) break;
    }
    return [seen, stream.destroyed];
  }),
  on('destroyed before it was read', [SERIES, [1000]], async (stream) => {
    stream.destroy();
    await closed(stream);
    return stream.destroyed;
  }),
  on('destroyed with an error', [SERIES, [1000]], async (stream) => {
    const failed = failure(stream);
    stream.once('data', () => stream.destroy(new Error('mine')));
    const error = await failed;
    await closed(stream);
    return error.message;
  }),
  on('destroyed behind its end', [SERIES, [10]], async (stream) => {
    const rows = await collect(stream);
    stream.destroy();
    await closed(stream);
    return rows.length;
  }),
  on('paused and resumed', [SERIES, [500], { batchSize: 50 }], async (stream) => {
    const rows = [];
    stream.on('data', (row) => {
      rows.push(row.n);
      if (rows.length % 100 === 0) {
        stream.pause();
        setImmediate(() => stream.resume());
      }
    });
    await once(stream, 'end');
    return rows;
  }),
  on('piped through a transform', [SERIES, [1000]], async (stream) => {
    let sum = 0;
    await pipeline(
      stream,
      new Transform({ objectMode: true, transform: (row, _, done) => done(null, row.n * 2) }),
      new Writable({
        objectMode: true,
        write(n, _, done) {
          sum += n;
          done();
        },
      }),
    );
    return sum;
  }),
  on('the columns are known while it runs', [SERIES, [3]], async (stream) => {
    await once(stream, 'readable');
    const { fields } = stream._result;
    await collect(stream);
    return fields.map((field) => ({ ...field }));
  }),
];

const ERRORS = [
  ['selekt'],
  ['select 1 / (5 - i) as n from generate_series(1, 9) i'],
  ['select $1', []],
].map((args) =>
  on(`an error destroys the stream: ${args[0]}`, args, async (stream) => {
    const failed = failure(stream);
    stream.resume();
    const error = await failed;
    return [error, stream.destroyed];
  }),
);

const POOLS = [
  {
    name: 'query_timeout ends a stream whose rows are late',
    run: async (driver, { connect }) => {
      const client = await connect({ query_timeout: 700 });
      const stream = client.query(new (streamOf(driver))('select pg_sleep(1.5)'));
      const failed = failure(stream);
      stream.resume();
      const after = { text: 'select 1 as after', query_timeout: 10_000 };
      return [await failed, await client.query(after)];
    },
  },
  {
    name: 'two streams one after the other on one client',
    run: async (driver, { connect }) => {
      const client = await connect();
      const Stream = streamOf(driver);
      const first = client.query(new Stream(SERIES, [150]));
      const second = client.query(new Stream(SERIES, [50]));
      return [(await collect(first)).length, (await collect(second)).length];
    },
  },
  {
    name: 'twenty streams at the same time, each on a client of its own',
    run: async (driver, { pool }) => {
      const clients = pool({ max: 20 });
      const sums = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const client = await clients.connect();
          const rows = await collect(client.query(new (streamOf(driver))(SERIES, [i * 50])));
          client.release();
          return rows.length;
        }),
      );
      return sums;
    },
  },
  {
    name: 'a stream given to the pool: its client comes back behind the end',
    run: async (driver, { pool }) => {
      const clients = pool({ max: 1 });
      const stream = new (streamOf(driver))(SERIES, [250]);
      const asked = clients.query(stream);
      const rows = await collect(stream);
      await asked;
      return [rows.length, (await clients.query('select 1 as one')).rows, clients.idleCount];
    },
  },
];

const CASES = [...SIZES, ...CONFIGS, ...ENDS, ...ERRORS, ...POOLS];
compareAll(CASES);
compareAll(CASES.map(withForeign('pg-query-stream')));
