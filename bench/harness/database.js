// The server under all peers: DATABASE_URL or a private one, with the tables of workloads/data.js.
'use strict';

const { setUp, sizes, TEAR_DOWN } = require('../workloads/data.js');

/** Tables stay in memory, nothing runs in the background, commits do not wait for a disk. */
const SETTINGS = {
  shared_buffers: '256MB',
  max_connections: 200,
  fsync: 'off',
  autovacuum: 'off',
  max_wal_size: '4GB',
  checkpoint_timeout: '1h',
};

/**
 * @param {{smoke: boolean, slots: number}} options slots: how many peers write
 * @returns {Promise<{url: string, tlsUrl: string | null, version: string, close: () => Promise<void>}>} `tlsUrl` says
 *   nothing of TLS, which is the adapters' to ask for; null: the server has none
 */
async function openDatabase({ smoke, slots }) {
  const own = process.env.DATABASE_URL ? null : await startPrivate();
  const url = own?.url ?? process.env.DATABASE_URL;
  try {
    const version = await run(url, [...setUp(sizes(smoke), slots), 'show server_version']);
    const tls = await run(url, ['show ssl']);
    return {
      // not all clients ask for TLS by themselves where there is some
      url: own ? `${url}?sslmode=disable` : url,
      tlsUrl: tls.rows[0].ssl === 'on' ? url : null,
      version: version.rows[0].server_version,
      async close() {
        if (own) await own.stop();
        else await run(url, [TEAR_DOWN]);
      },
    };
  } catch (error) {
    await own?.stop();
    throw error;
  }
}

function startPrivate() {
  const { startServer } = require('../../test/support/server.js');
  return startServer({ conf: SETTINGS, tls: true });
}

/** Runs the statements one by one and gives the last result. */
async function run(url, statements) {
  const { Client } = require('pg');
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    let result;
    for (const text of statements) result = await client.query(text);
    return result;
  } finally {
    await client.end();
  }
}

module.exports = { openDatabase };
