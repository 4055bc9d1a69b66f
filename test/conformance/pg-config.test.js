// How a client is configured, against `pg`: strings, objects, environment, defaults, passwords, start-up parameters.
'use strict';

const parser = require('pg-connection-string');
const ours = require('../../lib/index.js').connectionString;
const { pair, seen } = require('../support/pg-pair.js');

const { compareAll } = pair();

const NAMES = [
  'PGHOST',
  'PGPORT',
  'PGUSER',
  'PGPASSWORD',
  'PGDATABASE',
  'PGSSLMODE',
  'PGAPPNAME',
  'PGOPTIONS',
  'PGCONNECT_TIMEOUT',
  'PGSSLNEGOTIATION',
  'PGBINARY',
  'PGCLIENT_ENCODING',
  'PGREPLICATION',
  'PGSERVICE',
  'PGTARGETSESSIONATTRS',
];

/** Runs something with exactly these variables of PostgreSQL in the environment. */
function withEnvironment(variables, run) {
  const before = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));
  for (const name of NAMES) delete process.env[name];
  Object.assign(process.env, variables);
  try {
    return run();
  } finally {
    for (const name of NAMES) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

/** Everything a client made of its config. */
function parametersOf(driver, config) {
  const client = new driver.Client(config);
  const { connectionParameters: read } = client;
  return {
    ...read,
    password: read.password,
    ssl: sslOf(read.ssl),
    shown: Object.keys(read).sort(),
    client: [
      client.user,
      client.host,
      client.port,
      client.database,
      client.password,
      sslOf(client.ssl),
      client.binary,
    ],
  };
}

const sslOf = (ssl) =>
  ssl && typeof ssl === 'object'
    ? { ...ssl, key: ssl.key, checkServerIdentity: typeof ssl.checkServerIdentity }
    : ssl;

const STRINGS = [
  'postgres://user:pass@host:1234/database',
  'postgresql://user@host/db',
  'pg://host',
  'postgres://host/db',
  'postgres:///db',
  'postgres://user@/db',
  'postgres://user:p%40ss%3Aw@host/d%20b',
  'postgres://user:pa ss@host/d b',
  'postgres://user:100%@host/db',
  'postgres://us%C3%A9r:p%C3%A9@host/d%C3%A9',
  'postgres://[::1]:5433/db',
  'postgres://%2Fvar%2Frun/db',
  'postgres://user:pass@%2Fvar%2Frun:99/db',
  'postgres:///db?host=/var/run',
  'postgres://h/db?host=other&port=9&user=u&password=p&database=x',
  'postgres://h/db?application_name=app&fallback_application_name=fall&options=-c%20a%3Db&client_encoding=latin1',
  'postgres://h/db?statement_timeout=5&lock_timeout=6&idle_in_transaction_session_timeout=7&query_timeout=8',
  'postgres://h/db?ssl=true',
  'postgres://h/db?ssl=1',
  'postgres://h/db?ssl=0',
  'postgres://h/db?ssl=no-verify',
  'postgres://h/db?ssl=false',
  'postgres://h/db?sslmode=disable',
  'postgres://h/db?sslmode=prefer',
  'postgres://h/db?sslmode=require',
  'postgres://h/db?sslmode=verify-ca',
  'postgres://h/db?sslmode=verify-full',
  'postgres://h/db?sslmode=no-verify',
  'postgres://h/db?sslmode=require&uselibpqcompat=true',
  'postgres://h/db?sslmode=prefer&uselibpqcompat=true',
  'postgres://h/db?sslmode=verify-full&uselibpqcompat=true',
  'postgres://h/db?sslmode=verify-ca&uselibpqcompat=true',
  `postgres://h/db?sslmode=verify-ca&uselibpqcompat=true&sslrootcert=${__filename}`,
  `postgres://h/db?sslmode=require&uselibpqcompat=true&sslrootcert=${__filename}`,
  `postgres://h/db?sslrootcert=${__filename}`,
  `postgres://h/db?sslcert=${__filename}&sslkey=${__filename}`,
  'postgres://h/db?sslcert=/nowhere/at/all',
  'postgres://h/db?sslnegotiation=direct',
  'postgres://h/db?sslnegotiation=other',
  'postgres://h/db?binary=1&replication=database&keepalives=0',
  'postgres://h/db?unknown=1&other=2',
  'postgres://h/db?port=',
  '/var/run/postgresql',
  '/var/run/postgresql database',
  'socket:/some/path/?db=x&encoding=utf8',
  'socket:user:pass@/some/path/?db=x',
  'postgres://h:port/db',
  'just a word',
  'host=localhost port=5432',
  'postgres://h/db#fragment',
  'postgres://h/a/b',
];

const guarded = (run) => {
  try {
    return run();
  } catch (error) {
    return { error: error.message.split('\n')[0].slice(0, 60), input: error.input };
  }
};

compareAll(
  STRINGS.map((text) => ({
    name: `connection string ${text.replace(__filename, 'FILE')}`,
    run: (driver) => withEnvironment({}, () => guarded(() => parametersOf(driver, text))),
  })),
);

compareAll(
  STRINGS.map((text) => ({
    name: `parser: ${text.replace(__filename, 'FILE')}`,
    run: (driver) => {
      const { parse, toClientConfig, parseIntoClientConfig } =
        driver.Client === require('pg').Client ? parser : ours;
      const plain = (value) => value && { ...value, ssl: sslOf(value.ssl) };
      return [
        guarded(() => plain(parse(text))),
        guarded(() => plain(toClientConfig(parse(text)))),
        guarded(() => plain(parseIntoClientConfig(text))),
        guarded(() => plain(parse(text, { useLibpqCompat: true }))),
      ];
    },
  })),
);

const CONFIGS = [
  undefined,
  {},
  { user: 'u' },
  { user: 'u', database: 'd', host: 'h', port: 1, password: 'p' },
  { port: '5433' },
  { host: '/var/run' },
  { host: '' },
  { connectionString: 'postgres://a:b@c:1/d', user: 'x', host: 'y', application_name: 'z' },
  { ssl: true },
  { ssl: false },
  { ssl: 'true' },
  { ssl: 'no-verify' },
  { ssl: { rejectUnauthorized: false, key: 'k' } },
  { ssl: true, sslnegotiation: 'direct' },
  { sslnegotiation: 'direct' },
  { sslnegotiation: 'other' },
  { statement_timeout: 1.5, lock_timeout: '7', query_timeout: 3 },
  { connectionTimeoutMillis: 2500, keepAlive: true, keepAliveInitialDelayMillis: 3000 },
  { keepAlive: false },
  { application_name: '', fallback_application_name: 'f' },
  { binary: true, options: '-c a=b', replication: 'database', client_encoding: 'x' },
  { unknown: 1 },
];
const ENVIRONMENTS = [
  {},
  {
    PGHOST: 'eh',
    PGPORT: '77',
    PGUSER: 'eu',
    PGPASSWORD: 'ep',
    PGDATABASE: 'ed',
    PGAPPNAME: 'ea',
    PGOPTIONS: '-c x=y',
    PGCONNECT_TIMEOUT: '9',
  },
  { PGUSER: 'only' },
  ...['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify', 'strange'].map(
    (PGSSLMODE) => ({ PGSSLMODE }),
  ),
  {
    PGSSLMODE: 'require',
    PGSSLNEGOTIATION: 'direct',
    PGBINARY: '1',
    PGCLIENT_ENCODING: 'e',
    PGREPLICATION: 'r',
  },
  { PGSERVICE: 'nobody', PGTARGETSESSIONATTRS: 'read-only' },
];
compareAll(
  CONFIGS.map((config, i) => ({
    name: `config ${i}: ${JSON.stringify(config)} in every environment`,
    run: (driver) =>
      ENVIRONMENTS.map((variables) =>
        withEnvironment(variables, () => guarded(() => parametersOf(driver, config))),
      ),
  })),
);

compareAll([
  {
    name: 'a config is never changed',
    run: (driver) =>
      parametersOf(driver, Object.freeze({ user: 'u', ssl: Object.freeze({ ca: 'x' }) })),
  },
  {
    name: 'defaults: values, and what changing them does',
    run: (driver) => {
      const { parseInt8, ...values } = driver.defaults;
      driver.defaults.host = 'elsewhere';
      driver.defaults.binary = true;
      try {
        return [values, withEnvironment({}, () => parametersOf(driver, {}))];
      } finally {
        driver.defaults.host = 'localhost';
        driver.defaults.binary = false;
      }
    },
  },
  {
    name: 'defaults.parseInt8',
    run: async (driver, { connect }) => {
      const client = await connect();
      const read = async () =>
        (await client.query("select 5::int8 as a, '{1,2}'::int8[] as b")).rows;
      const all = [await read()];
      for (const asNumber of [true, false]) {
        driver.defaults.parseInt8 = asNumber;
        all.push(await read());
      }
      const { get, set } = Object.getOwnPropertyDescriptor(driver.defaults, 'parseInt8');
      return [all, typeof get, typeof set];
    },
  },
  {
    name: 'start-up parameters reach the server',
    run: async (_, { connect }) => {
      const client = await connect({
        application_name: 'mine',
        statement_timeout: 5000,
        lock_timeout: '4000',
        idle_in_transaction_session_timeout: 3000.9,
        options: '-c search_path=a,b --work_mem=1MB',
      });
      const shown = [];
      for (const name of [
        'application_name',
        'statement_timeout',
        'lock_timeout',
        'idle_in_transaction_session_timeout',
        'search_path',
        'work_mem',
        'client_encoding',
        'datestyle',
      ]) {
        shown.push((await client.query(`show ${name}`)).rows[0]);
      }
      return shown;
    },
  },
  {
    name: 'fallback_application_name',
    run: async (_, { connect }) =>
      (await (await connect({ fallback_application_name: 'f' })).query('show application_name'))
        .rows,
  },
  {
    name: 'no application_name',
    run: async (_, { connect }) => (await (await connect()).query('show application_name')).rows,
  },
  ...[
    ['a user that does not exist', { user: 'nobody_at_all' }],
    ['a database that does not exist', { database: 'nowhere' }],
    ['a port nobody listens on', { port: 1 }],
    ['a host that does not exist', { host: 'no-such-host.invalid' }],
    ['a folder without a socket', { host: '/nowhere' }],
    ['TLS where there is none', { ssl: true }],
    ['a bad start-up option', { options: '-c nonsense=1' }],
  ].map(([name, config]) => ({
    name: `refused: ${name}`,
    run: async (driver, { url }) => {
      const { hostname, port, pathname, username } = new URL(url);
      const client = new driver.Client({
        host: hostname,
        port: Number(port),
        database: pathname.slice(1),
        user: username,
        ...config,
      });
      const heard = [];
      client.on('error', () => heard.push('error'));
      client.on('end', () => heard.push('end'));
      const error = await client.connect().catch((reason) => reason);
      await new Promise((resolve) => setTimeout(resolve, 20));
      const { code, syscall, address, hostname: wanted, port: tried } = error;
      const isServer = error.severity !== undefined;
      const isSystem = /^E[A-Z]+$/.test(code);
      return [
        isServer
          ? seen(error)
          : { code: isSystem && code, syscall, address: address && 'some', wanted, tried },
        heard,
        ...(isServer || isSystem ? [] : [error.message]),
      ];
    },
  })),
]);
