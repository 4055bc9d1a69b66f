// Ends a transaction of the dialect in which nothing happens for too long.
'use strict';

class IdleWatch {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #since = 0;

  /** @param {number} limitMs @param {() => boolean} isBusy @param {() => void} end */
  start(limitMs, isBusy, end) {
    this.stop();
    this.touch();
    const check = () => {
      if (!isBusy() && performance.now() - this.#since >= limitMs) end();
    };
    this.#timer = setInterval(check, Math.max(1, Math.ceil(limitMs / 4)));
    this.#timer.unref();
  }

  /** What is idle is idle from now on. */
  touch() {
    this.#since = performance.now();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

module.exports = { IdleWatch };
