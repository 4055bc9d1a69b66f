// A client's life against `pg`: calls in all forms, queue, events and their order, ends and losses.
// table: one case per row
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { once } = require('node:events');
const net = require('node:net');
const { inspect } = require('node:util');
const { pair, seen } = require('../support/pg-pair.js');
const { waitFor } = require('../support/wait.js');
const { uncaughtIn } = require('../support/uncaught.js');

const { compareAll } = pair();

/** Writes events down in the order they come. */
function recorder() {
  const log = [];
  return {
    log,
    hear(emitter, ...names) {
      for (const name of names) emitter.on(name, (...args) => log.push([name, ...args.map(brief)]));
    },
    note: (...what) => log.push(what.map(brief)),
  };
}

const brief = (value) =>
  value instanceof Error
    ? value.message
    : typeof value === 'object' && value && 'rows' in value
      ? value.rows
      : typeof value === 'object'
        ? '…'
        : value;

const rejection = (promise) => promise.then(() => 'no rejection', seen);

/** Ends a session from outside. */
const kill = ({ observer }, client) =>
  observer.query('select pg_terminate_backend($1)', [client.processID]);

/** Once something is heard of a Query. */
const ask = (client, Query, event, done) =>
  client.query(new Query(event === 'error' ? 'selec' : 'select 1')).once(event, done);

const settled = () => new Promise((resolve) => setTimeout(resolve, 60));

compareAll([
  {
    name: 'connect resolves to the client',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      const same = (await client.connect()) === client;
      await client.end();
      return same;
    },
  },
  ...['resetAndDestroy', 'end'].map((how) => ({
    name: `a server that goes away during the login: ${how}`,
    run: async ({ Client }) => {
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket[how]());
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port } = server.address();
      const client = new Client({ host: '127.0.0.1', port, user: 'u', database: 'd' });
      const { message, syscall, address } = await client.connect().catch((error) => error);
      server.close();
      return [message, syscall, address];
    },
  })),
  {
    name: 'a query behind a connect that has failed, in the turn in which that is heard of',
    run: async ({ Client }, { url }) => {
      const client = new Client(`${url}_missing`);
      client.on('error', () => {});
      const queued = rejection(client.query('select 1'));
      const failed = await client.connect().catch((error) => error);
      const behind = await rejection(client.query('select 2'));
      return [failed.code, await queued, behind];
    },
  },
  {
    name: 'connect twice is refused, by promise and by callback',
    run: async (_, { connect }) => {
      const client = await connect();
      const byCallback = await new Promise((resolve) => client.connect(resolve));
      return [await rejection(client.connect()), seen(byCallback)];
    },
  },
  {
    name: 'connect with a callback: undefined, callback before the event, asynchronously',
    run: async (driver, { url }) => {
      const { log, hear, note } = recorder();
      const client = new driver.Client(url);
      hear(client, 'connect', 'end');
      const returned = client.connect((error, given) => note('callback', error, given === client));
      note('called', returned);
      await once(client, 'connect');
      await client.end();
      note('ended');
      return log;
    },
  },
  {
    name: 'queries before connect',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      const first = client.query('select 1 as a');
      const second = client.query('select $1::int as b', [2]);
      await client.connect();
      const rows = [(await first).rows, (await second).rows];
      await client.end();
      return rows;
    },
  },
  {
    name: 'query(null) and a callback that is no function throw',
    run: async (_, { connect }) => {
      const client = await connect();
      return [[null], [undefined], ['select 1', [], 'no function']].map((args) => {
        try {
          client.query(...args);
          return 'no error';
        } catch (error) {
          return [error.name, error.message];
        }
      });
    },
  },
  ...[
    ['text, callback', (c, done) => c.query('select 1 as a', done)],
    ['text, values, callback', (c, done) => c.query('select $1::int as a', [2], done)],
    ['config, callback', (c, done) => c.query({ text: 'select 3 as a' }, done)],
    ['config, values, callback', (c, done) => c.query({ text: 'select $1::int as a' }, [4], done)],
    ['config with callback', (c, done) => c.query({ text: 'select 5 as a', callback: done })],
    ['text, undefined, callback', (c, done) => c.query('select 6 as a', undefined, done)],
    ['text, null, callback', (c, done) => c.query('select 7 as a', null, done)],
    ['frozen config', (c, done) => c.query(Object.freeze({ text: 'select 8 as a' }), done)],
    [
      'config with getters of a class',
      (c, done) => {
        class Statement {
          get text() {
            return 'select $1::int as a';
          }
          get values() {
            return [9];
          }
        }
        return c.query(new Statement(), done);
      },
    ],
    ['an error', (c, done) => c.query('select 1/0', done)],
    ['an error with values', (c, done) => c.query('select 1/$1::int', [0], done)],
    ['neither text nor name', (c, done) => c.query({}, done)],
  ].map(([name, ask]) => ({
    name: `callback: ${name}`,
    run: async (_, { connect }) => {
      const client = await connect();
      let returned;
      let isSync = true;
      const called = await new Promise((resolve) => {
        returned = ask(client, (...args) => resolve([isSync, ...args.map(seen)]));
        isSync = false;
      });
      return [returned, called];
    },
  })),
  {
    name: 'queries run in the order they were asked for',
    run: async (_, { connect }) => {
      const client = await connect();
      const { log, note } = recorder();
      await Promise.all(
        [3, 1, 2].map((n) =>
          client
            .query(n === 1 ? 'select 1 as n' : 'select $1::int as n', n === 1 ? [] : [n])
            .then(({ rows }) => note(rows[0].n)),
        ),
      );
      return log;
    },
  },
  {
    name: 'an error in the middle of the queue stays where it is',
    run: async (_, { connect }) => {
      const client = await connect();
      const outcomes = await Promise.allSettled([
        client.query('select 1 as a'),
        client.query('selec 2'),
        client.query('select $1::int as a', ['x']),
        client.query('select 4 as a'),
      ]);
      return outcomes.map(({ value, reason }) => seen(value ?? reason));
    },
  },
  {
    name: 'drain comes when the queue is empty, before the continuation of the last query',
    run: async (_, { connect }) => {
      const client = await connect();
      const { log, hear, note } = recorder();
      hear(client, 'drain');
      client.query('select 1');
      await client.query('select 2').then(() => note('second'));
      await client.query('select 3').then(() => note('third'));
      return log;
    },
  },
  ...[
    ['a callback', (client, done) => client.query('select 1', done)],
    ['a callback, with values', (client, done) => client.query('select $1::int', [1], done)],
    ['the callback of a failure', (client, done) => client.query('selec', done)],
    ['the callback of a refusal', (client, done) => client.query({}, done)],
    ['the end of a Query', (client, done, { Query }) => ask(client, Query, 'end', done)],
    ['a row of a Query', (client, done, { Query }) => ask(client, Query, 'row', done)],
    ['the error of a Query', (client, done, { Query }) => ask(client, Query, 'error', done)],
  ].flatMap(([name, first]) =>
    // In pg's pipeline it comes before a refusal is told of.
    (name.includes('refusal') ? [false] : [false, true]).map((pipeline) => ({
      name: `drain does not come while ${name} asks for more${pipeline ? ', in a pipeline' : ''}`,
      run: async (driver, { connect }) => {
        const client = await connect({ pipeline });
        const { log, hear, note } = recorder();
        hear(client, 'drain', 'end');
        client.on('drain', () => client.end());
        const ended = once(client, 'end');
        first(
          client,
          () => {
            note('first');
            client.query('select 2', (error) => note('second', error));
          },
          driver,
        );
        await ended;
        return log;
      },
    })),
  ),
  {
    name: 'drain comes after a query that was refused',
    run: async (_, { connect }) => {
      const client = await connect();
      const { log, hear, note } = recorder();
      hear(client, 'drain');
      await client.query({}).catch(() => note('refused'));
      return log;
    },
  },
  {
    name: 'whatever was asked for before an end hears of it before that, in order',
    run: async ({ Query }, { connect }) => {
      const found = [];
      for (const pause of [0, 1, 30]) {
        const client = await connect();
        const { log, hear, note } = recorder();
        hear(client, 'end');
        client.query('select pg_sleep(10)', (error) => note('first', error));
        client.query('select 2', (error) => note('second', error));
        client.query(new Query('select 3')).on('error', (error) => note('third', error));
        if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
        await client.end();
        note('over');
        found.push(log);
      }
      return found;
    },
  },
  {
    name: 'queries before a connect that fails hear of it before the end',
    run: async (driver) => {
      const client = new driver.Client({ host: '127.0.0.1', port: 1, user: 'u' });
      const { log, hear, note } = recorder();
      hear(client, 'error', 'end');
      const ended = once(client, 'end');
      client.query('select 1', (error) => note(error));
      await rejection(client.connect());
      await ended;
      return log;
    },
  },
  {
    name: 'end twice, with promise and callback',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      const { log, hear, note } = recorder();
      hear(client, 'end', 'error');
      await client.connect();
      await client.end().then((value) => note('ended', value));
      await client.end().then(() => note('again'));
      return [log, await rejection(client.query('select 1')), await rejection(client.connect())];
    },
  },
  {
    name: 'end before connect does nothing, and connecting is possible afterwards',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      await client.end();
      const connected = (await client.connect()) === client;
      await client.end();
      return connected;
    },
  },
  {
    name: 'end while connecting, with a promise of connect that nobody waits for',
    run: async (driver, { url }) => {
      const unheard = [];
      const hear = (reason) => unheard.push(reason.message);
      process.on('unhandledRejection', hear);
      for (const Own of [undefined, class extends Promise {}]) {
        const client = new driver.Client({ connectionString: url, Promise: Own });
        client.connect();
        await client.end();
        await settled();
      }
      process.off('unhandledRejection', hear);
      return unheard;
    },
  },
  {
    name: 'end with a query running',
    run: async (_, { connect }) => {
      const client = await connect();
      const running = rejection(client.query('select pg_sleep(10)'));
      const waiting = rejection(client.query('select 1'));
      await settled();
      await client.end();
      return [(await running).message, (await waiting).message];
    },
  },
  {
    name: 'an idle session ended by the server',
    run: async (_, context) => {
      const client = await context.connect();
      const { log, hear } = recorder();
      hear(client, 'error', 'end');
      await kill(context, client);
      await waitFor(() => log.some(([name]) => name === 'end'), 'the end');
      return [log, await rejection(client.query('select 1'))];
    },
    differs: 'a loss is told once; pg emits a second error, Connection terminated unexpectedly',
    expect: {
      value: [
        [['error', 'terminating connection due to administrator command'], ['end']],
        { message: 'Client has encountered a connection error and is not queryable' },
      ],
    },
  },
  {
    name: 'asked as soon as a statement heard of the end of its session, and later',
    run: async (_, context) => {
      const client = await context.connect();
      const told = {};
      const ask = async (when) => {
        told[when] = (await rejection(client.query('select 1'))).message;
      };
      let byCallback;
      const running = client.query('select pg_sleep(10)').catch(() => {
        client.query('select 1', (error) => {
          byCallback = error.message;
        });
        return ask('at once');
      });
      const heard = new Promise((resolve) => {
        client.once('error', () => resolve(ask('of the listener')));
      });
      await settled();
      await kill(context, client);
      await Promise.all([running, heard]);
      await ask('later');
      return [told, byCallback];
    },
  },
  {
    name: 'a busy session ended by the server',
    run: async (_, context) => {
      const client = await context.connect();
      const { log, hear, note } = recorder();
      hear(client, 'error', 'end');
      const running = client
        .query('select pg_sleep(10)')
        .catch((error) => note('running', error.code, error, error.severity, error.routine));
      await settled();
      await kill(context, client);
      await running;
      await waitFor(() => log.length === 3, 'three events');
      return [log, await rejection(client.query('select 1'))];
    },
  },
  {
    name: 'notices, also in the middle of a query',
    run: async (_, { connect }) => {
      const client = await connect();
      const heard = [];
      client.on('notice', ({ name, message, severity, code, detail, hint, where, routine, line }) =>
        heard.push({
          name,
          message,
          severity,
          code,
          detail,
          hint,
          where,
          routine,
          line: typeof line,
        }),
      );
      await client.query(
        `do $$ begin raise notice 'one' using detail = 'd', hint = 'h'; raise warning 'two'; end $$`,
      );
      await client.query('set client_min_messages = debug1');
      await client.query(
        `do $$ begin raise debug 'three'; raise info 'four'; raise log 'five'; end $$`,
      );
      return heard;
    },
  },
  {
    name: 'a notice has every name of a field, also of what was not said',
    run: async (_, { connect }) => {
      const client = await connect();
      const heard = [];
      client.on('notice', (notice) => heard.push(Object.keys(notice).sort()));
      await client.query('rollback');
      return heard;
    },
  },
  {
    name: 'notifications, idle and busy, in order',
    run: async (_, context) => {
      const client = await context.connect();
      const heard = [];
      client.on('notification', ({ name, length, channel, payload, processId }) =>
        heard.push({ name, length, channel, payload, own: processId === client.processID }),
      );
      await client.query('listen "a b"');
      await context.observer.query(`notify "a b"`);
      await context.observer.query(
        `select pg_notify('a b', 'é' || n) from generate_series(1, 20) n`,
      );
      await client.query(`notify "a b", 'own'`);
      await waitFor(() => heard.length === 22, 'notifications');
      return heard;
    },
  },
  {
    name: 'transaction status',
    run: async (driver, { url }) => {
      const client = new driver.Client(url);
      const statuses = [client.getTransactionStatus()];
      await client.connect();
      for (const text of ['select 1', 'begin', 'select 2', 'rollback', 'select 3']) {
        await client.query(text);
        statuses.push(client.getTransactionStatus(), client._txStatus);
      }
      await client.query('begin');
      await client.query('select 1/0').catch(() => {});
      await settled();
      statuses.push(client.getTransactionStatus());
      await client.end();
      return statuses;
    },
  },
  {
    name: 'query_timeout of a client and of a query',
    run: async (_, { connect }) => {
      const client = await connect({ query_timeout: 80 });
      const own = await connect();
      return [
        await rejection(client.query('select pg_sleep(1)')),
        await rejection(own.query({ text: 'select pg_sleep($1)', values: [1], query_timeout: 80 })),
        (await own.query({ text: 'select 1 as a', query_timeout: 10_000 })).rows,
        (await client.query('select 2 as a')).rows,
      ];
    },
  },
  {
    name: 'statement_timeout',
    run: async (_, { connect }) => {
      const client = await connect({ statement_timeout: '50' });
      return [
        await rejection(client.query('select pg_sleep(1)')),
        (await client.query('show statement_timeout')).rows,
      ];
    },
  },
  {
    name: 'cancelled from elsewhere',
    run: async (_, context) => {
      const client = await context.connect();
      const running = rejection(client.query('select pg_sleep(10)'));
      await settled();
      await context.observer.query('select pg_cancel_backend($1)', [client.processID]);
      return [await running, (await client.query('select 1 as a')).rows];
    },
  },
  {
    name: 'context of AsyncLocalStorage in callbacks and in events of a Query',
    run: async (driver, { connect }) => {
      const client = await connect();
      const storage = new AsyncLocalStorage();
      const heard = [];
      await storage.run(
        'callback',
        () =>
          new Promise((resolve) =>
            client.query('select 1', () => {
              heard.push(storage.getStore());
              resolve();
            }),
          ),
      );
      await storage.run(
        'query',
        () =>
          new Promise((resolve) => {
            const query = client.query(new driver.Query('select 1'));
            query.on('row', () => heard.push(storage.getStore()));
            query.on('end', () => {
              heard.push(storage.getStore());
              resolve();
            });
          }),
      );
      await storage.run('promise', () =>
        client.query('select 1').then(() => heard.push(storage.getStore())),
      );
      return heard;
    },
    differs: 'events of a Query keep the context it was made in',
    expect: { value: ['callback', 'query', 'query', 'promise'] },
  },
  {
    name: 'a type parser that throws fails its query alone',
    run: async (_, { connect }) => {
      const client = await connect();
      const types = {
        getTypeParser: () => () => {
          throw new Error('cannot parse');
        },
      };
      return [
        await rejection(client.query({ text: 'select 1 as a', types })),
        (await client.query('select 2 as a')).rows,
      ];
    },
  },
  {
    name: 'secrets are not shown',
    run: async (driver) => {
      const client = new driver.Client({
        user: 'u',
        password: 'geheim',
        host: 'h',
        ssl: { key: 'geheim' },
      });
      const shown = [
        inspect(client, { depth: 20 }),
        String(client),
        JSON.stringify(client.connectionParameters),
      ];
      return [
        shown.map((text) => text.includes('geheim')),
        client.password,
        client.ssl.key,
        Object.keys(client).includes('password'),
      ];
    },
  },
  {
    name: 'own properties that programs read',
    run: async (driver) => {
      const { user, database, host, port, ssl, binary, pipeline, processID, _queryable, _ending } =
        new driver.Client({ user: 'u', host: 'h', port: '99' });
      return { user, database, host, port, ssl, binary, pipeline, processID, _queryable, _ending };
    },
  },
  {
    name: 'clients cannot be called without new',
    run: (driver) =>
      [driver.Client, driver.Pool, driver.Query].map((Class) => {
        try {
          Class();
          return 'made';
        } catch (error) {
          return error.name;
        }
      }),
  },
  {
    name: 'a patched Client.prototype.query sees statements of clients and pools',
    run: async (driver, { connect, pool }) => {
      const { query } = driver.Client.prototype;
      const asked = [];
      driver.Client.prototype.query = function (...args) {
        asked.push(args[0]);
        return query.apply(this, args);
      };
      try {
        await (await connect()).query('select 1');
        await pool().query('select $1::int', [2]);
      } finally {
        driver.Client.prototype.query = query;
      }
      return asked;
    },
  },
  {
    name: 'a query that a program puts on one client sees statements of its pool',
    run: async (_, { pool }) => {
      const asked = [];
      const one = pool({ max: 1 });
      one.on('connect', (client) => {
        const { query } = client;
        client.query = (...args) => {
          asked.push(args.slice(0, 2));
          return query.apply(client, args);
        };
      });
      const outcomes = [await one.query('select $1::int as a', [2])];
      outcomes.push(await rejection(one.query('select nothing')));
      outcomes.push(await one.query({ text: 'select 1, 2', rowMode: 'array' }));
      await new Promise((resolve) => {
        one.query('select 3 as b', (...args) => resolve(outcomes.push(...args)));
      });
      return [asked, outcomes.map(seen), one.idleCount];
    },
  },
  {
    name: 'a listener of end that throws holds up nobody who waits for the end',
    run: async (_, { connect }) => {
      const thrown = await uncaughtIn(async () => {
        for (const ended of [
          (client) => client.end(),
          (client) => new Promise((resolve) => client.end(resolve)),
        ]) {
          const client = await connect();
          client.on('end', () => {
            throw new Error('of the listener');
          });
          await Promise.all([ended(client), settled()]);
        }
      });
      return thrown.map(({ message }) => message);
    },
  },
]);

// Query objects: section 6.4.
const querying = (name, make) => ({
  name: `Query: ${name}`,
  run: async (driver, { connect }) => {
    const client = await connect();
    const { log, note } = recorder();
    const query = make(driver, note);
    query.on('row', (row, result) => note('row', row?.n ?? row, result.fields.length));
    const over = new Promise((resolve) => {
      query.on('end', (result) => {
        note('end', Array.isArray(result) ? result.map(({ rows }) => rows) : result);
        resolve();
      });
      query.on('error', (error) => {
        note('error', error.message);
        resolve();
      });
    });
    note('same', client.query(query) === query);
    await (query.callback ? settled() : over);
    note((await client.query('select 1 as n')).rows[0].n);
    return log;
  },
});
compareAll([
  querying(
    'rows one by one, not kept',
    ({ Query }) => new Query('select generate_series(1, 3) as n'),
  ),
  querying('with values', ({ Query }) => new Query('select $1::int as n', [5])),
  querying('config', ({ Query }) => new Query({ text: 'select $1::int as n', values: [5] })),
  querying('rows as arrays', ({ Query }) => new Query({ text: 'select 1, 2', rowMode: 'array' })),
  querying('a name', ({ Query }) => new Query({ text: 'select 1 as n', name: 'q' })),
  querying('several statements', ({ Query }) => new Query('select 1 as n; select 2 as n')),
  querying('an error', ({ Query }) => new Query('select 1/0')),
  {
    ...querying(
      'an error after rows',
      ({ Query }) => new Query('select 1/(2-n) as n from generate_series(1, 3) n'),
    ),
    differs: 'rows that came in the same packet as the error are not told of',
    expect: { value: [['same', true], ['error', 'division by zero'], [1]] },
  },
  querying('no rows', ({ Query }) => new Query('select 1 as n where false')),
  querying(
    'a callback',
    ({ Query }, note) =>
      new Query('select 1 as n', (error, result) => note('callback', error, result)),
  ),
  querying(
    'a callback and an error',
    ({ Query }, note) => new Query('select 1/0', (error) => note('callback', error)),
  ),
  querying('nothing to run', ({ Query }) => new Query({})),
]);
