// The error family and how the engine's errors become it.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const test = require('node:test');
const { inspect } = require('node:util');
const { DatabaseError: PgDatabaseError } = require('pg');
const errors = require('../../lib/errors.js');

const { fromNative } = errors;

const SERVER = {
  kind: 'server',
  message: 'duplicate key',
  code: '23505',
  outcome: 'failed',
  transient: false,
  length: 190,
  severity: 'ERROR',
  detail: 'Key (id)=(1) already exists.',
  hint: null,
  schema: 'public',
  table: 't',
  constraint: 't_pkey',
  file: 'nbtinsert.c',
  line: '664',
  routine: '_bt_check_unique',
};
const SHUTDOWN = {
  kind: 'server',
  message: 'terminating connection',
  code: '57P01',
  outcome: 'failed',
  transient: true,
};
const IO = {
  kind: 'io',
  message: 'connection reset',
  code: 'ECONNRESET',
  outcome: 'not-sent',
  transient: true,
};
const REFUSED = {
  kind: 'connect',
  message: 'cannot connect to 10.0.0.1:5432: connection refused',
  code: 'ECONNREFUSED',
  outcome: 'not-sent',
  transient: true,
  host: '10.0.0.1:5432',
};
const COUNTS = { max: 10, size: 0, available: 0, opening: 1, waiting: 3 };
const ACQUIRE = {
  kind: 'acquire',
  message: 'no connection available within 5000ms (10 open, …)',
  code: 'ERR_ACQUIRE_TIMEOUT',
  outcome: 'not-sent',
  transient: true,
  waitedMs: 5000,
  counts: { ...COUNTS, size: 10 },
};
const lost = (outcome, cause = IO) => ({
  kind: 'lost',
  message: `connection to h:1 lost: ${cause.message}`,
  code: cause.code,
  outcome,
  transient: true,
  host: 'h:1',
  cause,
});
const timeout = (outcome, phase = 'statement') => ({
  kind: 'timeout',
  message: phase === 'statement' ? 'cancelled after timeout of 300ms' : `${phase} took 300ms`,
  code: 'ERR_TIMEOUT',
  outcome,
  transient: true,
  phase,
  afterMs: 300,
});
const plain = (kind, code, outcome, more = {}) => ({
  kind,
  message: `the ${kind}`,
  code,
  outcome,
  transient: false,
  ...more,
});

test('sec_o02: a server error has the properties of pg, in their order', () => {
  const error = fromNative(SERVER, 'pg');
  const reference = new PgDatabaseError('duplicate key', 190, 'error');
  const names =
    'severity code detail hint position internalPosition internalQuery where schema table column';
  for (const name of `${names} dataType constraint file line routine`.split(' ')) {
    reference[name] = SERVER[name] ?? undefined;
  }
  assert.deepEqual(Object.entries(error), Object.entries(reference));
  assert.equal(JSON.stringify(error), JSON.stringify(reference));
  assert.equal(String(error), 'error: duplicate key');
  assert.equal(error.outcome, 'failed');
  assert.equal(errors.DatabaseError, errors.ServerError);
});

test('users can make a DatabaseError as pg has it', () => {
  const error = new errors.DatabaseError('text', 12, 'error');
  assert.deepEqual([error.message, error.length, error.name], ['text', 12, 'error']);
});

// kind and outcome × face → class, code, start of the message
const TABLE = [
  ['cluster', SERVER, 'ServerError', '23505', 'duplicate key'],
  ['cluster', REFUSED, 'ConnectError', 'ECONNREFUSED', 'cannot connect to 10.0.0.1:5432'],
  ['pg', REFUSED, 'ConnectError', 'ECONNREFUSED', 'connect ECONNREFUSED 10.0.0.1:5432'],
  [
    'pg',
    { ...REFUSED, code: 'ENOTFOUND', host: 'no.host:1' },
    'ConnectError',
    'ENOTFOUND',
    'getaddrinfo ENOTFOUND no.host',
  ],
  [
    'pg',
    { ...REFUSED, code: 'EAI_FAIL', host: 'no.host:1' },
    'ConnectError',
    'EAI_FAIL',
    'getaddrinfo EAI_FAIL no.host',
  ],
  ['pg', { ...REFUSED, code: 'ERR_TLS' }, 'TlsError', 'ERR_TLS', 'connection refused'],
  [
    'cluster',
    { ...REFUSED, code: 'CERT_HAS_EXPIRED' },
    'TlsError',
    'CERT_HAS_EXPIRED',
    'cannot connect',
  ],
  ['cluster', { ...REFUSED, code: 'ERR_AUTH' }, 'AuthError', 'ERR_AUTH', 'cannot connect'],
  ['cluster', ACQUIRE, 'AcquireTimeoutError', '53300', 'no connection available within 5000ms'],
  [
    'cluster',
    { ...ACQUIRE, cause: REFUSED },
    'AcquireTimeoutError',
    '53300',
    'no connection available',
  ],
  [
    'cluster',
    { ...ACQUIRE, counts: COUNTS, cause: REFUSED },
    'NoNodeError',
    '08006',
    'query: no reachable node after 5000ms: cannot connect to 10.0.0.1:5432',
  ],
  [
    'pg',
    ACQUIRE,
    'AcquireTimeoutError',
    'ERR_ACQUIRE_TIMEOUT',
    'timeout exceeded when trying to connect',
  ],
  [
    'cluster',
    plain('closed', 'ERR_CLOSED', 'not-sent', { what: 'pool' }),
    'ClosedError',
    'ERR_CLOSED',
    'query: the pool is closed (end() was called)',
  ],
  [
    'cluster',
    plain('closed', 'ERR_CLOSED', 'not-sent', { what: 'transaction' }),
    'ClosedError',
    'ERR_CLOSED',
    'transaction: already committed or rolled back',
  ],
  [
    'pg',
    plain('closed', 'ERR_CLOSED', 'not-sent', { what: 'pool' }),
    'ClosedError',
    'ERR_CLOSED',
    'Cannot use a pool after calling end on the pool',
  ],
  [
    'pg',
    plain('closed', 'ERR_CLOSED', 'not-sent', { what: 'client' }),
    'ClosedError',
    'ERR_CLOSED',
    'Client was closed and is not queryable',
  ],
  [
    'pg',
    plain('closed', 'ERR_CLOSED', 'not-sent', { what: 'stream' }),
    'ClosedError',
    'ERR_CLOSED',
    'the closed',
  ],
  [
    'cluster',
    plain('cancelled', 'ERR_CANCELLED', 'failed'),
    'CancelledError',
    'ABORT_ERR',
    'query: cancelled by end()',
  ],
  [
    'pg',
    plain('cancelled', 'ERR_CANCELLED', 'failed'),
    'CancelledError',
    'ERR_CANCELLED',
    'the cancelled',
  ],
  [
    'cluster',
    timeout('failed'),
    'TimeoutError',
    '57014',
    'query: cancelled after timeout of 300ms',
  ],
  [
    'cluster',
    timeout('not-sent'),
    'TimeoutError',
    'ERR_TIMEOUT',
    'query: cancelled after timeout of 300ms',
  ],
  [
    'cluster',
    timeout('unknown'),
    'OutcomeUnknownError',
    'IN_DOUBT',
    'query: cancelled after timeout of 300ms',
  ],
  ['pg', timeout('failed'), 'TimeoutError', 'ERR_TIMEOUT', 'Query read timeout'],
  ['pg', timeout('unknown'), 'OutcomeUnknownError', 'ERR_TIMEOUT', 'Query read timeout'],
  ['pg', timeout('not-sent', 'connect'), 'TimeoutError', 'ERR_TIMEOUT', 'timeout expired'],
  ['pg', timeout('not-sent', 'drain'), 'TimeoutError', 'ERR_TIMEOUT', 'drain took 300ms'],
  ['cluster', lost('unknown'), 'OutcomeUnknownError', 'IN_DOUBT', 'connection to h:1 lost'],
  [
    'pg',
    lost('unknown'),
    'OutcomeUnknownError',
    'ECONNRESET',
    'Connection terminated unexpectedly',
  ],
  ['pg', lost('unknown', SHUTDOWN), 'OutcomeUnknownError', '57P01', 'terminating connection'],
  [
    'pg',
    lost('unknown', plain('closed', 'ERR_CLOSED', 'not-sent')),
    'OutcomeUnknownError',
    'ERR_CLOSED',
    'Connection terminated',
  ],
  ['cluster', lost('failed'), 'TransactionLostError', '08006', 'connection to h:1 lost'],
  [
    'pg',
    lost('failed'),
    'TransactionLostError',
    'ECONNRESET',
    'Connection terminated unexpectedly',
  ],
  ['cluster', lost('not-sent'), 'ConnectError', '08006', 'connection to h:1 lost'],
  ['cluster', IO, 'ConnectError', '08006', 'connection reset'],
  ['pg', IO, 'ConnectError', 'ECONNRESET', 'connection reset'],
  [
    'cluster',
    plain('transactionLost', '08006', 'failed', { cause: IO }),
    'TransactionLostError',
    '08006',
    'the',
  ],
  ['cluster', plain('rolledBack', '25P02', 'failed'), 'TransactionRolledBackError', '25P02', 'the'],
  [
    'cluster',
    plain('result', 'ERR_RESULT_TOO_LARGE', 'failed'),
    'ResultError',
    'ERR_RESULT_TOO_LARGE',
    'the',
  ],
  [
    'cluster',
    plain('connect', 'ERR_INTERNAL', 'not-sent', { host: 'h:1' }),
    'InternalError',
    'ERR_INTERNAL',
    'the',
  ],
  [
    'cluster',
    plain('protocol', 'ERR_PROTOCOL', 'not-sent'),
    'ProtocolError',
    'ERR_PROTOCOL',
    'the',
  ],
  [
    'pg',
    plain('protocol', 'ERR_PROTOCOL', 'unknown'),
    'OutcomeUnknownError',
    'ERR_PROTOCOL',
    'the',
  ],
  ['pg', plain('lease', 'ERR_LEASE', 'not-sent'), 'LeaseError', 'ERR_LEASE', 'the'],
  ['pg', plain('internal', 'ERR_INTERNAL', 'not-sent'), 'InternalError', 'ERR_INTERNAL', 'the'],
  ['pg', plain('of the future', 'ERR_NEW', 'not-sent'), 'InternalError', 'ERR_NEW', 'the'],
  ['cluster', plain('encode', 'ERR_ENCODE', 'not-sent'), 'TypeError', 'ERR_ENCODE', 'the'],
  [
    'cluster',
    plain('config', 'ERR_CONFIG', 'not-sent', { option: 'port' }),
    'TypeError',
    'ERR_CONFIG',
    'the',
  ],
];

test('each error of the engine has its class, code and text on each face', () => {
  for (const [face, fields, name, code, message] of TABLE) {
    const row = `${face} ${fields.kind} ${fields.outcome} ${fields.what ?? ''}`;
    const error = fromNative(fields, face);
    const Class = errors[name] ?? globalThis[name];
    assert.equal(error.constructor, Class, row);
    assert.equal(error.name, name === 'ServerError' ? 'error' : name, row);
    assert.equal(error.code, code, row);
    assert.equal(error.message.slice(0, message.length), message, row);
    assert.equal(error.outcome, fields.outcome, row);
    assert.equal(error.outcomeUnknown, error instanceof errors.OutcomeUnknownError, row);
    assert.equal(error.safeToRetry, fields.outcome === 'not-sent', row);
    assert.equal(error.transient, fields.transient, row);
    for (const hidden of ['outcome', 'outcomeUnknown', 'safeToRetry', 'transient']) {
      assert.ok(!Object.keys(error).includes(hidden), row);
    }
  }
});

test('an unknown outcome keeps its original as cause', () => {
  const lostError = fromNative(lost('unknown', SHUTDOWN), 'cluster');
  assert.equal(lostError.cause.constructor, errors.ServerError);
  assert.equal(lostError.cause.code, '57P01');
  assert.equal(lostError.cause.safeToRetry, false, 'the cause does not claim more than is known');
  assert.equal(lostError.host, 'h:1');
  const late = fromNative(timeout('unknown'), 'cluster');
  assert.equal(late.cause.constructor, errors.TimeoutError);
  assert.deepEqual([late.cause.phase, late.cause.afterMs], ['statement', 300]);
});

test('details of the kinds', () => {
  const acquire = fromNative({ ...ACQUIRE, cause: REFUSED }, 'cluster');
  assert.deepEqual([acquire.waitedMs, acquire.counts], [5000, ACQUIRE.counts]);
  assert.equal(acquire.cause.code, 'ECONNREFUSED');
  const refused = fromNative(REFUSED, 'pg');
  assert.deepEqual([refused.syscall, refused.address, refused.port], ['connect', '10.0.0.1', 5432]);
  const v6 = fromNative({ ...REFUSED, host: '[::1]:5433' }, 'pg');
  assert.deepEqual([v6.address, v6.port], ['::1', 5433]);
  const socket = fromNative({ ...REFUSED, code: 'ENOENT', host: '/run/x/.s.PGSQL.5432' }, 'pg');
  assert.equal(socket.message, 'connect ENOENT /run/x/.s.PGSQL.5432');
  assert.deepEqual([socket.address, 'port' in socket], ['/run/x/.s.PGSQL.5432', false]);
  assert.equal(fromNative(lost('failed'), 'pg').transactionLost, true);
  assert.equal(
    fromNative(plain('config', 'ERR_CONFIG', 'not-sent', { option: 'port' }), 'pg').option,
    'port',
  );
});

test('errors that JavaScript made pass through', () => {
  const mine = new RangeError('mine');
  assert.equal(fromNative(mine, 'cluster'), mine);
});

test('instanceof holds across copies of the package, and for derived classes as usual', () => {
  for (const name of ['error-classes', 'errors'])
    delete require.cache[require.resolve(`../../lib/${name}.js`)];
  const copy = require('../../lib/errors.js');
  assert.notEqual(copy.PgError, errors.PgError);
  const foreign = copy.fromNative({ ...ACQUIRE, counts: COUNTS, cause: REFUSED }, 'cluster');
  assert.ok(foreign instanceof errors.NoNodeError);
  assert.ok(foreign instanceof errors.AcquireTimeoutError);
  assert.ok(foreign instanceof errors.PgError);
  assert.ok(foreign instanceof Error);
  assert.ok(!(foreign instanceof errors.ConnectError));
  class Mine extends errors.PgError {}
  assert.ok(new Mine('x') instanceof Mine);
  assert.ok(new Mine('x') instanceof errors.PgError);
  assert.ok(!(foreign instanceof Mine));
  for (const other of [null, undefined, 1, 'x', {}, new Error('x')]) {
    assert.ok(!(other instanceof errors.PgError));
  }
});

test('sec_o02: the stack is that of the caller', async () => {
  async function usersFunction() {
    try {
      await Promise.reject(REFUSED);
    } catch (cause) {
      throw fromNative(cause, 'cluster');
    }
  }
  const error = await usersFunction().catch((caught) => caught);
  const frame = error.stack.split('\n').find((line) => line.startsWith('    at '));
  assert.match(frame, /usersFunction/);
  assert.match(inspect(error), /ConnectError: cannot connect to 10\.0\.0\.1:5432/);
});

test('a failure is what it is where intrinsics are frozen', () => {
  const script = `
    Object.defineProperty(Error, 'stackTraceLimit', { writable: false, value: 10 });
    const { fromNative } = require(${JSON.stringify(require.resolve('../../lib/errors.js'))});
    const error = fromNative(${JSON.stringify(SERVER)}, 'cluster');
    console.log(error.code, error.message);`;
  const said = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  assert.equal(said, '23505 duplicate key\n');
});
