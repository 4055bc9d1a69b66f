// Hears what becomes of a client's connections without keeping a client alive that its program has forgotten.
'use strict';

/** @import { AnyConnection, News, Watcher } from './connection.js' */
/** @import { Loss } from './loss.js' */

/**
 * @template {object} T
 * @param {T} client
 * @param {(client: T, connection: AnyConnection, loss: Loss) => void} lost
 * @param {(client: T, connection: AnyConnection, news: News) => void} heard what the engine did on its own
 * @returns {Watcher}
 */
function watcherOf(client, lost, heard) {
  const self = new WeakRef(client);
  return {
    lost: (connection, loss) => {
      const owner = self.deref();
      if (owner !== undefined) lost(owner, connection, loss);
    },
    news: (connection, news) => {
      const owner = self.deref();
      if (owner !== undefined) heard(owner, connection, news);
    },
  };
}

module.exports = { watcherOf };
