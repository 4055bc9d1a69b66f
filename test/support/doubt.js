// Loses the answer to a COMMIT, or the COMMIT itself, and keeps the pool from asking until the test has changed the world.
'use strict';

const { createPool } = require('../../lib/index.js');
const { startProxy } = require('./proxy.js');
const { waitFor } = require('./wait.js');

/**
 * A pool of one connection to servers behind proxies.
 * @param {import('node:test').TestContext} t
 * @param {{ host: string, port: number }[]} servers
 * @param {object} [options] of the pool
 */
async function poolInDoubt(t, servers, options) {
  const proxies = await Promise.all(servers.map(startProxy));
  const pool = createPool({
    hosts: proxies.map(({ host, port }) => `${host}:${port}`),
    user: 'postgres',
    database: 'postgres',
    sslmode: 'disable',
    poolSize: 1,
    // Longer than failovers of the slowest machine.
    resolveTimeoutMs: 60_000,
    ...options,
  });
  t.after(async () => {
    await pool.end({ timeoutMs: 500 });
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });
  /** @type {any[]} */
  const resolved = [];
  pool.on('commit-resolved', (event) => resolved.push(event));
  return {
    pool,
    /** What the pool has told about commits. */
    resolved,
    /** The next answer to COMMIT is lost with its connection, and nobody gets in any more. */
    loseAnswer() {
      for (const proxy of proxies) {
        proxy.cutAt({ direction: 'toClient', text: 'COMMIT', before: true });
        proxy.refuse();
      }
    },
    /** The next COMMIT is lost on its way, and nobody gets in any more. */
    loseCommit() {
      for (const proxy of proxies) {
        proxy.cutAt({ direction: 'toServer', text: 'COMMIT', before: true });
        proxy.refuse();
      }
    },
    /** Cuts what is open now, and nobody gets in any more. */
    async loseConnections() {
      for (const proxy of proxies) proxy.refuse();
      await Promise.all(proxies.map((proxy) => proxy.cutAll()));
    },
    /** Nobody gets in any more. */
    refuse() {
      for (const proxy of proxies) proxy.refuse();
    },
    /** Waits until no connection is left. */
    allLost: () =>
      waitFor(() => proxies.every(({ open }) => open === 0), { what: 'the loss of connections' }),
    /** The pool may ask. */
    letAsk() {
      for (const proxy of proxies) proxy.heal();
    },
  };
}

/**
 * Waits until another session of a server is in this state.
 * @param {(text: string) => Promise<any[]>} sql runs a statement there
 * @param {string} condition on pg_stat_activity @param {string} what
 */
function seenSession(sql, condition, what) {
  const text = `select 1 from pg_stat_activity where pid <> pg_backend_pid() and ${condition}`;
  return waitFor(async () => (await sql(text)).length > 0, { what });
}

module.exports = { poolInDoubt, seenSession };
