// One signal for several.
'use strict';

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { test } = require('node:test');
const { anySignal } = require('../../lib/any-signal.js');
const { waitFor } = require('../support/wait.js');

/** A signal of somebody else, as polyfills have them. */
class ForeignSignal extends EventTarget {
  aborted = false;
  /** @type {unknown} */ reason = undefined;
  throwIfAborted() {}
}

/** @param {number} foreign how many of three are somebody else's */
function three(foreign) {
  return Array.from({ length: 3 }, (_, at) => {
    if (at >= foreign) {
      const controller = new AbortController();
      return { signal: controller.signal, fire: (reason) => controller.abort(reason) };
    }
    const signal = new ForeignSignal();
    const fire = (reason) => {
      Object.assign(signal, { aborted: true, reason });
      signal.dispatchEvent(new Event('abort'));
    };
    return { signal: /** @type {any} */ (signal), fire };
  });
}

for (const foreign of [0, 1, 3]) {
  test(`the first of three that fires counts, ${foreign} of them somebody else's`, () => {
    for (const first of [0, 1, 2]) {
      const all = three(foreign);
      const signal = anySignal(all.map((one) => one.signal));
      assert.equal(signal.aborted, false);
      all[first].fire('first');
      all[(first + 1) % 3].fire('second');
      assert.deepEqual([signal.aborted, signal.reason], [true, 'first']);
    }
  });

  test(`one that has fired counts at once, ${foreign} of them somebody else's`, () => {
    const all = three(foreign);
    all[2].fire('early');
    const signal = anySignal(all.map((one) => one.signal));
    assert.deepEqual([signal.aborted, signal.reason], [true, 'early']);
  });
}

test('one that nobody holds leaves those it waited for, one that is held does not', async () => {
  assert.ok(globalThis.gc, 'run with --expose-gc');
  const [long, other, short] = three(0);
  const forget = () => {
    for (let n = 0; n < 5; n++) anySignal([long.signal, short.signal]);
  };
  forget();
  const kept = anySignal([long.signal, other.signal]);
  await waitFor(
    () => {
      globalThis.gc?.();
      return getEventListeners(short.signal, 'abort').length === 0;
    },
    { what: 'the forgotten ones to leave' },
  );
  long.fire('late');
  assert.deepEqual([kept.aborted, kept.reason], [true, 'late']);
});
