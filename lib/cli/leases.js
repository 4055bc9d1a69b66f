// pg-berth leases: every connection that claims a lease, and what the claim is worth.
'use strict';

const { LeaseManager } = require('../serverless/lease.js');
const { table } = require('./table.js');

/** @import { Report, Wish } from './index.js' */

const CLAIM = /^s=([^;]+);i=([^;]+);e=(\d{1,15});g=[^;]+$/;

const SQL = `select pid, usename as role, datname as database, pg_catalog.host(client_addr) as client, state, application_name as name,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() operator(pg_catalog.-) backend_start)::int as age,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() operator(pg_catalog.-) state_change)::int as idle,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000 as now
  from pg_catalog.pg_stat_activity where application_name operator(pg_catalog.~~) 's=%;i=%;e=%;g=%' order by backend_start, pid`;

/** As leases of this service have it: long and unusual names are shortened. @param {string} service */
function tokenOf(service) {
  // Neither the key nor the instance is in it, only that instances have eight characters.
  return new LeaseManager(service, 'observer', 'any key of 16 bytes').serviceName;
}

/**
 * @param {Wish} wish @param {(options: any, use: (client: any) => Promise<any>) => Promise<any>} open
 * @returns {Promise<Report>}
 */
async function leases({ service, secret, connection }, open) {
  const { rows } = await open(connection, (client) => client.query(SQL));
  const manager = secret === undefined ? undefined : new LeaseManager('pg-berth', '', secret);
  const token = service === undefined ? undefined : tokenOf(service);
  const found = [];
  for (const row of rows) {
    const [, svc, instance, expiry] = CLAIM.exec(row.name) ?? [];
    if (svc === undefined || (token !== undefined && svc !== token)) continue;
    const remainingMs = Math.round(Number(expiry) - row.now);
    const isSigned = manager && manager.parseAndVerify(row.name) !== null;
    const verdict = remainingMs < 0 ? 'expired' : 'live';
    found.push({
      service: svc,
      instance,
      pid: row.pid,
      role: row.role,
      database: row.database,
      client: row.client,
      state: row.state,
      ageSec: row.age,
      idleSec: row.idle,
      expiresAt: new Date(Number(expiry)).toISOString(),
      remainingMs,
      signature: isSigned === undefined ? 'unchecked' : isSigned ? 'right' : 'wrong',
      lease: isSigned === false ? 'none' : verdict,
    });
  }
  const lines = found.map((one) => [
    one.service,
    one.instance,
    one.pid,
    one.role,
    one.client ?? 'local socket',
    one.state ?? 'hidden',
    `${one.ageSec} s`,
    `${Math.round(one.remainingMs / 1000)} s`,
    one.lease,
    one.signature,
  ]);
  const head = [
    'service',
    'instance',
    'pid',
    'role',
    'from',
    'state',
    'age',
    'left',
    'lease',
    'signature',
  ];
  const text = found.length === 0 ? 'no connection claims a lease' : table(head, lines);
  return { data: found, text, isWell: found.every(({ lease }) => lease === 'live') };
}

module.exports = { leases };
