// Waiting ends with the value, or says what it last saw.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { waitFor } = require('../support/wait.js');

test('waitFor resolves to the first truthy value, errors before it are passed over', async () => {
  let calls = 0;
  const value = await waitFor(() => {
    calls += 1;
    if (calls === 1) throw new Error('not yet');
    return calls === 3 && 'three';
  });
  assert.equal(value, 'three');
});

test('waitFor that gives up names what it waited for and the last value', async () => {
  const never = waitFor(() => 0, { timeoutMs: 30, what: 'the miracle' });
  await assert.rejects(never, {
    message: 'the miracle did not happen within 30 ms; last value: 0',
  });
});

test('waitFor that gives up keeps the last error as cause', async () => {
  const cause = new Error('down');
  const never = waitFor(() => Promise.reject(cause), { timeoutMs: 30 });
  await assert.rejects(
    never,
    (error) => error.cause === cause && /last error: Error: down/.test(error.message),
  );
});
