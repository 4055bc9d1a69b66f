// The statements that run on a connection of the dialect: several, because a stream goes on around others.
'use strict';

/** @typedef {{ stop: () => void, ended: Promise<unknown> }} Statement `stop`: ends it early */

class Running {
  /** @type {Set<Statement>} */
  #statements = new Set();

  get isEmpty() {
    return this.#statements.size === 0;
  }

  /** @param {Statement} statement @returns {() => void} to be called at its end */
  add(statement) {
    this.#statements.add(statement);
    return () => this.#statements.delete(statement);
  }

  /** Stops the last one, and resolves when it has ended; does nothing when none runs. */
  async stopLast() {
    const last = [...this.#statements].at(-1);
    last?.stop();
    await last?.ended.catch(() => {});
  }
}

/** A promise, and what settles it. */
function deferred() {
  const parts =
    /** @type {{ promise: Promise<any>, resolve: (value: any) => void, reject: (reason: any) => void }} */ ({});
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

module.exports = { Running, deferred };
