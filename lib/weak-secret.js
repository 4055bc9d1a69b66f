// Warns of secrets of leases that can be guessed (rule SC-23), whichever face they are given to.
'use strict';

const native = require('./native.js');

/** Told of: a pool reads its options again for every connection. @type {Set<string>} */
const known = new Set();

/** @param {string} option that holds it @param {string} secret of the length that leases need */
function warnOfWeak(option, secret) {
  if (known.has(secret) || !JSON.parse(native.leaseToken('', '', secret)).weak) return;
  known.add(secret);
  const problem = 'has so few different bytes that it can be guessed; use 32 random bytes';
  process.emitWarning(`option "${option}" ${problem}`, { code: 'PG_WEAK_SECRET' });
}

module.exports = { warnOfWeak };
