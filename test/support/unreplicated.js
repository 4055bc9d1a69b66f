// Commits that no standby confirms: the state of the cluster, who waits in it, and what their callers must be told.
'use strict';

const assert = require('node:assert/strict');
const { createPool, NotReplicatedError, OutcomeUnknownError } = require('../../lib/index.js');
const { waitFor } = require('./wait.js');

/** A pool of the cluster, while no standby confirms anything until `resume()` or the test's end. */
function withoutStandbys(t, cluster, options) {
  const pool = createPool(cluster.options(options));
  for (const node of cluster.standbys) node.pauseReceiver();
  const resume = () => {
    for (const node of cluster.standbys) node.resumeReceiver();
  };
  t.after(async () => {
    resume();
    await pool.end({ timeoutMs: 500 });
    await cluster.streaming();
  });
  return { pool, resume };
}

/** The backends that wait for a standby. */
function waitingForStandby(cluster) {
  const find = async () => {
    const rows = await cluster.primary.sql(
      `select pid from pg_stat_activity where wait_event = 'SyncRep'`,
    );
    return rows.length > 0 && rows.map(({ pid }) => pid);
  };
  return waitFor(find, { what: 'a commit that waits for a standby' });
}

function isNotReplicated(error) {
  assert.ok(
    error instanceof NotReplicatedError && error instanceof OutcomeUnknownError,
    error.stack,
  );
  const { code, outcome, committedLocally, safeToRetry } = error;
  assert.deepEqual(
    [code, outcome, committedLocally, safeToRetry],
    ['IN_DOUBT', 'unknown', true, false],
  );
}

module.exports = { isNotReplicated, waitingForStandby, withoutStandbys };
