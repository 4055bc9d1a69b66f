// One pass of the reaper over a connection of its own, for when the server has no room for another.
'use strict';

const { end, openClient } = require('../handles.js');
const { listen } = require('../mailbox.js');
const { askPassword } = require('./config.js');

/** @import { ConnectionSettings } from './config.js' */
/** @import { News } from './connection.js' */

/** How long its goodbye may take. */
const PATIENCE_MS = 500;

/**
 * @param {ConnectionSettings} settings of a role that may use reserved slots
 * @param {Record<string, any>} lease @param {number} limitMs
 * @returns {Promise<News | undefined>} nothing when another pass of this process was not long ago
 */
async function reapOnce(settings, lease, limitMs) {
  const password = await askPassword(settings, limitMs);
  const asked = { ...lease, reaper: true, reaperRunProbability: 1, heartbeatErrorMode: 'swallow' };
  const { target } = await openClient({ ...settings.engine, password, lease: asked }, 'pg');
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  let unlisten = () => {};
  try {
    return await new Promise((resolve) => {
      unlisten = listen(target, (news) => {
        if (news.event === 'reaped' || news.event === 'end')
          resolve(news.event === 'end' ? undefined : news);
      });
      timer = setTimeout(resolve, Math.max(1, limitMs), undefined);
    });
  } finally {
    clearTimeout(timer);
    unlisten();
    await end(target, PATIENCE_MS).catch(() => {
      // The environment is being torn down, and its connections with it.
    });
  }
}

module.exports = { reapOnce };
