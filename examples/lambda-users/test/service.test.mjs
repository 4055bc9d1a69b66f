// The service against a real PostgreSQL and a local Secrets Manager.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ServerlessClient } from 'pg-berth';
import { COORD_SECRET, PASSWORD, startProxy, testBed, waitFor } from './support/bed.mjs';
import { variants } from './support/events.mjs';

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
  const hidden = await prod.get('/users');
  assert.deepEqual(hidden.json, {
    errorMessage: 'An unexpected error occurred',
    errorCode: 'INTERNAL_ERROR',
  });
  const again = await prod.post({ ...john(), name: 'x' });
  assert.equal(again.json.errorData[0].property, 'name', 'below 500 nothing is hidden');
  await sql('alter table hidden rename to users');
  table.push([await prod.get('/users/abc'), 400, 'VALIDATION_ERROR', 'Validation failed']);
  for (const [{ status, json }, wanted, code, message] of table) {
    assert.deepEqual([status, json.errorCode], [wanted, code]);
    if (message !== undefined) assert.equal(json.errorMessage, message);
  }
});

/** A server that is starting, and says so to everybody. */
async function starting(t) {
  const fields = ['SFATAL', 'VFATAL', 'C57P03', 'Mthe database system is starting up'];
  const text = Buffer.from(`${fields.map((field) => `${field}\0`).join('')}\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeUInt32BE(text.length + 4, 1);
  return listener(t, (socket) =>
    socket.once('data', () => socket.end(Buffer.concat([head, text]))),
  );
}

/** @returns the port of a listener that does this with every connection */
async function listener(t, serve) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return server.address().port;
}

test('LX-5: a database that says nothing is 503 while somebody still waits for it', async (t) => {
  const port = await listener(t, () => {});
  const silent = JSON.stringify({ ...bed.credentials, host: '127.0.0.1', port });
  const service = await bed.service(t, { DB_SECRET_ID: await bed.createSecret('silent', silent) });
  const asked = performance.now();
  const { status, json } = await service.get('/users');
  const waited = performance.now() - asked;
  assert.deepEqual([status, json.errorCode], [503, 'SERVICE_UNAVAILABLE']);
  // Four attempts of two seconds each would be eight.
  assert.ok(waited < 6000, `answered after ${waited} ms`);
});

test('LX-5: a secret that is wrong is 503, and not kept once it was mended', async (t) => {
  const { credentials } = bed;
  const SecretId = await bed.createSecret(
    'mended',
    JSON.stringify({ ...credentials, port: 'abc' }),
  );
  const service = await bed.service(t, { DB_SECRET_ID: SecretId });
  assert.equal((await service.get('/users')).status, 503);
  await bed.putSecret(credentials, SecretId);
  assert.equal((await service.get('/users')).status, 200);
  const weak = await bed.service(t, { COORD_SECRET: 'too short' });
  const { status, json } = await weak.get('/users');
  assert.deepEqual([status, json.errorCode], [503, 'SERVICE_UNAVAILABLE']);
  assert.match(weak.output(), /COORD_SECRET has less than 16 bytes/);
  assert.equal(weak.output().includes('too short'), false);
});

test('LX-5: no database or no credentials is 503, and may be tried again', async (t) => {
  const { credentials } = bed;
  const secrets = [
    await bed.createSecret('unreachable', JSON.stringify({ ...credentials, port: 1 })),
    await bed.createSecret('no-json', `{"password":"${PASSWORD}`),
    await bed.createSecret('starting', JSON.stringify({ ...credentials, port: await starting(t) })),
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
  const began = performance.now();
  for (let n = 0; n < 10; n++) assert.equal((await service.get('/users')).status, 503);
  const spent = bed.secrets.fetches() - fetches;
  // The waits between them are 200 ms, 400 ms, 800 ms …
  const most = 1 + Math.floor(Math.log2((performance.now() - began) / 200 + 1));
  assert.ok(spent >= 1 && spent <= most, `${spent} fetches, ${most} at most`);
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

test('LX-11: a frozen service whose lease is over and whose connection was reaped answers when it thaws', async (t) => {
  const service = await bed.service(t, { DB_LEASE_TTL_MS: '2000' });
  assert.equal((await service.get('/users')).status, 200);
  const [pid] = await bed.backends();
  const [{ name }] = await sql(
    `select application_name as name from pg_stat_activity where usename = 'app'`,
  );
  assert.match(name, /^s=users;i=[^;]+;e=\d+;g=/);
  process.kill(service.child.pid, 'SIGSTOP');
  let killed = 0;
  const member = new ServerlessClient({
    ...{ ...bed.credentials, secret: COORD_SECRET, serviceName: 'users' },
    ...{ reaperCooldownMs: 50, minConnectionIdleTimeSec: 0 },
    hooks: {
      onReap: (pass) => {
        killed += pass.killed;
      },
    },
  });
  t.after(() => member.end());
  await waitFor(() => member.query('select 1').then(() => killed === 1), { what: 'the reaper' });
  await member.end();
  await waitFor(async () => !(await bed.backends()).includes(pid), { what: 'the end of it' });
  const answer = service.get('/users');
  process.kill(service.child.pid, 'SIGCONT');
  assert.equal((await answer).status, 200);
  assert.equal((await bed.backends()).length, 1);
});

test('LX-12: an idle service ends within half a second and leaves no backend', async (t) => {
  const times = [];
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM', 'SIGINT']) {
    const service = await bed.service(t);
    assert.equal((await service.get('/users')).status, 200);
    const { ms, ...end } = await service.stop(signal);
    assert.deepEqual(end, { code: 0, by: null });
    times.push(ms);
    await bed.gone();
  }
  // The machine may have been busy with something else once, and not every time.
  assert.ok(Math.min(...times) < 500, `it took ${times.map(Math.round)} ms`);
});

test('LX-12: a request that does not end is waited for ten seconds', async (t) => {
  const service = await bed.service(t);
  const { port } = new URL(service.url);
  const client = net.connect(Number(port), '127.0.0.1');
  t.after(() => client.destroy());
  client.on('error', () => {});
  // Its body never comes.
  client.write(
    'POST /users HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
  );
  const [answer] = await once(client, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 100/);
  const { ms, ...end } = await service.stop();
  assert.deepEqual(end, { code: 0, by: null });
  assert.ok(ms > 9900 && ms < 20_000, `it took ${ms} ms`);
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
  const { code, by } = await ended;
  assert.deepEqual([code, by], [0, null]);
  await bed.gone();
});

// In this process, whose passes of the reaper it counts among: behind the test that waits for one.
test('LX-6: a request that succeeds has the same answer as every event', async (t) => {
  const environment = bed.environment();
  const before = Object.keys(environment).map((name) => [name, process.env[name]]);
  Object.assign(process.env, environment);
  const { handler } = await import('../dist/handler.js');
  const { close } = await import('../dist/db.js');
  t.after(async () => {
    await close();
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  const answers = async (method, path, body) => {
    const all = [];
    for (const event of variants(method, path, body)) all.push(await handler(event, {}));
    return all;
  };
  const email = `${randomUUID()}@example.com`;
  const [created, ...refused] = await answers(
    'POST',
    '/users',
    JSON.stringify({ name: 'Zoë', email }),
  );
  assert.equal(created.statusCode, 201);
  for (const answer of refused) assert.deepEqual(answer, refused[0]);
  assert.equal(refused[0].statusCode, 409);
  const { user } = JSON.parse(created.body);
  assert.equal(user.name, 'Zoë');
  for (const path of [`/users/${user.id}`, '/users']) {
    const [first, ...others] = await answers('GET', path);
    assert.equal(first.statusCode, 200);
    for (const answer of others) assert.deepEqual(answer, first);
  }
});

test('LX-4: nothing printed or answered so far holds a password or the coordination secret', () => {
  const all = bed.printed();
  assert.ok(all.length > 1000, 'there is something to search');
  for (const canary of [PASSWORD, COORD_SECRET, 'second-canary-password']) {
    assert.equal(all.includes(canary), false);
  }
});
