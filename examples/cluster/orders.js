// Orders in a cluster: a write that is stored exactly once, whatever happens to the primary meanwhile.
'use strict';

const SCHEMA = `
  create table if not exists orders (
    id     uuid primary key,   -- chosen by the caller: it makes repeating harmless
    item   text not null,
    placed timestamptz not null default now()
  )`;

/** How long an order may take with everything that is tried for it, in milliseconds. */
const PATIENCE_MS = 15_000;

/** May the statement below be sent again after this? With its key it may even when nobody knows whether it took effect. */
function mayBeSentAgain({ outcome, safeToRetry, transient }) {
  return safeToRetry || transient || outcome === 'unknown';
}

/**
 * @param {import('pg-berth').ClusterPool} pool of the whole cluster, in the mode 'read-write'
 * @param {{ id: string, item: string }} order
 * @param {(error: Error & { outcome: string }) => void} [onRetry]
 * @returns {Promise<string>} the node that holds it
 */
async function place(pool, { id, item }, onRetry = () => {}) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      const [row] = await pool.query(
        `with placed as (insert into orders (id, item) values ($1, $2) on conflict (id) do nothing)
         select inet_server_port() as node`,
        [id, item],
        { timeoutMs: 5000 },
      );
      return String(row.node);
    } catch (error) {
      if (!mayBeSentAgain(error) || performance.now() > deadline) throw error;
      onRetry(error);
    }
  }
}

module.exports = { SCHEMA, place };
