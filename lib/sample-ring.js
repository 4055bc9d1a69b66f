// The last so many samples, the oldest overwritten.
'use strict';

/** @template T */
class SampleRing {
  #limit;
  /** @type {T[]} */
  #items = [];
  #oldest = 0;

  /** @param {number} limit */
  constructor(limit) {
    this.#limit = limit;
  }

  /** @param {T} item */
  push(item) {
    if (this.#items.length < this.#limit) {
      this.#items.push(item);
      return;
    }
    this.#items[this.#oldest] = item;
    this.#oldest = (this.#oldest + 1) % this.#limit;
  }

  /** A new array, oldest first. */
  toArray() {
    return [...this.#items.slice(this.#oldest), ...this.#items.slice(0, this.#oldest)];
  }

  clear() {
    this.#items = [];
    this.#oldest = 0;
  }
}

module.exports = { SampleRing };
