// What suites need beside npm's packages, installed before their first test: downloads have no place in a test's time.
'use strict';

const { patroniPython } = require('./patroni.js');
const { findPgbouncer } = require('./pgbouncer.js');
const { findBinaries } = require('./postgres-binaries.js');
const { installTools } = require('./tools.js');

/** PostgreSQL 18 speaks protocol 3.2 and direct TLS; 15 does not. */
const postgres = (/** @type {number[]} */ ...versions) => Promise.all(versions.map(findBinaries));

/** By suite. @type {Record<string, (() => Promise<unknown>)[]>} */
const NEEDED = {
  conformance: [findPgbouncer, () => postgres(18)],
  security: [() => postgres(15, 18)],
  chaos: [patroniPython],
  runtimes: [installTools],
};

/**
 * Installs what is missing. What cannot be had is only told here: the tests that need it say so again, and fail.
 * @param {Iterable<string>} suites
 */
async function provide(suites) {
  for (const suite of suites) {
    for (const install of NEEDED[suite] ?? []) {
      await install().catch((error) => console.log(`for ${suite}: ${error.message}`));
    }
  }
}

module.exports = { provide };
