// Reads the command line, runs one command on one connection, and prints what it found for people or for programs.
'use strict';

const { parseArgs } = require('node:util');
const { ServerlessClient } = require('../serverless/index.js');
const { doctor } = require('./doctor.js');
const { leases } = require('./leases.js');
const { reap } = require('./reap.js');

/** @typedef {{ data: unknown, text: string, isWell: boolean }} Report */
/** @typedef {{ service: string | undefined, secret: string | undefined, connection: Record<string, any> }} Wish */

/** @type {Record<string, (wish: Wish, open: typeof connect) => Promise<Report>>} */
const COMMANDS = { doctor, leases, reap };

const HELP = `pg-berth <command> [options]

  leases   who holds which connection, since when, until when, and whether that is true
  reap     one pass of the reaper: ends idle connections of a service whose lease has expired
  doctor   looks at server, TLS, pooler, privileges, clock and round trip, and says what to do

  --url <url>          where to connect; default DATABASE_URL, else the PG… variables
  --service <name>     only this service; reap needs it
  --secret-env <name>  variable that holds the fleet's secret; default PG_BERTH_SECRET
  --min-idle <s>       reap: idle for at least so many seconds; default 180
  --json               for programs
  --help`;

const OPTIONS = /** @type {const} */ ({
  url: { type: 'string' },
  service: { type: 'string' },
  'secret-env': { type: 'string' },
  'min-idle': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
});

/**
 * @param {string[]} args @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>} exit code: 0 well, 1 something is to be done, 2 it could not be found out
 */
async function main(args, env) {
  try {
    const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
    const [name = ''] = positionals;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (values.help || command === undefined || positionals.length > 1) {
      print(HELP);
      return values.help ? 0 : 2;
    }
    const report = await command(wishOf(values, env), connect);
    print(values.json ? JSON.stringify(report.data, null, 2) : report.text);
    return report.isWell ? 0 : 1;
  } catch (error) {
    process.stderr.write(`pg-berth: ${/** @type {Error} */ (error).message}\n`);
    return 2;
  }
}

/** @param {any} values @param {NodeJS.ProcessEnv} env @returns {Wish} */
function wishOf(values, env) {
  const url = values.url ?? env.DATABASE_URL;
  const minIdle = Number(values['min-idle'] ?? 180);
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
    connectionTimeoutMillis: 5000,
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
