// Makes a client for a pool and connects it, within the pool's limit. Whatever the program's part of that throws is why it failed.
'use strict';

const { note } = require('./callbacks.js');
const { connectTimeout, isTimeout } = require('./pool-failures.js');

/**
 * @param {any} pool @param {(client: any) => void} made called at once, unless none can be made
 * @param {(error?: any) => void} opened called once, later
 */
function openClient(pool, made, opened) {
  /** @type {any} */
  let client;
  try {
    client = new pool.Client(pool.options);
  } catch (error) {
    // For somebody who had to wait nobody calls this who could catch it.
    process.nextTick(opened, error);
    return;
  }
  made(client);
  const { connectionTimeoutMillis } = pool.options;
  let isLate = false;
  note(pool, 'checking client timeout');
  const late = connectionTimeoutMillis
    ? setTimeout(() => {
        if (!client.connection && client.isConnected()) return;
        note(pool, 'ending client due to timeout');
        isLate = true;
        if (client.connection) client.connection.stream.destroy();
        else client.end();
      }, connectionTimeoutMillis)
    : undefined;
  let isAnswered = false;
  const connected = (/** @type {any} */ error) => {
    if (isAnswered) return;
    isAnswered = true;
    clearTimeout(late);
    if (error) note(pool, 'client failed to connect', error);
    else note(pool, 'new client connected');
    opened(error && (isLate || isTimeout(error)) ? connectTimeout(error) : error);
  };
  note(pool, 'connecting new client');
  try {
    client.connect(connected);
  } catch (error) {
    process.nextTick(connected, error);
  }
}

module.exports = { openClient };
