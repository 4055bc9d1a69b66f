// When a client's refusals are told: behind the events of a loss that is still to be told, so that a pool which hears those
// does not hand the client out again.
'use strict';

/** The end follows the failure that announced it; should it not, refusals wait no longer than this. */
const PATIENCE_MS = 1000;

class Refusals {
  /** @type {(() => void)[]} */
  #held = [];
  /** @type {NodeJS.Timeout | undefined} */
  #late;

  /** @param {{ _queryable: boolean, _ended: boolean }} client @param {() => void} tell may throw what is the program's */
  tell(client, tell) {
    if (client._queryable || client._ended) {
      process.nextTick(tell);
      return;
    }
    this.#held.push(tell);
    this.#late ??= setTimeout(() => this.release(), PATIENCE_MS);
  }

  /** The end has been told. */
  release() {
    clearTimeout(this.#late);
    this.#late = undefined;
    for (const tell of this.#held.splice(0)) process.nextTick(tell);
  }
}

module.exports = { Refusals };
