// One pass of the reaper over a connection of its own, for when the server has no room for another (rule SC-18).
'use strict';

const { cooldownOf } = require('./cooldown.js');
const { Reaper } = require('./reaper.js');
const { within, withDefaults } = require('./upkeep.js');

/** @import { PgClientLike } from '../../types/serverless.js' */
/** @import { News } from './connection.js' */
/** @typedef {InstanceType<typeof import('./lease.js').LeaseManager>} LeaseManager */

/**
 * A connection that nobody else has. `close` never rejects; `isStuck`: nothing more is answered on it.
 * @typedef {{ client: PgClientLike, close: (isStuck: boolean) => Promise<void> }} Opened
 */

const SET_NAME = `select pg_catalog.set_config('application_name', $1, false)`;

/**
 * @param {object} how
 * @param {string} how.place that the cooldown is kept for
 * @param {LeaseManager} how.leases @param {Record<string, any>} how.lease the options as given
 * @param {(name: string, limitMs: number) => Promise<Opened>} how.open a connection with this name
 * @param {number} limitMs
 * @returns {Promise<News | undefined>} nothing when there was none, because another one was not long ago or a pooler is in front
 */
async function reapOnce({ place, leases, lease, open }, limitMs) {
  const { cooldownMs, pooler, strategy, ttlMs, plainName } = withDefaults(lease);
  if (pooler === 'on') return undefined;
  // Asked before anything is opened: what it takes is one of few slots, which all others of the fleet want as well. Apart from
  // the cooldown of routine passes: one of those, before the server was full, does not help whom it turns away now.
  const cooldown = cooldownOf(`${place}/${leases.serviceName}/full`);
  if (!cooldown.claim(cooldownMs)) return undefined;
  const began = performance.now();
  // A process that is frozen here leaves a connection that others may end.
  const { client, close } = await open(leases.generateAppName(Date.now() + ttlMs), limitMs);
  let isStuck = true;
  const pass = async () => {
    if (pooler === 'auto' && (await isPooled(client))) {
      // The name would outlive this client on a connection that the pooler owns (rule SC-12).
      await client.query(SET_NAME, [plainName ?? leases.serviceName]);
      return undefined;
    }
    return Reaper.reap(client, null, leases, { ...strategy, reaperErrorMode: 'swallow' });
  };
  try {
    const left = limitMs - (performance.now() - began);
    const found = await within(pass(), left, 'the pass was not over in time');
    isStuck = false;
    if (found === undefined) return undefined;
    cooldown.finish(began, found.locked);
    const { error = null, ...counts } = found;
    const durationMs = Math.round(performance.now() - began);
    return { event: 'reaped', ...counts, error, durationMs, refused: 0 };
  } finally {
    await close(isStuck);
  }
}

/** @param {PgClientLike} client */
async function isPooled(client) {
  const { rows } = await client.query('select pg_catalog.pg_backend_pid() as pid');
  const { processID } = client;
  return typeof processID === 'number' && processID !== rows[0]?.pid;
}

module.exports = { reapOnce };
