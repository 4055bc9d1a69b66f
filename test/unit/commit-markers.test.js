// What a listener throws that is told of a COMMIT says nothing about that COMMIT.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { Markers } = require('../../lib/commit-markers.js');
const { uncaughtIn } = require('../support/uncaught.js');

const lost = Object.assign(new Error('lost'), { outcome: 'unknown' });
const boom = new Error('of the listener');

for (const [committed, outcome] of /** @type {const} */ ([
  [true, 'resolves'],
  [false, 'CommitAbortedError'],
])) {
  test(`CP-5, CP-90: a listener that throws is an uncaught exception, and the COMMIT ${outcome}`, async () => {
    const tell = () => {
      throw boom;
    };
    const markers = new Markers('markers', 1000, async () => [{ committed }], tell);
    /** @type {string | undefined} */
    let ended;
    const thrown = await uncaughtIn(async () => {
      const end = () => Promise.reject(lost);
      ended = await markers
        .commit(async () => {}, end, {})
        .then(
          () => 'resolves',
          ({ name }) => name,
        );
      // Behind what was put off until the next tick.
      await new Promise(setImmediate);
    });
    assert.equal(ended, outcome);
    assert.deepEqual(thrown, [boom]);
  });
}
