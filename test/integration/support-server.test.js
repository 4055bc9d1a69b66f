// The private server that tests rely on: settings, logins, TLS, restart, kill, and nothing left behind.
'use strict';

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { Client } = require('pg');
const { startServer } = require('../support/server.js');
const { account, runAsServer } = require('../support/server-account.js');
const { freshDatabase, sharedServer } = require('../support/shared.js');
const { waitFor } = require('../support/wait.js');
const { withinReach } = require('../support/within-reach.js');

test('a server has the settings asked for and lets its roles in by their methods', async (t) => {
  const server = await startServer({ conf: { work_mem: '9MB', cluster_name: "o'hara" } });
  t.after(() => server.stop());
  const settings = await server.sql(
    `select current_setting('work_mem') as memory, current_setting('cluster_name') as cluster`,
  );
  assert.deepEqual(settings, [{ memory: '9MB', cluster: "o'hara" }]);
  for (const [user, password] of Object.entries(server.passwords)) {
    const login = { host: server.host, port: server.port, database: 'postgres', user };
    const client = new Client({ ...login, password });
    await client.connect();
    await client.end();
    const wrong = new Client({ ...login, password: 'wrong' }).connect();
    await assert.rejects(wrong, { code: '28P01' }, user);
  }
});

test('lines given for pg_hba.conf come before the usual ones', async (t) => {
  const server = await startServer({ hba: ['host all stranger all reject'] });
  t.after(() => server.stop());
  const stranger = new Client({ host: server.host, port: server.port, user: 'stranger' });
  await assert.rejects(stranger.connect(), { code: '28000' });
});

test('a TLS server proves itself with a certificate of its authority', async (t) => {
  const server = await startServer({ tls: true, hba: ['hostssl all postgres all cert'] });
  t.after(() => server.stop());
  const read = (file) => fs.readFileSync(file, 'utf8');
  const ssl = {
    ca: read(server.tls.ca),
    cert: read(server.tls.clientCert),
    key: read(server.tls.clientKey),
  };
  const { port, user } = server;
  const client = new Client({ host: 'localhost', port, user, database: 'postgres', ssl });
  await client.connect();
  const { rows } = await client.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
  assert.deepEqual(rows, [{ ssl: true }]);
  await client.end();
});

test('a TLS server starts whatever the umask', async () => {
  const start = `require('./test/support/server.js').startServer({ tls: true }).then((server) => server.stop())`;
  const command = 'umask 077; exec "$0" -e "$1"';
  const cwd = path.join(__dirname, '../..');
  await promisify(execFile)('sh', ['-c', command, process.execPath, start], { cwd });
});

test('programs in a folder that is closed to the account of the servers are run all the same', async (t) => {
  const closed = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-closed-'));
  t.after(() => fs.rmSync(closed, { recursive: true, force: true }));
  const folder = path.join(closed, 'with a space');
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'program'), '#!/bin/sh\necho it runs\n', { mode: 0o700 });
  const reached = await withinReach(folder, 'program');
  assert.equal(reached === folder, account.uid === undefined);
  assert.equal(await withinReach(folder, 'program'), reached);
  const { stdout } = await runAsServer(path.join(reached, 'program'), []);
  assert.equal(stdout, 'it runs\n');
});

test('a server keeps port and data over a restart and over kill −9', async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const { port } = server;
  await server.sql('create table kept (n int); checkpoint');
  await server.restart();
  await server.sql('insert into kept values (1)');
  await server.kill();
  await assert.rejects(server.sql('select'), { code: /^ECONNRE(FUSED|SET)$/ });
  await server.start();
  assert.deepEqual(await server.sql('select n from kept'), [{ n: 1 }]);
  assert.equal(server.port, port);
});

test('stop removes the folder and may be called twice', async () => {
  const server = await startServer();
  await server.stop();
  await server.stop();
  assert.equal(fs.existsSync(server.socketDir), false);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL']) {
  test(`a process that ends by ${signal} leaves no server and no folder`, async () => {
    const module = path.join(__dirname, '../support/server.js');
    const code = `require(${JSON.stringify(module)}).startServer().then((server) => {
      console.log(server.socketDir);
      setInterval(() => {}, 1000);
    })`;
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await Promise.race([
      new Promise((resolve) => child.stdout.once('data', (text) => resolve([String(text)]))),
      new Promise((_, reject) => child.once('exit', () => reject(new Error('ended early')))),
    ]);
    const folder = line.trim();
    const [pid] = fs.readFileSync(path.join(folder, 'data/postmaster.pid'), 'utf8').split('\n');
    child.kill(signal);
    await waitFor(() => !fs.existsSync(folder), { what: 'removal of the folder' });
    await waitFor(() => !isAlive(Number(pid)), { what: 'the end of the server' });
  });
}

/** A server that ended but was not yet collected by the system counts as gone. */
function isAlive(pid) {
  const file = `/proc/${pid}/stat`;
  return fs.existsSync(file) && !/\) Z /.test(fs.readFileSync(file, 'latin1'));
}

test('fresh databases of the shared server are empty, apart and dropped at the end', async (t) => {
  const server = await sharedServer();
  const names = [];
  await t.test('two of them', async (inner) => {
    const [one, two] = await Promise.all([freshDatabase(inner), freshDatabase(inner)]);
    names.push(one.database, two.database);
    assert.notEqual(one.database, two.database);
    const client = new Client({ connectionString: one.url });
    await client.connect();
    const { rows } = await client.query('select current_database() as name');
    assert.deepEqual(rows, [{ name: one.database }]);
    await client.end();
  });
  const client = new Client({ connectionString: server.url });
  await client.connect();
  const { rows } = await client.query('select from pg_database where datname = any ($1)', [names]);
  assert.equal(rows.length, 0);
  await client.end();
});
