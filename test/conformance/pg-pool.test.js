// A pool against `pg`: forms of calls, counts at every moment, events, limits, refusals.
// table: one case per row
'use strict';

const { pair, seen } = require('../support/pg-pair.js');
const { waitFor } = require('../support/wait.js');

const { compareAll } = pair('create table item (id int primary key)');

const rejection = (promise) => promise.then(() => 'no rejection', seen);
const counts = ({ totalCount, idleCount, waitingCount, expiredCount }) => [
  totalCount,
  idleCount,
  waitingCount,
  expiredCount,
];

/** Counts whenever something happens. */
function watch(pool) {
  const log = [];
  for (const name of ['connect', 'acquire', 'release', 'remove', 'error']) {
    pool.on(name, (first) =>
      log.push([name, first instanceof Error ? first.message : typeof first, ...counts(pool)]),
    );
  }
  return log;
}

compareAll([
  {
    name: 'connect, query, release: counts at every point',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 2 });
      const log = watch(pool);
      const points = [counts(pool)];
      const opening = pool.connect();
      points.push(counts(pool));
      const first = await opening;
      points.push(counts(pool));
      const second = await pool.connect();
      const third = pool.connect();
      points.push(counts(pool));
      first.release();
      points.push(counts(pool));
      (await third).release();
      second.release();
      points.push(counts(pool));
      await pool.end();
      points.push(counts(pool));
      return [points, log, pool.ending, pool.ended];
    },
  },
  {
    name: 'connect with a callback',
    run: async (_, { pool: make }) => {
      const pool = make();
      let isSync = true;
      const got = await new Promise((resolve) => {
        const returned = pool.connect((error, client, release) =>
          resolve([
            returned,
            isSync,
            error,
            typeof client.query,
            release === client.release,
            release(),
          ]),
        );
        isSync = false;
      });
      return [got, counts(pool)];
    },
  },
  {
    name: 'connect that fails, by promise and by callback',
    run: async (driver) => {
      const pool = new driver.Pool({ host: '127.0.0.1', port: 1, user: 'u' });
      const byPromise = await pool
        .connect()
        .catch(({ code, errno, syscall, address }) => ({ code, errno, syscall, address }));
      const byCallback = await new Promise((resolve) => {
        pool.connect((error, client, release) =>
          resolve([error.code, client, typeof release, release()]),
        );
      });
      const query = await pool.query('select 1').catch(({ code }) => code);
      await pool.end();
      return [byPromise, byCallback, query, counts(pool)];
    },
  },
  ...[
    ['text', (p) => p.query('select 1 as a')],
    ['text, values', (p) => p.query('select $1::int as a', [2])],
    ['config', (p) => p.query({ text: 'select $1::int as a', values: [3] })],
    ['config, values', (p) => p.query({ text: 'select $1::int as a' }, [4])],
    ['rows as arrays', (p) => p.query({ text: 'select 1, 2', rowMode: 'array' })],
    ['several statements', (p) => p.query('select 1; select 2')],
    ['a name', (p) => p.query({ name: 'x', text: 'select 1 as a' })],
    ['an error', (p) => p.query('selec')],
    ['an error with values', (p) => p.query('select 1/$1::int', [0])],
    ['null', (p) => p.query(null)],
    ['nothing', (p) => p.query()],
    ['an object without text', (p) => p.query({})],
  ].map(([name, ask]) => ({
    name: `query: ${name}`,
    run: async (_, { pool: make }) => ask(make()),
  })),
  ...[
    ['text', (p, done) => p.query('select 1 as a', done)],
    ['text, values', (p, done) => p.query('select $1::int as a', [2], done)],
    ['config', (p, done) => p.query({ text: 'select 3 as a' }, done)],
    ['an error', (p, done) => p.query('selec', done)],
    ['a function in front', (p, done) => p.query(done)],
  ].map(([name, ask]) => ({
    name: `query with a callback: ${name}`,
    run: async (_, { pool: make }) => {
      const pool = make();
      let returned;
      const called = await new Promise((resolve) => {
        returned = ask(pool, (error, result) => resolve([seen(error), seen(result)]));
      });
      return [returned, called];
    },
  })),
  {
    name: 'many queries on few clients keep their own rows',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 3 });
      const all = await Promise.all(
        Array.from({ length: 50 }, (_, i) => pool.query('select $1::int as i', [i])),
      );
      return [all.map(({ rows }) => rows[0].i), counts(pool)];
    },
  },
  {
    name: 'a server error: the client',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      await pool.query('insert into item values (1)');
      const failed = await rejection(pool.query('insert into item values (1)'));
      return [failed.code, pool.totalCount, (await pool.query('select 1 as a')).rows];
    },
    differs: 'the connection is kept after an error the server answered with; pg closes it',
    expect: { value: ['23505', 1, [{ a: 1 }]] },
  },
  {
    name: 'released twice',
    run: async (_, { pool: make }) => {
      const pool = make();
      const client = await pool.connect();
      client.release();
      try {
        client.release();
        return 'no error';
      } catch (error) {
        return error;
      }
    },
  },
  {
    name: 'release as the callback of a query: its result is no number of uses',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1, maxUses: 3 });
      const pids = [];
      for (let i = 0; i < 5; i++) {
        const released = new Promise((resolve) => pool.once('release', resolve));
        pool.connect((_error, client, release) => {
          pids.push(client.processID);
          client.query('select 1', release);
        });
        await released;
      }
      return [pids.map((pid) => pids.indexOf(pid)), counts(pool)];
    },
  },
  {
    name: 'release as a function for each element: what else it is given says nothing of the session',
    differs: 'a transaction that is left open is rolled back',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      const client = await pool.connect();
      await client.query('begin');
      [null].forEach(client.release);
      const next = await pool.connect();
      const status = next.getTransactionStatus();
      await next.query('rollback');
      next.release();
      return [client.release.length, next === client, status];
    },
    expect: { value: [1, true, 'I'] },
  },
  ...[[true], [new Error('broken')], [false], [undefined], [null]].map(([given]) => ({
    name: `release(${given instanceof Error ? 'error' : given})`,
    run: async (_, { pool: make }) => {
      const pool = make();
      const log = watch(pool);
      const client = await pool.connect();
      client.release(given);
      const now = counts(pool);
      await (await pool.connect()).release();
      await waitFor(() => !given || log.some(([name]) => name === 'remove'), 'removal');
      return [
        now,
        log.filter(([name]) => name !== 'remove').map(([name, first]) => [name, first]),
        counts(pool),
      ];
    },
  })),
  {
    name: 'the last idle client is lent first',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 2 });
      const [a, b] = [await pool.connect(), await pool.connect()];
      a.release();
      b.release();
      const c = await pool.connect();
      const same = c === b;
      c.release();
      return same;
    },
  },
  {
    name: 'waiters are served in order',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      const order = [];
      const use = async (n) => {
        const client = await pool.connect();
        order.push(n);
        await client.query('select 1');
        client.release();
      };
      await Promise.all([1, 2, 3, 4].map(use));
      return order;
    },
  },
  {
    name: 'waiting too long for a client',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1, connectionTimeoutMillis: 500 });
      const client = await pool.connect();
      const failures = [await rejection(pool.connect()), await rejection(pool.query('select 1'))];
      failures.push(
        await new Promise((resolve) =>
          pool.connect((error, given) => resolve([seen(error), given])),
        ),
      );
      const now = counts(pool);
      client.release();
      return [failures, now, (await pool.query('select 1 as a')).rows];
    },
  },
  {
    name: 'asked together beside an idle client: who comes too late for it waits as long as anybody',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1, connectionTimeoutMillis: 500 });
      await pool.query('select 1');
      const [first, second] = [pool.connect(), rejection(pool.connect())];
      const points = [counts(pool), await second, counts(pool)];
      (await first).release();
      return [...points, seen(await pool.query('select 1 as a')), counts(pool)];
    },
  },
  {
    name: 'who hears of the loss of a client that runs a query of the pool',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      await pool.query('select 1');
      const log = [];
      const note = (name, client) => log.push([name, client.listenerCount('error')]);
      pool.on('acquire', (client) => note('acquire', client));
      pool.on('release', (_error, client) => note('release', client));
      for (let i = 0; i < 2; i++) {
        const asked = pool.query('select 1');
        process.nextTick(() => note('runs', pool._clients[0]));
        await asked;
      }
      const client = await pool.connect();
      note('lent', client);
      client.release();
      note('idle', client);
      return log;
    },
  },
  {
    name: 'a client that dies in use is removed once, also when it was given back by then',
    run: async (_, { pool: make, observer }) => {
      const pool = make({ max: 1 });
      const log = watch(pool);
      const client = await pool.connect();
      client.on('error', () => {});
      const { pid } = (await client.query('select pg_backend_pid() as pid')).rows[0];
      const sleeping = rejection(client.query('select pg_sleep(20)'));
      await observer.query('select pg_terminate_backend($1)', [pid]);
      await sleeping;
      client.release();
      await waitFor(() => log.filter(([name]) => /remove|error/.test(name)).length > 1, 'both');
      await new Promise((resolve) => setImmediate(resolve));
      const next = (await pool.query('select 1 as a')).rows;
      await pool.end();
      return [log.map(([name]) => name).sort(), next];
    },
  },
  {
    name: 'idle clients are closed',
    run: async (_, { pool: make }) => {
      const pool = make({ idleTimeoutMillis: 30 });
      const log = watch(pool);
      await pool.query('select 1');
      await waitFor(() => log.some(([name]) => name === 'remove'), 'removal');
      return [log.map(([name]) => name), counts(pool)];
    },
  },
  ...[0, null, undefined, '20'].map((idleTimeoutMillis) => ({
    name: `idleTimeoutMillis: ${idleTimeoutMillis}`,
    run: async (_, { pool: make }) => {
      const pool = make({ idleTimeoutMillis });
      const removed = new Promise((resolve) => pool.once('remove', resolve));
      await pool.query('select 1');
      if (idleTimeoutMillis === '20') await removed;
      return [pool.options.idleTimeoutMillis, ...counts(pool)];
    },
  })),
  {
    name: 'min keeps idle clients',
    run: async (_, { pool: make }) => {
      const pool = make({ idleTimeoutMillis: 20, min: 1 });
      const [a, b] = [await pool.connect(), await pool.connect()];
      a.release();
      b.release();
      await waitFor(() => pool.totalCount === 1, 'removal');
      await new Promise((resolve) => setTimeout(resolve, 60));
      return counts(pool);
    },
  },
  {
    name: 'maxUses',
    run: async (_, { pool: make }) => {
      const messages = [];
      const pool = make({ maxUses: 2, log: (text) => messages.push(text) });
      const pids = [];
      for (let i = 0; i < 4; i++) {
        const client = await pool.connect();
        pids.push(client.processID);
        client.release();
      }
      return [
        pids[0] === pids[1],
        pids[1] === pids[2],
        pids[2] === pids[3],
        messages.filter((text) => text === 'remove expended client').length,
      ];
    },
  },
  {
    name: 'maxLifetimeSeconds',
    run: async (_, { pool: make }) => {
      const pool = make({ maxLifetimeSeconds: 0.05 });
      const held = await pool.connect();
      await new Promise((resolve) => setTimeout(resolve, 90));
      const expired = counts(pool);
      held.release();
      await waitFor(() => pool.totalCount === 0, 'the end of the expired client');
      return [expired, counts(pool)];
    },
  },
  {
    name: 'onConnect and a connect listener run before the user',
    run: async (_, { pool: make }) => {
      const order = [];
      const pool = make({
        onConnect: async (client) => {
          await client.query("set application_name = 'hooked'");
          order.push('onConnect');
        },
      });
      pool.on('connect', (client) =>
        client.query("select set_config('a.b', 'x', false)").then(() => order.push('listener')),
      );
      const { rows } = await pool.query(
        "select current_setting('application_name') as n, current_setting('a.b') as s",
      );
      return [order, rows];
    },
  },
  {
    name: 'onConnect that fails',
    run: async (_, { pool: make }) => {
      let isFirst = true;
      const pool = make({
        onConnect: () => {
          if (!isFirst) return undefined;
          isFirst = false;
          throw new Error('hook');
        },
      });
      const failed = await rejection(pool.connect());
      return [failed, counts(pool), (await pool.query('select 1 as a')).rows];
    },
  },
  {
    name: 'verify that refuses',
    run: async (_, { pool: make }) => {
      const pool = make({ verify: (_, done) => done(new Error('not this one')) });
      return rejection(pool.connect());
    },
  },
  {
    name: 'end: refusals afterwards, a second end, waiting for clients',
    run: async (_, { pool: make }) => {
      const pool = make();
      const client = await pool.connect();
      const order = [];
      const ended = pool.end().then(() => order.push('ended'));
      order.push(pool.ending, pool.ended);
      const refused = [
        await rejection(pool.connect()),
        await rejection(pool.query('select 1')),
        await rejection(pool.end()),
      ];
      await client.query('select 1').then(() => order.push('query'));
      client.release();
      await ended;
      return [order, refused, pool.ended, counts(pool)];
    },
  },
  {
    name: 'end with a callback, of a pool never used',
    run: async (driver) => {
      const pool = new driver.Pool();
      const args = await new Promise((resolve) =>
        pool.end((...given) => resolve(given.filter((one) => one !== undefined))),
      );
      return [args, pool.ended];
    },
  },
  {
    name: 'an idle client is lost',
    run: async (_, { pool: make, observer }) => {
      const pool = make();
      const client = await pool.connect();
      const { processID } = client;
      client.release();
      const heard = [];
      pool.on('error', (error, given) =>
        heard.push([
          error.message,
          error.code,
          error.client === given,
          given === client,
          ...counts(pool),
        ]),
      );
      await observer.query('select pg_terminate_backend($1)', [processID]);
      await waitFor(() => heard.length > 0, 'the error');
      return [heard, (await pool.query('select 1 as a')).rows];
    },
  },
  {
    name: 'a client is lost while lent: its own error, not the pool’s',
    run: async (_, { pool: make, observer }) => {
      const pool = make();
      const client = await pool.connect();
      const heard = [];
      pool.on('error', () => heard.push('pool'));
      client.on('error', () => {
        if (!heard.includes('client')) heard.push('client');
      });
      await observer.query('select pg_terminate_backend($1)', [client.processID]);
      await waitFor(() => heard.length > 0, 'the error');
      const failed = await rejection(client.query('select 1'));
      client.release();
      return [heard, failed, pool.totalCount, (await pool.query('select 1 as a')).rows];
    },
  },
  {
    name: 'a session ended under pool.query',
    run: async (_, { pool: make, observer }) => {
      const pool = make();
      const running = pool.query('select pg_sleep(10)').catch(({ code }) => code);
      await waitFor(
        async () =>
          (
            await observer.query(
              "select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(10)' and state = 'active' and datname = current_database()",
            )
          ).rowCount > 0,
        'the statement',
      );
      return [await running, (await pool.query('select 1 as a')).rows, pool.totalCount];
    },
  },
  {
    name: 'released inside a transaction',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      const client = await pool.connect();
      await client.query('begin');
      await client.query('insert into item values (77)');
      client.release();
      const { rows } = await pool.query('select id from item where id = 77');
      const next = await pool.connect();
      const status = next.getTransactionStatus();
      next.release();
      return [rows, status];
    },
    differs: 'the transaction is rolled back; pg hands it to the next one as it is',
    expect: { value: [[], 'I'] },
  },
  ...['option', 'default'].map((where) => ({
    name: `released inside a transaction that is kept, by ${where}`,
    run: async (driver, { pool: make }) => {
      const keeping = { rollbackOnRelease: false };
      const pool = make({ max: 1, ...(where === 'option' && keeping) });
      if (where === 'default') Object.assign(driver.defaults, keeping);
      try {
        await pool.query('begin');
        const client = await pool.connect();
        await client.query('insert into item values (77)');
        client.release();
        const { rows } = await pool.query('select id from item where id = 77');
        await pool.query('rollback');
        return [rows, (await pool.query('select from item')).rowCount];
      } finally {
        delete driver.defaults.rollbackOnRelease;
      }
    },
  })),
  {
    name: 'released with a failed transaction',
    run: async (_, { pool: make }) => {
      const pool = make({ max: 1 });
      const client = await pool.connect();
      await client.query('begin');
      await client.query('select 1/0').catch(() => {});
      client.release();
      return rejection(pool.query('select 1'));
    },
    differs: 'the transaction is rolled back; pg hands it to the next one as it is',
    expect: { value: 'no rejection' },
  },
  {
    name: 'options: defaults filled in, copied, secrets hidden, used again',
    run: async (driver) => {
      const given = Object.freeze({
        user: 'u',
        password: 'geheim',
        host: 'h',
        application_name: 'a',
      });
      const pool = new driver.Pool(given);
      const again = new driver.Pool(pool.options);
      const shown = JSON.stringify(pool.options);
      const {
        max,
        min,
        idleTimeoutMillis,
        maxUses,
        allowExitOnIdle,
        maxLifetimeSeconds,
        host,
        application_name,
      } = pool.options;
      const read = {
        max,
        min,
        idleTimeoutMillis,
        maxUses,
        allowExitOnIdle,
        maxLifetimeSeconds,
        host,
        application_name,
      };
      return [read, shown.includes('geheim'), pool.options.password, 'password' in again.options];
    },
  },
  {
    name: 'poolSize is an old name of max',
    run: (driver) => new driver.Pool({ poolSize: 3 }).options.max,
  },
  {
    name: 'a class of clients by option',
    run: async (driver, { pool: make }) => {
      class Special extends driver.Client {}
      const pool = make({ Client: Special });
      const client = await pool.connect();
      client.release();
      return client instanceof Special;
    },
  },
  {
    name: 'a subclass',
    run: async (driver, { url }) => {
      class MyPool extends driver.Pool {}
      const pool = new MyPool({ connectionString: url });
      const { rows } = await pool.query('select 1 as a');
      await pool.end();
      return [rows, pool instanceof driver.Pool, pool.constructor.name];
    },
  },
  {
    name: 'a subclass that prepares the clients it lends prepares those of query too',
    run: async (driver, { url }) => {
      class Tenants extends driver.Pool {
        connect(callback) {
          return super.connect((error, client, release) => {
            if (error) callback(error);
            else client.query("set app.tenant = 'one'", (why) => callback(why, client, release));
          });
        }
      }
      const pool = new Tenants({ connectionString: url });
      const tenant = "select current_setting('app.tenant', true) as tenant";
      const { rows } = await pool.query(tenant);
      const called = await new Promise((resolve) => {
        pool.query(tenant, (...args) => resolve(args[1].rows));
      });
      await pool.end();
      return [rows, called];
    },
  },
  {
    name: 'a stub as client',
    run: async (driver) => {
      class Stub {
        on() {}
        removeListener() {}
        once() {}
        connect(done) {
          process.nextTick(done);
        }
        end(done) {
          process.nextTick(done);
        }
      }
      const pool = new driver.Pool({ Client: Stub });
      const client = await pool.connect();
      client.release(true);
      await pool.end();
      return counts(pool);
    },
  },
  {
    name: 'a connect that fails makes way for those who wait behind it',
    run: async (driver) => {
      const pool = new driver.Pool({ host: '127.0.0.1', port: 1, user: 'u', max: 1 });
      const asked = [pool.connect(), pool.query('select 1'), pool.connect()];
      const failures = (await Promise.allSettled(asked)).map(({ reason }) => reason.code);
      await pool.end();
      return [failures, counts(pool)];
    },
  },
  {
    name: 'stacks lead to the caller',
    run: async (_, { pool: make, connect }) => {
      const pool = make();
      const client = await connect();
      async function outerFunction(ask) {
        await ask();
      }
      const stacks = [];
      for (const ask of [
        () => pool.query('selec'),
        () => client.query('selec'),
        () => client.query('selec $1', [1]),
      ]) {
        stacks.push(await outerFunction(ask).catch(({ stack }) => stack.includes('outerFunction')));
      }
      return stacks;
    },
  },
]);
