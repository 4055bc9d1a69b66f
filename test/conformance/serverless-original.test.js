// The 25 behaviours that pg-aequor tests of itself, through the option `library` as there; where its tests expect what
// rule SC-3 or SC-7 forbids, the case says what holds instead.
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { EventEmitter, once } = require('node:events');
const { LeaseManager, Reaper, RetryStrategy, ServerlessClient } = require('../../lib/index.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const SECRET = 'coord-secret-123456';

/** A driver without a server: what it is asked, and what goes wrong, is the test's. */
class FakeClient extends EventEmitter {
  ended = false;
  asked = [];
  /** @type {(text: string, values: any[]) => any} */
  answer = () => ({ rows: [] });
  /** @type {() => any} */
  connecting = () => {};

  constructor(config, connecting) {
    super();
    this.config = config;
    if (connecting) this.connecting = connecting;
  }

  async connect() {
    await this.connecting();
  }

  async query(query, values) {
    const text = typeof query === 'string' ? query : query.text;
    this.asked.push(text);
    return this.answer(text, values);
  }

  async end() {
    this.ended = true;
  }
}

/** A library whose clients are kept. `connecting` is what connecting takes. */
function fakeLibrary(connecting) {
  const instances = [];
  class Client {
    constructor(config) {
      const client = new FakeClient(config, connecting);
      instances.push(client);
      // biome-ignore lint/correctness/noConstructorReturn: any Client may do so.
      return client;
    }
  }
  return { Client, instances };
}

function open(t, options) {
  const library = fakeLibrary(options?.connecting);
  const { connecting: _, ...rest } = options ?? {};
  /** @type {[string, any][]} */
  const calls = [];
  const hooks = Object.fromEntries(
    ['onConnect', 'onHeartbeat', 'onHeartbeatFail', 'onClientDead', 'onQueryRetry'].map((name) => [
      name,
      (payload) => calls.push([name, payload]),
    ]),
  );
  const client = /** @type {any} */ (
    new ServerlessClient({
      host: 'x',
      user: 'u',
      password: 'p',
      database: 'd',
      secret: SECRET,
      library,
      reaper: false,
      minBackoff: 1,
      maxBackoff: 1,
      hooks,
      ...rest,
    })
  );
  t.after(() => client.end());
  const of = (name) => calls.filter(([called]) => called === name).map(([, payload]) => payload);
  return { client, of, instances: library.instances };
}

const isRenewal = (text) => text.includes("set_config('application_name'");
const broken = (message) => Object.assign(new Error(message), { code: 'ECONNRESET' });
const SHORT = {
  leaseTtlMs: 10,
  heartbeatSoftRemainingMs: 1000,
  heartbeatHardWaitRemainingMs: 1000,
};

// generation

test('01 a connection that fails while it is opened is never the client, and SC-3: another one is', async (t) => {
  /** @type {((value?: unknown) => void)[]} */
  const opened = [];
  const { client, instances } = open(t, {
    connecting: () => new Promise((resolve) => opened.push(resolve)),
  });
  const connecting = client.connect();
  await waitFor(() => instances.length === 1 && opened.length === 1, { what: 'an attempt' });
  instances[0].emit('error', broken('boom'));
  opened[0]?.();
  await waitFor(() => opened.length === 2, { what: 'the next attempt' });
  opened[1]?.();
  await connecting;
  assert.equal(client._client, instances[1]);
  assert.equal(instances[0].ended, true);
});

// heartbeat

test('02 a renewal that fails in the hard window gives the connection up, without an error', async (t) => {
  const { client, instances } = open(t, SHORT);
  await client.connect();
  instances[0].answer = (text) => {
    if (isRenewal(text)) throw broken('boom');
    return { rows: [] };
  };
  client._leaseExp = Date.now() - 1;
  await client._heartbeatIfNeeded();
  assert.deepEqual([client._client, client._isDead], [null, true]);
});

test('03 a renewal without an answer does the same after heartbeatTimeoutMs', async (t) => {
  const { client, instances, of } = open(t, { ...SHORT, heartbeatTimeoutMs: 5 });
  await client.connect();
  instances[0].answer = (text) => (isRenewal(text) ? new Promise(() => {}) : { rows: [] });
  client._leaseExp = Date.now() - 1;
  await client._heartbeatIfNeeded();
  assert.deepEqual([client._client, client._isDead], [null, true]);
  assert.equal(of('onHeartbeatFail')[0].err.code, 'ETIMEDOUT');
});

test('04 without a secret, leaseMode "optional" connects without lease, reaper and renewals', async (t) => {
  const { client, instances } = open(t, { secret: undefined, leaseMode: 'optional', reaper: true });
  await client.connect();
  assert.equal(client._client, instances[0]);
  assert.equal(client._leaseManager, null);
  assert.equal(instances[0].config.application_name, 'sls_pg');
  await client.query('select 1');
  assert.deepEqual(instances[0].asked, ['select 1']);
});

// hooks

test('05 onConnect is called once when the connection is usable', async (t) => {
  const { client, of } = open(t);
  await client.connect();
  await client.connect();
  assert.deepEqual(of('onConnect'), [{ gen: 1 }]);
});

test('06 onHeartbeat and onHeartbeatFail are called as a renewal goes', async (t) => {
  const { client, instances, of } = open(t, { ...SHORT, heartbeatTimeoutMs: 50 });
  await client.connect();
  client._leaseExp = Date.now() - 1;
  await client._heartbeatIfNeeded();
  assert.deepEqual(of('onHeartbeat'), [{ gen: 1 }]);
  assert.ok(client._leaseExp > Date.now() - 1000);
  instances[0].answer = (text) => {
    if (isRenewal(text)) throw broken('hb-fail');
    return { rows: [] };
  };
  client._leaseExp = Date.now() - 1;
  await client._heartbeatIfNeeded();
  assert.equal(of('onHeartbeatFail').length, 1);
  assert.equal(of('onHeartbeatFail')[0].err.message, 'hb-fail');
});

test('07 onClientDead is called once when the driver emits an error', async (t) => {
  const { client, instances, of } = open(t);
  await client.connect();
  instances[0].emit('error', broken('boom'));
  instances[0].emit('end');
  assert.equal(of('onClientDead').length, 1);
  const { source, meta } = of('onClientDead')[0];
  assert.deepEqual([source, meta.code, client._isDead], ['error', 'ECONNRESET', true]);
});

test('08 onQueryRetry is called for a lost read, which then succeeds', async (t) => {
  const { client, instances, of } = open(t, { retries: 1, maxQueryRetryTimeMs: 5000 });
  await client.connect();
  instances[0].answer = () => {
    throw broken('q-fail');
  };
  await client.query('SELECT 1');
  const [retry] = of('onQueryRetry');
  assert.equal(retry.retries, 1);
  assert.equal(instances.length, 2);
  // Rule SC-1: a read is repeated where nothing can be written.
  assert.deepEqual(
    instances[1].asked.filter((text) => !/pg_backend_pid/.test(text)),
    ['BEGIN TRANSACTION READ ONLY', 'SELECT 1', 'COMMIT'],
  );
});

test('08b SC-1: a lost write is unknown and not repeated', async (t) => {
  const { client, instances, of } = open(t);
  await client.connect();
  instances[0].answer = () => {
    throw broken('q-fail');
  };
  const lost = { name: 'OutcomeUnknownError', code: 'ECONNRESET', outcomeUnknown: true };
  await assert.rejects(client.query('insert into t values (1)'), lost);
  assert.deepEqual([instances.length, of('onQueryRetry')], [1, []]);
});

// tracing

test('09 onQueryStart and onQueryEnd are told the arguments, the start and the duration', async (t) => {
  /** @type {[string, any][]} */
  const calls = [];
  const { client } = open(t, {
    hooks: {
      onQueryStart: (payload) => calls.push(['onQueryStart', payload]),
      onQueryEnd: (payload) => calls.push(['onQueryEnd', payload]),
    },
  });
  await client.connect();
  const args = ['SELECT 1', []];
  await client.query(...args);
  assert.deepEqual(
    calls.map(([name, payload]) => [name, payload.args]),
    [
      ['onQueryStart', args],
      ['onQueryEnd', args],
    ],
  );
  assert.equal(typeof calls[0]?.[1].startedAt, 'number');
  assert.ok(calls[1]?.[1].duration >= 0);
});

test('10 onQueryError is told the failure that is thrown', async (t) => {
  /** @type {[string, any][]} */
  const calls = [];
  const { client, instances } = open(t, {
    retries: 0,
    hooks: {
      onQueryStart: (payload) => calls.push(['onQueryStart', payload]),
      onQueryError: (payload) => calls.push(['onQueryError', payload]),
    },
  });
  await client.connect();
  instances[0].answer = () => {
    throw new Error('query-failed');
  };
  await assert.rejects(client.query('SELECT 1'), { message: 'query-failed' });
  assert.deepEqual(
    calls.map(([name]) => name),
    ['onQueryStart', 'onQueryError'],
  );
  assert.equal(calls[1]?.[1].err.message, 'query-failed');
  assert.ok(calls[1]?.[1].duration >= 0);
});

// lease

const lease = new LeaseManager('test-svc', 'inst-1', 'test-secret-123456');

test('11 a lease is a signed text of at most 63 bytes', () => {
  const name = lease.generateAppName(Date.now() + 1000);
  assert.match(name, /^s=test-svc;i=inst-1;e=\d{13};g=[A-Za-z0-9_-]{11}$/);
  assert.ok(name.length <= LeaseManager.APP_NAME_MAX_LEN);
});

test('12 a right lease verifies', () => {
  const parsed = lease.parseAndVerify(lease.generateAppName(Date.now() + 10_000));
  assert.deepEqual([parsed?.svc, parsed?.inst, parsed?.isExpired], ['test-svc', 'inst-1', false]);
});

test('13 a changed lease does not verify', () => {
  const name = lease.generateAppName(Date.now() + 10_000);
  assert.equal(lease.parseAndVerify(name.replace('i=inst-1', 'i=hacker')), null);
});

test('14 an expired lease verifies and says that it is expired', () => {
  const parsed = lease.parseAndVerify(lease.generateAppName(Date.now() - 1000));
  assert.equal(parsed?.isExpired, true);
});

test('15 a long service name is cut to a token that fits', () => {
  const long = new LeaseManager('a'.repeat(200), 'inst-1', 'test-secret-123456');
  const name = long.generateAppName(Date.now() + 1000);
  assert.ok(name.length <= 63);
  assert.equal(long.parseAndVerify(name)?.inst, 'inst-1');
});

test('16 a lease needs a secret, and one that is long enough', () => {
  const make = (secret) => () => new LeaseManager('svc', 'inst', secret);
  assert.throws(make(''), /requires a non-empty secret/);
  assert.throws(make(null), /requires a non-empty secret/);
  assert.throws(make('short'), /too short/);
});

// reaper

const mine = new LeaseManager('mysvc', 'inst-1', 'secret-1234567890');
const STRATEGY = { minConnIdleTimeSec: 10, connUtilization: 0.8, maxIdleConnectionsToKill: 1 };

/** A client that answers the statements of a pass. */
function database(locked, rows) {
  /** @type {{ text: string, values?: any[] }[]} */
  const asked = [];
  const query = async (text, values) => {
    asked.push({ text, values });
    if (text.includes('pg_terminate_backend'))
      return { rows: values[0].map(() => ({ ended: true })) };
    if (!text.includes('pg_stat_activity')) return { rows: [] };
    const seen = { locked, server_now: Date.now(), allowed: true, state: 'idle', idle_time: 20 };
    return rows.length === 0
      ? { rows: [seen] }
      : { rows: rows.map((row) => ({ ...seen, ...row })) };
  };
  return { asked, query };
}

test('17 a pass takes the lock, looks, ends what has expired, oldest first up to the limit, and leaves no lock', async () => {
  const zombie = (pid, ms) => ({ pid, application_name: mine.generateAppName(Date.now() + ms) });
  const client = database(true, [zombie(100, -5000), zombie(150, -6000), zombie(200, 5000)]);
  const pass = await Reaper.reap(client, { database: 'mydb' }, mine, STRATEGY, () => {});
  assert.deepEqual([pass.locked, pass.killed, pass.candidates], [true, 1, 2]);
  const [scan] = client.asked;
  assert.ok(scan?.text.includes(`pg_try_advisory_xact_lock(${Reaper.LOCK_NS}, hashtext('mysvc'))`));
  const kill = client.asked.find(({ text }) => text.includes('pg_terminate_backend'));
  assert.deepEqual(kill?.values?.[0], [150]);
  // Rule SC-7: the lock goes with its transaction.
  assert.equal(client.asked.at(-1)?.text, 'commit');
  assert.ok(!client.asked.some(({ text }) => /pg_try_advisory_lock|pg_advisory_unlock/.test(text)));
});

test('18 while another one has the lock, nothing is ended', async () => {
  const client = database(false, []);
  const pass = await Reaper.reap(client, {}, mine, STRATEGY, () => {});
  assert.deepEqual([pass.locked, pass.killed], [false, 0]);
});

test('19 and nothing is sent that would give back a lock of somebody else', async () => {
  const client = database(false, []);
  await Reaper.reap(client, {}, mine, STRATEGY, () => {});
  assert.equal(client.asked.length, 1);
});

test('19b a pass that fails says so, and rejects where that is asked for', async () => {
  const client = { query: () => Promise.reject(new Error('no such thing')) };
  const pass = await Reaper.reap(client, {}, mine, STRATEGY);
  assert.deepEqual([pass.locked, pass.killed, pass.error?.message], [false, 0, 'no such thing']);
  const strict = { ...STRATEGY, reaperErrorMode: /** @type {const} */ ('throw') };
  await assert.rejects(Reaper.reap(client, {}, mine, strict), { message: 'no such thing' });
});

test('19c a limit that is none is refused, and nothing is asked', async () => {
  for (const wrong of [
    { maxIdleConnectionsToKill: -1 },
    { minConnIdleTimeSec: Number.NaN },
    { leaseGraceMs: '5' },
    { reaperTimeoutMs: Number.POSITIVE_INFINITY },
  ]) {
    const client = database(true, []);
    const [name] = Object.keys(wrong);
    const pass = Reaper.reap(client, {}, mine, /** @type {any} */ (wrong));
    await assert.rejects(pass, { name: 'TypeError', message: new RegExp(`"${name}" must be`) });
    assert.deepEqual(client.asked, []);
  }
  const given = { ...STRATEGY, reaperTimeoutMs: undefined };
  const client = database(true, []);
  const log = () => {
    throw new Error('of the log');
  };
  const pass = await Reaper.reap(client, {}, mine, /** @type {any} */ (given), log);
  assert.equal(pass.locked, true);
  assert.match(String(client.asked[0]?.text), /statement_timeout = 2000/);
  assert.equal((await Reaper.reap(database(true, []), null, mine, null)).locked, true);
});

// retry

test('20 states of the server that end a connection are retryable', () => {
  for (const code of ['57P01', '08006', '08003']) {
    assert.equal(RetryStrategy.isRetryable({ code }), true, code);
  }
});

test('21 errors of sockets are retryable', () => {
  for (const code of ['ECONNRESET', 'EPIPE', 'ETIMEDOUT']) {
    assert.equal(RetryStrategy.isRetryable({ code }), true, code);
  }
});

test('22 messages of an end are retryable', () => {
  assert.equal(RetryStrategy.isRetryable({ message: 'Connection terminated unexpectedly' }), true);
});

test('23 anything else is not', () => {
  for (const code of ['23505', '42601']) assert.equal(RetryStrategy.isRetryable({ code }), false);
  assert.equal(RetryStrategy.isRetryable({ message: 'syntax error' }), false);
  assert.equal(RetryStrategy.isRetryable(new Error('Random failure')), false);
});

test('24 a delay is within base and cap', () => {
  for (let n = 0; n < 1000; n++) {
    const delay = RetryStrategy.getBackoff(10, 1000, 50);
    assert.ok(delay >= 10 && delay <= 150);
  }
});

test('25 a delay grows with the one before', () => {
  const delays = Array.from({ length: 1000 }, () => RetryStrategy.getBackoff(100, 2000, 1500));
  assert.ok(delays.every((delay) => delay >= 100 && delay <= 2000));
  assert.ok(delays.some((delay) => delay > 300));
});

test('an end that nobody asked for is an end, and clean() is none', async (t) => {
  const { client, instances, of } = open(t);
  await client.connect();
  const ended = once(instances[0], 'end');
  instances[0].emit('end');
  await ended;
  assert.deepEqual(of('onClientDead'), [{ source: 'end' }]);
  await client.connect();
  await client.clean();
  instances[1].emit('end');
  assert.equal(of('onClientDead').length, 1);
});
