// What demo, bench and the README runner need before they start: dependencies, addon, a server.
'use strict';

const { buildAddon } = require('./addon.js');
const { ensureInstalled } = require('./install.js');

/** Installs dependencies and builds the addon. */
async function prepare({ skipBuild = false } = {}) {
  await ensureInstalled();
  if (skipBuild) return;
  console.log('building the engine (cargo build --release)');
  await buildAddon();
}

/**
 * Calls `use` with the URL of a server: DATABASE_URL when it is set, else a private one that is stopped afterwards.
 * @template T
 * @param {(url: string) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function withServer(use) {
  if (process.env.DATABASE_URL) return use(process.env.DATABASE_URL);
  const { startServer } = require('../../test/support/server.js');
  const server = await startServer();
  console.log(`started a private PostgreSQL ${server.version}`);
  try {
    return await use(server.url);
  } finally {
    await server.stop();
  }
}

module.exports = { prepare, withServer };
