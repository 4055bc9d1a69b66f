// pg-berth reap: one pass of the reaper for one service, with the rules of every other pass.
'use strict';

const { ServerlessClient } = require('../serverless/index.js');

/** @import { Report, Wish } from './index.js' */

/** A pass may take this long, connecting included. */
const LIMIT_MS = 15_000;

/** @param {Wish} wish @returns {Promise<Report>} */
async function reap({ service, secret, connection }) {
  if (service === undefined) throw new Error('reap needs --service');
  if (secret === undefined)
    throw new Error('reap needs the secret, in PG_BERTH_SECRET or --secret-env');
  /** @type {(pass: any) => void} */
  let tell = () => {};
  const told = new Promise((resolve) => {
    tell = resolve;
  });
  const client = new ServerlessClient({
    ...connection,
    secret,
    serviceName: service,
    pooler: 'off',
    connectionTimeoutMillis: 5000,
    retries: 0,
    hooks: { onReap: (pass) => tell(pass), onClientDead: ({ err }) => tell({ err }) },
  });
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  try {
    await client.connect();
    timer = setTimeout(tell, LIMIT_MS, { err: new Error('the pass did not end in time') });
    const { gen: _, err, ...pass } = await told;
    if (err !== undefined) throw err;
    const isWell = pass.locked && pass.denied === 0 && pass.hidden === 0;
    return { data: pass, text: textOf(pass, service), isWell };
  } finally {
    clearTimeout(timer);
    await client.end();
  }
}

/** @param {number} count */
const connections = (count) => `${count} expired ${count === 1 ? 'connection' : 'connections'}`;

/** @param {import('../../types/serverless.js').Reaping} pass @param {string} service */
function textOf({ locked, killed, candidates, denied, hidden }, service) {
  const lines = [];
  if (!locked) {
    lines.push(`another reaper of ${service} is at work; try again in a moment`);
    if (killed > 0) lines.push(`${connections(killed)} that held its lock ended`);
  } else if (candidates === 0) {
    lines.push(
      `nothing to end: no connection of ${service} has expired and been idle for long enough`,
    );
  } else {
    lines.push(`${killed} of ${connections(candidates)} ended`);
  }
  if (denied > 0)
    lines.push(`${denied} denied: this role needs pg_signal_backend, or to be theirs`);
  if (hidden > 0)
    lines.push(`${hidden} hidden: this role needs pg_read_all_stats, or to be theirs`);
  return lines.join('\n');
}

module.exports = { reap };
