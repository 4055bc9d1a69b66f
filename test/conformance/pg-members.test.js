// What programs find on the classes and objects of `pg`: every member is here too, or stands below with its reason.
// table: one case per row
'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { Readable } = require('node:stream');
const reference = require('pg');
const ours = require('../../lib/index.js');
const { pair } = require('../support/pg-pair.js');
const { test } = require('../support/timed-test.js');

const { compareAll } = pair(
  'create table book (id int primary key); insert into book values (1), (2), (3)',
);

const packages = {
  ...reference,
  Cursor: require('pg-cursor'),
  QueryStream: require('pg-query-stream'),
};

/** Of an object and of what it inherits from, below `top`. */
function membersOf(object, top) {
  const found = new Map();
  for (
    let at = object;
    at && at !== top && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (!found.has(name)) found.set(name, typeof object[name]);
    }
  }
  return found;
}

/** Members that are left out, by what they belong to; names with an underscore are private unless they stand in `PRIVATE`. */
const LEFT_OUT = {
  // The socket, its messages and the login are the engine's.
  Client: ['getStartupConf', 'cancel', 'readyForQuery', 'hasExecuted'],
  Pool: ['newClient'],
  Query: [
    ...['requiresPreparation', 'hasBeenParsed', 'prepare'],
    ...['handleRowDescription', 'handleDataRow', 'handleCommandComplete', 'handleReadyForQuery'],
    ...['handleEmptyQuery', 'handlePortalSuspended', 'handleCopyInResponse', 'handleCopyData'],
  ],
  Cursor: [
    ...['connection', 'handleRowDescription', 'handleDataRow', 'handleCommandComplete'],
    ...['handleReadyForQuery', 'handleEmptyQuery', 'handlePortalSuspended'],
    // Deprecated: it ends the client.
    'end',
  ],
  QueryStream: [
    ...['handleRowDescription', 'handleDataRow', 'handleCommandComplete'],
    ...['handleReadyForQuery', 'handleEmptyQuery', 'handlePortalSuspended'],
  ],
  Result: ['RowCtor'],
  TypeOverrides: ['getOverrides'],
  ConnectionParameters: ['getLibpqConnectionString'],
  module: [],
};
const PRIVATE = {
  Client: ['_queryable', '_ending', '_connecting', '_connected', '_ended', '_txStatus'],
  Pool: ['_clients', '_idle', '_pendingQueue'],
  Cursor: ['_result'],
  QueryStream: ['_result'],
};

function isLeftOut(owner, name) {
  if (name.startsWith('_')) return !PRIVATE[owner]?.includes(name);
  return LEFT_OUT[owner]?.includes(name) ?? false;
}

/** @param {string} owner @param {object} theirs @param {object} here @param {object} [top] */
function sameMembers(owner, theirs, here, top) {
  const found = membersOf(here, top);
  const missing = [...membersOf(theirs, top)]
    .filter(([name, kind]) => !isLeftOut(owner, name) && found.get(name) !== kind)
    .map(([name, kind]) => `${name}: ${kind}, here ${found.get(name)}`);
  assert.deepEqual(missing, [], owner);
  const gone = (LEFT_OUT[owner] ?? []).filter((name) => found.has(name));
  assert.deepEqual(gone, [], `${owner}: these are there`);
}

const make = {
  Client: ({ Client }) => new Client(),
  Pool: ({ Pool }) => new Pool(),
  Query: ({ Query }) => new Query('select 1'),
  Result: ({ Result }) => new Result(),
  TypeOverrides: ({ TypeOverrides }) => new TypeOverrides(),
  DatabaseError: ({ DatabaseError }) => new DatabaseError('x', 1, 'error'),
  ConnectionParameters: ({ Client }) => new Client().connectionParameters,
  Cursor: ({ Cursor }) => new Cursor('select 1'),
  QueryStream: ({ QueryStream }) => new QueryStream('select 1'),
  types: ({ types }) => types,
  defaults: ({ defaults }) => defaults,
  utils: ({ utils }) => utils,
};

for (const [owner, instance] of Object.entries(make)) {
  test(`members of ${owner}`, () => {
    const top = owner === 'QueryStream' ? Readable.prototype : EventEmitter.prototype;
    sameMembers(owner, instance(packages), instance(ours), top);
  });
}

test('static members, the module, and names of classes', () => {
  sameMembers('module', { ...reference }, { ...ours, native: null });
  for (const name of [
    'Client',
    'Pool',
    'Query',
    'Result',
    'DatabaseError',
    'Cursor',
    'QueryStream',
  ]) {
    const statics = (Class) =>
      Object.getOwnPropertyNames(Class).filter((one) => one !== 'prototype');
    const missing = statics(packages[name]).filter((one) => !(one in ours[name]));
    assert.deepEqual([name, missing], [name, []]);
    assert.equal(ours[name].name, packages[name].name);
  }
});

const said = (run) => run().catch(({ message }) => message);

compareAll([
  {
    name: 'names of classes, as programs compare them',
    run: async (driver, { connect, pool: makePool }) => {
      const client = await connect();
      const error = await client.query('selec').catch((one) => one);
      class Mine extends driver.Pool {}
      return [
        client.constructor.name,
        makePool().constructor.name,
        (await client.query('select 1')).constructor.name,
        error.constructor.name,
        new Mine().constructor.name,
        client.connectionParameters.constructor.name,
        new driver.Client.Query('select 1') instanceof driver.Query,
        driver.Client.Query === driver.Query,
      ];
    },
  },
  {
    name: 'pools of a class derived from Pool, of clients of a class derived from Client',
    run: async (driver, { url }) => {
      const calls = [];
      class OwnClient extends driver.Client {
        constructor(config) {
          super(config);
          calls.push(['new', config.application_name]);
        }

        connect(...args) {
          calls.push(['connect', typeof args[0]]);
          return super.connect(...args);
        }

        query(...args) {
          calls.push(['query', args[0]?.text ?? args[0]]);
          return super.query(...args);
        }
      }
      class OwnPool extends driver.Pool {
        constructor(options) {
          super({ ...options, Client: OwnClient });
        }

        async query(...args) {
          calls.push(['pool.query', args.length]);
          return super.query(...args);
        }

        async connect(...args) {
          calls.push(['pool.connect', args.length]);
          return super.connect(...args);
        }
      }
      const pool = new OwnPool({ connectionString: url, application_name: 'mine' });
      const { rows } = await pool.query('select 1 as a');
      const client = await pool.connect();
      const { rows: others } = await client.query('select $1::int as a', [2]);
      const kinds = [
        client instanceof OwnClient,
        client instanceof driver.Client,
        pool instanceof OwnPool,
        pool instanceof driver.Pool,
        client instanceof EventEmitter,
        Object.getPrototypeOf(OwnPool) === driver.Pool,
        pool.Client === OwnClient,
      ];
      client.release();
      await pool.end();
      return [rows, others, kinds, calls];
    },
  },
  {
    name: 'whether a client has connected, is connecting, has ended',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      const states = [];
      const note = () => states.push([client._connecting, client._connected, client._ended]);
      note();
      const connected = client.connect();
      note();
      await connected;
      note();
      await client.end();
      note();
      return states;
    },
  },
  {
    name: 'what pg-pool keeps, to be counted',
    run: async (_, { pool: makePool }) => {
      const pool = makePool({ max: 1 });
      const counts = [];
      const note = () =>
        counts.push([pool._clients.length, pool._idle.length, pool._pendingQueue.length]);
      note();
      const client = await pool.connect();
      const second = pool.connect();
      note();
      counts.push(pool._clients[0] === client);
      client.release();
      (await second).release();
      note();
      counts.push(pool._idle[0].client === client);
      return counts;
    },
  },
  {
    name: 'the option log is told the same words',
    run: async (driver, { url }) => {
      const words = [];
      const log = (...said) => words.push(said.map((one) => one.message ?? one));
      const pool = new driver.Pool({ connectionString: url, max: 1, maxUses: 3, log });
      (await pool.connect()).release();
      await pool.query('select 1');
      await pool.query('selec').catch(() => {});
      await pool.end();
      const away = new driver.Pool({ host: '127.0.0.1', port: 1, log });
      await away.query('select 1').catch(() => {});
      await away.end();
      // How often an idle pool looks whether somebody waits is its own affair, and so is when the
      // socket of a client that was thrown away has closed: that may be after the pool's end.
      const looks = new Set(['pulse queue', 'no queued requests', 'pulse queue ended']);
      const isTalk = ([first]) => looks.has(first);
      pool.log('called by hand');
      return words.filter((one) => !isTalk(one));
    },
  },
  {
    name: 'a Result that a program feeds reads rows with the parsers it was given later',
    run: async ({ Result }) => {
      const result = new Result();
      result._types = { getTypeParser: (oid) => (text) => `${oid}: ${text}` };
      result.addFields([{ name: 'a', dataTypeID: 23, format: 'text' }]);
      return [result.parseRow(['1']), Object.keys(result).includes('rows')];
    },
  },
  {
    name: 'utils.normalizeQueryConfig',
    run: ({ utils }) => {
      const given = Object.freeze({ text: 'a', values: [1] });
      const done = () => {};
      return [
        utils.normalizeQueryConfig('a'),
        utils.normalizeQueryConfig('a', [1]),
        utils.normalizeQueryConfig('a', done).callback === done,
        utils.normalizeQueryConfig('a', [1], done).callback === done,
        utils.normalizeQueryConfig(given, [2]),
        given,
        utils.normalizeQueryConfig(null),
      ];
    },
  },
  {
    name: 'a class derived from Query that reads the answer by itself',
    run: async (driver, { connect }) => {
      const client = await connect();
      class Own extends driver.Query {
        handleDataRow(message) {
          super.handleDataRow?.(message);
        }
      }
      const told = await said(
        () =>
          new Promise((resolve, reject) => {
            client.query(
              new Own('select id from book', (error, result) =>
                error ? reject(error) : resolve(result.rows.length),
              ),
            );
          }),
      );
      return [told, (await client.query('select 1 as a')).rows];
    },
    differs: 'the engine reads the answer, and says so instead of leaving the method out',
    expect: {
      value: [
        'handleDataRow of a Query is not called: the engine reads the answer; listen to "row" and "end"',
        [{ a: 1 }],
      ],
    },
  },
  {
    name: 'queries that are refused before they are sent call back in their turn',
    run: async (_, { connect }) => {
      const order = [];
      const client = await connect();
      const heard = [];
      const ask = (name, ...args) =>
        heard.push(
          new Promise((resolve) => {
            client.query(...args, (error) => {
              order.push([name, error?.message ?? 'none']);
              resolve();
            });
          }),
        );
      const bad = {
        toPostgres() {
          throw new Error('of the value');
        },
      };
      ask('first', 'select pg_sleep(0.02)');
      ask('no array', { text: 'select 1', values: 'x' });
      ask('second', 'select 1');
      ask('value', 'select $1::text', [bad]);
      ask('neither', {});
      ask('named', { name: 'n', text: 'select 1' });
      ask('renamed', { name: 'n', text: 'select 2' });
      ask('last', 'select 2');
      await Promise.all(heard);
      // Answers that come in one turn of the event loop.
      const end = performance.now() + 5;
      ask('fast', 'select 1');
      ask('refused', {});
      ask('behind', 'select 2');
      await new Promise((resolve) => setImmediate(resolve));
      while (performance.now() < end);
      await Promise.all(heard);
      const settled = [];
      await Promise.allSettled([
        client.query('select pg_sleep(0.02)').then(() => settled.push('first')),
        client.query({}).catch(() => settled.push('refused')),
        client.query('select 1').then(() => settled.push('last')),
      ]);
      // In pg what a value throws calls back, and the query's end once more.
      return [order.filter((one) => one.join() !== 'value,none'), settled];
    },
  },
  {
    name: 'refused ones hear of it although the client is ended under them',
    run: async (_, { connect }) => {
      const client = await connect();
      const asked = [
        client.query('select pg_sleep(10)'),
        client.query({}),
        client.query('select 1'),
      ];
      const settled = Promise.allSettled(asked);
      await client.end();
      return (await settled).map(({ status }) => status);
    },
  },
]);
