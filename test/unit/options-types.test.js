// The option tables of every face and the declared types name the same options.
'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
// In front of whoever takes it from there: each table is seen where it is used.
const rules = require('../../lib/option-rules.js');

/** @type {string[][]} */
const tables = [];
const { readOptions } = rules;
rules.readOptions = (table, ...others) => {
  tables.push(Object.keys(table));
  return readOptions(table, ...others);
};

/** What is asked for of an object. @type {Set<string>} */
const asked = new Set();
/** @param {any} options */
const watched = (options) =>
  new Proxy(options, {
    get(target, name, receiver) {
      if (typeof name === 'string') asked.add(name);
      return Reflect.get(target, name, receiver);
    },
  });
// The pg face has no table: it takes what is there. Its pools read from a copy.
const poolOptions = require('../../lib/pg/pool-options.js');
const { readPoolOptions } = poolOptions;
poolOptions.readPoolOptions = (options) => watched(readPoolOptions(options));

const berth = require('../../lib/index.js');
const { SETTLE } = require('../../lib/pg/for-pools.js');
const health = require('../../lib/health.js');
const { BerthDialect } = require('../../lib/kysely/index.js');
const { PgBerthInstrumentation } = require('../../lib/opentelemetry.js');
const resilience = require('../../lib/resilience.js');
const { ServerlessClient } = require('../../lib/serverless/index.js');
const shutdown = require('../../lib/shutdown.js');

/** All declarations, without comments. */
const folder = path.join(__dirname, '../../types');
const declarations = fs
  .readdirSync(folder)
  .map((file) => fs.readFileSync(path.join(folder, file), 'utf8'))
  .join('\n')
  .replace(/\/\*.*?\*\//gs, '');

/** The members of a type that is an interface, or a Pick or Omit of one. @param {string} type @returns {string[]} */
function declared(type) {
  const own = new RegExp(`^export interface ${type}\\b([^{]*)\\{\\n(.*?)^\\}`, 'ms');
  const [, heirs = '', body] = own.exec(declarations) ?? [];
  if (body !== undefined) {
    const names = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map((found) => found[1]);
    const others = heirs.replace(/^\s*extends\s*/, '').split(/,(?![^<]*>)/);
    return [...names, ...others.filter((one) => one.trim()).flatMap(membersOf)].map(String);
  }
  const alias = new RegExp(`^export type ${type} =([^;]*);`, 'm').exec(declarations);
  assert.ok(alias, `no type ${type}`);
  return membersOf(String(alias[1]));
}

/** @param {string} text of a type @returns {string[]} */
function membersOf(text) {
  const [, kind, base, names = ''] = /^\s*(Pick|Omit)<\s*(\w+)([^>]*)>\s*$/.exec(text) ?? [];
  if (kind === undefined) return declared(text.trim());
  const named = [...names.matchAll(/'(\w+)'/g)].map((found) => String(found[1]));
  const isKept = (/** @type {string} */ name) => named.includes(name) === (kind === 'Pick');
  return declared(String(base)).filter(isKept);
}

const nowhere = { host: '127.0.0.1', port: 1, user: 'u', database: 'd', acquireTimeoutMs: 1 };
const pool = berth.createPool(nowhere);
const spare = berth.createPool(nowhere);
const sql = 'select 1';
/** @type {any} */
const database = { destroy: async () => {} };

/** Each type, and who reads it. @type {Record<string, () => unknown>} */
const READERS = {
  ClusterPoolOptions: () => berth.createPool(nowhere).end(),
  JoinOptions: () => berth.joinPool(pool.share(), {}).end(),
  SingleOptions: () => pool.query(sql, [], {}),
  InsertOptions: () => pool.insert('t', { a: 1 }, {}),
  StreamOptions: () => pool.stream(sql, [], {}).return?.(),
  BatchOptions: () => pool.batch([], {}),
  InsertManyOptions: () => pool.insertMany('t', [], {}),
  CopyOptions: () => pool.copyTo('copy t to stdout', {}).on('error', () => {}),
  BeginOptions: () => pool.begin({}),
  TransactionOptions: () => pool.transaction((tx) => tx.query(sql), { maxAttempts: 1 }),
  EndOptions: () => spare.end({}),
  MetricsTextOptions: () => pool.metricsText({}),
  BerthDialectConfig: () => new BerthDialect({ pool }),
  ServerlessConfig: () => new ServerlessClient({ leaseMode: 'optional' }),
  PgBerthInstrumentationConfig: () => new PgBerthInstrumentation({}),
  HealthLimits: () => health.checkDatabaseHealth(database, null, {}),
  HealthCheckOptions: () => health.performHealthCheck(database, {}),
  HealthMonitorOptions: () => new health.HealthMonitor(database, {}),
  GetMetricsOptions: () => health.getMetrics(database, {}),
  RetryOptions: () => resilience.withRetry(async () => 1, {}),
  CircuitBreakerOptions: () => new resilience.CircuitBreaker({}),
  RegisterShutdownOptions: () => shutdown.gracefulShutdown(database, {}),
};

/** Of options that a number is wrong for. @type {Record<string, unknown>} */
const RIGHT = {
  unref: true,
  types: 'pg',
  rowMode: 'array',
  json: 'value',
  jsonNumbers: 'bigint',
  preparedStatements: 'named',
  commitResolution: 'xid',
  resetQuery: 'DISCARD ALL',
  exactlyOnce: true,
  strictFence: true,
  retry: {},
  logger() {},
  onSlowQuery() {},
  onQueryError() {},
  sqlComment() {},
};

test.after(() => pool.end());

for (const [type, read] of Object.entries(READERS)) {
  test(`${type} declares what is read`, async () => {
    tables.length = 0;
    await Promise.resolve()
      .then(read)
      .catch(() => {});
    const [table] = tables;
    assert.ok(table, 'no options were read');
    assert.deepEqual([...table].sort(), declared(type).sort());
  });
}

test('a listener takes what its type declares, and refuses the other options of a pool', () => {
  const isRefused = (/** @type {string} */ name) => {
    // What needs another option, or belongs to a mode, is given that.
    const others = {
      commitMarkerTable: { commitResolution: 'marker', commitMarkerTable: 't' },
      maxLagBytes: { mode: 'any', maxLagBytes: 1 },
    }[name];
    try {
      berth.createListener(others ?? { [name]: RIGHT[name] ?? 1 });
    } catch (error) {
      return / has no meaning for a listener/.test(/** @type {Error} */ (error).message);
    }
    return false;
  };
  const refused = declared('ClusterPoolOptions').filter(isRefused);
  const taken = declared('ListenerOptions');
  assert.deepEqual(
    refused.filter((name) => taken.includes(name)),
    [],
  );
  const others = declared('ClusterPoolOptions').filter((name) => !taken.includes(name));
  assert.deepEqual(
    others.filter((name) => !refused.includes(name)),
    [],
  );
});

/** What is refused, stands for another name, or belongs to Node's emitters, as in `pg`. */
const UNDECLARED = { client: ['connection', 'stream'], pool: ['poolSize', 'captureRejections'] };
const names = (/** @type {Iterable<string>} */ all, /** @type {string[]} */ without) =>
  [...new Set(all)].filter((name) => !without.includes(name)).sort();

test('ClientConfig declares what a client of the pg face reads', async () => {
  asked.clear();
  const client = new berth.Client(watched({ ...nowhere, acquireTimeoutMs: undefined }));
  await client.connect().catch(() => {});
  assert.deepEqual(names(asked, UNDECLARED.client), declared('ClientConfig').sort());
});

test('PoolConfig declares what a pool of the pg face reads', async () => {
  class Client extends EventEmitter {
    /** @param {() => void} done */
    connect(done) {
      done();
    }

    /** @param {(() => void)} [done] */
    end(done) {
      done?.();
    }

    /** A transaction may be open in it. @param {() => void} done */
    [SETTLE](done) {
      done();
    }
  }
  asked.clear();
  const pool = new berth.Pool(/** @type {any} */ ({ Client }));
  (await pool.connect()).release();
  await pool.end();
  const own = declared('PoolConfig').filter((name) => !declared('ClientConfig').includes(name));
  const client = [...declared('ClientConfig'), ...UNDECLARED.client];
  assert.deepEqual(names(asked, [...UNDECLARED.pool, ...client]), own.sort());
});
