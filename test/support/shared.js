// The server that the whole run shares, and a database of its own for whoever asks.
'use strict';

const { randomBytes } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { startServer } = require('./server.js');

/** Set by `npm test`; without it a test file starts a server of its own. */
const VARIABLE = 'PG_BERTH_TEST_SERVER';

/** @typedef {{ url: string, host: string, port: number, user: string, database: string, socketDir: string, pid: number, version: number }} SharedServer */

/** @type {Promise<SharedServer> | undefined} */
let shared;

async function find() {
  const given = process.env[VARIABLE];
  return given ? JSON.parse(given) : publicFields(await startServer());
}

function publicFields({ url, host, port, user, database, socketDir, pid, version }) {
  return { url, host, port, user, database, socketDir, pid, version };
}

/** The shared server. Restarting or stopping it is for nobody; tests that need that start their own. */
function sharedServer() {
  shared ??= find();
  return shared;
}

/**
 * Creates an empty database on the shared server, so that files running at the same time do not meet.
 * @param {import('node:test').TestContext} [context] drops the database after that test or suite
 */
async function freshDatabase(context) {
  const server = await sharedServer();
  const { Client } = require('pg');
  const administer = async (work) => {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await work(client).finally(() => client.end());
  };
  const database = `test_${randomBytes(6).toString('hex')}`;
  await administer((client) => client.query(`create database ${database}`));
  const drop = () =>
    administer(async (client) => {
      await partings(client, database);
      await client.query(`drop database if exists ${database} with (force)`);
    });
  context?.after(drop);
  const url = server.url.replace(/[^/]*$/, database);
  return { ...server, database, url, drop };
}

/**
 * Waits a moment for sessions whose clients have said goodbye: `pg` takes a termination that crosses its own goodbye for
 * an error nobody listens to. Sessions that stay are ended by force.
 */
async function partings(client, database) {
  const sessions = 'select from pg_stat_activity where datname = $1';
  for (let tries = 0; tries < 25; tries += 1) {
    if ((await client.query(sessions, [database])).rowCount === 0) return;
    await sleep(20);
  }
}

/** Starts the server of a whole run and tells child processes of it. */
async function shareServer() {
  const server = await startServer();
  process.env[VARIABLE] = JSON.stringify(publicFields(server));
  return server;
}

module.exports = { sharedServer, freshDatabase, shareServer };
