// The service against a real PostgreSQL and a local Secrets Manager.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { COORD_SECRET, PASSWORD, startProxy, testBed, waitFor } from './support/bed.mjs';

const bed = testBed();
const john = () => ({ name: 'John Doe', email: `${randomUUID()}@example.com` });
const sh = promisify(execFile);

test('LX-13: the lines of the README work as they are printed', async (t) => {
  const service = await bed.service(t, {}, ['--init']);
  const readme = fs.readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const lines = readme.match(/^curl .*$/gm);
  assert.equal(lines.length, 3);
  const run = async (line) => {
    const command = line.replaceAll('http://localhost:3000', service.url);
    const { stdout } = await sh('sh', ['-c', `${command} -s -w '\\n%{http_code}'`]);
    const [body, status] = stdout.split('\n');
    return { status: Number(status), json: JSON.parse(body) };
  };
  const [list, show, create] = lines;
  assert.deepEqual(await run(list), { status: 200, json: { users: [] } });
  assert.equal((await run(show)).status, 404);
  const created = await run(create);
  assert.equal(created.status, 201);
  assert.deepEqual(
    [created.json.message, created.json.user.name],
    ['User created successfully', 'John Doe'],
  );
  assert.equal((await run(create)).json.errorCode, 'CONFLICT');
  const insert = `insert into users values ('123e4567-e89b-12d3-a456-426614174000', 'Ada', 'ada@b.co', now(), now())`;
  await sql(insert);
  assert.equal((await run(show)).json.user.name, 'Ada');
});

/** In the service's database, past the service. */
const sql = (text, values) => bed.pg.sql(text, values, 'app');

test('LX-1: times are UTC whatever the time zones of server and process are', async (t) => {
  await sql(`alter role app set timezone = 'Asia/Tokyo'`);
  t.after(() => sql('alter role app reset timezone'));
  const service = await bed.service(t, { TZ: 'America/New_York' });
  const before = Date.now();
  const { id } = (await service.post(john())).json.user;
  const after = Date.now();
  const { user } = (await service.get(`/users/${id}`)).json;
  for (const time of [user.created_at, user.updated_at]) {
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(Date.parse(time) >= before - 1 && Date.parse(time) <= after + 1, time);
  }
  const [{ stored }] = await sql(
    `select to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as stored from users where id = $1`,
    [id],
  );
  assert.equal(user.created_at, stored);
});

test('lists at most 100 users, newest first', async (t) => {
  const service = await bed.service(t);
  await sql(`insert into users select gen_random_uuid(), 'User', i || '@many.co', now() - i * interval '1 day', now()
    from generate_series(1, 120) i`);
  t.after(() => sql(`delete from users where email like '%@many.co'`));
  const { users } = (await service.get('/users?page=2')).json;
  assert.equal(users.length, 100);
  const order = users.map(({ created_at }) => created_at);
  assert.deepEqual(order, order.toSorted().reverse());
});

test('LX-3: an invalid request reaches neither the database nor Secrets Manager', async (t) => {
  const service = await bed.service(t);
  const fetches = bed.secrets.fetches();
  for (const answer of [
    await service.post({ name: 'J' }),
    await service.post('{"name":'),
    await service.post(''),
    await service.get('/users/abc'),
    await service.get('/nothing'),
  ]) {
    assert.ok([400, 404].includes(answer.status));
  }
  assert.equal((await service.post('no JSON')).json.errorCode, 'MALFORMED_JSON');
  assert.equal(bed.secrets.fetches(), fetches);
  assert.deepEqual(await bed.backends(), []);
});

test('LX-5: each failure has its status and its code', async (t) => {
  const service = await bed.service(t);
  const user = john();
  assert.equal((await service.post(user)).status, 201);
  const table = [
    [await service.post(user), 409, 'CONFLICT', 'Email already in use'],
    [await service.get(`/users/${randomUUID()}`), 404, 'NOT_FOUND', 'User not found'],
    [
      await service.post(`{"name":"${'x'.repeat(1024 * 1024)}"}`),
      413,
      'PAYLOAD_TOO_LARGE',
      undefined,
    ],
    [await service.call('/users', { method: 'DELETE' }), 405, 'METHOD_NOT_ALLOWED', undefined],
  ];
  await sql('alter table users add constraint short check (length(name) < 9) not valid');
  table.push([
    await service.post({ ...john(), name: 'Too long a name' }),
    500,
    'INTERNAL_ERROR',
    'Failed to create user',
  ]);
  await sql(
    'alter table users drop constraint short, alter name type varchar(9) using left(name, 9)',
  );
  table.push([
    await service.post({ ...john(), name: 'Too long a name' }),
    400,
    'VALIDATION_ERROR',
    'Validation failed',
  ]);
  await sql('alter table users alter name type varchar(50)');
  const half = await service.post({ ...john(), name: 'half \ud83d' });
  table.push([half, 400, 'VALIDATION_ERROR', 'Validation failed']);
  await sql('alter table users rename to hidden');
  table.push([await service.get('/users'), 500, 'INTERNAL_ERROR', 'Failed to fetch users']);
  table.push([
    await service.get(`/users/${randomUUID()}`),
    500,
    'INTERNAL_ERROR',
    'Failed to fetch user',
  ]);
  const prod = await bed.service(t, { LAMBDA_ENV: 'prod' });
  table.push([await prod.get('/users'), 500, 'INTERNAL_ERROR', 'An unexpected error occurred']);
  await sql('alter table hidden rename to users');
  table.push([await prod.get('/users/abc'), 400, 'VALIDATION_ERROR', 'Validation failed']);
  for (const [{ status, json }, wanted, code, message] of table) {
    assert.deepEqual([status, json.errorCode], [wanted, code]);
    if (message !== undefined) assert.equal(json.errorMessage, message);
  }
});

test('LX-5: no database or no credentials is 503, and may be tried again', async (t) => {
  const { credentials } = bed;
  const secrets = [
    await bed.createSecret('unreachable', JSON.stringify({ ...credentials, port: 1 })),
    await bed.createSecret('no-json', `{"password":"${PASSWORD}`),
    await bed.createSecret('binary', undefined, { SecretBinary: Buffer.from(PASSWORD) }),
    'missing',
  ];
  for (const DB_SECRET_ID of secrets) {
    const service = await bed.service(t, { DB_SECRET_ID });
    const { status, json, headers } = await service.get('/users');
    assert.deepEqual([status, json.errorCode], [503, 'SERVICE_UNAVAILABLE'], DB_SECRET_ID);
    assert.equal(headers.get('retry-after'), '1');
  }
  const unset = await bed.service(t, { DB_SECRET_ID: undefined });
  assert.equal((await unset.post(john())).status, 503);
  assert.match(unset.output(), /DB_SECRET_ID environment variable is not set/);
});

test('LX-5: a server that takes no more connections is 503', async (t) => {
  await sql('alter role app connection limit 0');
  t.after(() => sql('alter role app connection limit -1'));
  const service = await bed.service(t);
  const { status, json } = await service.get('/users');
  assert.deepEqual([status, json.errorCode], [503, 'SERVICE_UNAVAILABLE']);
});

test('LX-5: an insert whose answer is lost is not called a failure', async (t) => {
  const proxy = await startProxy(bed.pg);
  t.after(() => proxy.close());
  const { hostname: host, port } = new URL(proxy.url(bed.pg.url));
  const through = { ...bed.credentials, host, port: Number(port) };
  const secret = await bed.createSecret('through-proxy', JSON.stringify(through));
  const service = await bed.service(t, { DB_SECRET_ID: secret });
  assert.equal((await service.get('/users')).status, 200);
  proxy.cutAt({ direction: 'toClient', text: 'INSERT 0 1', before: true });
  const user = john();
  const { status, json } = await service.post(user);
  assert.deepEqual([status, json.errorCode], [503, 'RESULT_UNKNOWN']);
  const stored = await sql('select from users where email = $1', [user.email]);
  assert.equal(stored.length, 1);
});

test('LX-7: five first requests at once make one fetch and one connection', async (t) => {
  const service = await bed.service(t);
  const fetches = bed.secrets.fetches();
  const answers = await Promise.all(Array.from({ length: 5 }, () => service.get('/users')));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  );
  assert.equal(bed.secrets.fetches() - fetches, 1);
  assert.equal((await bed.backends()).length, 1);
});

test('LX-8: a rotated password costs one fetch and no request', async (t) => {
  const service = await bed.service(t);
  assert.equal((await service.get('/users')).status, 200);
  const fetches = bed.secrets.fetches();
  const password = 'second-canary-password';
  await sql(`alter role app password '${password}'`);
  t.after(async () => {
    await sql(`alter role app password '${PASSWORD}'`);
    await bed.putSecret(bed.credentials);
  });
  await bed.putSecret({ ...bed.credentials, password });
  await bed.terminateAll();
  for (let n = 0; n < 20; n++) assert.equal((await service.get('/users')).status, 200);
  assert.equal(bed.secrets.fetches() - fetches, 1);
  assert.equal((await bed.backends()).length, 1);
  assert.equal(service.output().includes(password), false);
});

test('LX-8: a refused password without a newer one is 503, and Secrets Manager is left alone', async (t) => {
  const service = await bed.service(t);
  assert.equal((await service.get('/users')).status, 200);
  await sql(`alter role app password 'not in the secret yet'`);
  t.after(() => sql(`alter role app password '${PASSWORD}'`));
  await bed.terminateAll();
  const fetches = bed.secrets.fetches();
  for (let n = 0; n < 3; n++) assert.equal((await service.get('/users')).status, 503);
  const spent = bed.secrets.fetches() - fetches;
  assert.ok(spent >= 1 && spent <= 3, `${spent} fetches`);
  await sql(`alter role app password '${PASSWORD}'`);
  assert.equal((await service.get('/users')).status, 200);
});

test('a failing Secrets Manager does not disturb who has credentials', async (t) => {
  const service = await bed.service(t, { DB_SECRET_TTL_MS: '1' });
  assert.equal((await service.get('/users')).status, 200);
  bed.secrets.fail(true);
  t.after(() => bed.secrets.fail(false));
  for (let n = 0; n < 3; n++) assert.equal((await service.get('/users')).status, 200);
  assert.equal(service.output().match(/Using old credentials/g).length, 1);
});

test('LX-9: a warm connection costs one statement a request', async (t) => {
  const service = await bed.service(t);
  const get = async () => assert.equal((await service.get('/users')).status, 200);
  await get();
  await sql(`select 'from here'`);
  for (let n = 0; n < 100; n++) await get();
  await sql(`select 'to here'`);
  await waitFor(() => bed.pg.log.includes('to here'), { what: 'the end of the log' });
  const log = bed.pg.log.slice(bed.pg.log.lastIndexOf('from here'));
  assert.equal(log.match(/^app\|LOG: {2}(execute|statement)/gm).length, 100);
});

test('LX-10: connections that ended between two requests are replaced', async (t) => {
  const service = await bed.service(t);
  assert.equal((await service.get('/users')).status, 200);
  await bed.terminateAll();
  assert.equal((await service.get('/users')).status, 200);
  await bed.terminateAll();
  assert.equal((await service.post(john())).status, 201);
});

test('LX-11: a frozen service whose connection was reaped answers when it thaws', async (t) => {
  const service = await bed.service(t);
  assert.equal((await service.get('/users')).status, 200);
  const [{ name }] = await sql(
    `select application_name as name from pg_stat_activity where usename = 'app'`,
  );
  assert.match(name, /^s=users;i=[^;]+;e=\d+;g=/);
  process.kill(service.child.pid, 'SIGSTOP');
  await bed.terminateAll();
  const answer = service.get('/users');
  process.kill(service.child.pid, 'SIGCONT');
  assert.equal((await answer).status, 200);
  assert.equal((await bed.backends()).length, 1);
});

test('LX-12: an idle service ends at once and leaves no backend', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const service = await bed.service(t);
    assert.equal((await service.get('/users')).status, 200);
    assert.deepEqual(await service.stop(signal), { code: 0, by: null });
    await bed.gone();
  }
});

test('LX-12: running requests finish first', async (t) => {
  const service = await bed.service(t);
  assert.equal((await service.get('/users')).status, 200);
  const { Client } = await import('pg');
  const holder = new Client({
    host: bed.pg.host,
    port: bed.pg.port,
    user: bed.pg.user,
    database: 'app',
  });
  // A wait that fails ends the test's server under it, and is what should be heard of.
  holder.on('error', () => {});
  t.after(() => holder.end().catch(() => {}));
  await holder.connect();
  await holder.query('begin; lock table users');
  const answer = service.post(john());
  const waits = `select from pg_stat_activity where usename = 'app' and wait_event_type = 'Lock'`;
  await waitFor(async () => (await sql(waits)).length === 1, { what: 'the insert at the lock' });
  const ended = service.stop();
  const isRefused = () =>
    fetch(service.url).then(
      () => false,
      () => true,
    );
  await waitFor(isRefused, { what: 'the refusal of new requests' });
  await holder.end();
  assert.equal((await answer).status, 201);
  assert.deepEqual(await ended, { code: 0, by: null });
  await bed.gone();
});

test('LX-4: nothing printed or answered so far holds a password or the coordination secret', () => {
  const all = bed.printed();
  assert.ok(all.length > 1000, 'there is something to search');
  for (const canary of [PASSWORD, COORD_SECRET, 'second-canary-password']) {
    assert.equal(all.includes(canary), false);
  }
});
