// When a thread looks for its answer before its event loop sleeps.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { setImmediate: turn } = require('node:timers/promises');
const { lookTime, spinner } = require('../../lib/spin.js');

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

test('what is found late was in vain as well, and is taken', async () => {
  let time = 0;
  let taken = 0;
  const at = [];
  let request = 0;
  const sent = spinner(
    () => {
      at.push(request);
      time += request < 10 ? 0.091 : 0.089;
      return true;
    },
    () => taken++,
    120,
    () => time,
  );
  for (; request < 20; request++) {
    sent();
    await turn();
  }
  assert.deepEqual(at, [0, 2, 6, 14, 15, 16, 17, 18, 19]);
  assert.equal(taken, at.length);
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
    60,
  );
  for (let i = 0; i < 10; i++) sent();
  await turn();
  assert.equal(looked, 1);
});

test('its time: the variable, else none where there is one core', () => {
  assert.equal(lookTime({}, 8), 120);
  assert.equal(lookTime({}, 1), 0);
  assert.equal(lookTime({ PG_BERTH_SPIN_US: '' }, 2), 120);
  assert.equal(lookTime({ PG_BERTH_SPIN_US: '0' }, 2), 0);
  assert.equal(lookTime({ PG_BERTH_SPIN_US: '250' }, 1), 250);
  for (const given of ['-1', '1001', 'soon', '1.5', '99999']) {
    assert.throws(() => lookTime({ PG_BERTH_SPIN_US: given }, 2), {
      code: 'ERR_CONFIG',
      message: 'PG_BERTH_SPIN_US must be a whole number of microseconds from 0 to 1000',
    });
  }
});

test('without time nothing is planned', async () => {
  const sent = spinner(assert.fail, assert.fail, 0);
  sent();
  await turn();
});
