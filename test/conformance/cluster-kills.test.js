// Single statements whose server is killed between the probe and the answer, again and again: what is told is true (CP-6).
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { setImmediate: nextTurn } = require('node:timers/promises');
const { CommitAbortedError } = require('../../lib/index.js');
const { poolInDoubt, seenSession } = require('../support/doubt.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const ROUNDS = 200;
/** Servers at a time: most of a round is waiting. */
const LANES = 4;

/**
 * A row stops its own COMMIT: `before` its record is written, or `behind` it, waiting for a standby that is not there.
 * The probe has been answered by then; one that is `free` is killed wherever it is.
 */
const TABLE = `
  create table t (id int primary key, stops text);
  create table other (id int);
  create function wait_for_standby() returns trigger language plpgsql as $$ begin
    perform set_config('synchronous_commit', 'on', true);
    return new;
  end $$;
  create function sleep() returns trigger language plpgsql as $$ begin
    perform pg_sleep(600);
    return null;
  end $$;
  create trigger behind before insert on t
    for each row when (new.stops = 'behind') execute function wait_for_standby();
  create constraint trigger before after insert on t deferrable initially deferred
    for each row when (new.stops = 'before') execute function sleep()`;

const STOPS = /** @type {const} */ (['before', 'behind', 'free']);

/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */

/** @type {Server[]} */
let servers;
before(async () => {
  const conf = {
    ...{ synchronous_standby_names: 'nobody', synchronous_commit: 'local' },
    // The log is not flushed behind the test's back: ids are free again after a crash.
    ...{ autovacuum: 'off', wal_writer_delay: '10s', bgwriter_delay: '10s' },
  };
  servers = await Promise.all(Array.from({ length: LANES }, () => startServer({ conf })));
  for (const server of servers) await server.sql(TABLE);
});
after(() => Promise.all(servers.map((server) => server.stop())));

/** Kills one backend, at which its server recovers in place, or all of it. @param {Server} server */
async function crash(server, pid, whole) {
  if (whole) {
    await server.kill();
    await server.start();
    return;
  }
  const from = server.log.length;
  process.kill(pid, 'SIGKILL');
  const isBack = () => server.log.slice(from).includes('ready to accept connections');
  await waitFor(isBack, { what: 'the end of the recovery' });
}

/** @param {Server} server @param {Awaited<ReturnType<typeof poolInDoubt>>} fixture @param {number} id */
async function round(server, { pool, refuse, letAsk, allLost }, id) {
  const stops = STOPS[id % 3];
  const own = { exactlyOnce: false };
  const [{ pid }] = await pool.query('select pg_backend_pid() as pid', [], own);
  const asked = pool.query('insert into t values ($1, $2)', [id, stops]).then(
    () => 'committed',
    (error) => error,
  );
  if (stops === 'free') {
    for (let turns = (id % 50) * 4; turns > 0; turns--) await nextTurn();
  } else {
    const waits = `pid = ${pid} and wait_event in ('SyncRep', 'PgSleep')`;
    await seenSession((text) => server.sql(text), waits, 'a COMMIT that has stopped');
  }
  refuse();
  await crash(server, pid, id % 10 === 0);
  await allLost();
  // Every other time somebody else has the id meanwhile.
  if (id % 2 === 0) await server.sql('insert into other select 1');
  letAsk();
  const outcome = await asked;
  const rows = await server.sql('select from t where id = $1', [id]);
  const told = outcome === 'committed' ? outcome : outcome.outcome;
  const which = `row ${id}, ${stops}: ${outcome.stack ?? outcome}`;
  if (stops === 'before') assert.ok(outcome instanceof CommitAbortedError, which);
  if (stops === 'behind') assert.equal(told, 'committed', which);
  if (told !== 'unknown') assert.equal(rows.length === 1, told === 'committed', which);
  return `${stops}: ${told}`;
}

test(`CP-6: ${ROUNDS} kills between probe and answer: what is reported as committed is there, what as aborted is not`, async (t) => {
  /** @type {Record<string, number>} */
  const counts = {};
  const work = async (/** @type {Server} */ server, /** @type {number} */ lane) => {
    const fixture = await poolInDoubt(t, [server], { exactlyOnce: true });
    for (let id = 1 + lane; id <= ROUNDS; id += LANES) {
      const ended = await round(server, fixture, id);
      counts[ended] = (counts[ended] ?? 0) + 1;
    }
  };
  await Promise.all(servers.map(work));
  t.diagnostic(JSON.stringify(counts));
}, 120_000);
