// The handler without a database: both event formats, validation, routes.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { handler } from '../dist/handler.js';
import { masked, withoutSecrets } from '../dist/log.js';
import { readNewUser } from '../dist/models.js';
import { readSecret, ttlMs } from '../dist/secrets.js';
import { v1, v2, variants } from './support/events.mjs';

// Whatever needs credentials answers 503 here.
delete process.env.DB_SECRET_ID;

const ID = '123e4567-e89b-12d3-a456-426614174000';
let lines = [];

beforeEach((t) => {
  lines = [];
  t.mock?.method(console, 'error', (line) => lines.push(JSON.parse(line)));
});

const call = async (event) => {
  const { statusCode, body, headers } = await handler(event, {});
  return { status: statusCode, headers, json: body === '' ? undefined : JSON.parse(body) };
};

test('LX-6: one request in both formats, plain and base64, with and without stage, has one answer', async () => {
  const bad = '{"name":"J","email":"näh"}';
  for (const [method, path, body] of [
    ['POST', '/users', bad],
    ['GET', '/users/abc', undefined],
    ['DELETE', '/users', undefined],
    ['GET', '/nothing', undefined],
    ['OPTIONS', '/users', undefined],
  ]) {
    const [first, ...others] = await Promise.all(variants(method, path, body).map(call));
    assert.equal(first.status >= 400 || method === 'OPTIONS', true);
    for (const other of others) assert.deepEqual(other, first);
  }
  // One slash more names the same, except where the path is told.
  assert.deepEqual(await call(v2('GET', '/users/abc/')), await call(v2('GET', '/users/abc')));
  assert.deepEqual(await call(v1('POST', '/users/', bad)), await call(v1('POST', '/users', bad)));
});

test('LX-6: a path that only looks like the stage is not cut', async () => {
  const { status, json } = await call(v2('GET', '/dev/devices', undefined, 'dev'));
  assert.deepEqual([status, json.errorMessage], [404, 'Route /devices not found']);
  const { json: other } = await call(v2('GET', '/devices', undefined, 'dev'));
  assert.equal(other.errorMessage, 'Route /devices not found');
});

test('an event of neither format, a broken path, another method', async () => {
  for (const event of [{}, null, 42, { version: '1.0' }, { httpMethod: 'GET' }]) {
    const { status, json } = await call(event);
    assert.deepEqual([status, json.errorCode], [400, 'UNSUPPORTED_EVENT']);
  }
  assert.equal((await call(v2('GET', '/users/%zz'))).status, 400);
  const { status, headers } = await call(v2('PUT', '/users'));
  assert.deepEqual([status, headers.Allow], [405, 'GET, POST, OPTIONS']);
  assert.equal((await call(v2('constructor', '/users'))).status, 405);
});

test('every response may be read by any site, and says what it is where there is a body', async () => {
  const known = await call(v2('OPTIONS', `/users/${ID}`));
  assert.deepEqual([known.status, known.json], [204, undefined]);
  assert.equal(known.headers['Content-Type'], undefined);
  const refused = await call(v2('GET', '/users/abc'));
  assert.equal(refused.headers['Content-Type'], 'application/json');
  for (const { headers } of [known, refused]) {
    assert.equal(headers['Access-Control-Allow-Origin'], '*');
    assert.match(headers['Access-Control-Allow-Headers'], /X-Amz-Security-Token/);
    assert.equal(headers['Access-Control-Allow-Methods'], 'OPTIONS,POST,GET,PUT,DELETE,PATCH');
  }
});

const problems = (body) => {
  try {
    readNewUser(body);
    return {};
  } catch ({ status, code, message, data }) {
    assert.deepEqual([status, code, message], [400, 'VALIDATION_ERROR', 'Validation failed']);
    return Object.fromEntries(data.map(({ property, constraints }) => [property, constraints]));
  }
};
const email = 'john@example.com';
const TOO_SHORT = { isLength: 'name must be longer than or equal to 2 characters' };
const NO_TEXT = { isString: 'name must be a string' };
const NO_EMAIL = { email: { isEmail: 'email must be an email' } };

test('LX-2: names are counted in characters', () => {
  for (const name of ['Jo', '  ', 'x'.repeat(50), '😀'.repeat(26), '😀'.repeat(50)]) {
    assert.deepEqual(problems({ name, email, role: 'admin' }), {}, name);
  }
  for (const name of ['', 'J', '😀'])
    assert.deepEqual(problems({ name, email }), { name: TOO_SHORT });
  for (const name of ['x'.repeat(51), '😀'.repeat(51)]) {
    const isLength = 'name must be shorter than or equal to 50 characters';
    assert.deepEqual(problems({ name, email }), { name: { isLength } });
  }
  for (const name of [5, {}, ['Jo']]) {
    const isLength =
      'name must be longer than or equal to 2 and shorter than or equal to 50 characters';
    assert.deepEqual(problems({ name, email }), { name: { isLength, ...NO_TEXT } });
  }
  const noNul = 'name must not contain NUL';
  assert.deepEqual(problems({ name: 'a\0b', email }), { name: { noNul } });
});

test('LX-2: bodies that are no object miss both fields', () => {
  for (const body of [{}, [], null, 7, 'text']) {
    assert.deepEqual(problems(body), { name: { ...TOO_SHORT, ...NO_TEXT }, ...NO_EMAIL });
  }
});

test('LX-2: e-mail addresses are judged as class-validator judges them', () => {
  const local = (length) => `${'a'.repeat(length)}@b.co`;
  const label = (length) => `a@${'b'.repeat(length)}.co`;
  for (const good of [
    'a@b.co',
    'A.B+c@Example.COM',
    '"q"@b.co',
    'é@b.co',
    'a@bücher.de',
    local(64),
    label(63),
  ]) {
    assert.deepEqual(problems({ name: 'Jo', email: good }), {}, good);
  }
  for (const bad of [
    'x',
    'a@b',
    'a@b.c',
    'a b@c.com',
    'a@b..co',
    '.a@b.co',
    'a@127.0.0.1',
    'a@[127.0.0.1]',
    local(65),
    label(64),
    ' a@b.co',
    'a@b.co ',
    'Bob <a@b.co>',
    'a@b.c\u3000d',
    'a@b.c\u00a0d',
    '',
    null,
    undefined,
    7,
  ]) {
    assert.deepEqual(problems({ name: 'Jo', email: bad }), NO_EMAIL, bad);
  }
  const maxLength = 'email must be shorter than or equal to 100 characters';
  const long = `${'a'.repeat(60)}@${'b'.repeat(60)}.co`;
  assert.deepEqual(problems({ name: 'Jo', email: long }), { email: { maxLength } });
  const { noNul } = problems({ name: 'Jo', email: 'a\0@b.co' }).email;
  assert.equal(noNul, 'email must not contain NUL');
});

test('LX-2: any UUID is an id', async () => {
  for (const id of [ID, ID.toUpperCase(), 'ffffffff-ffff-ffff-ffff-ffffffffffff']) {
    assert.equal((await call(v2('GET', `/users/${id}`))).status, 503, 'goes on to the database');
  }
  for (const id of ['abc', ID.slice(1), `${ID}0`, ID.replaceAll('-', ''), `{${ID}}`, "'; --"]) {
    const { status, json } = await call(v2('GET', `/users/${encodeURIComponent(id)}`));
    const constraints = { isUuid: 'id must be a UUID' };
    assert.deepEqual([status, json.errorData], [400, [{ property: 'id', constraints }]]);
  }
});

test('LX-4: secret keys leave no value in answers and log lines, at any depth', () => {
  const data = { a: [{ Password: 'x', token: { deep: 1 } }], 'X-API-Key': 'y', name: 'stays' };
  assert.deepEqual(withoutSecrets(data), {
    a: [{ Password: undefined, token: undefined }],
    'X-API-Key': undefined,
    name: 'stays',
  });
  assert.deepEqual(masked(data), {
    a: [{ Password: '***', token: '***' }],
    'X-API-Key': '***',
    name: 'stays',
  });
});

test('secrets: names of RDS, defaults, and no piece of the text in an error', () => {
  const rds = '{"host":"h","username":"u","password":"canary","dbname":"d"}';
  const { user, database, port, ssl } = readSecret(rds, 'v1');
  assert.deepEqual([user, database, port, ssl], ['u', 'd', 5432, false]);
  for (const text of [
    undefined,
    '',
    '{"password":"canary',
    '"canary"',
    'null',
    '{"password":"canary"}',
    '{"host":"","user":"u","password":"canary","database":"d"}',
    '{"host":"h\\u0000","user":"u","password":"canary","database":"d"}',
    ...['"abc"', '"canary"', '0', '65536', '-1', '5432.5', 'null', '""', '[]', '{}', 'true'].map(
      (port) => `{"host":"h","user":"u","password":"canary","database":"d","port":${port}}`,
    ),
  ]) {
    assert.throws(
      () => readSecret(text, 'v1'),
      (error) => error.name === 'CredentialsError' && !error.message.includes('canary'),
    );
  }
});

test('DB_SECRET_TTL_MS that is empty or no number is the default', () => {
  for (const given of [undefined, '', 'soon', '-1', 'NaN']) assert.equal(ttlMs(given), 300_000);
  for (const [given, ms] of [
    ['0', 0],
    ['1000', 1000],
  ]) {
    assert.equal(ttlMs(given), ms);
  }
});
