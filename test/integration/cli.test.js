// The command pg-berth on a real server: leases, reap, doctor, for people and for programs.
'use strict';

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { Client } = require('pg');
const { LeaseManager, Reaper } = require('../../lib/index.js');
const { testDatabase } = require('../support/pools.js');
const { SECRET, openServerless } = require('../support/serverless.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const db = testDatabase();
const BIN = path.join(__dirname, '..', '..', 'bin', 'pg-berth.js');

/** @returns {Promise<{ code: number, stdout: string, stderr: string }>} */
function run(args, env = {}) {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [BIN, ...args],
      { env: { ...process.env, DATABASE_URL: db.url, ...env } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

async function zombie(t, service) {
  const name = new LeaseManager(service, 'AbCd_-19', SECRET).generateAppName(Date.now() - 1000);
  const client = new Client({ connectionString: db.url, application_name: name });
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.end().catch(() => {}));
  return (await client.query('select pg_backend_pid() as pid')).rows[0].pid;
}

test('leases shows who holds what, and what the claim is worth', async (t) => {
  const { client } = openServerless(t, {
    connectionString: db.url,
    serviceName: 'shop',
    reaper: false,
  });
  await client.connect();
  const pid = await zombie(t, 'shop');
  const { code, stdout } = await run(['leases', '--service', 'shop', '--json'], {
    PG_BERTH_SECRET: SECRET,
  });
  const found = JSON.parse(stdout);
  assert.deepEqual(found.map(({ lease, signature }) => `${lease} ${signature}`).sort(), [
    'expired right',
    'live right',
  ]);
  assert.equal(found.find(({ lease }) => lease === 'expired').pid, pid);
  assert.equal(code, 1);
  const wrong = await run(['leases', '--service', 'shop', '--json'], {
    PG_BERTH_SECRET: 'another secret of sufficient length',
  });
  assert.ok(JSON.parse(wrong.stdout).every(({ lease }) => lease === 'none'));
  const text = await run(['leases', '--service', 'shop']);
  assert.match(text.stdout, /^service +instance +pid +role +from [^\n]+signature\nshop /);
  assert.match(text.stdout, / 127\.0\.0\.1 /);
  assert.ok(found.every(({ client: from }) => from === '127.0.0.1'));
  assert.match(text.stdout, /unchecked/);
});

test('leases finds a service by its name, however its leases shorten it', async (t) => {
  const serviceName = 'orders service of the production environment';
  const { client } = openServerless(t, { connectionString: db.url, serviceName, reaper: false });
  await client.connect();
  const found = JSON.parse((await run(['leases', '--service', serviceName, '--json'])).stdout);
  assert.deepEqual(
    found.map(({ lease }) => lease),
    ['live'],
  );
  const again = await run(['leases', '--service', found[0].service, '--json']);
  assert.equal(JSON.parse(again.stdout).length, 1);
});

test('reap ends what has expired, and says so', async (t) => {
  const pid = await zombie(t, 'cron');
  const { code, stdout, stderr } = await run(
    ['reap', '--service', 'cron', '--min-idle', '0', '--json'],
    { PG_BERTH_SECRET: SECRET },
  );
  assert.deepEqual([stderr, code], ['', 0]);
  const { locked, killed, candidates } = JSON.parse(stdout);
  assert.deepEqual({ locked, killed, candidates }, { locked: true, killed: 1, candidates: 1 });
  const gone = async () =>
    (await db.sql('select from pg_stat_activity where pid = $1', [pid])).length === 0;
  await waitFor(gone, { what: 'the end of the zombie' });
  const reap = ['reap', '--service', 'cron', '--min-idle', '0'];
  const idle = await run(reap, { PG_BERTH_SECRET: SECRET });
  assert.deepEqual([idle.code, idle.stderr], [0, '']);
  assert.match(idle.stdout, /^nothing to end: no connection of cron has expired/);
  await zombie(t, 'cron');
  const one = await run(reap, { PG_BERTH_SECRET: SECRET });
  assert.equal(one.stdout, '1 of 1 expired connection ended\n');
  await db.sql(`select pg_advisory_lock(${Reaper.LOCK_NS}, hashtext('cron'))`);
  const busy = await run(reap, { PG_BERTH_SECRET: SECRET });
  await db.sql('select pg_advisory_unlock_all()');
  assert.match(busy.stdout, /^another reaper of cron is at work/);
  assert.equal(busy.code, 1);
});

test('doctor looks at everything leases depend on', async () => {
  const { stdout } = await run(['doctor', '--json']);
  const findings = JSON.parse(stdout);
  assert.deepEqual(
    findings.map(({ check }) => check),
    ['server', 'TLS', 'pooler', 'sees others', 'may end others', 'clock', 'round trip', 'driver'],
  );
  const said = findings.at(-1)?.found;
  assert.match(
    said,
    /^(loop: the event loop reads|engine: (sockets are lent|Node .* lends no sockets))/,
  );
  const told = await run(['doctor', '--json'], { PG_BERTH_DRIVER: 'engine' });
  assert.equal(JSON.parse(told.stdout).at(-1).found, 'engine: PG_BERTH_DRIVER is engine');
  assert.match(findings[0].found, /^PostgreSQL \d+/);
  assert.deepEqual(
    findings.slice(1, 5).map(({ isWell }) => isWell),
    [true, true, true, true],
  );
  // Programs read JSON: what is well has no advice, and a server that is new enough none to upgrade.
  for (const { check, isWell, advice } of findings) assert.equal(isWell, advice === '', check);
  assert.deepEqual([findings[0].isWell, findings[0].advice], [true, '']);
  // Of parameters that only some faces know.
  const text = await run(['doctor'], { DATABASE_URL: `${db.url}?ssl=false` });
  assert.match(text.stdout, /check +found/);
});

test('doctor wants no privileges for a fleet of one role, and says when there is another', async (t) => {
  const role = `cli_doctor_${process.pid}`;
  await db.sql(`create role ${role} login`);
  t.after(() => db.sql(`drop role ${role}`));
  const url = new URL(db.url);
  url.username = role;
  const privileges = async () => {
    const { stdout } = await run(['doctor', '--json'], { DATABASE_URL: url.href });
    return JSON.parse(stdout).filter(({ check }) => check.endsWith('others'));
  };
  const alone = await privileges();
  assert.deepEqual(
    alone.map(({ found, isWell }) => [found, isWell]),
    Array(2).fill(['only of the same role, and there is no lease of another', true]),
  );
  await zombie(t, 'others');
  const [sees, ends] = await privileges();
  assert.deepEqual([sees.isWell, ends.isWell], [false, false]);
  assert.equal(sees.found, 'only of the same role, and 1 lease is of another');
});

test('what cannot be done is said in one line, without secrets, with exit code 2', async () => {
  for (const [args, env, message] of [
    [['reap'], {}, /reap needs --service/],
    [['reap', '--service', 'x'], { PG_BERTH_SECRET: '' }, /needs the secret/],
    [['reap', '--service', 'x'], { PG_BERTH_SECRET: 'canary' }, /too short/],
    [
      ['doctor'],
      { DATABASE_URL: 'postgres://u:canary@127.0.0.1:1/x' },
      /^pg-berth: connect ECONNREFUSED 127\.0\.0\.1:1\n$/,
    ],
    [
      ['leases', '--frobnicate'],
      {},
      /^pg-berth: Unknown option '--frobnicate'; see pg-berth --help\n$/,
    ],
    [['dance'], {}, /unknown command "dance", it must be one of doctor, leases, reap/],
    [[], {}, /no command given, it must be one of/],
    [['leases', 'reap'], {}, /one command at a time; "reap"/],
    [['reap', '--min-idle', 'soon'], {}, /--min-idle must be a number of seconds/],
    [['reap', '--min-idle', '1e308'], {}, /--min-idle must be a number of seconds from 0 to \d+$/m],
    [['reap', '--service', ''], { PG_BERTH_SECRET: SECRET }, /--service is empty/],
    [['leases', '--url', ''], {}, /--url is empty/],
    [['leases', '--url', 'canary'], {}, /--url is no URL of a database/],
    [['leases'], { DATABASE_URL: 'host=canary' }, /DATABASE_URL is no URL of a database/],
  ]) {
    const { code, stderr } = await run(args, env);
    assert.equal(code, 2);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /canary/);
  }
  const { version } = require('../../package.json');
  assert.deepEqual(await run(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
  const help = await run(['-h']);
  assert.equal(help.code, 0);
  assert.match(
    help.stdout,
    /^pg-berth <command>[\s\S]+Exit codes\n {2}0 [\s\S]+\n {2}1 [\s\S]+\n {2}2 /,
  );
});

test('who stops reading gets no error of the command', async () => {
  const child = spawn(process.execPath, [BIN, '--help']);
  child.stdout.destroy();
  let said = '';
  child.stderr.on('data', (data) => {
    said += data;
  });
  const [code] = await once(child, 'close');
  assert.deepEqual([code, said], [0, '']);
});

test('a server that falls silent behind the login is given up', async (t) => {
  const { hostname, port } = new URL(db.url);
  const sockets = new Set();
  let isSilent = false;
  const relay = net.createServer((client) => {
    const server = net.connect(Number(port), hostname);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ]) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => to.destroy());
      from.on('data', (data) => {
        isSilent ||= data.includes('pg_stat_activity') || data.includes('server_version_num');
        if (!isSilent) to.write(data);
      });
    }
  });
  await once(relay.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  const url = new URL(db.url);
  url.host = `127.0.0.1:${relay.address().port}`;
  const { code, stderr, stdout } = await run(['doctor'], { DATABASE_URL: url.href });
  assert.deepEqual([code, stdout], [2, '']);
  const said = `pg-berth: ${url.host}: Query read timeout after 5000 ms (ERR_QUERY_TIMEOUT)\n`;
  assert.equal(stderr, said);
});

test('what a server says before anybody knows it gives a terminal no control characters', async (t) => {
  const error = 'SFATAL\0C28000\0Mgo \u001b[31maway\u0007\0\0';
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(4 + error.length);
      socket.end(Buffer.concat([Buffer.from('E'), length, Buffer.from(error)]));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const url = `postgres://u@127.0.0.1:${server.address().port}/d`;
  const { code, stderr } = await run(['doctor'], { DATABASE_URL: url });
  assert.equal(code, 2);
  assert.match(stderr, /^pg-berth: .*go \?\[31maway\? \(28000\)\n$/);
});

test('without an engine the command says so in words, and ends with 2', async () => {
  const { code, stdout, stderr } = await run(['doctor'], { PG_BERTH_BINARY: '/nowhere.node' });
  assert.deepEqual([code, stdout], [2, '']);
  assert.match(stderr, /^pg-berth has no engine for .*\/nowhere\.node/s);
  assert.doesNotMatch(stderr, /^ +at /m);
});
