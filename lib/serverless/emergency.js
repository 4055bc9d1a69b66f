// One pass of the reaper over a connection of its own, for when the server has no room for another.
'use strict';

const { end, openClient } = require('../handles.js');
const { listen } = require('../hearers.js');
const { FLAG, OPERATION } = require('../mailbox.js');
const { decodersFor } = require('../queryable.js');
const { execute } = require('../request.js');
const { PRESETS, resolveTypes } = require('../rows/types.js');
const { startUp } = require('./config.js');

/** @import { ConnectionSettings } from './config.js' */
/** @import { News } from './connection.js' */

/** A statement without rows. */
const PLAIN = decodersFor(resolveTypes(undefined, PRESETS.pg), 'object', undefined);
const UNNAMED = Object.freeze({ operation: OPERATION.EXECUTE, flags: FLAG.UNNAMED });

/** How long its goodbye may take. */
const PATIENCE_MS = 500;
/** How far the news of a pass may be behind the answer to the statement that waited for it. */
const NEWS_MS = 250;

/**
 * @param {ConnectionSettings} settings of a role that may use reserved slots
 * @param {Record<string, any>} lease @param {number} limitMs
 * @returns {Promise<News | undefined>} nothing when another pass of this process was not long ago
 */
async function reapOnce(settings, lease, limitMs) {
  const until = performance.now() + limitMs;
  const asked = { ...lease, reaper: true, reaperRunProbability: 1, heartbeatErrorMode: 'swallow' };
  const given = await startUp(settings, limitMs);
  const { target } = await openClient({ ...given, lease: asked }, 'pg');
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  let unlisten = () => {};
  try {
    return await new Promise((resolve) => {
      unlisten = listen(target, (news) => {
        if (news.event === 'reaped' || news.event === 'end')
          resolve(news.event === 'end' ? undefined : news);
      });
      const waitFor = (/** @type {number} */ ms) => {
        clearTimeout(timer);
        timer = setTimeout(resolve, ms, undefined);
      };
      waitFor(Math.max(1, until - performance.now()));
      // A statement waits for the pass in front of it: behind its answer no pass comes any more.
      execute(target, 'select', undefined, PLAIN, UNNAMED).then(
        () => waitFor(NEWS_MS),
        () => {},
      );
    });
  } finally {
    unlisten();
    await end(target, PATIENCE_MS).catch(() => {
      // The environment is being torn down, and its connections with it.
    });
    clearTimeout(timer);
  }
}

module.exports = { reapOnce };
