// An installation that fails is tried again, three times in all, and the last failure is what is told.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { retried } = require('../support/retried.js');

/** Fails so often before it works. @param {number} failures */
function failing(failures) {
  const work = async () => {
    work.calls += 1;
    if (work.calls <= failures) throw new Error(`npm failed\nreason ${work.calls}`);
    return 'installed';
  };
  work.calls = 0;
  return work;
}

for (const failures of [0, 1, 2]) {
  test(`after ${failures} failures it is installed`, async () => {
    const work = failing(failures);
    assert.equal(await retried('nothing at all', work, [0, 0]), 'installed');
    assert.equal(work.calls, failures + 1);
  });
}

test('after three failures the last one is told', async () => {
  const work = failing(3);
  await assert.rejects(retried('nothing at all', work, [0, 0]), /reason 3/);
  assert.equal(work.calls, 3);
});
