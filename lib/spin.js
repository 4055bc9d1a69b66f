// Decides when a thread looks for the answer it awaits for some microseconds, before its event loop goes to sleep.
//
// Where cores sleep, waking one costs more than a short statement. So a thread that awaits one answer alone looks for it
// once its other work is done. A server that is further away than the look takes is not looked for, nor one that has to wait
// for a core: after a look in vain one request goes without, then three, then seven, up to a thousand. A server that usually
// answers in time is forgiven one look in vain in five.
'use strict';

const { lazy } = require('./lazy.js');
const os = require('node:os');

const errors = lazy(() => require('./error-classes.js'));

/** The environment variable with the length of a look in microseconds; 0: never. */
const VARIABLE = 'PG_BERTH_SPIN_US';
const USUAL_US = 250;
const LONGEST_US = 1000;
const MOST_DOUBLINGS = 10;
/** What takes longer than this share of a look costs more than sleeping would have: it was in vain as well. */
const WORTH_IT = 0.75;
/** So many answers in time make good for one look in vain, and so many of them are remembered. */
const FORGIVEN_FOR = 4;
const REMEMBERED = 4 * FORGIVEN_FOR;

/**
 * How long a look takes here: without a second core the server could not answer meanwhile.
 * @param {NodeJS.ProcessEnv} environment @param {number} cores
 * @returns {number} microseconds
 */
function lookTime(environment, cores) {
  const given = environment[VARIABLE];
  if (given === undefined || given === '') return cores > 1 ? USUAL_US : 0;
  if (!/^\d{1,4}$/.test(given) || Number(given) > LONGEST_US) {
    const problem = `${VARIABLE} must be a whole number of microseconds from 0 to ${LONGEST_US}`;
    throw errors().argumentError(new TypeError(problem), { code: 'ERR_CONFIG', option: VARIABLE });
  }
  return Number(given);
}

/**
 * @param {(us: number) => boolean} look blocks until something has arrived, `us` at most: has it?
 * @param {() => void} take takes what has arrived; must not throw
 * @param {{ now: () => number, later: (call: () => void) => void }} time a clock in milliseconds, and what calls when the
 *   event loop has had a turn; neither may be a test's
 * @param {number} [us] how long a look takes
 * @returns {() => void} to be called when a request was sent whose answer is all that is awaited
 */
function spinner(
  look,
  take,
  { now, later },
  us = lookTime(process.env, os.availableParallelism()),
) {
  const worthUs = us * WORTH_IT;
  let planned = false;
  let inVain = 0;
  let inTime = 0;
  /** Requests that go without. */
  let without = 0;

  function turn() {
    planned = false;
    const began = now();
    const found = look(us);
    if (found && now() - began <= worthUs / 1000) {
      inVain = 0;
      inTime = Math.min(inTime + 1, REMEMBERED);
    } else if (inTime >= FORGIVEN_FOR) {
      inTime -= FORGIVEN_FOR;
    } else {
      inVain = Math.min(inVain + 1, MOST_DOUBLINGS);
      without = 2 ** inVain - 1;
    }
    if (found) take();
  }

  return function sent() {
    if (us === 0 || planned) return;
    if (without > 0) {
      without--;
      return;
    }
    planned = true;
    // Behind the sockets and timers of this turn, and instead of sleeping in the next one.
    later(turn);
  };
}

module.exports = { lookTime, spinner };
