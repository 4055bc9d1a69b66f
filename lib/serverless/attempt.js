// An attempt to connect, shared by all who wait for it.
'use strict';

/** @import { AnyConnection } from './connection.js' */

/** @typedef {{ opened: Promise<AnyConnection>, abandon: (reason: Error) => void }} Attempt */

/**
 * Begins one, which is registered before anything of it runs.
 * @param {(attempt: Attempt) => Promise<AnyConnection>} establish
 * @returns {Attempt}
 */
function beginAttempt(establish) {
  /** @type {Attempt['abandon']} */
  let abandon = () => {};
  /** @type {Attempt['opened']} */
  const opened = new Promise((resolve, reject) => {
    abandon = reject;
    queueMicrotask(() => establish(attempt).then(resolve, reject));
  });
  const attempt = { opened, abandon };
  return attempt;
}

module.exports = { beginAttempt };
