// What a pool tells about itself: events of the engine, under the names and in the shapes that users see.
'use strict';

const { EventEmitter } = require('node:events');
const { wrong } = require('./option-rules.js');

/** What each event carries, out of what the engine tells. @type {Record<string, (event: any) => object>} */
const DETAILS = {
  hostChange: ({ event: _, ...change }) => change,
  failover: ({ from, to, ms }) => ({ from, to, tookMs: ms }),
  'commit-resolved': ({ xid, status, ms }) => ({ xid, status, tookMs: ms }),
};

class PoolEvents {
  #emitter = new EventEmitter();

  /** @param {'on' | 'once' | 'off'} how @param {string} name @param {(detail: any) => void} listener */
  change(how, name, listener) {
    if (!Object.hasOwn(DETAILS, name)) {
      const names = Object.keys(DETAILS).map((known) => `"${known}"`);
      throw wrong('event', `must be one of ${names.join(', ')}`);
    }
    this.#emitter[how](name, listener);
  }

  /** @param {{ event: string }} event of the engine */
  tell(event) {
    const detail = Object.hasOwn(DETAILS, event.event) ? DETAILS[event.event] : undefined;
    if (detail !== undefined) this.#emitter.emit(event.event, detail(event));
  }
}

module.exports = { PoolEvents };
