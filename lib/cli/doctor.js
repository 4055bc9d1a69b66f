// pg-berth doctor: looks at what leases depend on, and says of each finding what to do about it.
'use strict';

const { createPool } = require('../pool.js');
const { table } = require('./table.js');

/** @import { Report, Wish } from './index.js' */
/** @typedef {{ check: string, found: string, isWell: boolean, advice: string }} Finding */

const ROUNDS = 5;

/** A clock further off than this deserves a word; leases follow the server's clock all the same. */
const TOLERATED_MS = 1000;

/** The first version that reports its own demotion and promotion; those before it get no fixes any more either. */
const OLDEST = 140_000;

const SQL = `select pg_catalog.current_setting('server_version') as version,
    pg_catalog.current_setting('server_version_num')::int as number, pg_catalog.pg_backend_pid() as pid,
    (select rolsuper from pg_catalog.pg_roles where rolname operator(pg_catalog.=) current_user) as super,
    pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') as sees,
    pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') as signals,
    (select pg_catalog.count(*)::int from pg_catalog.pg_stat_activity
      where application_name operator(pg_catalog.~~) 's=%;i=%;e=%;g=%'
        and usename operator(pg_catalog.<>) current_user) as others`;

/**
 * @param {Wish} wish @param {(options: any, use: (client: any) => Promise<any>) => Promise<any>} open
 * @returns {Promise<Report>}
 */
async function doctor({ connection }, open) {
  const findings = [...(await open(connection, look)), await driver()];
  const lines = findings.map((/** @type {Finding} */ { check, found, isWell, advice }) => [
    isWell ? 'ok' : '!',
    check,
    found,
    advice,
  ]);
  const isWell = findings.every((/** @type {Finding} */ finding) => finding.isWell);
  return { data: findings, text: table(['', 'check', 'found', 'what to do'], lines), isWell };
}

/** @param {any} client @returns {Promise<Finding[]>} */
async function look(client) {
  const [facts] = (await client.query(SQL)).rows;
  const { roundTrip, offset } = await measure(client);
  const { encrypted, processID, host } = client.getClient();
  const isDirect = processID === facts.pid;
  const isLocal = /^(\/|localhost:|127\.|\[?::1)/.test(host);
  return [
    finding(
      'server',
      `PostgreSQL ${facts.version} at ${host}`,
      facts.number >= OLDEST,
      'upgrade: it gets no fixes any more, and does not report when it is demoted or promoted',
    ),
    finding(
      'TLS',
      encrypted ? 'encrypted' : 'plain text',
      encrypted || isLocal,
      'ask for sslmode=verify-full, the traffic can be read and changed',
    ),
    finding(
      'pooler',
      isDirect ? 'none' : 'in between',
      isDirect,
      'connect directly: behind a pooler nothing is leased or reaped',
    ),
    finding(
      'sees others',
      reach(facts.sees, facts),
      isEnough(facts.sees, facts),
      'grant pg_read_all_stats, or use one role for the fleet',
    ),
    finding(
      'may end others',
      reach(facts.signals, facts),
      isEnough(facts.signals, facts),
      'grant pg_signal_backend, or use one role for the fleet',
    ),
    finding(
      'clock',
      `${Math.round(offset)} ms from the server`,
      Math.abs(offset) <= TOLERATED_MS,
      'set the clock of this machine; leases follow the server',
    ),
    finding(
      'round trip',
      `${roundTrip.toFixed(2)} ms`,
      roundTrip < 50,
      'run nearer to the database',
    ),
  ];
}

/**
 * Who reads answers in a process like this one, and why. Wherever the pool would connect: it does not, and a pool is
 * stricter about connection strings than what the doctor connects with.
 * @returns {Promise<Finding>}
 */
async function driver() {
  const pool = createPool({ host: 'localhost' });
  const used = pool.status().driver;
  await pool.end();
  const chosen = process.env.PG_BERTH_DRIVER;
  const { node, bun, deno } = /** @type {Record<string, string | undefined>} */ (process.versions);
  const runtime = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
  /** Why it is this one. */
  let why = 'the event loop reads, and the engine while that is late';
  if (chosen === used) why = `PG_BERTH_DRIVER is ${chosen}`;
  else if (used === 'engine') {
    why =
      process.platform === 'linux'
        ? `${runtime} lends no sockets to its event loop`
        : `sockets are lent to the event loop on Linux, this is ${process.platform}`;
  }
  return finding('driver', `${used}: ${why}`, true, '');
}

/**
 * Whoever reads JSON takes advice for advice: where all is well there is none.
 * @param {string} check @param {string} found @param {boolean} isWell @param {string} advice @returns {Finding}
 */
function finding(check, found, isWell, advice) {
  return { check, found, isWell, advice: isWell ? '' : advice };
}

/**
 * A fleet of one role needs no more: its members see and may end each other.
 * @param {boolean} isGranted @param {{ super: boolean, others: number }} facts `others`: leases of other roles
 */
function isEnough(isGranted, facts) {
  return isGranted || facts.super || facts.others === 0;
}

/** @param {boolean} isGranted @param {{ super: boolean, others: number }} facts */
function reach(isGranted, facts) {
  if (isGranted || facts.super) return 'yes';
  const { others } = facts;
  if (others === 0) return 'only of the same role, and there is no lease of another';
  return `only of the same role, and ${others} ${others === 1 ? 'lease is' : 'leases are'} of another`;
}

/** The quickest of a few round trips, and how far the server's clock is from this machine's. @param {any} client */
async function measure(client) {
  let roundTrip = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [before, started] = [Date.now(), performance.now()];
    const { rows } = await client.query(
      `select pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000 as now`,
    );
    const took = performance.now() - started;
    if (took < roundTrip) {
      roundTrip = took;
      offset = rows[0].now - (before + took / 2);
    }
  }
  return { roundTrip, offset };
}

module.exports = { doctor };
