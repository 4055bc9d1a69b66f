// What programs rely on beside results, against `pg`: the module, objects that libraries look into, order, errors.
// table: one case per row
'use strict';

const domain = require('node:domain');
const { inspect } = require('node:util');
const { pair, seen } = require('../support/pg-pair.js');

const { compareAll } = pair(`
  create table book (id int primary key, title text not null unique);
  insert into book values (1, 'one');
`);

const failure = (promise) =>
  promise.then(
    () => 'no rejection',
    (error) => error,
  );
const thrown = (run) => {
  try {
    return run();
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};
/** What a getter, a value or a function is to somebody who looks. */
const kind = (value) => (value === null ? 'null' : typeof value);

// Section 1.
compareAll([
  {
    name: '§1 exports and their kinds',
    run: ({ ...driver }) =>
      [
        'Client',
        'Pool',
        'Query',
        'Result',
        'TypeOverrides',
        'DatabaseError',
        'Connection',
        'defaults',
        'escapeIdentifier',
        'escapeLiteral',
        'types',
        'utils',
      ].map((name) => [name, kind(driver[name])]),
  },
  {
    name: '§1 native is null, out of sight, and can be read',
    run: (driver) => [driver.native, Object.keys(driver).includes('native'), 'native' in driver],
  },
  {
    name: '§1 classes need new, and are classes to instanceof',
    run: async (driver, { connect, pool }) => {
      const client = await connect();
      const { Client, Pool, Query, Result, TypeOverrides, DatabaseError } = driver;
      const result = await client.query('select 1 as a');
      const error = await failure(client.query('selec'));
      return [
        [Client, Pool].map((Class) => thrown(() => Class()).slice(0, 9)),
        client instanceof Client,
        pool() instanceof Pool,
        new Query('select 1') instanceof Query,
        result instanceof Result,
        new TypeOverrides() instanceof TypeOverrides,
        [error instanceof DatabaseError, error instanceof Error],
      ];
    },
  },
  {
    name: '§1 a patched Client.prototype.connect sees the connects of pools',
    run: async (driver, { pool: make }) => {
      const { connect } = driver.Client.prototype;
      const calls = [];
      driver.Client.prototype.connect = function patched(...args) {
        calls.push(args.map(kind));
        return connect.apply(this, args);
      };
      try {
        const pool = make();
        await pool.query('select 1');
        const client = new driver.Client(pool.options);
        await client.connect();
        await client.end();
        return calls;
      } finally {
        driver.Client.prototype.connect = connect;
      }
    },
  },
  {
    name: '§1 escapes without an instance',
    run: ({ Client, escapeIdentifier, escapeLiteral, utils }) =>
      ['a', "o'clock", 'back\\slash', '"quoted"', ''].map((text) => [
        Client.prototype.escapeIdentifier(text),
        Client.prototype.escapeLiteral(text),
        escapeIdentifier(text),
        escapeLiteral(text),
        utils.escapeIdentifier(text),
        utils.escapeLiteral(text),
      ]),
  },
  {
    name: '§1 utils.prepareValue ignores further arguments',
    run: ({ utils }) => [1, 'x', null, [1], { a: 1 }].map(utils.prepareValue),
  },
]);

const PARAMETERS = [
  'user',
  'database',
  'port',
  'host',
  'binary',
  'options',
  'ssl',
  'sslnegotiation',
  'client_encoding',
  'replication',
  'isDomainSocket',
  'application_name',
  'fallback_application_name',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
  'connect_timeout',
];

// Sections 2 and 3.
compareAll([
  {
    name: '§2 a bluebird-like class is used for every promise',
    run: async (_, { connect, pool: make }) => {
      class Own extends Promise {}
      const client = await connect({ Promise: Own });
      const pool = make({ Promise: Own });
      const given = [
        client.query('select 1'),
        failure.call(null, client.query('selec')) && client.query('select 1'),
        pool.connect().then((one) => one.release()),
        pool.query('select 1'),
        pool.query('selec'),
        client.end(),
        pool.end(),
      ];
      await Promise.allSettled(given);
      return given.map((one) => one instanceof Own);
    },
  },
  {
    name: '§2 timeouts of the server: truncated, as strings too',
    run: async (_, { connect }) => {
      const client = await connect({
        statement_timeout: 1234.9,
        lock_timeout: '2345',
        idle_in_transaction_session_timeout: 3456,
      });
      const shown = [];
      for (const name of [
        'statement_timeout',
        'lock_timeout',
        'idle_in_transaction_session_timeout',
      ]) {
        shown.push((await client.query(`show ${name}`)).rows[0][name]);
      }
      return shown;
    },
  },
  {
    name: '§2 options of the start-up packet in both spellings',
    run: async (_, { connect }) => {
      const shown = [];
      for (const options of ['-c search_path=a,b', '--search_path=c -c work_mem=1MB']) {
        const client = await connect({ options });
        shown.push((await client.query('show search_path')).rows);
        shown.push((await client.query('show work_mem')).rows);
      }
      return shown;
    },
  },
  {
    name: '§2 client_encoding is always UTF8',
    run: async (_, { connect }) => {
      const client = await connect({ client_encoding: 'latin1' });
      return [
        (await client.query('show client_encoding')).rows,
        client.connectionParameters.client_encoding,
      ];
    },
  },
  {
    name: '§2 binary and pipeline can be read',
    run: async (_, { connect }) => {
      const plain = await connect();
      const other = await connect({ binary: true, pipeline: true });
      return [plain.binary, plain.pipeline, other.binary, other.pipeline];
    },
  },
  {
    name: '§3 connectionParameters has its full list, and no password to see',
    run: (driver) => {
      const { connectionParameters } = new driver.Client({
        user: 'u',
        password: 'canary',
        host: 'h',
        application_name: 'x',
        query_timeout: 5,
      });
      return [
        PARAMETERS.map((name) => [name, connectionParameters[name]]),
        Object.keys(connectionParameters).includes('password'),
        connectionParameters.password,
        inspect(connectionParameters, { depth: 20 }).includes('canary'),
      ];
    },
  },
  {
    name: '§3 clients are ordinary objects that programs write on',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      const first = await pool.connect();
      const seenBefore = new WeakMap([[first, 'known']]);
      first.__knexUid = 7;
      first.$useCount = 1;
      first.release();
      const second = await pool.connect();
      const known = [seenBefore.get(second), second.__knexUid, second.$useCount, second === first];
      second.release();
      return known;
    },
  },
  {
    name: '§3 a client whose end was replaced while it was lent',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      const client = await pool.connect();
      const { end } = client;
      const calls = [];
      client.end = () => {
        calls.push('replaced');
      };
      client.end();
      client.end = end;
      client.release();
      await pool.query('select 1');
      return calls;
    },
  },
  {
    name: '§3 private names that others read',
    run: async (_, { connect }) => {
      const client = await connect();
      const idle = [
        client._queryable,
        client._ending,
        client.activeQuery ?? 'none',
        client.queryQueue,
      ];
      const running = client.query({ name: 'mine', text: 'select 1 as a' });
      const { activeQuery } = client;
      const busy = [activeQuery.text, activeQuery.name, typeof activeQuery.on];
      await running;
      await client.end();
      return [idle, busy, client._ending, 'native' in client && client.native];
    },
  },
  {
    name: '§3 release is of pooled clients only',
    run: async (_, { connect, pool: make }) => {
      const pool = make();
      const lent = await pool.connect();
      const kinds = [kind((await connect()).release), kind(lent.release)];
      lent.release();
      return kinds;
    },
  },
  {
    name: '§3 connect and end give undefined with a callback',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      const told = [];
      await new Promise((resolve) => {
        told.push(
          client.connect((error, given) => resolve(told.push(error ?? 'none', given === client))),
        );
      });
      await new Promise((resolve) => {
        told.push(client.end((...args) => resolve(told.push(args.length))));
      });
      return told.map(String);
    },
  },
]);

// Section 5.
compareAll([
  {
    name: '§5 domains are kept in callbacks and events',
    run: async (_, { connect }) => {
      const client = await connect();
      const own = domain.create();
      return new Promise((resolve) => {
        own.run(() => client.query('select 1', () => resolve(process.domain === own)));
      });
    },
  },
  {
    name: '§5 nothing calls back synchronously',
    run: async (driver, { url, pool: make }) => {
      const pool = make({ max: 1 });
      (await pool.connect()).release();
      const order = [];
      const all = [];
      const note = (name, start) =>
        all.push(
          new Promise((resolve) => {
            start(() => {
              order.push(name);
              resolve();
            });
            order.push(`${name} asked`);
          }),
        );
      note('idle', (done) =>
        pool.connect((_error, _client, release) => {
          release();
          done();
        }),
      );
      await Promise.all(all);
      const client = new driver.Client(url);
      note('connect', (done) => client.connect(done));
      await Promise.all(all);
      note('query', (done) => client.query('', done));
      await Promise.all(all);
      note('end', (done) => client.end(done));
      await Promise.all(all);
      return order;
    },
  },
  {
    name: '§5 stacks of client.query, pool.query, pool.connect and their callers',
    run: async (driver, { pool: make, connect }) => {
      const client = await connect();
      const pool = make();
      const away = new driver.Pool({ host: '127.0.0.1', port: 1 });
      async function callerOfTheDriver(ask) {
        await ask();
      }
      const asks = [
        () => client.query('selec'),
        () => client.query('select $1::int', ['x']),
        () => client.query({ name: 'n', text: 'selec' }),
        () => pool.query('selec'),
        () => pool.query('select $1::int', ['x']),
        () => away.connect(),
        () => away.query('select 1'),
      ];
      const found = [];
      for (const ask of asks) {
        const { stack } = await failure(callerOfTheDriver(ask));
        found.push(stack.includes('callerOfTheDriver'));
      }
      await away.end();
      return found;
    },
  },
  {
    name: '§5 the stack of client.connect',
    differs: 'the caller’s stack is on every error here, connects included',
    expect: { value: true },
    run: async (driver) => {
      const client = new driver.Client({ host: '127.0.0.1', port: 1 });
      client.on('error', () => {});
      async function callerOfConnect() {
        await client.connect();
      }
      return (await failure(callerOfConnect())).stack.includes('callerOfConnect');
    },
  },
]);

// Sections 6 and 7.
compareAll([
  {
    name: '§6.1 a config may be frozen, have a prototype with getters, and be used again',
    run: async (_, { connect, pool: make }) => {
      class Config {
        get text() {
          return 'select $1::int as a';
        }
        get values() {
          return Object.freeze([5]);
        }
      }
      const frozen = Object.freeze({ text: 'select $1::int as a', values: Object.freeze([6]) });
      const client = await connect();
      const pool = make();
      const outcomes = [];
      for (const config of [new Config(), frozen, frozen]) {
        for (const target of [client, pool]) outcomes.push((await target.query(config)).rows);
      }
      return outcomes;
    },
  },
  {
    name: '§6.2 unknown keys are ignored, rows sets the batch, name undefined is none',
    run: async (_, { connect }) => {
      const client = await connect();
      const outcomes = [];
      for (const more of [
        { method: 'raw', __knexUid: 1, options: {} },
        { rows: 2 },
        { name: undefined, types: undefined, rowMode: undefined },
        { portal: 'mine' },
      ]) {
        const text = 'select n from generate_series(1, $1::int) n';
        outcomes.push((await client.query({ text, values: [5], ...more })).rows);
      }
      return outcomes;
    },
  },
  {
    name: '§6.5 names of statements over 63 bytes',
    run: async (_, { connect }) => {
      const client = await connect();
      const name = 'n'.repeat(100);
      const outcomes = [];
      for (const n of [1, 2]) {
        outcomes.push(
          (await client.query({ name, text: 'select $1::int as a', values: [n] })).rows,
        );
      }
      const { rows } = await client.query(
        'select length(name) as l from pg_prepared_statements where name like $1',
        ['nnn%'],
      );
      return [outcomes, rows];
    },
  },
  {
    name: '§6.8 what values throw is rejected as it is, and the client goes on',
    run: async (_, { connect }) => {
      const client = await connect();
      const own = new Error('of the value');
      const outcomes = [];
      for (const value of [
        {
          toPostgres() {
            throw own;
          },
        },
        { n: 1n },
      ]) {
        const error = await failure(client.query('select $1::text', [value]));
        outcomes.push([error === own, error.constructor.name]);
        outcomes.push((await client.query('select 1 as a')).rows);
      }
      const cyclic = {};
      cyclic.toPostgres = () => cyclic;
      outcomes.push(
        (await failure(client.query('select $1::text', [cyclic]))).message.includes('circular'),
      );
      return outcomes;
    },
  },
  {
    name: '§6.8 a named statement whose first value throws',
    differs: 'in pg the name is unusable afterwards',
    expect: { value: [['of the value'], [{ a: 5 }]] },
    run: async (_, { connect }) => {
      const client = await connect();
      const bad = {
        toPostgres() {
          throw new Error('of the value');
        },
      };
      const config = { name: 'n', text: 'select $1::int as a' };
      const first = await failure(client.query({ ...config, values: [bad] }));
      const second = await client.query({ ...config, values: [5] }).then(
        ({ rows }) => rows,
        ({ message }) => message,
      );
      return [[first.message], second];
    },
  },
  {
    name: '§7 members of results are own, rows plain objects that may be changed',
    run: async (_, { connect }) => {
      const client = await connect();
      const result = await client.query('select 1 as a, 2 as b');
      const own = ['command', 'rowCount', 'oid', 'rows', 'fields', 'rowAsArray'];
      const [row] = result.rows;
      row.c = 3;
      delete row.a;
      return [
        own.map((name) => Object.hasOwn(result, name)),
        Object.getPrototypeOf(row) === Object.prototype,
        row,
        Object.keys(result.fields[0]),
      ];
    },
  },
]);

// Section 9.
const AWAY = { host: '127.0.0.1', port: 1 };
compareAll([
  {
    name: '§9 fields of a server error: all own and enumerable, also absent ones',
    run: async (_, { connect }) => {
      const client = await connect();
      const error = await failure(client.query("insert into book values (2, 'one')"));
      const plain = JSON.parse(JSON.stringify(error));
      const { length, line, file, routine, ...rest } = plain;
      return [
        Object.keys(error).sort(),
        rest,
        [length, line, file, routine].map(kind),
        error.toString(),
        Object.hasOwn(error, 'hint'),
        error.name,
      ];
    },
  },
  {
    name: '§9 errors of the network keep the shape of Node',
    run: async (driver) => {
      const found = [];
      for (const config of [AWAY, { host: '/nonexistent', port: 5432 }]) {
        const client = new driver.Client(config);
        client.on('error', () => {});
        const { code, errno, syscall, address, port, message } = await failure(client.connect());
        found.push({ code, errno, syscall, address, port, message });
      }
      return found;
    },
  },
  {
    name: '§3, §10 through a Proxy, also of one that is made when it is first needed',
    run: async (driver, { connect, pool }) => {
      const client = await connect();
      const real = pool({ max: 1 });
      const lazy = new Proxy({}, { get: (_, name) => real[name] });
      const found = [];
      for (const stand of [lazy, new Proxy(real, {})]) {
        found.push((await stand.query('select $1::int as a', [1])).rows);
        const lent = await stand.connect();
        found.push((await lent.query('select 2 as b')).rows);
        lent.release();
        found.push([stand.totalCount, stand.waitingCount]);
      }
      found.push((await new Proxy(client, {}).query('select 3 as c')).rows);
      const types = new Proxy(driver.types, {});
      found.push((await client.query({ text: 'select 4 as d, true as e', types })).rows);
      await new Proxy(client, {}).end();
      return found;
    },
  },
  {
    name: '§9 errors of login',
    run: async (driver, { url }) => {
      const found = [];
      for (const path of ['/no_such_database']) {
        const away = new URL(url);
        away.pathname = path;
        const client = new driver.Client(away.href);
        client.on('error', () => {});
        const error = await failure(client.connect());
        found.push([seen(error), error instanceof driver.DatabaseError, error.severity]);
      }
      return found;
    },
  },
  {
    name: '§9 words that others match on',
    run: async (_, { connect, pool: make }) => {
      const words = [];
      const note = async (promise) => words.push((await failure(promise)).message);
      const client = await connect();
      await note(client.connect());
      await client.end();
      await note(client.query('select 1'));
      const pool = make({ max: 1, connectionTimeoutMillis: 500 });
      const lent = await pool.connect();
      await note(pool.connect());
      await note(pool.query('select 1'));
      await note(lent.query({ text: 'select pg_sleep(0.3)', query_timeout: 20 }));
      lent.release(true);
      words.push(thrown(() => lent.release()));
      await new Promise((resolve) => {
        pool.query(({ message }) => resolve(words.push(message)));
      });
      await pool.end();
      await note(pool.end());
      await note(pool.connect());
      await note(pool.query('select 1'));
      return words;
    },
  },
]);

const mine = () => new Error('played');

/** What streams tell of their ends. */
function ends() {
  const log = [];
  const watch = (stream) => {
    for (const name of ['end', 'close']) stream.on(name, () => log.push(name));
  };
  return { log, watch };
}

// Section 11.5.
compareAll([
  {
    name: '§11.5 connection tells of parameters during connect',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      const told = new Map();
      const listener = ({ parameterName, parameterValue }) =>
        told.set(parameterName, parameterValue);
      client.connection.on('parameterStatus', listener);
      await client.connect();
      await client.query("set application_name = 'changed'");
      client.connection.removeListener('parameterStatus', listener);
      await client.end();
      return [
        'server_version',
        'standard_conforming_strings',
        'server_encoding',
        'TimeZone',
        'application_name',
      ].map((name) => told.get(name));
    },
  },
  {
    name: '§11.5 members of connection and its stream',
    run: async (_, { connect }) => {
      const { connection } = await connect();
      const { stream } = connection;
      return [
        ['on', 'once', 'ref', 'unref'].map((name) => kind(connection[name])),
        ['on', 'destroy', 'setKeepAlive', 'ref', 'unref'].map((name) => kind(stream[name])),
        [stream.destroyed, stream.writable],
      ];
    },
  },
  {
    name: '§11.5 connection.stream.destroy() is a hard kill',
    differs: 'the program has ended it itself, as with end(): not unexpectedly',
    expect: {
      value: [
        'Connection terminated',
        'Client has encountered a connection error and is not queryable',
      ],
    },
    run: async (_, { connect }) => {
      const client = await connect();
      const ended = new Promise((resolve) => client.once('end', resolve));
      const running = failure(client.query('select pg_sleep(30)'));
      client.connection.stream.destroy();
      const { message } = await running;
      await ended;
      return [message, (await failure(client.query('select 1'))).message];
    },
  },
  ...[
    ['connection.stream.destroy()', ({ connection }) => connection.stream.destroy()],
    ['connection.stream.destroy(reason)', ({ connection }) => connection.stream.destroy(mine())],
    ['connection.stream.end()', ({ connection }) => connection.stream.end()],
    ['connection.end()', ({ connection }) => connection.end()],
    ['an error of the stream', ({ connection }) => connection.stream.emit('error', mine())],
    ['an error of the connection', ({ connection }) => connection.emit('error', mine())],
  ].map(([name, act]) => ({
    name: `§11.5 a client is told of a fault that its program plays: ${name}`,
    run: async (_, { connect, pool: make }) => {
      const client = await connect();
      const told = new Promise((resolve) => client.once('error', resolve));
      act(client);
      const words = [(await told).message, (await failure(client.query('select 1'))).message];
      const pool = make({ max: 1 });
      const lost = new Promise((resolve) => pool.once('error', resolve));
      const removed = new Promise((resolve) => pool.once('remove', resolve));
      const lent = await pool.connect();
      lent.release();
      act(lent);
      words.push((await lost).message, (await removed) === lent, pool.totalCount);
      return [words, (await pool.query('select 1 as a')).rows];
    },
  })),
  {
    name: '§11.5 connection.stream tells of its end',
    run: async (_, { connect }) => {
      const { log, watch } = ends();
      for (const act of [
        (client) => client.end(),
        ({ connection }) => connection.stream.end(),
        ({ connection }) => connection.stream.destroy(),
      ]) {
        const client = await connect();
        watch(client.connection.stream);
        const ended = new Promise((resolve) => client.once('end', resolve));
        act(client);
        await ended;
        log.push('over');
      }
      return log;
    },
  },
  {
    name: '§11.5 connection tells of the columns when a stream of pg-query-stream starts, as slonik reads them',
    run: async (_, { connect }) => {
      const QueryStream = require('pg-query-stream');
      const client = await connect();
      const told = [];
      client.connection.once('rowDescription', ({ fields }) =>
        told.push(...fields.map(({ name, dataTypeID }) => [name, dataTypeID])),
      );
      const rows = [];
      for await (const row of client.query(new QueryStream('select 1 as a, $$x$$::text as b')))
        rows.push(row);
      return [told, rows];
    },
  },
]);

compareAll([
  {
    name: '§5 streams tell of errors with the stack of whoever made them',
    differs: 'the caller’s stack is on every error here',
    expect: { value: [true, true, true] },
    run: async ({ QueryStream, copyFrom, copyTo }, { connect }) => {
      const client = await connect();
      // The packages beside pg have neither.
      const makers = [
        () => new (QueryStream ?? require('pg-query-stream'))('selec'),
        () => (copyFrom ?? require('pg-copy-streams').from)('copy gone from stdin'),
        () => (copyTo ?? require('pg-copy-streams').to)('copy gone to stdout'),
      ];
      const found = [];
      function makerOfTheStream(make) {
        return make();
      }
      for (const make of makers) {
        const stream = client.query(makerOfTheStream(make));
        stream.resume?.();
        const error = await new Promise((resolve) => stream.once('error', resolve));
        found.push(error.stack.includes('makerOfTheStream'));
      }
      return found;
    },
  },
  {
    name: '§10 two hundred checkouts at once of ten clients, and of forty',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 10 });
      const seenCounts = [];
      for (const count of [200, 40]) {
        const pids = await Promise.all(
          Array.from({ length: count }, async () => {
            const client = await pool.connect();
            const { rows } = await client.query('select pg_backend_pid() as pid');
            client.release();
            return rows[0].pid;
          }),
        );
        seenCounts.push(
          pids.length,
          new Set(pids).size <= 10,
          pool.totalCount,
          pool.idleCount,
          pool.waitingCount,
        );
      }
      return seenCounts;
    },
  },
  {
    name: '§10.2 a release of another checkout keeps throwing',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      const first = await pool.connect();
      const { release } = first;
      release();
      const second = await pool.connect();
      const words = [thrown(() => release()), release === second.release, first === second];
      second.release();
      words.push(pool.idleCount);
      return words;
    },
  },
  {
    name: '§4 idle in a transaction for too long: told, and not queryable',
    run: async (_, { connect }) => {
      const client = await connect({ idle_in_transaction_session_timeout: 50 });
      const told = new Promise((resolve) => client.once('error', resolve));
      await client.query('begin');
      const error = await told;
      return [error.code, error.severity, (await failure(client.query('select 1'))).message];
    },
  },
]);
