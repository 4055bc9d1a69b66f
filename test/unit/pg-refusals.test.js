// When the refusals of a client of the pg face are told.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { setImmediate: turn } = require('node:timers/promises');
const { Refusals } = require('../../lib/pg/refusals.js');

const DYING = { _queryable: false, _ended: false };

/** @param {(refusals: InstanceType<typeof Refusals>, told: string[]) => unknown} act */
async function toldAfter(act) {
  const refusals = new Refusals();
  const told = [];
  await act(refusals, told);
  return { refusals, told };
}

test('a client that lives or has ended refuses in the next tick', async () => {
  for (const client of [
    { _queryable: true, _ended: false },
    { _queryable: false, _ended: true },
  ]) {
    const { told } = await toldAfter((refusals, heard) => {
      refusals.tell(client, () => heard.push('refused'));
      assert.deepEqual(heard, []);
    });
    await turn();
    assert.deepEqual(told, ['refused']);
  }
});

test('one that is dying refuses behind its end, however many turns that takes', async () => {
  const { refusals, told } = await toldAfter(async (made, heard) => {
    made.tell(DYING, () => heard.push('first'));
    made.tell(DYING, () => heard.push('second'));
    for (let i = 0; i < 5; i++) await turn();
  });
  assert.deepEqual(told, []);
  refusals.release();
  told.push('end');
  await turn();
  assert.deepEqual(told, ['end', 'first', 'second']);
});

test('an end that does not come is not awaited for ever', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { told } = await toldAfter((refusals, heard) => {
    refusals.tell(DYING, () => heard.push('refused'));
    t.mock.timers.tick(999);
  });
  assert.deepEqual(told, []);
  t.mock.timers.tick(1);
  await turn();
  assert.deepEqual(told, ['refused']);
});
