// Runs the work of one library in a process of its own and prints what came of it as JSON.
// Arguments: the library, and `reference` (pg), `injected` (this package by option) or `aliased` (this package as pg).
'use strict';

require('./stray-errors.js');

const [library, mode] = process.argv.slice(2);

const driver = mode === 'injected' ? require('../../lib/index.js') : require('pg');
if (mode === 'aliased' && driver.createPool === undefined)
  throw new Error('pg is not this package');

/** What differs from run to run has no place in the comparison. */
const plain = (value) =>
  JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));

async function main() {
  const work = require(`../conformance/libraries/${library}.js`);
  const result = await work({
    pg: driver,
    url: process.env.LIBRARY_DATABASE,
    isInjected: mode === 'injected',
  });
  process.stdout.write(plain(result));
}

main().then(
  () => process.exit(),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
