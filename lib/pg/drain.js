// The event of a client that has done everything asked for.
'use strict';

const { setImmediate } = require('node:timers');

/** @typedef {InstanceType<typeof import('./statement-queue.js').StatementQueue>} StatementQueue */

/** The last notice of each queue: one that comes late is out of date. @type {WeakMap<StatementQueue, object>} */
const newest = new WeakMap();

/**
 * Ahead of whoever awaits the last answer; behind its callback, and behind whoever catches its failure. They may ask for
 * more, and programs end the client at this event.
 * @param {import('node:events').EventEmitter} client @param {StatementQueue} queue
 * @param {boolean} hasFailed the last of it
 */
function tellDrained(client, queue, hasFailed) {
  if (client.listenerCount('drain') === 0) return;
  const notice = {};
  newest.set(queue, notice);
  const later = hasFailed ? setImmediate : process.nextTick;
  later(() => {
    if (newest.get(queue) === notice && !queue.isBusy) client.emit('drain');
  });
}

module.exports = { tellDrained };
