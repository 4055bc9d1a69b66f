// When a thread looks for its answer before its event loop sleeps.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { setImmediate: turn } = require('node:timers/promises');
const { lookTime, spinner } = require('../../lib/spin.js');

const TIME = { now: () => performance.now(), later: setImmediate };

/** How many of so many requests are looked for, when looks end like this. */
async function looks(requests, found) {
  let looked = 0;
  const taken = { times: 0 };
  const sent = spinner(
    () => {
      looked++;
      return found;
    },
    () => taken.times++,
    TIME,
    60,
  );
  const at = [];
  for (let request = 0; request < requests; request++) {
    const before = looked;
    sent();
    await turn();
    if (looked > before) at.push(request);
  }
  return { at, taken: taken.times };
}

test('every answer that comes soon is looked for, and taken', async () => {
  const { at, taken } = await looks(50, true);
  assert.equal(at.length, 50);
  assert.equal(taken, 50);
});

test('after looks in vain 1, 3, 7, … requests go without', async () => {
  const { at, taken } = await looks(60, false);
  assert.deepEqual(at, [0, 2, 6, 14, 30]);
  assert.equal(taken, 0);
});

/** At which requests is looked, when the look of request n takes `tookMs(n)` of 0.12 ms, and how often something is taken. */
async function looksThatTake(tookMs, requests) {
  let time = 0;
  let taken = 0;
  const at = [];
  let request = 0;
  const sent = spinner(
    () => {
      at.push(request);
      time += tookMs(request);
      return true;
    },
    () => taken++,
    { ...TIME, now: () => time },
    120,
  );
  for (; request < requests; request++) {
    sent();
    await turn();
  }
  return { at, taken };
}

test('what is found late was in vain as well, and is taken', async () => {
  const { at, taken } = await looksThatTake((request) => (request < 10 ? 0.091 : 0.089), 20);
  assert.deepEqual(at, [0, 2, 6, 14, 15, 16, 17, 18, 19]);
  assert.equal(taken, at.length);
});

test('a server that is late once in five times is looked for every time', async () => {
  const { at } = await looksThatTake((request) => (request % 5 === 4 ? 0.1 : 0.05), 200);
  assert.equal(at.length, 200);
});

test('one that is late more often is not, nor one that has become slow', async () => {
  const often = await looksThatTake((request) => (request % 3 === 2 ? 0.1 : 0.05), 200);
  assert.ok(often.at.length < 200, `${often.at.length} of 200`);
  const slower = await looksThatTake((request) => (request < 100 ? 0.05 : 0.1), 1100);
  // four are forgiven, then 1, 3, 7, … go without
  assert.deepEqual(
    slower.at.slice(100),
    [100, 101, 102, 103, 104, 106, 110, 118, 134, 166, 230, 358, 614],
  );
});

test('looks in vain become as rare as one in a thousand, and no rarer', async () => {
  const { at } = await looks(5000, false);
  assert.deepEqual(at.slice(-3), [2046, 3070, 4094]);
});

test('one look is planned at a time', async () => {
  let looked = 0;
  const sent = spinner(
    () => ++looked > 0,
    () => {},
    TIME,
    60,
  );
  for (let i = 0; i < 10; i++) sent();
  await turn();
  assert.equal(looked, 1);
});

test('its time: the variable, else none where there is one core', () => {
  assert.equal(lookTime({}, 8), 250);
  assert.equal(lookTime({}, 1), 0);
  assert.equal(lookTime({ PG_BERTH_SPIN_US: '' }, 2), 250);
  assert.equal(lookTime({ PG_BERTH_SPIN_US: '0' }, 2), 0);
  assert.equal(lookTime({ PG_BERTH_SPIN_US: '120' }, 1), 120);
  for (const given of ['-1', '1001', 'soon', '1.5', '99999']) {
    assert.throws(() => lookTime({ PG_BERTH_SPIN_US: given }, 2), {
      code: 'ERR_CONFIG',
      message: 'PG_BERTH_SPIN_US must be a whole number of microseconds from 0 to 1000',
    });
  }
});

test('without time nothing is planned', async () => {
  const sent = spinner(assert.fail, assert.fail, TIME, 0);
  sent();
  await turn();
});
