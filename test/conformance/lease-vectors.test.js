// The lease format against test/vectors/lease.json: what the predecessor generates, accepts and locks.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { LeaseManager } = require('../../lib/serverless/index.js');
const { testDatabase } = require('../support/pools.js');
const vectors = require('../vectors/lease.json');

const db = testDatabase();

/** What the vectors' words for refusals say to a user. */
const REFUSALS = {
  'too-long': /application_name holds 63/,
  'secret-too-short': /too short/,
  'secret-missing': /requires a non-empty secret/,
};

test('SC-M1: every generate vector comes out byte for byte', () => {
  assert.equal(vectors.generate.length, vectors.counts.generate);
  for (const vector of vectors.generate) {
    const { id, service, instance, secret, expiry, error } = vector;
    if (error !== undefined) {
      const attempt = () => new LeaseManager(service, instance, secret).generateAppName(expiry);
      assert.throws(attempt, REFUSALS[error], id);
      continue;
    }
    const leases = new LeaseManager(service, instance, secret);
    const made = [leases.serviceName, leases.instanceId, leases.generateAppName(expiry)];
    const { normalized_service, normalized_instance, application_name } = vector;
    assert.deepEqual(made, [normalized_service, normalized_instance, application_name], id);
    assert.ok(application_name.length <= LeaseManager.APP_NAME_MAX_LEN, id);
  }
});

test('SC-M1: every parse vector gets its verdict, by the clock of the vector', (t) => {
  assert.equal(vectors.parse.length, vectors.counts.parse);
  for (const vector of vectors.parse) {
    const { id, secret, now, application_name } = vector;
    const expected = vector.strict_expect === undefined ? vector.expect : vector.strict_expect;
    t.mock.method(Date, 'now', () => now);
    const verdict = new LeaseManager('svc', 'AbCd_-19', secret).parseAndVerify(application_name);
    assert.deepEqual(verdict, expected, id);
  }
});

test('SC-M4: a server stores generated names as they are', async () => {
  for (const { id, application_name } of vectors.generate.filter(({ error }) => !error)) {
    const [{ stored }] = await db.sql(
      `select set_config('application_name', $1, false) as stored`,
      [application_name],
    );
    assert.equal(stored, application_name, id);
  }
  await db.sql(`set application_name = 'observer'`);
});

test('SC-M3: the server computes the lock keys of the vectors and shows them as recorded', async () => {
  assert.equal(vectors.advisory.length, vectors.counts.advisory);
  for (const { normalized_service, key1, key2, pg_locks } of vectors.advisory) {
    assert.equal(key1, vectors.constants.lock_namespace);
    const rows = await db.sql(
      `with held as materialized (select pg_catalog.pg_advisory_lock($1, pg_catalog.hashtext($2)))
       select pg_catalog.hashtext($2) as hash from held`,
      [key1, normalized_service],
    );
    assert.equal(rows[0].hash, key2, normalized_service);
    const locks = await db.sql(
      `select classid::int8::int as classid, objid::int8::text as objid, objsubid::int as objsubid
       from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()`,
    );
    assert.deepEqual(locks, [{ ...pg_locks, objid: String(pg_locks.objid) }], normalized_service);
    await db.sql('select pg_advisory_unlock_all()');
  }
});

test('a lease that does not fit is an error, never cut', () => {
  const leases = new LeaseManager('svc', 'i'.repeat(40), 'coord-secret-0123456789');
  assert.throws(() => leases.generateAppName(1_795_251_856_352), {
    name: 'LeaseError',
    message: /application_name holds 63/,
  });
});

test('an expiry that nobody could read is refused, by its name', () => {
  const leases = new LeaseManager('svc', 'AbCd_-19', 'coord-secret-0123456789');
  for (const expMs of [Number.NaN, -1, Number.POSITIVE_INFINITY, 1e15]) {
    assert.throws(() => leases.generateAppName(expMs), { name: 'RangeError', message: /^expMs / });
  }
  assert.equal(leases.parseAndVerify(leases.generateAppName(1e15 - 1))?.exp, 1e15 - 1);
});

test('A3: LeaseManager without a secret is refused; the secret shows nowhere', () => {
  for (const secret of ['', null, undefined]) {
    assert.throws(() => new LeaseManager('svc', 'inst', /** @type {any} */ (secret)), {
      message: /requires a non-empty secret/,
    });
  }
  const leases = new LeaseManager('svc', 'inst', 'coord-secret-0123456789');
  assert.equal(leases.secret, 'coord-secret-0123456789');
  const { inspect } = require('node:util');
  const shown = inspect(leases, { showHidden: true, depth: 9 }) + JSON.stringify(leases);
  assert.doesNotMatch(shown, /coord-secret/);
});
