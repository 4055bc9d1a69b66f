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
 * @returns {Promise<{url: string, version: string, close: () => Promise<void>}>}
 */
async function openDatabase({ smoke, slots }) {
  const own = process.env.DATABASE_URL ? null : await startPrivate();
  const url = own?.url ?? process.env.DATABASE_URL;
  try {
    const version = await run(url, [...setUp(sizes(smoke), slots), 'show server_version']);
    return {
      url,
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
  return startServer({ conf: SETTINGS });
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
