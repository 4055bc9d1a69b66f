// Every variable of rule CP-42 by what it changes: what a pool sees with it, and that it sees something else without it.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { after, before } = require('node:test');
const { createPool } = require('../../lib/index.js');
const { startTlsServer } = require('../support/authority.js');
const { test } = require('../support/timed-test.js');
const { withVariables } = require('../support/variables.js');

/** @type {Awaited<ReturnType<typeof startTlsServer>>} */
let tls;
/** @type {import('../support/authority.js').Pair} */
let client;
/** @type {string} */
let revoked;

before(async () => {
  tls = await startTlsServer({
    conf: { timezone: 'UTC' },
    hba: ['hostssl all certuser all cert'],
  });
  const { authority, right, server } = tls;
  await server.sql('create role certuser login');
  client = await authority.issue('certuser', { extensions: ['extendedKeyUsage=clientAuth'] });
  await authority.revoke(right);
  revoked = await authority.list();
});
after(() => tls.server.stop());

/** What a server saw first of somebody who logs in. @type {net.Server} */
let listener;
before(async () => {
  listener = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (bytes) => {
      opening = {
        opening: bytes[0] === 22 ? 'a handshake' : 'a question',
        server: bytes.includes('localhost') ? 'named' : 'not named',
      };
      socket.destroy();
    });
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
});
after(() => once(listener.close(), 'close'));
/** @type {{ opening: string, server: string } | undefined} */
let opening;

/** One that takes connections and says nothing. @type {net.Server} */
let silent;
/** @type {net.Socket[]} */
const swallowed = [];
before(async () => {
  silent = net.createServer((socket) => swallowed.push(socket.on('error', () => {})));
  await once(silent.listen(0, '127.0.0.1'), 'listening');
});
after(async () => {
  for (const socket of swallowed) socket.destroy();
  await once(silent.close(), 'close');
});

const portOf = (server) => String(/** @type {net.AddressInfo} */ (server.address()).port);

function file(name, text) {
  const at = tls.authority.file(name, 'conf');
  fs.writeFileSync(at, text, { mode: 0o600 });
  return at;
}

const SESSION = `
  select current_user as user, current_database() as database, current_setting('application_name') as name,
    current_setting('work_mem') as memory, current_setting('TimeZone') as zone, current_setting('DateStyle') as style,
    inet_server_addr() is null as socket, inet_server_port() as port, ssl, version, client_dn as client
  from pg_stat_ssl where pid = pg_backend_pid()`;

/** What a pool sees that has its settings from variables: its session, or why it has none, and what it said first. */
async function seen(options) {
  opening = undefined;
  let pool;
  try {
    pool = createPool({ mode: 'any', acquireTimeoutMs: 1500, ...options });
    const [session] = await pool.query(SESSION);
    return { ...session };
  } catch (error) {
    return { error: error.message, ...opening };
  } finally {
    await pool?.end();
  }
}

/** On which sides thirty connections in a row are. */
async function sides() {
  const pool = createPool({ mode: 'any', poolSize: 1, maxUses: 1 });
  const found = new Set();
  for (let round = 0; round < 30; round++) {
    const [{ socket }] = await pool.query('select inet_server_addr() is null as socket');
    found.add(socket);
  }
  await pool.end();
  return { sides: found.size };
}

/**
 * A variable with its value; what is seen with it and, in the same place, without; other variables that are set beside it;
 * how one looks. Of what is seen only what is named here counts.
 * @typedef {[name: string, value: string, sees: object, otherwise: object, beside?: Record<string, string | undefined>,
 *   look?: () => Promise<any>]} Case
 */

/** @returns {Case[]} one a line, however long */
function cases() {
  const { authority, server } = tls;
  const { passwords, socketDir } = server;
  const md5 = { PGPASSWORD: passwords.md5_user };
  const scram = { PGUSER: 'scram_user' };
  const password = passwords.scram_user;
  const noPassword = { error: /no password is set/ };
  const service = file('service', '[mine]\napplication_name=service\n');
  const folder = path.join(socketDir, 'system');
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'pg_service.conf'), '[mine]\napplication_name=system\n');
  const named = { PGSERVICE: 'mine' };
  const noService = { error: /"PGSERVICE" names a service that no/ };
  const trusted = { PGSSLMODE: 'verify-full', PGSSLROOTCERT: authority.cert };
  const asClient = { PGUSER: 'certuser', PGSSLMODE: 'require' };
  const { cert, key } = client;
  const listening = { PGPORT: portOf(listener), PGSSLMODE: 'require' };
  const twoSides = { PGHOST: `${socketDir},127.0.0.1`, PGSSLMODE: 'disable' };
  const fails = (error) => ({ error });
  return [
    ['PGHOST', socketDir, { socket: true }, { socket: false }],
    ['PGHOSTADDR', '127.0.0.1', { socket: false }, fails(/nowhere/), { PGHOST: 'nowhere.invalid' }],
    ['PGPORT', String(server.port), { port: server.port }, fails(/localhost:5432/)],
    ['PGDATABASE', 'template1', { database: 'template1' }, { database: 'postgres' }],
    ['PGUSER', 'md5_user', { user: 'md5_user' }, fails(/role ".*" does not exist/), md5],
    ['PGPASSWORD', password, { user: 'scram_user' }, noPassword, scram],
    [
      'PGPASSFILE',
      file('pass', `*:*:*:*:${password}\n`),
      { user: 'scram_user' },
      noPassword,
      scram,
    ],
    ['PGSERVICE', 'mine', { name: 'service' }, { name: '' }, { PGSERVICEFILE: service }],
    ['PGSERVICEFILE', service, { name: 'service' }, noService, named],
    ['PGSYSCONFDIR', folder, { name: 'system' }, noService, named],
    ['PGOPTIONS', '-c work_mem=7MB', { memory: '7MB' }, { memory: '4MB' }],
    ['PGAPPNAME', 'mine', { name: 'mine' }, { name: '' }],
    [
      'PGCONNECT_TIMEOUT',
      '1',
      fails(/within 1000ms/),
      fails(/no connection available within 1500ms/),
      { PGPORT: portOf(silent) },
    ],
    ['PGCLIENTENCODING', 'LATIN1', fails(/"PGCLIENTENCODING" must be utf8/), { user: 'postgres' }],
    ['PGTZ', 'Asia/Tokyo', { zone: 'Asia/Tokyo' }, { zone: 'UTC' }],
    ['PGDATESTYLE', 'ISO, DMY', { style: 'ISO, DMY' }, { style: 'ISO, MDY' }],
    [
      'PGTARGETSESSIONATTRS',
      'standby',
      fails(/no standby available/),
      { user: 'postgres' },
      {},
      () => seen({ mode: undefined }),
    ],
    ['PGLOADBALANCEHOSTS', 'disable', { sides: 1 }, { sides: 2 }, twoSides, sides],
    ['PGREQUIREAUTH', 'scram-sha-256', fails(/which requireAuth excludes/), { user: 'postgres' }],
    ['PGCHANNELBINDING', 'require', fails(/channel binding is required/), { user: 'postgres' }],
    ['PGSSLMODE', 'disable', { ssl: false }, { ssl: true }],
    [
      'PGSSLNEGOTIATION',
      'direct',
      { opening: 'a handshake' },
      { opening: 'a question' },
      listening,
    ],
    [
      'PGSSLROOTCERT',
      authority.cert,
      { ssl: true },
      fails(/needs root certificates/),
      { PGSSLMODE: 'verify-full' },
    ],
    [
      'PGSSLCERT',
      cert,
      { client: '/CN=certuser' },
      fails(/no effect without sslcert/),
      { ...asClient, PGSSLKEY: key },
    ],
    [
      'PGSSLKEY',
      key,
      { client: '/CN=certuser' },
      fails(/needs its private key in sslkey/),
      { ...asClient, PGSSLCERT: cert },
    ],
    ['PGSSLCRL', revoked, fails(/revoked/), { ssl: true }, trusted],
    [
      'PGSSLSNI',
      '0',
      { server: 'not named' },
      { server: 'named' },
      { ...listening, PGSSLNEGOTIATION: 'direct' },
    ],
    [
      'PGSSLMINPROTOCOLVERSION',
      'TLSv1.3',
      fails(/must not be above ssl_max_protocol_version/),
      { version: 'TLSv1.2' },
      { PGSSLMAXPROTOCOLVERSION: 'TLSv1.2' },
    ],
    ['PGSSLMAXPROTOCOLVERSION', 'TLSv1.2', { version: 'TLSv1.2' }, { version: 'TLSv1.3' }],
  ];
}

/** The list of rule CP-42. */
const NAMES =
  `PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGSYSCONFDIR
  PGOPTIONS PGAPPNAME PGCONNECT_TIMEOUT PGCLIENTENCODING PGTZ PGDATESTYLE PGTARGETSESSIONATTRS PGLOADBALANCEHOSTS
  PGREQUIREAUTH PGCHANNELBINDING PGSSLMODE PGSSLNEGOTIATION PGSSLROOTCERT PGSSLCERT PGSSLKEY PGSSLCRL PGSSLSNI
  PGSSLMINPROTOCOLVERSION PGSSLMAXPROTOCOLVERSION`.split(/\s+/);

test('CP-42: each variable is obeyed, and what it changes is otherwise without it', async () => {
  const all = cases();
  assert.deepEqual(all.map(([name]) => name).sort(), NAMES.sort());
  const judge = async ([name, value, sees, otherwise, beside, look = seen]) => {
    const base = {
      ...Object.fromEntries(NAMES.map((other) => [other, undefined])),
      ...{ PGHOST: 'localhost', PGPORT: String(tls.server.port) },
      ...{ PGUSER: 'postgres', PGDATABASE: 'postgres' },
      ...beside,
    };
    for (const [variables, expected] of [
      [{ ...base, [name]: value }, sees],
      [{ ...base, [name]: undefined }, otherwise],
    ]) {
      // Only while the pool is made: nothing is read later.
      const [answer] = withVariables(variables, () => [look()]);
      isLike(await answer, expected, `${name}=${variables[name]}`);
    }
  };
  const isAlone = ([, , , , beside]) => beside?.PGPORT === portOf(listener);
  await Promise.all(all.filter((each) => !isAlone(each)).map(judge));
  for (const each of all.filter(isAlone)) await judge(each);
});

/** Compares what is named in `expected`, of which at least one thing is. */
function isLike(found, expected, what) {
  const entries = Object.entries(expected);
  assert.notEqual(entries.length, 0);
  for (const [key, value] of entries) {
    const message = `${what}: ${JSON.stringify(found)}`;
    if (value instanceof RegExp) assert.match(String(found[key]), value, message);
    else assert.equal(found[key], value, message);
  }
}
