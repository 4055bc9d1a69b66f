// Where settings come from and which wins: options, connection string, service file, variables (rules CP-40 to CP-44).
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before } = require('node:test');
const { promisify } = require('node:util');
const { createPool } = require('../../lib/index.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { withVariables } = require('../support/variables.js');

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {string} */
let folder;

before(async () => {
  server = await startServer({ hba: ['host all "odd:user\\" all scram-sha-256'] });
  folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'pg-berth-settings-'));
});
after(async () => {
  fs.rmSync(folder, { recursive: true });
  await server.stop();
});

/** Who one is, under which name, with which settings. */
async function session(options) {
  const pool = createPool(options);
  try {
    const [row] = await pool.query(`select current_user as user, current_database() as database,
      current_setting('application_name') as name, current_setting('work_mem') as memory,
      current_setting('TimeZone') as zone, current_setting('DateStyle') as style`);
    return row;
  } finally {
    await pool.end();
  }
}

const address = () => ({ PGHOST: server.host, PGPORT: String(server.port) });

function file(name, text, mode = 0o600) {
  const at = path.join(folder, name);
  fs.writeFileSync(at, text, { mode });
  fs.chmodSync(at, mode);
  return at;
}

test('CP-42: variables alone make a connection', async () => {
  const variables = {
    ...address(),
    PGUSER: 'scram_user',
    PGPASSWORD: server.passwords.scram_user,
    PGDATABASE: 'postgres',
    PGAPPNAME: 'from variables',
    PGOPTIONS: '-c work_mem=7MB',
    PGTZ: 'Asia/Tokyo',
    PGDATESTYLE: 'ISO, DMY',
  };
  assert.deepEqual(
    { ...(await withVariables(variables, () => session())) },
    {
      user: 'scram_user',
      database: 'postgres',
      name: 'from variables',
      memory: '7MB',
      zone: 'Asia/Tokyo',
      style: 'ISO, DMY',
    },
  );
});

test('CP-42: variables are read when the pool is made, neither at load nor later', async () => {
  const pool = await withVariables({ ...address(), PGUSER: 'postgres', PGAPPNAME: 'then' }, () =>
    createPool({ database: 'postgres', maxUses: 1 }),
  );
  for (let round = 0; round < 2; round++) {
    const [row] = await pool.query("select current_setting('application_name') as name");
    assert.equal(row.name, 'then');
  }
  await pool.end();
});

test('CP-41: option over connection string over service over variable', async () => {
  const PGSERVICEFILE = file(
    'service.conf',
    '[here]\napplication_name=service\ndbname=template1\nuser=md5_user\noptions=-c work_mem=5MB\n',
  );
  const variables = {
    ...address(),
    PGSERVICEFILE,
    PGSERVICE: 'here',
    PGUSER: 'nobody_at_all',
    PGDATABASE: 'nowhere_at_all',
    PGAPPNAME: 'variable',
    PGPASSWORD: server.passwords.md5_user,
  };
  const expected = { user: 'md5_user', database: 'template1', name: 'service', memory: '5MB' };
  await withVariables(variables, async () => {
    const seen = await session();
    assert.deepEqual({ ...expected }, { ...expected, ...pick(seen, expected) });
    const text = await session('postgres:///postgres?application_name=text');
    assert.equal(text.name, 'text');
    assert.equal(text.database, 'postgres');
    assert.equal(text.memory, '5MB');
    const option = await session({
      connectionString: 'postgres:///postgres?application_name=text',
      applicationName: 'option',
      service: 'here',
    });
    assert.equal(option.name, 'option');
    assert.equal(option.database, 'postgres');
    assert.throws(() => createPool({ service: 'elsewhere' }), /"service" names a service that no/);
    assert.throws(() => createPool('service=elsewhere'), /"service" names a service that no/);
  });
});

const pick = (row, like) => Object.fromEntries(Object.keys(like).map((key) => [key, row[key]]));

test('CP-43: the password file gives the password of the first line that fits', async () => {
  const { host, port, passwords } = server;
  const passfile = file(
    'pass',
    `# comment\nelsewhere:*:*:*:wrong\n${host}:${port}:*:scram_user:${passwords.scram_user}\n*:*:*:*:wrong\n`,
  );
  const base = { host, port, database: 'postgres', user: 'scram_user' };
  assert.equal((await session({ ...base, passfile })).user, 'scram_user');
  const inText = `host=${host} port=${port} dbname=postgres user=scram_user passfile='${passfile}'`;
  assert.equal((await session(inText)).user, 'scram_user');
  await withVariables({ PGPASSFILE: passfile }, async () => {
    assert.equal((await session(base)).user, 'scram_user');
    await assert.rejects(session({ ...base, user: 'md5_user' }), { code: '28P01' });
    // A password from anywhere else wins.
    await assert.rejects(session({ ...base, password: 'wrong' }), { code: '28P01' });
  });
});

test('CP-43: its fields are five, * fits all, \\: and \\\\ are what they stand for, and each host has its own line', async () => {
  const { host, port } = server;
  await server.sql(`create role "odd:user\\" login password 'p:w\\d'`);
  await server.sql('create database "odd:base"');
  const odd = { host, port, user: 'odd:user\\', database: 'odd:base' };
  const right = String.raw`p\:w\\d`;
  for (const [line, isRight] of /** @type {[string, boolean][]} */ ([
    [String.raw`${host}:${port}:odd\:base:odd\:user\\:${right}`, true],
    [`*:*:*:*:${right}`, true],
    // Its colon ends the field only where the name ends as well, as in libpq.
    [`*:*:odd:base:*:${right}`, true],
    [`*:*:odd:*:${right}`, false],
    [`*:${port + 1}:*:*:${right}`, false],
    [`*:*:postgres:*:${right}`, false],
    [String.raw`*:*:*:odd\:user:${right}`, false],
    [String.raw`*:*:*:*:p:w\d`, false],
    [`*:*:*:*:wrong\n*:*:*:*:${right}`, false],
    [`*:${port + 1}:*:*:wrong\n*:*:*:*:${right}`, true],
  ])) {
    const passfile = file('odd', `${line}\n`);
    const seen = await session({ ...odd, passfile }).then(
      ({ user }) => user === odd.user,
      ({ code }) => !['28P01', 'ERR_AUTH'].includes(code),
    );
    assert.equal(seen, isRight, line);
  }
  // The password of one host is not shown to the other.
  const passfile = file('hosts', `localhost:*:*:*:wrong\n${host}:*:*:*:${right}\n`);
  const pool = createPool({ ...odd, host: undefined, hosts: ['localhost', host], passfile });
  assert.equal((await pool.query('select current_user as user'))[0].user, odd.user);
  await pool.end();
  await assert.rejects(session({ ...odd, host: 'localhost', passfile }), { code: '28P01' });
});

test('CP-43: a password file that others can read is ignored with a warning', async (t) => {
  const passfile = file('open', `*:*:*:*:${server.passwords.scram_user}\n`, 0o644);
  const warnings = [];
  const listen = (warning) => warnings.push(warning);
  process.on('warning', listen);
  t.after(() => process.off('warning', listen));
  const { host, port } = server;
  await assert.rejects(
    session({ host, port, database: 'postgres', user: 'scram_user', passfile }),
    {
      code: 'ERR_AUTH',
      message: /no password is set/,
    },
  );
  assert.equal(warnings.length, 1);
  assert.match(warnings[0].message, /is ignored: group or others have access/);
  assert.ok(!warnings[0].message.includes(server.passwords.scram_user));
});

test('CP-40, CP-45: sockets in a folder, encoded, as a parameter, or by PGHOST', async () => {
  const { socketDir, port } = server;
  const encoded = encodeURIComponent(socketDir);
  for (const options of [
    { host: socketDir, port, user: 'postgres', database: 'postgres' },
    { hosts: [socketDir], port, user: 'postgres', database: 'postgres' },
    `postgres://postgres@${encoded}:${port}/postgres`,
    `postgres://postgres@/postgres?host=${encoded}&port=${port}`,
    `host=${socketDir} port=${port} user=postgres dbname=postgres`,
  ]) {
    assert.equal((await session(options)).user, 'postgres');
  }
  const variables = { PGHOST: socketDir, PGPORT: String(port) };
  await withVariables(variables, async () => {
    assert.equal((await session('postgres://postgres@/postgres')).user, 'postgres');
  });
});

test('CP-45: @ is a socket without a file', async (t) => {
  if (process.platform !== 'linux') return t.skip('only Linux has them');
  const name = `@pg-berth-${process.pid}`;
  const own = await startServer({ sockets: [name] });
  t.after(() => own.stop());
  const { port } = own;
  for (const options of [
    { hosts: [name], port, user: 'postgres', database: 'postgres' },
    `host=${name} port=${port} user=postgres dbname=postgres`,
    `postgres://postgres@/postgres?host=${encodeURIComponent(name)}&port=${port}`,
  ]) {
    assert.equal((await session(options)).user, 'postgres');
  }
});

test('CP-44: a section of the own file comes before that of the system, and none may name another service', async () => {
  const system = path.join(folder, 'system');
  fs.mkdirSync(system);
  fs.writeFileSync(
    path.join(system, 'pg_service.conf'),
    '[both]\napplication_name=system\nuser=nobody_at_all\n[there]\napplication_name=system\n',
  );
  const own = '[both]\napplication_name=own\n[nested]\nservice=both\n[unknown]\nno_such_key=1\n';
  const variables = { PGSYSCONFDIR: system, PGSERVICEFILE: file('own.conf', own) };
  const base = { host: server.host, port: server.port, database: 'postgres', user: 'postgres' };
  await withVariables(variables, async () => {
    assert.equal((await session({ ...base, service: 'both' })).name, 'own');
    assert.equal((await session({ ...base, service: 'there' })).name, 'system');
    for (const service of ['nested', 'unknown', 'nowhere'])
      assert.throws(() => createPool({ ...base, service }), { code: 'ERR_CONFIG' }, service);
  });
});

test('CP-42, CP-43, CP-44: the files at home are found where nothing is named', async () => {
  const { host, port, passwords } = server;
  const home = path.join(folder, 'home');
  fs.mkdirSync(home);
  fs.writeFileSync(path.join(home, '.pgpass'), `*:*:*:*:${passwords.scram_user}\n`, {
    mode: 0o600,
  });
  fs.writeFileSync(
    path.join(home, '.pg_service.conf'),
    `[mine]\nhost=${host}\nport=${port}\nuser=scram_user\ndbname=postgres\n`,
  );
  const index = path.join(__dirname, '../../lib/index.js');
  // os.userInfo() is the one source for home; a process of its own gets another.
  const code = `
    const os = require('node:os');
    const info = os.userInfo();
    os.userInfo = () => ({ ...info, homedir: ${JSON.stringify(home)} });
    const { createPool } = require(${JSON.stringify(index)});
    const pool = createPool('service=mine');
    pool.query('select current_user as who').then(([row]) => { console.log(row.who); return pool.end(); });
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', code]);
  assert.equal(stdout.trim(), 'scram_user');
});
