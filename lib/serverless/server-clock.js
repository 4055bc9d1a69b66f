// The server's clock as far as it is known: learnt from answers, going on while the process is frozen (rule SC-9).
'use strict';

class ServerClock {
  #server = Date.now();
  #wall = this.#server;
  #at = performance.now();
  /** Milliseconds by which the server was ahead of this machine at the last look. */
  offset = 0;

  now() {
    // Whichever of the two clocks stood still while the process was frozen, the other one went on.
    const passed = Math.max(performance.now() - this.#at, Date.now() - this.#wall);
    return this.#server + passed;
  }

  /** @param {number} server Unix time in milliseconds @param {number} asked `performance.now()` of the question */
  learn(server, asked) {
    this.#at = performance.now();
    this.#wall = Date.now();
    this.#server = server + (this.#at - asked) / 2;
    this.offset = this.#server - this.#wall;
  }
}

module.exports = { ServerClock };
