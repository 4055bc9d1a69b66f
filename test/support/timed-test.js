// Tests that may not hang: node:test with a time limit for every test.
'use strict';

const { test: plain } = require('node:test');

const LIMIT_MS = 60_000;

/**
 * @param {string} name a sentence about behaviour
 * @param {(t: import('node:test').TestContext) => unknown} body
 * @param {number} [timeout] milliseconds
 */
function test(name, body, timeout = LIMIT_MS) {
  return plain(name, { timeout }, body);
}

module.exports = { test };
