// When the next pass is due that the engine does not time: another driver's, and over a `reaperConnection`; one answer per
// process and target.
'use strict';

/** Longest time between passes while the lock is busy or passes fail. Source: pg-aequor 0.1.4. */
const LONGEST_MS = 600_000;

class Cooldown {
  #base = 0;
  #current = 0;
  #next = Number.NEGATIVE_INFINITY;

  /** Takes the turn if a pass is due; the next one is due a cooldown later. @param {number} cooldownMs */
  claim(cooldownMs) {
    const now = performance.now();
    if (now < this.#next) return false;
    // Drawn once, unless another client of this process is configured with a shorter one.
    if (this.#base === 0 || this.#base > cooldownMs * 2) {
      this.#base = cooldownMs + (Math.random() * cooldownMs) / 3;
      this.#current = this.#base;
    }
    this.#schedule(now);
    return true;
  }

  /** A pass is over. @param {number} began @param {boolean} isWell it had the lock and did not fail */
  finish(began, isWell) {
    this.#current = isWell ? this.#base : Math.min(this.#current * 1.5, LONGEST_MS);
    this.#schedule(began);
  }

  /** @param {number} began */
  #schedule(began) {
    this.#next = began + this.#current + (Math.random() * this.#current) / 2;
  }
}

/** @type {Map<string, Cooldown>} */
const cooldowns = new Map();

/** The cooldown that this process keeps for a target and service. @param {string} place */
function cooldownOf(place) {
  let cooldown = cooldowns.get(place);
  if (cooldown === undefined) {
    cooldown = new Cooldown();
    cooldowns.set(place, cooldown);
  }
  return cooldown;
}

module.exports = { cooldownOf };
