// One pass of the reaper over a client of `pg`'s shape: the engine's rules (native/src/lease/reaper.rs) for other drivers.
'use strict';

const { LEASE_OPTIONS } = require('../lease-options.js');
const { wrong } = require('../option-rules.js');

/** @import { PgClientLike, ReaperOutcome, ReaperStrategy } from '../../types/serverless.js' */
/** @typedef {InstanceType<typeof import('./lease.js').LeaseManager>} LeaseManager */
/** @typedef {Required<Omit<ReaperStrategy, 'minIdleInTransactionSec'>> & ReaperStrategy} Rules */

/** First keys of the advisory locks: of a pass ("PGAQ"), and of the verdict about one backend ("PGBV"). */
const LOCK_NS = 0x50474151;
const VERDICT_NS = 0x50474256;

/** @type {Rules} */
const DEFAULTS = Object.freeze({
  minConnIdleTimeSec: 180,
  maxIdleConnectionsToKill: 10,
  reapIdleInTransaction: true,
  leaseGraceMs: 0,
  reaperTimeoutMs: 2000,
  reaperErrorMode: 'swallow',
});

/**
 * What passes understand of a strategy, which may hold more, as in the predecessor.
 * @param {ReaperStrategy} strategy
 * @returns {Rules}
 */
function rulesOf(strategy) {
  const { minConnectionIdleTimeSec: minConnIdleTimeSec, ...known } = LEASE_OPTIONS;
  const given = /** @type {Record<string, unknown>} */ (strategy);
  /** @type {Record<string, unknown>} */
  const rules = { ...DEFAULTS };
  for (const [name, rule] of Object.entries({ ...known, minConnIdleTimeSec })) {
    const value = given[name];
    if (value === undefined) continue;
    if (!rule?.accepts(value)) throw wrong(name, `must be ${rule?.says}`);
    rules[name] = value;
  }
  return /** @type {any} */ (rules);
}

/** May the role of this session end the backend of `a`? */
const ALLOWED = `coalesce((select me.rolsuper from pg_catalog.pg_roles me where me.rolname = current_user)
  or (not (select t.rolsuper from pg_catalog.pg_roles t where t.oid = a.usesysid)
    and (pg_catalog.pg_has_role(a.usesysid, 'USAGE') or coalesce(pg_catalog.pg_has_role((select s.oid
      from pg_catalog.pg_roles s where s.rolname = 'pg_signal_backend'), 'USAGE'), false))), false)`;

/** Moments as whole microseconds, so that they are compared exactly. */
const STARTED = `(date_part('epoch', a.backend_start) * 1000000)::int8`;
const CHANGED = `(date_part('epoch', a.state_change) * 1000000)::int8`;

/** Inside the transaction of a message, so that nothing is left of it. @param {number} timeoutMs */
function settings(timeoutMs) {
  return `set local search_path = pg_catalog; set local statement_timeout = ${timeoutMs}`;
}

/** One message and one transaction: the fleet's lock, and what the service has open. @param {string} token @param {number} timeoutMs */
function scan(token, timeoutMs) {
  return `${settings(timeoutMs)};
    with turn as (select pg_try_advisory_xact_lock(${LOCK_NS}, hashtext('${token}')) as locked)
    select turn.locked, (date_part('epoch', clock_timestamp()) * 1000)::float8 as server_now, a.pid,
      ${STARTED}::text as started, ${CHANGED}::text as changed, a.application_name, a.state,
      date_part('epoch', clock_timestamp() - a.state_change)::float8 as idle_time, ${ALLOWED} as allowed
    from turn left join pg_catalog.pg_stat_activity a on a.datname = current_database()
      and a.pid <> pg_backend_pid() and left(a.application_name, ${token.length + 3}) = 's=${token};'
      and (turn.locked or a.pid in (select l.pid from pg_catalog.pg_locks l where l.locktype = 'advisory'
        and l.classid = ${LOCK_NS}::oid and l.objid = hashtext('${token}')::oid and l.objsubid = 2 and l.granted
        and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())))`;
}

/**
 * Ends what is as it was found, each under the lock that a renewal of its lease respects. What is read of a backend is
 * read behind the locks: the function's argument depends on all of them.
 * @param {string} token @param {boolean} locked
 */
function kill(token, locked) {
  const turn = locked
    ? `pg_try_advisory_xact_lock(${LOCK_NS}, hashtext('${token}'))`
    : 'clock_timestamp() is not null';
  return `with turn as (select ${turn} as mine),
    picked (pid, started, changed, name, state) as (select * from rows from (unnest($1::int4[]), unnest($2::int8[]),
      unnest($3::int8[]), unnest($4::text[]), unnest($5::text[])) as p (pid, started, changed, name, state)),
    held as (select p.*, pg_try_advisory_xact_lock(${VERDICT_NS}, p.pid) as ours from turn, picked p where turn.mine),
    ready as (select count(*) as n from held where ours),
    living as (select a.pid, ${ALLOWED} as allowed from ready, held p,
      lateral pg_stat_get_activity(case when ready.n > 0 then p.pid end) a
      where p.ours and a.pid = p.pid and ${STARTED} = p.started and ${CHANGED} = p.changed
        and a.application_name = p.name and a.state = p.state offset 0)
    select case when allowed then pg_terminate_backend(pid) end as ended from living`;
}

/**
 * The expiry of a connection that may be ended, else nothing.
 * @param {any} row @param {LeaseManager} leases @param {Rules} rules
 */
function expired(row, leases, rules) {
  const inTransaction = /^idle in transaction/.test(row.state);
  if (row.state !== 'idle' && !inTransaction) return undefined;
  if (inTransaction && !(rules.reapIdleInTransaction && row.locked)) return undefined;
  const least = inTransaction
    ? (rules.minIdleInTransactionSec ?? rules.minConnIdleTimeSec)
    : rules.minConnIdleTimeSec;
  const lease = leases.parseAndVerify(row.application_name);
  if (lease === null || lease.svc !== leases.serviceName || !(row.idle_time >= least)) return;
  return lease.exp + rules.leaseGraceMs < Number(row.server_now) ? lease.exp : undefined;
}

/** Rows of the last statement of a message. @param {any} answer @returns {any[]} */
function rowsOf(answer) {
  return (Array.isArray(answer) ? answer.at(-1) : answer)?.rows ?? [];
}

// biome-ignore lint/complexity/noStaticOnlyClass: the predecessor's programs know it as a class.
class Reaper {
  static LOCK_NS = LOCK_NS;

  /**
   * @param {PgClientLike} client connected, and outside a transaction
   * @param {object | null | undefined} _config of the client, as in the predecessor; the database is the one it is connected to
   * @param {LeaseManager} leases
   * @param {ReaperStrategy | null} [strategy]
   * @param {(...words: any[]) => void} [logger]
   * @returns {Promise<ReaperOutcome>}
   */
  static async reap(client, _config, leases, strategy, logger = () => {}) {
    const rules = rulesOf(strategy ?? {});
    const tell = (/** @type {string} */ words) => {
      try {
        logger(words);
      } catch {
        // A log that fails is no failure of the pass.
      }
    };
    const pass = { locked: false, killed: 0, candidates: 0, denied: 0, hidden: 0 };
    try {
      await run(client, leases, rules, pass);
      const lock = pass.locked ? '' : ', the lock was busy';
      tell(`reaper: ${pass.killed} of ${pass.candidates} ended${lock}`);
      return pass;
    } catch (error) {
      tell(`reaper failed: ${/** @type {Error} */ (error).message}`);
      if (rules.reaperErrorMode === 'throw') throw error;
      return { ...pass, locked: false, killed: 0, error: /** @type {Error} */ (error) };
    }
  }
}

/**
 * @param {PgClientLike} client @param {LeaseManager} leases
 * @param {Rules} rules @param {ReaperOutcome} pass is filled in
 */
async function run(client, leases, rules, pass) {
  const token = leases.serviceName;
  const timeoutMs = Math.max(1, Math.round(rules.reaperTimeoutMs));
  const rows = rowsOf(await client.query(scan(token, timeoutMs)));
  pass.locked = rows[0]?.locked === true;
  pass.serverNow = Number(rows[0]?.server_now) || undefined;
  /** @type {{ row: any, expiry: number }[]} */
  const victims = [];
  for (const row of rows) {
    if (typeof row.pid !== 'number') continue;
    if (row.state === null) pass.hidden++;
    const expiry = expired(row, leases, rules);
    if (expiry === undefined) continue;
    pass.candidates++;
    if (row.allowed) victims.push({ row, expiry });
    else pass.denied++;
  }
  victims.sort(
    (a, b) => a.expiry - b.expiry || b.row.idle_time - a.row.idle_time || a.row.pid - b.row.pid,
  );
  const chosen = victims.slice(0, rules.maxIdleConnectionsToKill).map(({ row }) => row);
  if (chosen.length === 0) return;
  const columns = ['pid', 'started', 'changed', 'application_name', 'state'];
  const values = columns.map((column) => chosen.map((row) => row[column]));
  try {
    await client.query(`begin; ${settings(timeoutMs)}`);
    const ended = await client.query(kill(token, pass.locked), values);
    pass.killed = rowsOf(ended).filter((row) => row.ended === true).length;
  } finally {
    // Nothing was written: it ends the transaction and its locks however it went.
    await client.query('commit');
  }
}

module.exports = { Reaper, VERDICT_NS };
