// The option tables and their one validator.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const {
  BEGIN_OPTIONS,
  END_OPTIONS,
  NOT_AVAILABLE,
  POOL_OPTIONS,
  QUERY_OPTIONS,
  STREAM_OPTIONS,
  TRANSACTION_OPTIONS,
  readBeginOptions,
  readOptions,
  readPoolOptions,
  readQueryOptions,
  readStreamOptions,
} = require('../../lib/options.js');
const { Client, createPool } = require('../../lib/index.js');

const plain = (read) => ({ ...read });

/** One right value and one wrong value with its message, for every option of every table. */
const POOL = {
  connectionString: ['postgres://u:p@h/d', '', 'a non-empty string without U+0000, got a string'],
  hosts: [['h:1'], [], 'an array of at least one non-empty string, got an empty array'],
  host: ['/run', 'a\0b', 'a non-empty string without U+0000, got a string'],
  port: [5432, '5432', 'an integer from 1 to 65535, got a string'],
  user: ['u', 1, 'a non-empty string without U+0000, got 1'],
  password: [
    '',
    12345,
    'a string without U+0000, or a function that returns one or a promise of one, got a number',
  ],
  passfile: ['/p', '', 'a non-empty string without U+0000, got a string'],
  service: ['s', 1, 'a non-empty string without U+0000, got 1'],
  servicefile: ['/s', 1, 'a non-empty string without U+0000, got 1'],
  hostaddr: ['::1', 1, 'a non-empty string without U+0000, got 1'],
  database: ['d', null, 'a non-empty string without U+0000, got null'],
  mode: [
    'any',
    'write',
    'one of "read-write", "read-only", "prefer-standby", "any", "primary", "standby", "readwrite", "rw", "readonly", "ro", "preferstandby", got "write"',
  ],
  loadBalance: [
    'random',
    'disable',
    'one of "random", "round-robin", "least-in-use", got "disable"',
  ],
  raceDelayMs: [0, -1, 'an integer not below 0 (milliseconds), got -1'],
  maxConnecting: [4, 0, 'a positive integer, got 0'],
  fenceCheck: ['query', 'on', 'one of "auto", "inband", "query", "off", got "on"'],
  validationIntervalMs: [0, 1.5, 'an integer not below 0 (milliseconds), got 1.5'],
  fencedReads: ['allow', 'deny', 'one of "retry", "allow", got "deny"'],
  applicationName: ['a', {}, 'a non-empty string without U+0000, got an object'],
  options: ['-c a=b', [], 'a non-empty string without U+0000, got an empty array'],
  ssl: [false, 1, 'true, false, or an object of TLS options, got 1'],
  sslmode: [
    'verify-full',
    'on',
    'one of "disable", "allow", "prefer", "require", "verify-ca", "verify-full", got "on"',
  ],
  sslnegotiation: ['direct', 'tls', 'one of "postgres", "direct", got "tls"'],
  sslrootcert: ['/ca', 1, 'the path of a PEM file, PEM text, or a Buffer of it, got 1'],
  sslcrl: ['/crl', {}, 'the path of a PEM file, PEM text, or a Buffer of it, got an object'],
  sslcrldir: ['/crls', 1, 'a non-empty string without U+0000, got 1'],
  sslcert: ['/crt', '', 'the path of a PEM file, PEM text, or a Buffer of it, got a string'],
  sslkey: ['/key', 7, 'the path of a PEM file, PEM text, or a Buffer of it, got a number'],
  sslpassword: ['x', 7, 'a non-empty string without U+0000, got a number'],
  sslcertmode: ['require', 'prefer', 'one of "disable", "allow", "require", got "prefer"'],
  sslsni: [true, 1, 'true or false, got 1'],
  ssl_min_protocol_version: ['TLSv1.3', 'TLSv1', 'one of "TLSv1.2", "TLSv1.3", got "TLSv1"'],
  ssl_max_protocol_version: ['TLSv1.2', '1.2', 'one of "TLSv1.2", "TLSv1.3", got "1.2"'],
  channelBinding: ['require', true, 'one of "disable", "prefer", "require", got true'],
  requireAuth: ['scram-sha-256', 1, 'a non-empty string without U+0000, got 1'],
  allowCleartext: [true, 'yes', 'true or false, got a string'],
  scramMaxIterations: [4096, 0, 'a positive integer, got 0'],
  minProtocolVersion: ['3.0', '3.1', 'one of "3.0", "3.2", got "3.1"'],
  maxProtocolVersion: ['latest', '3.1', 'one of "3.0", "3.2", "latest", got "3.1"'],
  poolSize: [1, 0, 'a positive integer, got 0'],
  minIdle: [0, -1, 'an integer not below 0, got -1'],
  idleTimeoutMs: [
    0,
    0.5,
    'an integer not below 0 (milliseconds, at most 2147483647; 0 = never), got 0.5',
  ],
  maxLifetimeMs: [
    0,
    Number.NaN,
    'an integer not below 0 (milliseconds, at most 2147483647; 0 = never), got NaN',
  ],
  maxUses: [7, 0, 'a positive integer, got 0'],
  resetQuery: ['DISCARD ALL', '', 'a non-empty string without U+0000, got a string'],
  acquireTimeoutMs: [1, 0, 'a positive integer (milliseconds, at most 2147483647), got 0'],
  connectTimeoutMs: [
    2 ** 31 - 1,
    2 ** 31,
    'a positive integer (milliseconds, at most 2147483647), got 2147483648',
  ],
  statementTimeoutMs: [
    1,
    1n,
    'a positive integer (milliseconds, at most 2147483647), got a bigint',
  ],
  commitResolution: ['off', 1, 'one of "xid", "marker", "off", got 1'],
  commitMarkerTable: [['s', 't'], [], 'a name, or an array of schema and name, got an empty array'],
  resolveTimeoutMs: [1, '1', 'a positive integer (milliseconds, at most 2147483647), got a string'],
  exactlyOnce: [true, 1, 'true or false, got 1'],
  strictFence: [true, 0, 'true or false, got 0'],
  aliveTimeoutMs: [1, 0, 'a positive integer (milliseconds, at most 2147483647), got 0'],
  maxLagBytes: [0, -1, 'an integer not below 0 (bytes), got -1'],
  rebalanceMs: [
    0,
    -1,
    'an integer not below 0 (milliseconds, at most 2147483647; 0 = never), got -1',
  ],
  dnsRecheckMs: [
    0,
    '1',
    'an integer not below 0 (milliseconds, at most 2147483647; 0 = never), got a string',
  ],
  unref: [false, 0, 'true or false, got 0'],
  maxLagMs: [1, 0, 'a positive integer (milliseconds, at most 2147483647), got 0'],
  maxStatementMs: [1, true, 'a positive integer (milliseconds, at most 2147483647), got true'],
  keepalive: [{ idleMs: 5000, count: 3 }, 5, 'an object, got 5'],
  tcpUserTimeoutMs: [
    0,
    '8',
    'an integer not below 0 (milliseconds, at most 2147483647; 0 = never), got a string',
  ],
  driver: ['engine', 'tokio', 'one of "auto", "loop", "engine", got "tokio"'],
  preparedStatements: ['unnamed', false, 'one of "named", "unnamed", got false'],
  statementCacheSize: [0, Number.POSITIVE_INFINITY, 'an integer not below 0, got Infinity'],
  warmStatements: [0, 257, 'an integer from 0 to 256, got 257'],
  types: [
    'pg',
    'exact',
    '"lossless", "pg", or an object of parsers by OID or type name, got "exact"',
  ],
  rowMode: ['array', 'rows', 'one of "object", "array", got "rows"'],
  json: ['value', 'parsed', 'one of "text", "value", got "parsed"'],
  jsonNumbers: ['bigint', true, 'one of "number", "bigint", "string", got true'],
  maxResultBytes: [2 ** 40, 0, 'a positive integer (bytes), got 0'],
  retry: [{ maxAttempts: 3 }, [], 'an object, got an empty array'],
  lease: [{ secret: 'at least 16 bytes' }, true, 'an object, got true'],
  logger: [() => {}, {}, 'a function, got an object'],
  slowQueryMs: [0, -1, 'an integer not below 0, got -1'],
  onSlowQuery: [() => {}, true, 'a function, got true'],
  onQueryError: [() => {}, 1, 'a function, got 1'],
  sqlComment: [() => {}, 'x', 'a function, got a string'],
};

test('every option of createPool accepts what is right and names what is wrong', () => {
  assert.deepEqual(Object.keys(POOL).sort(), Object.keys(POOL_OPTIONS).sort());
  for (const [name, [right, wrong, says]] of Object.entries(POOL)) {
    const needed =
      { commitMarkerTable: { commitResolution: 'marker' }, maxLagBytes: { mode: 'any' } }[name] ??
      {};
    assert.deepEqual(
      plain(readPoolOptions({ ...needed, [name]: right }))[name]?.constructor,
      right?.constructor,
    );
    assert.throws(() => readPoolOptions({ [name]: wrong }), {
      name: 'TypeError',
      message: `option "${name}" must be ${says}`,
      code: 'ERR_CONFIG',
      option: name,
      outcome: 'not-sent',
    });
  }
});

test('unknown options are named, with the option that was probably meant', () => {
  const table = [
    [readPoolOptions, 'poolsize', '; did you mean "poolSize"?'],
    [readPoolOptions, 'application_name', '; did you mean "applicationName"?'],
    [readPoolOptions, 'acquireTimeoutMillis', '; did you mean "acquireTimeoutMs"?'],
    [readPoolOptions, 'usre', '; did you mean "user"?'],
    [readPoolOptions, 'frobnicate', ''],
    [readPoolOptions, '__proto__x', ''],
    [readPoolOptions, 'constructor', ''],
    [readQueryOptions, 'timeout', '; did you mean "timeoutMs"?'],
    [readStreamOptions, 'fetchsize', '; did you mean "fetchSize"?'],
    [readBeginOptions, 'isolationLevel', ''],
  ];
  for (const [read, name, hint] of table) {
    assert.throws(() => read({ [name]: 1 }), {
      message: `unknown option "${name}"${hint}`,
      option: name,
    });
  }
  assert.throws(() => readPoolOptions({ retry: { attempts: 3 } }), {
    message: 'unknown option "retry.attempts"',
  });
  assert.throws(() => readPoolOptions({ keepalive: { idlems: 3 } }), {
    message: 'unknown option "keepalive.idlems"; did you mean "keepalive.idleMs"?',
  });
  assert.throws(() => readPoolOptions({ retry: { baseDelayMs: -1 } }), {
    message: 'option "retry.baseDelayMs" must be an integer not below 0 (milliseconds), got -1',
  });
  assert.throws(() => readPoolOptions({ retry: { maxAttempts: 0 } }), {
    message: 'option "retry.maxAttempts" must be a positive integer, got 0',
  });
  assert.throws(() => readPoolOptions(JSON.parse('{"__proto__": 1}')), {
    message: 'unknown option "__proto__"',
  });
});

test('what this version cannot do is refused', () => {
  const later = (option) => ({
    name: 'TypeError',
    message: /is not available in this version/,
    option,
  });
  for (const name of NOT_AVAILABLE.query) {
    assert.throws(() => readQueryOptions({ [name]: true }), later(name));
    assert.throws(() => readStreamOptions({ [name]: true }), later(name));
  }
  for (const name of NOT_AVAILABLE.begin)
    assert.throws(() => readBeginOptions({ [name]: true }), later(name));
});

test('createPool reads a string as connection string and gives canonical words', () => {
  assert.deepEqual(plain(readPoolOptions('postgres://h/d')), {
    connectionString: 'postgres://h/d',
  });
  assert.deepEqual(plain(readPoolOptions(undefined)), {});
  assert.equal(readPoolOptions({ mode: 'rw' }).mode, 'read-write');
  assert.equal(readPoolOptions({ mode: 'any' }).mode, 'any');
  assert.equal(readPoolOptions({ mode: 'ro' }).mode, 'read-only');
  assert.deepEqual(plain(readPoolOptions({ ssl: false })), { ssl: false });
  assert.equal(readStreamOptions({ fetchSize: 5 }).batchSize, 5);
  assert.deepEqual(plain(readStreamOptions({ batchSize: 5, fetchSize: 5 })), { batchSize: 5 });
  assert.equal(readBeginOptions({ accessMode: 'read only' }).accessMode, 'read-only');
  assert.equal(readBeginOptions({ maxAttempts: 2 }, TRANSACTION_OPTIONS).maxAttempts, 2);
  assert.deepEqual(plain(readOptions(END_OPTIONS, { timeoutMs: 5 })), { timeoutMs: 5 });
});

test('options that contradict each other are refused', () => {
  const table = [
    [readPoolOptions, { hosts: ['a'], host: 'b' }, /hosts.*"host" exclude/],
    [readPoolOptions, { maxLagBytes: 1 }, /"maxLagBytes" needs a "mode" that reads/],
    [readPoolOptions, { maxLagBytes: 1, mode: 'primary' }, /"maxLagBytes" needs a "mode"/],
    [readPoolOptions, { ssl: true, sslmode: 'disable' }, /"ssl" and "sslmode" exclude/],
    [readPoolOptions, { ssl: {}, sslrootcert: '/ca' }, /"ssl" and "sslrootcert" exclude/],
    [readPoolOptions, { options: '-c Default_Transaction_Read_Only=off' }, /must not set/],
    [readStreamOptions, { batchSize: 1, fetchSize: 2 }, /"fetchSize" and "batchSize"/],
  ];
  for (const [read, options, message] of table)
    assert.throws(() => read(options), { name: 'TypeError', message });
});

test('what depends on another option says so, its default included', () => {
  const message = (limit, given) =>
    `option "minIdle" must not exceed poolSize (${limit}), got ${given}`;
  assert.throws(() => createPool({ minIdle: 5, poolSize: 4 }), { message: message(4, 5) });
  assert.throws(() => createPool({ minIdle: 11 }), { message: message(10, 11), option: 'minIdle' });
});

test('what is said of a keep-alive is what is accepted', async () => {
  for (const [keepalive, says] of [
    [{ idleMs: 500 }, 'idleMs" must be an integer from 1000 (milliseconds), got 500'],
    [{ idleMs: 0 }, 'idleMs" must be an integer from 1000 (milliseconds), got 0'],
    [{ intervalMs: 999 }, 'intervalMs" must be an integer from 1000 (milliseconds), got 999'],
    [{ count: 0 }, 'count" must be an integer from 1 to 127, got 0'],
    [{ count: 128 }, 'count" must be an integer from 1 to 127, got 128'],
  ]) {
    assert.throws(() => createPool({ keepalive }), { message: `option "keepalive.${says}` });
  }
  await createPool({ keepalive: { idleMs: 1000, intervalMs: 1000, count: 127 } }).end();
});
test('query, stream and begin options are checked', () => {
  const signal = AbortSignal.abort();
  const parser = (text) => text;
  const options = { timeoutMs: 5, signal, rowMode: 'array', types: { int8: parser, 1700: parser } };
  assert.deepEqual(plain(readQueryOptions(options)), options);
  assert.equal(readQueryOptions({ signal }).signal, signal);
  for (const wrong of [
    { signal: {} },
    { signal: true },
    { signal: { aborted: false, addEventListener() {} } },
    { types: { int8: 1 } },
    { types: [] },
    { jsonNumbers: 'BigInt' },
    { timeoutMs: -1 },
  ]) {
    assert.throws(() => readQueryOptions(wrong), {
      name: 'TypeError',
      option: Object.keys(wrong)[0],
    });
  }
  for (const isolation of ['read-committed', 'repeatable-read', 'serializable']) {
    assert.equal(readBeginOptions({ isolation }).isolation, isolation);
  }
  assert.throws(() => readBeginOptions({ isolation: 'snapshot' }), /one of "read-committed"/);
  for (const table of [QUERY_OPTIONS, STREAM_OPTIONS, BEGIN_OPTIONS])
    assert.ok(Object.isFrozen(table));
});

test('options must be an object', () => {
  for (const [options, got] of [
    [5, '5'],
    [[], 'an empty array'],
    [true, 'true'],
    ['x', 'a string'],
    [Symbol('s'), 'a symbol'],
  ]) {
    assert.throws(() => readQueryOptions(options), {
      name: 'TypeError',
      message: `options must be an object, got ${got}`,
    });
  }
  for (const options of [undefined, null, {}, { timeoutMs: undefined }]) {
    assert.deepEqual(plain(readQueryOptions(options)), {});
  }
});

test('the object is read once, never written, and later changes of it are not seen', () => {
  let reads = 0;
  const nested = Object.freeze({ maxAttempts: 2 });
  const hosts = ['h'];
  const options = Object.freeze({
    get poolSize() {
      reads++;
      return 3;
    },
    retry: nested,
    hosts,
  });
  const read = readPoolOptions(options);
  hosts[0] = 'other';
  assert.deepEqual([reads, read.poolSize, read.retry.maxAttempts, read.hosts], [1, 3, 2, ['h']]);
});

test('getters of a class count, getters that throw are the caller’s, polluted prototypes do not count', () => {
  class Config {
    user = 'u';
    get poolSize() {
      return 4;
    }
    other() {}
  }
  assert.deepEqual(plain(readPoolOptions(new Config())), { user: 'u', poolSize: 4 });
  const boom = new Error('boom');
  const thrower = {
    get host() {
      throw boom;
    },
  };
  assert.throws(
    () => readPoolOptions(thrower),
    (error) => error === boom,
  );
  Object.defineProperty(Object.prototype, 'host', { value: 'evil', configurable: true });
  try {
    assert.equal(Object.hasOwn(readPoolOptions({}), 'host'), false);
    assert.equal(readPoolOptions({}).host, undefined);
  } finally {
    delete Object.prototype.host;
  }
});

test('sec_a06: no message shows a value that may be a secret', () => {
  const canary = 'canary';
  for (const name of Object.keys(POOL_OPTIONS)) {
    let refused = 0;
    for (const value of [`${canary}\0${'x'.repeat(40)}`, [canary], { [`x${canary}`]: canary }]) {
      try {
        readPoolOptions({ [name]: value });
      } catch (error) {
        refused++;
        assert.ok(
          !error.message.replaceAll(`x${canary}`, '').includes(canary),
          `${name}: ${error.message}`,
        );
      }
    }
    assert.ok(refused > 0, `${name}: nothing was refused`);
  }
  assert.throws(
    () => readPoolOptions({ password: 987654321 }),
    (error) => !error.message.includes('987654321'),
  );
});

test('a client that is asked for replication says so before it dials', async () => {
  const client = new Client({ host: '127.0.0.1', port: 1, replication: 'database' });
  await assert.rejects(client.connect(), {
    name: 'TypeError',
    option: 'replication',
    message: 'option "replication" is not supported: the engine does not speak that protocol',
  });
});

test('a number that is too large is told the largest', () => {
  const most = 2 ** 31 - 1;
  const told = {
    poolSize: `a positive integer up to ${most}`,
    minIdle: `an integer not below 0 up to ${most}`,
    raceDelayMs: `an integer not below 0 (milliseconds) up to ${most}`,
    acquireTimeoutMs: `a positive integer (milliseconds, at most ${most})`,
    port: 'an integer from 1 to 65535',
  };
  for (const [name, says] of Object.entries(told)) {
    const message = `option "${name}" must be ${says}, got 4294967296`;
    assert.throws(() => readPoolOptions({ [name]: 2 ** 32 }), { message });
  }
  assert.throws(() => readPoolOptions({ poolSize: '9' }), /be a positive integer, got a string$/);
});
