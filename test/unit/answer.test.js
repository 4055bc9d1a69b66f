// What an answer makes of frames that it cannot read yet.
'use strict';

const assert = require('node:assert/strict');
const { StatementAnswer } = require('../../lib/answer.js');
const { test } = require('../support/timed-test.js');

test('types that keep changing are looked up a few times, and are no sign that nothing was carried out', async () => {
  let lookups = 0;
  const decoders = /** @type {any} */ ({
    get: () => undefined,
    carriedOut: () => {},
    lookUp: async () => {
      lookups += 1;
    },
  });
  const answered = new Promise((resolve, reject) => {
    const answer = new StatementAnswer(decoders, resolve, reject);
    answer.frame(1, /** @type {any} */ ({ i32: new Int32Array(2) }), 0, 1);
    answer.complete(1, 'SELECT', 1);
    answer.done();
  });
  await assert.rejects(answered, {
    name: 'OutcomeUnknownError',
    code: 'IN_DOUBT',
    outcome: 'unknown',
    message: /was carried out, but the types of its result .* keep changing/,
  });
  assert.equal(lookups, 3);
});
