// Reads the command line, runs one command on one connection, and prints what it found for people or for programs.
'use strict';

const { parseArgs } = require('node:util');
const { ServerlessClient } = require('../serverless/index.js');
const { doctor } = require('./doctor.js');
const { leases } = require('./leases.js');
const { reap } = require('./reap.js');
const { plain } = require('./table.js');

/** @typedef {{ data: unknown, text: string, isWell: boolean }} Report */
/** @typedef {{ service: string | undefined, secret: string | undefined, connection: Record<string, any> }} Wish */

/** @type {Record<string, (wish: Wish, open: typeof connect) => Promise<Report>>} */
const COMMANDS = { doctor, leases, reap };

const HELP = `pg-berth <command> [options]

  leases   who holds which connection, since when, until when, and whether that is true
  reap     one pass of the reaper: ends idle connections of a service whose lease has expired
  doctor   looks at server, TLS, pooler, privileges, clock, round trip and driver, and says what to do

  --url <url>          where to connect; default DATABASE_URL, else the PG… variables
  --service <name>     only this service; reap needs it
  --secret-env <name>  variable that holds the fleet's secret; default PG_BERTH_SECRET
  --min-idle <s>       reap: idle for at least so many seconds; default 180
  --json               for programs
  --version            of pg-berth
  --help, -h           this text

Exit codes
  0   all is well: leases are live, nothing was denied or hidden, the doctor found nothing
  1   something is to be done, and the output says what
  2   it could not be found out: a wrong option, no connection, a pass that failed`;

const CHOICES = `it must be one of ${Object.keys(COMMANDS).join(', ')}; see pg-berth --help`;

/** For connecting, and for each statement: a server that does not answer is what these commands are asked about. */
const LIMIT_MS = 5000;

const MOST_SECONDS = 2 ** 31 - 1;

/** What `pg` takes for a connection string, the folder of a socket included. */
const URLS = /^(postgres(ql)?:\/\/|socket:|\/)/i;

const OPTIONS = /** @type {const} */ ({
  url: { type: 'string' },
  service: { type: 'string' },
  'secret-env': { type: 'string' },
  'min-idle': { type: 'string' },
  json: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
});

/**
 * @param {string[]} args @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>} exit code: 0 well, 1 something is to be done, 2 it could not be found out
 */
async function main(args, env) {
  /** What is connected to, as far as it is a URL. @type {string | undefined} */
  let url;
  try {
    const { values, positionals } = parsed(args);
    url = values.url ?? env.DATABASE_URL;
    const [name, ...more] = positionals;
    if (values.version) {
      print(require('../../package.json').version);
      return 0;
    }
    if (values.help) {
      print(HELP);
      return 0;
    }
    if (name === undefined) throw new Error(`no command given, ${CHOICES}`);
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined)
      throw new Error(`unknown command ${JSON.stringify(name)}, ${CHOICES}`);
    if (more.length > 0) {
      throw new Error(`one command at a time; ${JSON.stringify(more[0])} is not an option`);
    }
    const report = await command(wishOf(values, env), connect);
    print(values.json ? JSON.stringify(report.data, null, 2) : report.text);
    return report.isWell ? 0 : 1;
  } catch (error) {
    process.stderr.write(`pg-berth: ${saying(error, url)}\n`);
    return 2;
  }
}

/**
 * What failed, at whom and after how long: the words of `pg` say neither. The code is what docs/troubleshooting.md is sorted by.
 * @param {any} error @param {string | undefined} url what was connected to
 */
function saying(error, url) {
  const { message, code, cause, host = placeOf(url), afterMs = cause?.afterMs } = error;
  // What has no code, or is about an option, is about no server.
  const isAbroad = code !== undefined && code !== 'ERR_CONFIG';
  const isPlaced = !isAbroad || !host || message.includes(host.replace(/:\d+$/, ''));
  const place = isPlaced ? '' : `${host}: `;
  const time = afterMs === undefined ? '' : ` after ${afterMs} ms`;
  // Of a connection that was lost the cause says why.
  const why = cause?.message && !message.includes(cause.message) ? `: ${cause.message}` : '';
  const known = isAbroad && !message.includes(code) ? ` (${code})` : '';
  return plain(`${place}${message}${time}${why}${known}`);
}

/** @param {string | undefined} url */
function placeOf(url) {
  return url && URL.canParse(url) ? new URL(url).host : undefined;
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    // Node goes on with what it takes for a word that begins with a hyphen.
    const [said] = /** @type {Error} */ (error).message.split(/\.\s/);
    throw new Error(`${said}; see pg-berth --help`);
  }
}

/** @param {any} values @param {NodeJS.ProcessEnv} env @returns {Wish} */
function wishOf(values, env) {
  // An empty one is a variable that was not set: it must not mean another database, or another service.
  for (const name of ['url', 'service', 'secret-env']) {
    if (values[name] === '') throw new Error(`--${name} is empty`);
  }
  const url = values.url ?? env.DATABASE_URL;
  if (url && !URLS.test(url)) {
    const given = values.url === undefined ? 'DATABASE_URL' : '--url';
    throw new Error(`${given} is no URL of a database: postgres://user@host/database`);
  }
  const minIdle = Number(values['min-idle'] ?? 180);
  if (!(minIdle >= 0 && minIdle <= MOST_SECONDS) || values['min-idle']?.trim() === '') {
    throw new Error(`--min-idle must be a number of seconds from 0 to ${MOST_SECONDS}`);
  }
  return {
    service: values.service,
    secret: env[values['secret-env'] ?? 'PG_BERTH_SECRET'] || undefined,
    connection: { ...(url ? { connectionString: url } : {}), minConnectionIdleTimeSec: minIdle },
  };
}

/**
 * Runs `use` on a connection that carries no lease and reaps nothing.
 * @template T
 * @param {Record<string, any>} options @param {(client: InstanceType<typeof ServerlessClient>) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function connect(options, use) {
  const { minConnectionIdleTimeSec: _, ...connection } = options;
  const client = new ServerlessClient({
    ...connection,
    leaseMode: 'optional',
    applicationName: 'pg-berth',
    connectionTimeoutMillis: LIMIT_MS,
    query_timeout: LIMIT_MS,
    retries: 0,
  });
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end();
  }
}

/** @param {string} text */
function print(text) {
  process.stdout.write(`${text}\n`);
}

module.exports = { main };
