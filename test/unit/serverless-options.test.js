// The options of ServerlessClient.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { readConnection } = require('../../lib/serverless/config.js');
const { readServerlessOptions } = require('../../lib/serverless/options.js');
const { readQuery } = require('../../lib/serverless/query.js');

const secret = 'a secret of 24 bytes, ok';
const read = (config, env = {}) => readServerlessOptions({ secret, ...config }, env);

test('defaults are those of pg-aequor', () => {
  assert.deepEqual(read({}), {
    secret,
    leaseMode: 'required',
    lease: { secret, serviceName: 'sls_pg', plainName: 'sls_pg' },
    retry: {
      retries: 3,
      minBackoff: 100,
      maxBackoff: 2000,
      maxConnectRetryTimeMs: 15_000,
      maxQueryRetryTimeMs: 15_000,
      retryMode: 'safe',
      exactlyOnce: false,
    },
    library: undefined,
    reaperConnection: undefined,
    serviceName: 'sls_pg',
    applicationName: 'sls_pg',
    hooks: {},
    watching: {},
    debug: false,
    json: { json: undefined, jsonNumbers: undefined },
    connection: {},
  });
});

test('the secret is required unless leases are optional', () => {
  for (const config of [undefined, {}, { secret: '' }, { coordinationSecret: null }]) {
    assert.throws(
      () => readServerlessOptions(config, {}),
      (error) => {
        assert.match(error.message, /Missing config\.coordinationSecret/);
        assert.match(error.message, /"secret"/);
        assert.match(error.message, /leaseMode="optional"/);
        return true;
      },
    );
    assert.equal(readServerlessOptions({ ...config, leaseMode: 'optional' }, {}).secret, undefined);
  }
});

test('a short secret is refused in both modes, counted in bytes and never shown', () => {
  for (const leaseMode of ['required', 'optional']) {
    assert.throws(
      () => readServerlessOptions({ secret: 'canary', leaseMode }, {}),
      (error) => /too short/.test(error.message) && !error.message.includes('canary'),
    );
  }
  assert.equal(read({ secret: 'éééééééé' }).secret, 'éééééééé');
});

test('coordinationSecret is another name of secret', () => {
  assert.equal(readServerlessOptions({ coordinationSecret: secret }, {}).secret, secret);
  assert.equal(read({ coordinationSecret: secret }).secret, secret);
  assert.throws(
    () => read({ coordinationSecret: `${secret}canary` }),
    (error) => error instanceof TypeError && !error.message.includes('canary'),
  );
  assert.throws(
    () => read({ secret: 1234567890123456 }),
    (error) => error instanceof TypeError && !error.message.includes('1234567890'),
  );
});

test('names: option, then environment, then sls_pg; cut at a character within 63 bytes', () => {
  const env = { AWS_LAMBDA_FUNCTION_NAME: 'fn' };
  assert.equal(read({ serviceName: 'svc' }, env).serviceName, 'svc');
  assert.equal(read({ serviceName: '' }, env).serviceName, 'fn');
  assert.equal(read({}, env).applicationName, 'fn');
  assert.equal(read({ applicationName: 'b', application_name: 'a' }).applicationName, 'a');
  assert.equal(read({ applicationName: 'b' }).applicationName, 'b');
  assert.equal(read({ applicationName: `${'x'.repeat(62)}é` }).applicationName, 'x'.repeat(62));
});

test('connection options are handed on under their names', () => {
  const password = async () => 'p';
  const types = { getTypeParser: () => String };
  const connection = {
    host: 'h',
    port: '5432',
    password,
    ssl: { ca: 'x' },
    statement_timeout: 5,
    types,
  };
  assert.deepEqual(read(connection).connection, connection);
  assert.equal(read(connection).connection.types, types);
  assert.deepEqual(read({ defaultQueryTimeoutMs: 7 }).connection, { query_timeout: 7 });
  assert.deepEqual(read({ defaultQueryTimeoutMs: 7, query_timeout: 9 }).connection, {
    query_timeout: 9,
  });
});

test('options of lease, reaper and retry reach the engine under their names', () => {
  const given = { leaseTtlMs: 5000, pooler: 'off', reaper: false, minConnectionIdleTimeSec: 0.5 };
  assert.deepEqual(read(given).lease, {
    ...given,
    secret,
    serviceName: 'sls_pg',
    plainName: 'sls_pg',
  });
  assert.equal(read({ connUtilization: 0.5 }).lease?.reaperRunProbability, 0.5);
  assert.equal(
    read({ connUtilization: 0.5, reaperRunProbability: 0 }).lease?.reaperRunProbability,
    0,
  );
  assert.equal(read({ retries: 0, retryMode: 'never' }).retry.retries, 0);
  assert.deepEqual(read({ reaperConnection: 'postgres://admin@h' }).reaperConnection, {
    connectionString: 'postgres://admin@h',
  });
  assert.equal(readServerlessOptions({ leaseMode: 'optional' }, {}).lease, undefined);
});

test('A9: a lease lasts whole milliseconds', () => {
  const { readPoolLease } = require('../../lib/lease-options.js');
  for (const [given, ttl] of [
    [90_000.5, 90_001],
    [1.4, 1],
    [5000, 5000],
  ]) {
    assert.equal(read({ leaseTtlMs: given }).lease?.leaseTtlMs, ttl);
    assert.equal(readPoolLease({ secret, leaseTtlMs: given }, 'app').leaseTtlMs, ttl);
  }
});

test('A2: null counts as absent, as in the predecessor', () => {
  const names = [
    'coordinationSecret leaseMode leaseTtlMs serviceName reaper reaperRunProbability connUtilization reaperCooldownMs',
    'reaperErrorMode minConnectionIdleTimeSec maxIdleConnectionsToKill retries minBackoff maxBackoff maxConnectRetryTimeMs',
    'maxQueryRetryTimeMs heartbeatSoftRemainingMs heartbeatHardWaitRemainingMs heartbeatTimeoutMs heartbeatErrorMode',
    'defaultQueryTimeoutMs application_name applicationName hooks debug library pooler types keepAlive retryMode exactlyOnce',
  ].flatMap((line) => line.split(' '));
  const nothing = Object.fromEntries(names.map((name) => [name, null]));
  assert.deepEqual(read(nothing), read({}));
  assert.deepEqual(read({ hooks: { onConnect: null } }), read({}));
  const none = { connectionString: 'postgres://admin@h' };
  assert.deepEqual(read({ reaperConnection: { ...none, keepAlive: null } }).reaperConnection, none);
});

test('wrong options are named', () => {
  const table = [
    [
      { leaseMode: 'maybe' },
      'option "leaseMode" must be one of "required", "optional", got "maybe"',
    ],
    [{ leaseTtlMs: 0 }, 'option "leaseTtlMs" must be a number of milliseconds from 1, got 0'],
    [{ leaseTtlMs: 0.9 }, 'option "leaseTtlMs" must be a number of milliseconds from 1, got 0.9'],
    [
      { leaseTtlMs: 2 ** 31 },
      'option "leaseTtlMs" must be a number of milliseconds from 1 up to 2147483647, got 2147483648',
    ],
    [{ reaper: 0 }, 'option "reaper" must be true or false, got 0'],
    [
      { hooks: { onConect() {} } },
      'unknown option "hooks.onConect"; did you mean "hooks.onConnect"?',
    ],
    [{ hooks: { onConnect: 1 } }, 'option "hooks.onConnect" must be a function, got 1'],
    [{ reaper: 1 }, 'option "reaper" must be true or false, got 1'],
    [
      { maxIdleConnectionsToKill: -1 },
      'option "maxIdleConnectionsToKill" must be an integer not below 0, got -1',
    ],
    [
      { maxIdleConnectionsToKill: Number.NaN },
      'option "maxIdleConnectionsToKill" must be an integer not below 0, got NaN',
    ],
    [
      { reaperConnection: { databse: 'x' } },
      'unknown option "reaperConnection.databse"; did you mean "reaperConnection.database"?',
    ],
    [
      { port: 'x' },
      'option "port" must be a number not below 0, or its decimal text, got a string',
    ],
    [{ secrt: 'x' }, 'unknown option "secrt"; did you mean "secret"?'],
  ];
  for (const [config, message] of table)
    assert.throws(() => read(config), { name: 'TypeError', message });
  assert.throws(
    () => read({ json: 'both' }),
    /^TypeError: option "json" must be one of "text", "value", got "both"$/,
  );
  assert.throws(
    () => read({ jsonNumbers: 'exact' }),
    /^TypeError: option "jsonNumbers" must be one of "number", "bigint", "string"/,
  );
  assert.throws(
    () => read({ library: { client() {} } }),
    /^TypeError: option "library" must be a module/,
  );
  assert.equal(read({ reaper: false }).secret, secret);
});

test('what a query asks for and does not get is refused, with what to say instead', () => {
  for (const [config, message] of [
    [
      { signal: AbortSignal.timeout(1000) },
      /"signal" of a query is not available in this version; query_timeout limits/,
    ],
    [{ timeoutMs: 50 }, /^option "timeoutMs" of a query is called query_timeout$/],
    [{ query_timeout: 1.5 }, /^option "query_timeout" must be an integer from 0 to 2147483647 /],
    [{ portal: 'p' }, /^option "portal" of a query is not available in this version$/],
  ]) {
    assert.throws(() => readQuery([{ text: 'select 1', ...config }]), {
      name: 'TypeError',
      message,
    });
  }
  assert.equal(readQuery([{ text: 'select 1', query_timeout: 50 }]).timeoutMs, 50);
});

test('a limit in a connection string is named by its parameter, in its unit', () => {
  const read = (seconds) =>
    readConnection({ connectionString: `postgres://h/d?connect_timeout=${seconds}` });
  assert.equal(read('7').connectTimeoutMs, 7000);
  for (const wrong of ['soon', '-1', '1.5', '1000000']) {
    assert.throws(() => read(wrong), {
      message:
        'option "connectionString" has a connect_timeout that is no number of seconds from 0 to 999999',
    });
  }
});

test('a connection string that names no server is refused, and nothing of it is shown', () => {
  for (const text of ['host=canary', 'canary', 'canary:5432/app', 'user:canary@db/app']) {
    assert.throws(() => readConnection({ connectionString: text }), {
      option: 'connectionString',
      message:
        'option "connectionString" must be a URL, postgres://user@host/database, or the folder of a socket',
    });
  }
  for (const [text, host] of [
    ['postgres://h/d', 'h'],
    ['postgresql://h', 'h'],
    ['postgres:///d?host=/run', '/run'],
    ['/run d', '/run'],
    ['socket:/run?db=d', '/run'],
  ]) {
    assert.equal(readConnection({ connectionString: text }).engine.host, host, text);
  }
  const { engine } = readConnection({ connectionString: 'socket:/run?db=d&encoding=utf8' });
  assert.equal(engine.database, 'd');
  assert.throws(
    () => readConnection({ connectionString: 'postgres://h?db=d' }),
    /unknown parameter/,
  );
});
