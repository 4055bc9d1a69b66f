// A client with `pipeline: true` against `pg`: every query is sent ahead, and each keeps its own answer.
// table: one case per row
'use strict';

const { pair, seen } = require('../support/pg-pair.js');

const { compareAll } = pair(`
  create table item (id int primary key, name text);
  insert into item select n, 'item ' || n from generate_series(1, 50) n`);

const settled = async (promises) =>
  (await Promise.allSettled(promises)).map(({ value, reason }) => seen(value ?? reason));

/** Queries at once on a client with a pipeline. */
const row = (name, ...queries) => ({
  name,
  run: async (_, { connect }) => {
    const client = await connect({ pipeline: true });
    const asked = queries.map((query) =>
      Array.isArray(query) ? client.query(...query) : client.query(query),
    );
    return [client.pipeline, await settled(asked), client.getTransactionStatus()];
  },
});

/** Programs set it on a client that they got from somewhere, as long as that connects. */
const turnedOn = (name, change) => ({
  name: `turned on ${name}`,
  run: async (driver, { url }) => {
    const client = new driver.Client(url);
    await change(client);
    const asked = [client.query({ text: 'select 1 as a', rows: 1 }), client.query('select 2 as a')];
    const answers = await settled(asked);
    const prepared = await client.query('select count(*) as n from pg_prepared_statements');
    await client.end();
    return [client.pipeline, answers, prepared.rows];
  },
});

const BY_ID = 'select id, name from item where id = $1';

compareAll([
  turnedOn('before connect', (client) => {
    client.pipeline = true;
    return client.connect();
  }),
  turnedOn('while connecting', (client) => {
    const connected = client.connect();
    client.pipeline = true;
    return connected;
  }),
  {
    name: 'a late query fails alone',
    differs: 'pg cuts the connection, and all that was sent fails',
    run: async (_, { connect }) => {
      const client = await connect({ pipeline: true });
      client.on('error', () => {});
      const late = { text: 'select pg_sleep(600)', query_timeout: 100 };
      const answers = await settled([client.query(late), client.query('select 1 as a')]);
      return answers.map(({ message, rows }) => message ?? rows);
    },
    expect: { value: ['Query read timeout', [{ a: 1 }]] },
  },
  row('texts', 'select 1 as a', 'select 2 as a', 'select 3 as a'),
  row('with values', ...Array.from({ length: 30 }, (_, n) => [BY_ID, [n]])),
  row('an error stays with its own query', 'select 1', 'select 1/0', 'selec', 'select 4 as a'),
  row(
    'an error of a value',
    [BY_ID, ['x']],
    [BY_ID, [2]],
    ['select $1::int / 0', [1]],
    [BY_ID, [3]],
  ),
  row(
    'a value that cannot be sent',
    [BY_ID, [1]],
    [
      BY_ID,
      [
        {
          toPostgres() {
            throw new Error('no value');
          },
        },
      ],
    ],
    [BY_ID, [2]],
  ),
  row(
    'a named statement is parsed once',
    ...[1, 2, 3].map((id) => ({ name: 'one', text: BY_ID, values: [id] })),
    "select name from pg_prepared_statements where name = 'one'",
  ),
  row(
    'another text under the same name',
    { name: 'one', text: BY_ID, values: [1] },
    { name: 'one', text: 'select 2 as two' },
    { name: 'one', text: BY_ID, values: [3] },
  ),
  row('several statements in a text', 'select 1 as a; select 2 as b', 'select 3 as c'),
  row('an empty text', '', 'select 1 as a', '-- nothing'),
  row('a transaction', 'begin', ['insert into item values ($1, $2)', [100, 'new']], 'commit', [
    'select name from item where id = $1',
    [100],
  ]),
  row(
    'a transaction that fails',
    'begin',
    ['insert into item values ($1, $2)', [1, 'twice']],
    ['select $1::int as refused', [1]],
    'commit',
    'select count(*)::int as n from item',
  ),
  row('a transaction that is left open', 'begin', 'select 1 as a'),
  row('array rows', { text: BY_ID, values: [1], rowMode: 'array' }, { text: BY_ID, values: [2] }),
  row('rows are refused', { text: BY_ID, values: [1], rows: 5 }, [BY_ID, [2]]),
  row('values that are no array', ['select $1', 'x'], [BY_ID, [2]]),
  row('nothing but a name', { name: 'unknown' }, [BY_ID, [2]]),
  row(
    'an altered table between two of the same text',
    [BY_ID, [1]],
    'alter table item alter name type varchar(20)',
    [BY_ID, [1]],
    'select * from item where id = 1',
    'alter table item add more int default 7',
    'select * from item where id = 1',
  ),
  {
    name: 'COPY FROM STDIN',
    run: async (_, { connect }) => {
      const client = await connect({ pipeline: true });
      const asked = ['select 1 as a', 'copy item from stdin', 'select 2 as a'];
      const results = await Promise.allSettled(asked.map((text) => client.query(text)));
      return results.map(({ value, reason }) => value?.rows ?? reason.code);
    },
    differs: 'nothing is sent behind a COPY; in pg the server takes the next query for its data',
    expect: { value: [[{ a: 1 }], '57014', [{ a: 2 }]] },
  },
  {
    name: 'the order of the answers',
    run: async (_, { connect }) => {
      const client = await connect({ pipeline: true });
      const order = [];
      const promises = Array.from({ length: 12 }, async (_item, n) => {
        const { rows } = await client.query('select $1::int as n', [n]);
        order.push(rows[0].n);
      });
      await Promise.all(promises);
      return order;
    },
  },
  {
    name: 'queries before connect',
    run: async (driver, { url }) => {
      const client = new driver.Client({ connectionString: url, pipeline: true });
      const asked = [client.query('select 1 as a'), client.query(BY_ID, [4])];
      await client.connect();
      const results = await settled(asked);
      await client.end();
      return results;
    },
  },
  {
    name: 'end waits for what was sent',
    run: async (_, { connect }) => {
      const client = await connect({ pipeline: true });
      const asked = [client.query('select pg_sleep(0.05)'), client.query('select 2 as a')];
      await client.end();
      const after = await client.query('select 3').catch(seen);
      return [await settled(asked), after];
    },
  },
  {
    name: 'a lost connection rejects all',
    run: async (_, { connect, observer }) => {
      const client = await connect({ pipeline: true });
      const asked = Array.from({ length: 5 }, () => client.query('select pg_sleep(10)'));
      const results = Promise.allSettled(asked);
      await observer.query('select pg_terminate_backend($1)', [client.processID]);
      return (await results).map(({ status }) => status);
    },
  },
  {
    name: 'drain comes once all are answered',
    run: async (_, { connect }) => {
      const client = await connect({ pipeline: true });
      let drains = 0;
      client.on('drain', () => drains++);
      await Promise.all([1, 2, 3].map((id) => client.query(BY_ID, [id])));
      return drains;
    },
  },
  {
    name: 'Query objects',
    run: async (driver, { connect }) => {
      const client = await connect({ pipeline: true });
      const rows = [];
      const ended = [3, 1].map((id) => {
        const query = client.query(new driver.Query(BY_ID, [id]));
        query.on('row', (one) => rows.push(one));
        return new Promise((resolve) => query.once('end', resolve));
      });
      await Promise.all(ended);
      return rows;
    },
  },
  {
    name: 'a pool passes it on',
    run: async (_, { pool: make }) => {
      const pool = make({ pipeline: true, max: 1 });
      const client = await pool.connect();
      const asked = [1, 2, 3].map((id) => client.query(BY_ID, [id]));
      const results = await settled(asked);
      client.release();
      return [client.pipeline, results, (await pool.query('select 1 as a')).rows];
    },
  },
]);
