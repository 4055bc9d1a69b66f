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
    const busy = pass.locked ? '' : '; another reaper of the service is at work';
    const text = `${pass.killed} of ${pass.candidates} expired connections ended, ${pass.denied} denied, ${pass.hidden} hidden${busy}`;
    return { data: pass, text, isWell: pass.denied === 0 && pass.hidden === 0 };
  } finally {
    clearTimeout(timer);
    await client.end();
  }
}

module.exports = { reap };
