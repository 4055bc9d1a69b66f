// Runs the work of one library in a process of its own and prints what came of it as JSON.
// Arguments: the library, and `reference` (pg), `injected` (this package by option) or `aliased` (this package as pg).
'use strict';

require('./stray-errors.js');

const [library, mode] = process.argv.slice(2);

const driver = mode === 'injected' ? require('../../lib/index.js') : require('pg');
if (mode === 'aliased' && driver.createPool === undefined)
  throw new Error('pg is not this package');

/** A file of the package that must not be there when another stands in its place. */
const REFERENCE = /node_modules.pg.lib.client\.js$/;

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
  const other = Object.keys(require.cache).find((file) => REFERENCE.test(file));
  if (mode === 'aliased' && other) throw new Error(`the library has a pg of its own: ${other}`);
  process.stdout.write(plain(result));
}

main().then(
  () => process.exit(),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
