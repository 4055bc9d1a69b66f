// Looks whether the server that a listener hears still takes writes: nothing of that is pushed to an idle connection.
'use strict';

const native = require('./native.js');

/** @import { Target } from '../types/internal.js' */

/** As often as pools look for a better node. Source: CP-14. */
const EVERY_MS = 5000;

/** What the node is that the connection of a pool leads to. @param {Target} pool of one connection */
function roleOf(pool) {
  const text = native.poolStatus(pool.slot, pool.generation, true);
  /** @type {{ open: number, role: string }[]} */
  const nodes = text === null ? [] : JSON.parse(text).nodes;
  return nodes.find(({ open }) => open > 0)?.role;
}

/**
 * One that was not a primary to begin with is what was asked for.
 * @param {Target} pool of one connection @param {number | undefined} everyMs 0: never
 * @param {() => Promise<unknown>} ask the server for anything: its answer shows what it is
 * @param {(since: Date) => void} onFenced told once, and since when it may have been
 * @returns {() => void} ends it
 */
function watchRole(pool, everyMs = EVERY_MS, ask, onFenced) {
  if (everyMs === 0 || roleOf(pool) !== 'primary') return () => {};
  let isOver = false;
  let [since, asked] = [new Date(), new Date()];
  const look = async () => {
    const isFenced = () => !isOver && roleOf(pool) === 'fenced';
    if (!isFenced()) {
      [since, asked] = [asked, new Date()];
      // Its end is told by the connection itself.
      await ask().catch(() => {});
    }
    if (isFenced()) onFenced(since);
    else if (!isOver) timer = setTimeout(look, everyMs).unref();
  };
  let timer = setTimeout(look, everyMs).unref();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

module.exports = { watchRole };
